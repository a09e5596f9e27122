"""Publishing, rolling back and collecting for somebody who looked at a page: what is no longer as it was shown there is not done."""

import threading
from collections.abc import Collection
from pathlib import Path

from indexer.collecting import Collected, collect_releases
from indexer.errors import IndexMissingError
from indexer.record import Entry, read_log
from indexer.release import current_id, list_releases, publish_release, published_id, read_manifest, release_ids, rollback_release

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


def going(index: Path, keep: int) -> tuple[str, ...]:
    """The releases that collecting would remove unless somebody reads them: all but the newest, the published one and its parent.

    Raises IndexMissingError where nothing is published.
    """
    published = current_id(index)
    newest = [manifest.id for manifest in list_releases(index)]
    kept = {published, read_manifest(index, published).parent, *newest[max(0, len(newest) - keep) :]}
    return tuple(release_id for release_id in release_ids(index) if release_id not in kept)


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


def _stale(index: Path, published: str) -> StaleError:
    switches = [entry for entry in read_log(index) if entry.action in _SWITCHES and entry.release == published]
    return StaleError(published, switches[-1] if switches else None)


def _parent(index: Path, release_id: str) -> str:
    """The release before another; "" where there is none, or the other is not there."""
    try:
        return read_manifest(index, release_id).parent
    except IndexMissingError:
        return ""
