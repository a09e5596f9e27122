"""Opened releases, shared by all who ask at the same time."""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from app import drug_names
from indexer.errors import IndexMissingError, QizhenError
from indexer.release import Release, current_id, open_release

_KEPT_OPEN = 4
# How many seconds a question waits for a release that was just published before the one before answers it: a text that no longer holds
# is worse than a second, in which 100,000 documents are open.
_PATIENCE = 1.0
_LOOK_EVERY = 0.25  # seconds


class ReleaseShelf:
    """The published release; earlier ones stay at hand for the answers that cite them.

    One that is published later is opened beside, by a thread of its own, and then takes the place.
    """

    def __init__(self, index: Path, reranker: str = "") -> None:
        self.index, self._reranker = index, reranker
        self._open: OrderedDict[str, Future[Release]] = OrderedDict()
        self._served: Release | None = None
        self._lock = threading.Lock()
        self._opener = ThreadPoolExecutor(2, thread_name_prefix="release")

    def current(self) -> Release:
        """The published release, or for as long as that takes more than a second to open, the one before it.

        Raises the errors of `open_release`.
        """
        release_id, served = current_id(self.index), self._served
        try:
            release = self._opening(release_id).result(_PATIENCE if served else None)
        except TimeoutError:
            if served is None:
                raise
            return served
        except IndexMissingError:
            if current_id(self.index) == release_id:
                raise
            return self.current()  # another was published and the first collected in between
        if current_id(self.index) == release_id:
            self._served = release
        return release

    def get(self, release_id: str) -> Release:
        """A release by id, published or not. Raises the errors of `open_release`."""
        return self._opening(release_id).result()

    def at_hand(self, release_id: str) -> Release | None:
        """As `get`, without waiting: None for one that is not open."""
        opening = self._open.get(release_id)
        return opening.result() if opening and opening.done() and not opening.exception() else None

    def watch(self, opened: Callable[[Release], object] = drug_names.prepare) -> None:
        """From now on, open what is published before anybody asks, and then lay out what the look-up of drugs needs, or do what is told."""
        threading.Thread(target=self._look, args=(opened,), name="releases", daemon=True).start()

    def _look(self, opened: Callable[[Release], object]) -> None:
        seen = ""
        while True:
            with contextlib.suppress(QizhenError, OSError):
                if current_id(self.index) != seen:
                    release = self.current()
                    opened(release)
                    seen = release.id
            time.sleep(_LOOK_EVERY)

    def _opening(self, release_id: str) -> Future[Release]:
        with self._lock:
            opening = self._open.get(release_id)
            if opening is None or (opening.done() and opening.exception()):
                opening = self._open[release_id] = self._opener.submit(self._opened, release_id)
            self._open.move_to_end(release_id)
            served = self._served.id if self._served else ""
            others = [other for other in self._open if other != served]
            for other in others[: len(self._open) - _KEPT_OPEN]:
                del self._open[other]  # closed when its last answer lets go of it
        return opening

    def _opened(self, release_id: str) -> Release:
        release = open_release(self.index, release_id, reranker=self._reranker)
        release.prepare()
        return release
