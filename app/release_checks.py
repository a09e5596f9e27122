"""Releases verified in the background: one at a time, because each reads all of its files."""

import datetime
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import QizhenError
from indexer.release import verify_release


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, and when it was done (UTC, ISO 8601); no faults mean that the release is sound."""

    at: str
    faults: tuple[str, ...]


class ReleaseChecks:
    """The latest check of every release of this process."""

    def __init__(self, verify: Callable[[Path, str], Sequence[str]] = verify_release) -> None:
        self._verify = verify
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="verify")
        self._checks: dict[tuple[Path, str], Future[Checked]] = {}
        self._lock = threading.Lock()

    def start(self, index: Path, release_id: str) -> None:
        """Check a release, unless that is being done."""
        with self._lock:
            if not self.is_running(index, release_id):
                self._checks[index, release_id] = self._worker.submit(self._checked, index, release_id)

    def is_running(self, index: Path, release_id: str) -> bool:
        """Whether a release is being checked, or waits for it."""
        check = self._checks.get((index, release_id))
        return check is not None and not check.done()

    def latest(self, index: Path, release_id: str) -> Checked | None:
        """What the last check found; None where there was none, or it is not done."""
        check = self._checks.get((index, release_id))
        return check.result() if check and check.done() else None

    def finish(self) -> None:
        """Wait until every check that was started is done."""
        wait(list(self._checks.values()))

    def _checked(self, index: Path, release_id: str) -> Checked:
        try:
            faults = tuple(self._verify(index, release_id))
        except (QizhenError, OSError) as error:
            faults = (error.fault if isinstance(error, QizhenError) else f"读不出来：{error.strerror}",)
        return Checked(datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), faults)
