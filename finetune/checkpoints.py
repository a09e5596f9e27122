"""Checkpoints that are whole or not there: a kill while one is written or deleted leaves another one to go on from."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from indexer.errors import QizhenError

FOLDER = "checkpoints"
_RUN = "run.json"  # what the run was started with, until it is done
_WHOLE = "whole.json"  # written last; removed first


def seal_checkpoint(folder: Path, step: int, best: str | None, keep: int, counts: Mapping[str, int]) -> None:
    """Mark the checkpoint of `step` as written to its end, then delete all but the newest `keep`; the best one stays beside them."""
    newest = folder / f"checkpoint-{step}"
    for path in newest.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    (newest / _WHOLE).write_text(json.dumps(dict(counts)), "utf-8")
    kept_anyway = Path(best).name if best else ""
    older = [path for path in _by_step(folder) if path.name not in (newest.name, kept_anyway)]
    for old in older[: max(0, len(older) - (keep - 1))]:
        (old / _WHOLE).unlink(missing_ok=True)
        shutil.rmtree(old)


def check_folder(out: Path, *, resume: bool) -> None:
    """A new run needs an empty folder, a resumed one a checkpoint of a run that is not done. Raises QizhenError."""
    if not resume:
        if out.exists() and any(out.iterdir()):
            raise QizhenError(f"输出文件夹 `{out}` 里已有内容", "接着上次的训练用 --resume，否则换一个文件夹")
    elif last_checkpoint(out) is None:
        raise QizhenError(f"输出文件夹 `{out}` 里没有完整的检查点", "去掉 --resume 从头训练，并写明 saving.every")
    elif not (out / _RUN).is_file():
        raise QizhenError(f"`{out}` 里的训练已经完成", "要继续训练，以它为底座或 adapter.start_from，写到另一个文件夹")


def begin(out: Path, started_with: Mapping[str, Any], *, resume: bool) -> None:
    """Write down what a run is started with; a resumed one must be the same. Raises QizhenError with every difference."""
    if not resume:
        out.mkdir(parents=True, exist_ok=True)
        (out / _RUN).write_text(json.dumps(started_with, ensure_ascii=False) + "\n", "utf-8")
        return
    before = json.loads((out / _RUN).read_text("utf-8"))
    if differing := list(_differences(before, json.loads(json.dumps(started_with)), "")):
        raise QizhenError("接着训练的配方与开始时不同：\n" + "\n".join(f"  {told}" for told in differing), "改回原来的值，或从头训练")
    for path in _by_step(out / FOLDER):
        if not (path / _WHOLE).is_file():
            shutil.rmtree(path)  # a kill left it half written


def finish(out: Path) -> None:
    """The run is done; the manifest says from now on how it was made."""
    (out / _RUN).unlink()


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], place: str) -> Iterator[str]:
    for key in (*before, *(key for key in now if key not in before)):
        was, is_now, at = before.get(key), now.get(key), f"{place}{key}"
        if isinstance(was, dict) and isinstance(is_now, dict):
            yield from _differences(was, is_now, f"{at}.")
        elif was != is_now:
            yield f"{at}: 原来是 `{was}`，现在是 `{is_now}`"


def last_checkpoint(out: Path) -> Path | None:
    """The newest whole checkpoint of a run's folder."""
    return next((path for path in reversed(_by_step(out / FOLDER)) if (path / _WHOLE).is_file()), None)


def step_of(checkpoint: Path) -> int:
    """The step after which it was written."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def counts_of(checkpoint: Path) -> dict[str, int]:
    """What had been counted when it was sealed."""
    counts: dict[str, int] = json.loads((checkpoint / _WHOLE).read_text("utf-8"))
    return counts


def _by_step(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=step_of)
