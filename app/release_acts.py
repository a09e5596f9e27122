"""Publishing, rolling back and collecting for somebody who looked at a page: what is no longer as it was shown there is not done."""

import threading
from collections.abc import Collection
from pathlib import Path

from indexer.collecting import Collected, collect_releases, discard_release, going
from indexer.errors import IndexMissingError
from indexer.record import Entry, read_log
from indexer.release import current_id, publish_release, published_id, read_manifest, release_ids, rollback_release

_SWITCHING = threading.Lock()
_SWITCHES = ("publish", "rollback", "found")


class StaleError(Exception):
    """What was shown no longer holds. `published` is what is published now, `entry` how it came to be, if the record says so."""

    def __init__(self, published: str, entry: Entry | None) -> None:
        super().__init__(published)
        self.published = published
        self.entry = entry


def publish_seen(index: Path, release_id: str, *, seen: str, user: str, why: str) -> None:
    """Publish a release where `seen` is still published; nothing is done where the release is published already.

    Raises StaleError or the errors of `publish_release`.
    """
    with _SWITCHING:
        published = published_id(index)
        if published == release_id:
            return
        if published != seen:
            raise _stale(index, published)
        publish_release(index, release_id, user=user, why=why)


def rollback_seen(index: Path, *, seen: str, user: str, why: str) -> str:
    """Roll back from `seen` to the release before it; nothing is done where that was done already. The release published then.

    Raises StaleError or the errors of `rollback_release`.
    """
    with _SWITCHING:
        published = current_id(index)
        if published == seen:
            return rollback_release(index, user=user, why=why)
        if published != _parent(index, seen):
            raise _stale(index, published)
        return published


def collect_seen(index: Path, keep: int, *, seen: Collection[str], user: str, why: str) -> Collected | None:
    """Collect where nothing goes but what was `seen`; None where all of that is gone already.

    Raises StaleError or the errors of `collect_releases`.
    """
    with _SWITCHING:
        now = going(index, keep)
        if not set(now) & set(seen):
            return None
        if not set(now) <= set(seen):
            raise _stale(index, current_id(index))
        return collect_releases(index, keep=keep, user=user, why=why)


def discard_seen(index: Path, release_id: str, *, user: str, why: str) -> bool:
    """Remove a release; whether it is gone, as it is where that was done already. Raises the errors of `discard_release`."""
    with _SWITCHING:
        return release_id not in release_ids(index) or discard_release(index, release_id, user=user, why=why)


def _stale(index: Path, published: str) -> StaleError:
    switches = [entry for entry in read_log(index) if entry.action in _SWITCHES and entry.release == published]
    return StaleError(published, switches[-1] if switches else None)


def _parent(index: Path, release_id: str) -> str:
    """The release before another; "" where there is none, or the other is not there."""
    try:
        return read_manifest(index, release_id).parent
    except IndexMissingError:
        return ""
