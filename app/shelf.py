"""Opened releases, shared by all who ask at the same time."""

import threading
from collections import OrderedDict, defaultdict
from pathlib import Path

from indexer.errors import IndexMissingError
from indexer.release import Release, current_id, open_release

_KEPT_OPEN = 4


class ReleaseShelf:
    """The published release, opened anew when another is published; earlier ones stay at hand for the answers that cite them.

    Whoever asks after a release was published is answered from it: they wait while it is opened, and nobody else does.
    """

    def __init__(self, index: Path) -> None:
        self._index = index
        self._open: OrderedDict[str, Release] = OrderedDict()
        self._lock = threading.Lock()
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def current(self) -> Release:
        """The published release. Raises the errors of `open_release`."""
        release_id = current_id(self._index)
        try:
            return self.get(release_id)
        except IndexMissingError:
            if current_id(self._index) == release_id:
                raise
            return self.get(current_id(self._index))  # another was published and the first collected in between

    def get(self, release_id: str) -> Release:
        """A release by id, published or not. Raises the errors of `open_release`."""
        with self._lock:
            opening = self._opening[release_id]
        with opening:
            with self._lock:
                release = self._open.get(release_id)
            if release is None:
                release = open_release(self._index, release_id)
            with self._lock:
                self._open[release_id] = release
                self._open.move_to_end(release_id)
                self._opening.pop(release_id, None)
                while len(self._open) > _KEPT_OPEN:
                    self._open.popitem(last=False)  # closed when its last answer lets go of it
        return release
