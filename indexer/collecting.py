"""Old releases removed: never the published one, the one before it, or one that somebody has open."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import IndexDamagedError, IndexWriteError
from indexer.locking import held_alone, sync_folder, write_lock, writing
from indexer.release import current_id, list_releases, read_manifest, record_act, release_folder, release_ids

REMOVING = "removing"
KEPT = 3


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, what stays, and of that what only stays because somebody reads it."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]
    in_use: tuple[str, ...]
    bytes: int


def collect_releases(index: Path, *, keep: int = KEPT, user: str = "", why: str = "") -> Collected:
    """Remove all releases but the newest `keep` (0 or more), the published one and its parent, and those in use.

    Raises IndexMissingError where nothing is published, IndexDamagedError or IndexWriteError.
    """
    with write_lock(index, "清除旧版本", user):
        removed: list[str] = []
        in_use: list[str] = []
        freed = 0
        for release_id in going(index, keep):
            size = _size(release_folder(index, release_id))
            if _removed(index, release_id, user, why):
                removed.append(release_id)
                freed += size
            else:
                in_use.append(release_id)
        shutil.rmtree(index / REMOVING, ignore_errors=True)  # with what a killed one left
    return Collected(tuple(removed), tuple(release_ids(index)), tuple(in_use), freed)


def going(index: Path, keep: int) -> tuple[str, ...]:
    """The releases that collecting would remove unless somebody reads them. Raises IndexMissingError where nothing is published."""
    published = current_id(index)
    newest = [manifest.id for manifest in list_releases(index)]
    kept = {published, read_manifest(index, published).parent, *newest[max(0, len(newest) - keep) :]}
    return tuple(release_id for release_id in release_ids(index) if release_id not in kept)


def discard_release(index: Path, release_id: str, *, user: str = "", why: str = "") -> bool:
    """Remove a release that is not wanted; whether it is gone, which it is not while somebody reads it.

    Raises IndexMissingError for one that is not there, IndexWriteError for the published one and the one before it.
    """
    with write_lock(index, "放弃一个版本", user):
        read_manifest(index, release_id)
        if release_id not in going(index, 0):
            hint = "发布另一版之后再试"
            raise IndexWriteError(f"版本 `{release_id}` 在发布中，或是发布中版本的上一版，不能放弃", hint)
        return _removed(index, release_id, user, why)


def _removed(index: Path, release_id: str, user: str, why: str) -> bool:
    with held_alone(release_folder(index, release_id)) as alone:
        if alone:
            _remove(index, release_id, user, why)
    return alone


def _remove(index: Path, release_id: str, user: str, why: str) -> None:
    """Record it, move the folder out of the releases in one rename, then delete it."""
    record_act(index, "collect", release_id, user=user, why=why, details={"content_digest": _digest(index, release_id)})
    with writing(index):
        (index / REMOVING).mkdir(exist_ok=True)
        moved = index / REMOVING / release_id
        shutil.rmtree(moved, ignore_errors=True)
        release_folder(index, release_id).replace(moved)
        sync_folder(index / "releases")
        shutil.rmtree(moved, ignore_errors=True)


def _digest(index: Path, release_id: str) -> str:
    try:
        return read_manifest(index, release_id).content_digest
    except IndexDamagedError:
        return ""


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def shown_size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
