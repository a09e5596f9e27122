"""Opened releases, shared by all who ask at the same time."""

import threading
from collections import OrderedDict
from pathlib import Path

from indexer.release import Release, current_id, open_release

_KEPT_OPEN = 4


class ReleaseShelf:
    """The published release, opened anew when another is published; earlier ones stay at hand for the answers that cite them."""

    def __init__(self, index: Path) -> None:
        self.index = index
        self._open: OrderedDict[str, Release] = OrderedDict()
        self._lock = threading.Lock()

    def current(self) -> Release:
        """The published release. Raises the errors of `open_release`."""
        return self.get(current_id(self.index))

    def get(self, release_id: str) -> Release:
        """A release by id, published or not. Raises the errors of `open_release`."""
        with self._lock:
            release = self._open.get(release_id) or open_release(self.index, release_id)
            self._open[release_id] = release
            self._open.move_to_end(release_id)
            while len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)  # closed when its last answer lets go of it
            return release
