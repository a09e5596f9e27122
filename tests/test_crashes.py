"""Builds and publications that die at any write, on a full disk, without permissions; while readers in other processes keep asking."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from indexer.build import build_release
from indexer.errors import IndexWriteError
from indexer.record import read_log, verify_log
from indexer.release import current_id, open_release, publish_release, release_folder, verify_release
from indexer.search import search

Write = Callable[..., Path]
ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def row(name: str, text: str) -> dict[str, Any]:
    return {"id": name, "kind": "drug", "title": f"药品{name}", "sections": [{"title": "适应症", "text": text}]}


OLD = [row("a", "用于头痛。"), row("b", "用于发热。")]
NEW = [row("a", "用于头痛。"), row("c", "用于咳嗽。")]
STATES = json.dumps({"old": ["a", "b"], "new": ["a", "c"]})

READER = """
import json, sys, time
from pathlib import Path
from app.shelf import ReleaseShelf
from indexer.search import search
index, allowed = Path(sys.argv[1]), list(json.loads(sys.argv[2]).values())
shelf = ReleaseShelf(index)
asked = failed = 0
print("ready", flush=True)
while not (index / "stop").exists():
    asked += 1
    try:
        found = sorted({hit.document.id for hit in search(shelf.current(), "头痛 发热 咳嗽")})
        if found not in allowed:
            raise ValueError(found)
    except Exception as error:
        failed += 1
        print(repr(error), file=sys.stderr)
    time.sleep(0.01)
print(json.dumps([asked, failed]))
"""


@contextmanager
def asked_throughout(index: Path) -> Iterator[None]:
    """Another process asks while this lasts; none of their questions may fail or be answered from half a release."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    reader = subprocess.Popen([sys.executable, "-c", READER, str(index), STATES], cwd=ROOT, **pipes)
    try:
        assert reader.stdout.readline() == "ready\n"
        yield
    finally:
        (index / "stop").touch()
        out, err = reader.communicate(timeout=60)
        (index / "stop").unlink()
    asked, failed = json.loads(out)
    assert (asked > 0, failed, err) == (True, 0, "")


@pytest.fixture
def index(tmp_path: Path, write_lines: Write) -> Path:
    build_release(tmp_path / "index", [write_lines(OLD)])
    return tmp_path / "index"


def run_killed(act: str, index: Path, knowledge: Path, *more: str) -> dict[str, int]:
    command = [sys.executable, str(ROOT / "tests" / "crashing.py"), act, str(index), str(knowledge), STATES, *more]
    run = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    counts: dict[str, int] = json.loads(run.stdout)
    return counts


@pytest.mark.slow
def test_a_build_killed_at_every_write_leaves_a_whole_release(index: Path, write_lines: Write) -> None:
    knowledge = write_lines(NEW)
    with asked_throughout(index):
        counts = run_killed("build", index, knowledge)
    assert counts["deaths"] > 50
    assert 1 <= counts["switched"] <= 6  # only after the switch itself
    assert not (index / "building").exists()
    assert not (index / "work").exists()
    released = {entry.release for entry in read_log(index) if entry.action == "build"}
    assert {path.name for path in (index / "releases").iterdir()} <= released


@pytest.mark.slow
def test_a_publication_killed_at_every_write_publishes_one_or_the_other(index: Path, write_lines: Write) -> None:
    knowledge = write_lines(NEW)
    second = build_release(index, [knowledge], publish=False).release
    with asked_throughout(index):
        counts = run_killed("publish", index, knowledge, second)
    assert counts["deaths"] > 8
    assert current_id(index) == second
    recorded = [entry.release for entry in read_log(index) if entry.action in ("publish", "found")]
    assert recorded[-1] == second


BUILD = """
import sys
from pathlib import Path
from indexer.build import build_release
build_release(Path(sys.argv[1]), [Path(sys.argv[2])])
"""

