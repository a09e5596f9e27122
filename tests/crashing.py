"""A process that is killed at every point where a build or a publication touches the disk; test_crashes.py runs it.

python crashing.py ACT INDEX KNOWLEDGE [PUBLISHED]

Each attempt is a fork that counts its calls of the operating system's writing functions, seen by Python's audit hook (open, rename,
remove, mkdir, truncate, copy, SQLite) and by wrapped os.write and os.fsync, and kills itself at call n with SIGKILL; n grows until the
act ends by itself. After each death the index must be sound, and a search must answer from one whole release.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indexer.build import build_release
from indexer.embedder import shipped_embedder
from indexer.record import verify_log
from indexer.release import current_id, open_release, publish_release, verify_release
from indexer.search import search

_WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.copyfile", "shutil.rmtree", "sqlite3.connect"}


class Killer:
    """Counts what is about to be written below a folder, and kills this process at the n-th."""

    def __init__(self, folder: Path, at: int) -> None:
        self._folder, self._at, self.count = str(folder), at, 0
        for name in ("write", "fsync", "ftruncate", "replace"):
            setattr(os, name, self._wrapped(getattr(os, name)))
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in str(mode or "") for letter in "wax+") or (not mode and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if not writes or not str(path).startswith(self._folder):
                return
        elif event not in _WRITES:
            return
        self.point()

    def point(self) -> None:
        """One more write is about to happen."""
        self.count += 1
        if self.count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            if original.__name__ == "write" and arguments[0] > 2 and len(arguments[1]) > 1:
                self.point()
                if self.count + 1 == self._at:  # and once in the middle of what is written
                    original(arguments[0], arguments[1][: len(arguments[1]) // 2])
                self.point()
            else:
                self.point()
            return original(*arguments, **named)

        return called


def check(index: Path, allowed: dict[str, list[str]]) -> str:
    """The published release, which must be sound, whole and one of the allowed; {id prefix or "": the documents it holds}."""
    published = current_id(index)
    assert verify_release(index) == [], verify_release(index)
    release = open_release(index)
    found = sorted({hit.document.id for hit in search(release, "头痛 发热 咳嗽")})
    release.close()
    assert found in allowed.values(), (published, found)
    assert verify_log(index).faults == (), verify_log(index).faults
    return published


def attempts(act: Callable[[], object], index: Path, allowed: dict[str, list[str]], restore: Callable[[], object]) -> dict[str, int]:
    """Kill the act at every point until it ends by itself; return how often it died, and how often the new release was then published."""
    before = current_id(index)
    switched = 0
    for at in range(1, 10_000):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                Killer(index, at)
                act()
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, (at, status)
        switched += check(index, allowed) != before
        if not os.WIFSIGNALED(status):
            assert current_id(index) != before
            return {"deaths": at - 1, "switched": switched}
        restore()
    raise AssertionError("the act never ended")


def main() -> None:
    """Run one act."""
    act, index, knowledge = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    shipped_embedder()
    check(index, json.loads(sys.argv[4]))  # what is loaded once is loaded before the forks
    before = current_id(index)
    allowed = json.loads(sys.argv[4])

    def restore() -> None:
        if current_id(index) != before:
            publish_release(index, before)

    acts: dict[str, Callable[[], object]] = {
        "build": lambda: build_release(index, [knowledge]),
        "publish": lambda: publish_release(index, sys.argv[5]),
    }
    sys.stdout.write(json.dumps(attempts(acts[act], index, allowed, restore)))


if __name__ == "__main__":
    main()
