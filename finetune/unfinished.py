"""A folder that appears whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import WeightsError

_LOCK = ".lock"


@contextmanager
def unfinished_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into; renamed to `out` at the end, removed on any fault.

    What a killed run left is removed by the next run to the same `out`: its lock is no longer held. Raises WeightsError.
    """
    folder = out.absolute().parent / f".{out.name}.{os.getpid()}.part"
    try:
        _remove_left_over(out)
        folder.mkdir()
    except OSError as error:
        raise WeightsError(f"不能写 `{out.absolute().parent}`：{error}", "检查磁盘空间和权限") from error
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
            (folder / _LOCK).unlink()
            _publish(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, out: Path) -> None:
    try:
        if out.exists():
            raise WeightsError(f"`{out}` 在合并期间出现了，不覆盖", "换一个输出位置")
        folder.rename(out)
        parent = os.open(out.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise WeightsError(f"不能写 `{out}`：{error}", "检查磁盘空间和权限") from error


def _remove_left_over(out: Path) -> None:
    for folder in out.absolute().parent.glob(f".{out.name}.*.part"):
        try:
            with (folder / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
        except OSError:
            continue  # another run holds it, or it is being made
