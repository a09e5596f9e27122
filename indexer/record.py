"""The record of an index: who did what to it, when, with what result.

INDEX/log.jsonl    one JSON object a line, each with the hash of the one before
INDEX/log.head     number and hash of the last entry, so that a cut-off end is found too

What is done is recorded first and done then, so nothing is done that is not recorded. An append that was cut off leaves a torn line; it
stays, and the next entry names its digest.
"""

import datetime
import fcntl
import hashlib
import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from indexer.errors import IndexDamagedError

LOG, HEAD = "log.jsonl", "log.head"
Action = Literal["build", "publish", "rollback", "collect", "reject", "found", "upload", "remove"]
# `found`: what is published is not what the record says; noted before anything else is recorded.
_FIRST = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. `number` counts from 1; `details` holds counts and digests; `torn` is the digest of a cut-off line before it, or empty."""

    number: int
    time: str
    user: str
    action: Action
    release: str
    why: str
    details: Mapping[str, Any]
    torn: str
    previous: str
    hash: str = field(default="")


@dataclass(frozen=True, slots=True)
class LogReport:
    """What checking a record found. `faults`: entries changed, removed or inserted; `notices`: writes that were cut off."""

    entries: int
    faults: tuple[str, ...]
    notices: tuple[str, ...]


def local_user() -> str:
    """The name of the account that runs this process."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def record(
    index: Path, action: Action, release: str = "", *, user: str = "", why: str = "", details: Mapping[str, Any] | None = None
) -> Entry:
    """Append an entry and make it durable. Raises OSError where it cannot be written; then nothing of it stays."""
    index.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(index / LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        data = _read_all(descriptor)
        entries, torn = _whole_entries(data)
        last = entries[-1] if entries else None
        head = _head_number(index)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = Entry(
            number=max(last.number if last else 0, head) + 1,  # after entries that were taken away their numbers stay free
            time=now,
            user=user or local_user(),
            action=action,
            release=release,
            why=why,
            details=details or {},
            torn=hashlib.sha256(torn).hexdigest() if torn else "",
            previous=last.hash if last else _FIRST,
        )
        entry = _sealed(entry)
        if last and head == last.number - 1:  # an append before was cut off just before the head
            _write_head(index, last)
        lead = b"" if not data or data.endswith(b"\n") else b"\n"
        _append(descriptor, lead + _line(entry), len(data))
        _write_head(index, entry)
    finally:
        os.close(descriptor)
    return entry


def read_log(index: Path) -> list[Entry]:
    """All whole entries, oldest first; none where there is no record. Raises IndexDamagedError where it cannot be read."""
    return _whole_entries(_data(index))[0]


def verify_log(index: Path) -> LogReport:
    """Check every entry's hash and its link to the one before, the numbers, and the end against log.head."""
    faults: list[str] = []
    notices: list[str] = []
    number, previous, torn, last = 1, _FIRST, b"", 0
    data = _data(index)
    for at, line in enumerate(data.splitlines(keepends=True), 1):
        entry = _entry(line)
        if entry is None:
            torn += line.rstrip(b"\n")
            last = at
            continue
        if torn:
            expected = hashlib.sha256(torn).hexdigest() == entry.torn
            (notices if expected else faults).append(f"第 {last} 行{'不完整：写入时中断' if expected else '被改动，读不出来'}")
            torn = b""
        if entry.hash != _digest(entry):
            faults.append(f"第 {at} 行（第 {entry.number} 条）被改动")
        if entry.number != number:
            faults.append(f"第 {at} 行是第 {entry.number} 条，应为第 {number} 条：中间有删去或插入")
        elif entry.previous != previous:
            faults.append(f"第 {at} 行（第 {entry.number} 条）与前一条接不上：前一条被改动、删去，或这一条是插入的")
        number, previous = entry.number + 1, entry.hash
    if torn:
        notices.append(f"最后一行（第 {last} 行）不完整：写入时中断")
    faults += _faults_of_end(index, data, number - 1)
    return LogReport(len(_whole_entries(data)[0]), tuple(faults), tuple(notices))


def _faults_of_end(index: Path, data: bytes, count: int) -> list[str]:
    """What does not fit between log.head and the entries; an append that was cut off leaves the head one behind."""
    try:
        written, _, seal = (index / HEAD).read_text("utf-8").strip().partition(" ")
        head = int(written)
    except FileNotFoundError:
        return [f"`{HEAD}` 缺失，末尾是否完整无从核对"] if count > 1 else []
    except (OSError, ValueError):
        return [f"`{HEAD}` 读不出来，末尾是否完整无从核对"]
    if head > count:
        return [f"末尾少了第 {count + 1} 至 {head} 条" if head > count + 1 else f"末尾少了第 {head} 条"]
    if count > head + 1:
        return [f"末尾多出第 {head + 1} 至 {count} 条，不是本程序写入的"]
    entries = {entry.number: entry.hash for entry in _whole_entries(data)[0]}
    return [] if head == 0 or entries.get(head) == seal else [f"第 {head} 条与 `{HEAD}` 不符"]


def _data(index: Path) -> bytes:
    try:
        return (index / LOG).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise IndexDamagedError(f"记录 `{index / LOG}` 读不出来：{error.strerror}", "检查权限和磁盘") from error


def _whole_entries(data: bytes) -> tuple[list[Entry], bytes]:
    """The entries, and what torn bytes stand behind the last of them."""
    entries: list[Entry] = []
    torn = b""
    for line in data.splitlines(keepends=True):
        entry = _entry(line)
        if entry is None:
            torn += line.rstrip(b"\n")
        else:
            entries.append(entry)
            torn = b""
    return entries, torn


def _entry(line: bytes) -> Entry | None:
    """The entry of a line, if the line is one; only its line end may be missing."""
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _sealed(entry: Entry) -> Entry:
    return Entry(**{**asdict(entry), "hash": _digest(entry)})


def _digest(entry: Entry) -> str:
    content = asdict(entry)
    del content["hash"]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _line(entry: Entry) -> bytes:
    return (json.dumps(asdict(entry), ensure_ascii=False) + "\n").encode()


def _read_all(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _append(descriptor: int, line: bytes, before: int) -> None:
    """Write one line in one call; take back what a full disk let through."""
    try:
        written = os.write(descriptor, line)
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _head_number(index: Path) -> int:
    """The number of the last entry as log.head has it; 0 where it does not say."""
    try:
        return int((index / HEAD).read_text("utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _write_head(index: Path, entry: Entry) -> None:
    temporary = index / (HEAD + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(f"{entry.number} {entry.hash}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(index / HEAD)
