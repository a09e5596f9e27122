import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.record import HEAD, LOG, local_user, read_log, record, verify_log

ROOT = Path(__file__).parent.parent


@pytest.fixture
def index(tmp_path: Path) -> Path:
    for number in range(1, 5):
        record(tmp_path, "publish", f"r{number}", user="药师甲", why="每周更新", details={"before": f"r{number - 1}"})
    return tmp_path


def lines(index: Path) -> list[bytes]:
    return (index / LOG).read_bytes().splitlines(keepends=True)


def test_entries_are_kept_in_order_with_their_user_and_reason(index: Path) -> None:
    entries = read_log(index)
    assert [(e.number, e.release, e.user, e.why) for e in entries] == [(n, f"r{n}", "药师甲", "每周更新") for n in range(1, 5)]
    assert [e.previous for e in entries[1:]] == [e.hash for e in entries[:-1]]
    assert record(index, "collect", "r1").user == local_user()
    assert verify_log(index) == type(verify_log(index))(5, (), ())


def test_no_record_is_no_fault(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []
    assert verify_log(tmp_path).faults == ()


def changed(index: Path) -> None:
    whole = lines(index)
    whole[1] = whole[1].replace("药师甲".encode(), "药师乙".encode())
    (index / LOG).write_bytes(b"".join(whole))


def removed(index: Path) -> None:
    whole = lines(index)
    (index / LOG).write_bytes(b"".join([whole[0], *whole[2:]]))


def inserted(index: Path) -> None:
    whole = lines(index)
    (index / LOG).write_bytes(b"".join([*whole[:2], whole[0], *whole[2:]]))


def cut(index: Path) -> None:
    (index / LOG).write_bytes(b"".join(lines(index)[:3]))


def emptied(index: Path) -> None:
    (index / LOG).write_bytes(b"")


def rehashed(index: Path) -> None:
    """A forged line with a hash that fits itself, but not the next line."""
    other = index / "other"
    record(other, "publish", "r0")
    forged = json.loads((other / LOG).read_text("utf-8"))
    (index / LOG).write_bytes(b"".join([(json.dumps(forged) + "\n").encode(), *lines(index)[1:]]))


def broken(index: Path) -> None:
    whole = lines(index)
    whole[2] = b'{"number": 3\n'
    (index / LOG).write_bytes(b"".join(whole))


def unheaded(index: Path) -> None:
    (index / HEAD).unlink()


def misheaded(index: Path) -> None:
    (index / HEAD).write_text(f"4 {'0' * 64}\n", "utf-8")


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (changed, "第 2 行（第 2 条）被改动"),
        (removed, "第 2 行是第 3 条，应为第 2 条：中间有删去或插入"),
        (inserted, "第 3 行是第 1 条，应为第 3 条：中间有删去或插入"),
        (cut, "末尾少了第 4 条"),
        (emptied, "末尾少了第 1 至 4 条"),
        (rehashed, "第 2 行（第 2 条）与前一条接不上：前一条被改动、删去，或这一条是插入的"),
        (broken, "第 3 行被改动，读不出来"),
        (unheaded, f"`{HEAD}` 缺失，末尾是否完整无从核对"),
        (misheaded, f"第 4 条与 `{HEAD}` 不符"),
    ],
)
def test_whatever_is_changed_is_found(index: Path, tamper: Callable[[Path], None], told: str) -> None:
    tamper(index)
    assert told in verify_log(index).faults


@pytest.mark.parametrize("tamper", [changed, removed, inserted, cut, emptied, rehashed, broken])
def test_what_was_changed_is_found_after_more_was_recorded(index: Path, tamper: Callable[[Path], None]) -> None:
    tamper(index)
    record(index, "publish", "r9")
    record(index, "publish", "r10")
    assert verify_log(index).faults


def test_a_line_appended_by_hand_is_found(index: Path) -> None:
    with (index / LOG).open("ab") as file:
        file.write(lines(index)[0])
    assert "第 5 行是第 1 条，应为第 5 条：中间有删去或插入" in verify_log(index).faults


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_a_torn_last_line_is_told_and_stays(index: Path, kept: int) -> None:
    whole = lines(index)
    (index / LOG).write_bytes(b"".join(whole[:3]) + whole[3][:kept])
    (index / HEAD).write_text(f"3 {read_log(index)[-1].hash}\n", "utf-8")
    report = verify_log(index)
    assert (report.entries, report.faults, report.notices) == (3, (), ("最后一行（第 4 行）不完整：写入时中断",))
    assert record(index, "publish", "r5").number == 4
    report = verify_log(index)
    assert (report.entries, report.faults, report.notices) == (4, (), ("第 4 行不完整：写入时中断",))
    assert lines(index)[3] == whole[3][:kept] + b"\n"


def test_an_entry_without_its_line_end_is_whole(index: Path) -> None:
    whole = lines(index)
    (index / LOG).write_bytes(b"".join(whole)[:-1])
    (index / HEAD).write_text(f"3 {read_log(index)[2].hash}\n", "utf-8")
    assert (verify_log(index).entries, verify_log(index).faults, verify_log(index).notices) == (4, (), ())
    assert record(index, "publish", "r5").number == 5
    assert (lines(index)[:4], verify_log(index).faults) == (whole, ())


def test_a_torn_line_changed_afterwards_is_found(index: Path) -> None:
    (index / LOG).write_bytes(b"".join(lines(index)) + b'{"number"')
    record(index, "publish", "r5")
    (index / LOG).write_bytes((index / LOG).read_bytes().replace(b'{"number"\n', b'{"numbex"\n'))
    assert "第 5 行被改动，读不出来" in verify_log(index).faults


def test_a_full_disk_leaves_no_part_of_an_entry(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (index / LOG).read_bytes()
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[: len(data) - 50])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        record(index, "publish", "r5")
    monkeypatch.undo()
    assert (index / LOG).read_bytes() == before
    assert verify_log(index).faults == ()


@pytest.mark.slow
def test_entries_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from indexer.record import record\n"
        "for n in range(20): record(Path(sys.argv[1]), 'publish', str(n))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert [entry.number for entry in read_log(tmp_path)] == list(range(1, 61))
    assert verify_log(tmp_path).faults == ()