STOPPED = """
import signal
import sys
from app.console import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests themselves run in the background
sys.argv = ["qizhen", "index", "build", "--kb", sys.argv[2], "--index", sys.argv[1]]
from indexer.embedder import StaticEmbedder
embed = StaticEmbedder.embed
def slowly(self, texts):
    print("embedding", flush=True)
    import time
    time.sleep(60)
    return embed(self, texts)
StaticEmbedder.embed = slowly
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_stopped_says_so(index: Path, write_lines: Write, number: int) -> None:
    before = current_id(index)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    with subprocess.Popen([sys.executable, "-c", STOPPED, str(index), str(write_lines(NEW))], cwd=ROOT, **pipes) as build:
        assert build.stdout.readline() == "embedding\n"
        with pytest.raises(IndexWriteError, match=r"另一个进程正在写 `.*`：建立版本，用户 `.+`，进程 \d+，始于 20") as refused:
            build_release(index, [write_lines(NEW)])
        assert f"进程 {build.pid}，" in refused.value.fault
        build.send_signal(number)
        _, err = build.communicate(timeout=30)
    assert (build.returncode, current_id(index)) == (130, before)
    assert "已停止，没有发布任何内容；已完成的编码保留着，再运行同一条命令就接着做。" in err
    assert "Traceback" not in err
    assert build_release(index, [write_lines(NEW)]).added == 1


@pytest.mark.slow
@pytest.mark.parametrize("limit", [100, 2_000, 20_000])
def test_a_file_that_cannot_grow_kills_the_build_in_the_middle_of_a_write(index: Path, write_lines: Write, limit: int) -> None:
    """The limit's signal kills inside SQLite's, FAISS's and tantivy's own writes, where no hook of ours is."""
    before = current_id(index)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    many = write_lines([row(str(n), f"用于头痛{n}。" * 20) for n in range(300)])
    run = subprocess.run(
        [sys.executable, "-c", BUILD, str(index), str(many)],
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: (limited(), signal.signal(signal.SIGXFSZ, signal.SIG_DFL)),
        capture_output=True,
        check=False,
    )
    assert run.returncode != 0
    assert current_id(index) == before
    assert verify_release(index) == []
    assert verify_log(index).faults == ()
    assert build_release(index, [many]).documents == 300
    assert verify_release(index) == []


@pytest.mark.slow
@pytest.mark.parametrize(("call", "number"), [("write", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.EACCES)])
def test_a_disk_that_fails_at_any_call_loses_nothing(
    index: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Every single one of the process's own writes fails in turn."""
    before, knowledge = current_id(index), write_lines(NEW)
    failures = 0
    for at in range(1, 100):
        calls, told = failing_at(at, call, number, monkeypatch, lambda: build_release(index, [knowledge]))
        if calls < at:
            break
        failures += bool(told)
        assert not told or "已发布的版本没有改动" in told  # but for who holds the lock, which may stay unsaid
        if current_id(index) != before:
            publish_release(index, before)
        assert verify_release(index) == []
        assert verify_log(index).faults == ()
    assert failures >= 2
    assert {hit.document.id for hit in search(open_release(index), "头痛 咳嗽")} == {"a", "c"}


def failing_at(at: int, call: str, number: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> tuple[int, str]:
    """Let the n-th call of a function of `os` fail; how often it was called, and what the act said."""
    real, calls = getattr(os, call), 0

    def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        try:
            act()
        except IndexWriteError as error:
            return calls, error.fault
    return calls, ""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_index_that_may_not_be_written_is_told(index: Path, write_lines: Write) -> None:
    """Root may write anywhere, so the build runs as nobody."""
    knowledge = write_lines(NEW)
    for folder in (index.parent, index, *index.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    knowledge.parent.chmod(0o755)
    # A build as root first: nobody need not be able to read the interpreter's modules.
    code = BUILD.replace("sys.argv[1]", "sys.argv[3]") + "import os; os.setuid(65534)\n" + BUILD
    as_nobody = [sys.executable, "-c", code, str(index), str(knowledge), str(index.parent / "other")]
    run = subprocess.run(as_nobody, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert "没有写权限；已发布的版本没有改动" in run.stderr
    assert verify_release(index) == []


def test_every_byte_region_of_every_file_is_verified(index: Path) -> None:
    """A flipped byte at the head, in the middle and at the end of every file is found and named; the other release is untouched."""
    folder = release_folder(index, current_id(index))
    names = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    assert len(names) > 8
    for path in names:
        whole = path.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
            found = verify_release(index)
            assert found, (path, at)
            if path.name != "manifest.json":
                assert found == [f"`{path.relative_to(folder).as_posix()}` 内容与清单不符"]
        path.write_bytes(whole)
    assert verify_release(index) == []


def test_no_file_is_shared_between_releases(index: Path, write_lines: Write) -> None:
    first, second = current_id(index), build_release(index, [write_lines(NEW)]).release
    for path in release_folder(index, second).rglob("*"):
        if path.is_file() and path.stat().st_size:
            path.write_bytes(b"x" * path.stat().st_size)
    assert verify_release(index, second)
    assert verify_release(index, first) == []


@pytest.mark.slow
def test_readers_follow_publications_and_never_fail(index: Path, write_lines: Write) -> None:
    first, second = current_id(index), build_release(index, [write_lines(NEW)], publish=False).release
    with asked_throughout(index):
        until = time.monotonic() + 3
        while time.monotonic() < until:
            publish_release(index, second)
            publish_release(index, first)
