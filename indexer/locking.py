"""Who may write an index, who is reading a release of it, and how faults of writing are worded."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from indexer.errors import IndexMissingError, IndexWriteError
from indexer.record import local_user

READERS = "readers.lock"
_WRITER = "lock"


@contextlib.contextmanager
def write_lock(index: Path, what: str = "写入", user: str = "") -> Iterator[None]:
    """Hold the index for writing. Raises IndexWriteError that names who holds it; the lock dies with its process."""
    with writing(index):
        index.mkdir(parents=True, exist_ok=True)
        lock = (index / _WRITER).open("a+", encoding="utf-8")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IndexWriteError(f"另一个进程正在写 `{index}`{_holder(index)}", "等它结束后再运行") from None
        with contextlib.suppress(OSError):  # on a full disk the lock holds though its holder is not named
            _name_holder(lock.fileno(), what, user or local_user())
        yield


def _name_holder(descriptor: int, what: str, user: str) -> None:
    since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps({"what": what, "user": user, "process": os.getpid(), "since": since}, ensure_ascii=False).encode())


def _holder(index: Path) -> str:
    try:
        held = json.loads((index / _WRITER).read_text("utf-8"))
        return f"：{held['what']}，用户 `{held['user']}`，进程 {held['process']}，始于 {held['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def hold_for_reading(folder: Path) -> int | None:
    """Keep a release from being collected until the returned descriptor is closed; None for one made before there were such locks.

    Raises IndexMissingError where it is being collected.
    """
    try:
        descriptor = os.open(folder / READERS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise IndexMissingError(f"版本 `{folder.name}` 正在被清除", "用 qizhen index releases 查看全部版本") from None
    return descriptor


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[bool]:
    """Whether nobody reads a release; while this lasts nobody begins to."""
    try:
        descriptor = os.open(folder / READERS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield True
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing(index: Path) -> Iterator[None]:
    """Word the faults of writing below an index folder."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: ("磁盘已满", "腾出空间后重新运行"),
            errno.EDQUOT: ("磁盘配额已满", "腾出空间后重新运行"),
            errno.EFBIG: ("文件超过系统允许的大小", "调整系统限制后重新运行"),
            errno.EIO: (f"磁盘读写失败或已满（{error.strerror}）", "检查磁盘空间和磁盘状态后重新运行"),
            errno.EROFS: ("文件系统只读", "换一个可写的位置：--index 文件夹"),
            errno.EACCES: ("没有写权限", "改正权限，或换一个位置：--index 文件夹"),
            errno.EPERM: ("没有写权限", "改正权限，或换一个位置：--index 文件夹"),
        }
        reason, hint = reasons.get(error.errno or 0, (str(error), "检查该位置后重新运行"))
        raise IndexWriteError(f"写不进 `{index}`：{reason}；已发布的版本没有改动", hint) from error


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
