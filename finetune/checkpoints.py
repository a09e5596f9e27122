"""Checkpoints that are whole or not there: a kill while one is written or deleted leaves another one to go on from."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

FOLDER = "checkpoints"
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


def last_checkpoint(out: Path) -> Path | None:
    """The newest whole checkpoint of a run's folder."""
    return next((path for path in reversed(_by_step(out / FOLDER)) if (path / _WHOLE).is_file()), None)


def clear_unfinished(out: Path) -> None:
    """Delete what a kill left half written."""
    for path in _by_step(out / FOLDER):
        if not (path / _WHOLE).is_file():
            shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """The step after which it was written."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def counts_of(checkpoint: Path) -> dict[str, int]:
    """What had been counted when it was sealed."""
    counts: dict[str, int] = json.loads((checkpoint / _WHOLE).read_text("utf-8"))
    return counts


def _by_step(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=step_of)
