"""What was worked out of one release once is not worked out again, for as long as the release is open."""

from collections.abc import Callable, Hashable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from indexer.release import Release

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")
# Entries of one release and function; past that all are dropped, which costs some milliseconds and happens rarely.
_MOST = 4096


def remembered(work: Callable[[Release, Key], Found]) -> Callable[[Release, Key], Found]:
    """Keep the results of a function of a release and one more value. They go with the release."""
    kept: WeakKeyDictionary[Release, dict[Key, Found]] = WeakKeyDictionary()

    @wraps(work)
    def recall(release: Release, key: Key) -> Found:
        found = kept.setdefault(release, {})
        if key not in found:
            if len(found) >= _MOST:
                found.clear()
            found[key] = work(release, key)
        return found[key]

    return recall
