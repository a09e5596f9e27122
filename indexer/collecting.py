"""Old releases removed: never the published one, the one before it, or one that somebody has open."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import IndexDamagedError
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
        current = current_id(index)
        kept = _kept(index, current, keep)
        removed: list[str] = []
        in_use: list[str] = []
        freed = 0
        for release_id in release_ids(index):
            if release_id in kept:
                continue
            folder = release_folder(index, release_id)
            with held_alone(folder) as alone:
                if alone:
                    freed += _size(folder)
                    _remove(index, release_id, user, why)
            (removed if alone else in_use).append(release_id)
        shutil.rmtree(index / REMOVING, ignore_errors=True)  # with what a killed one left
    return Collected(tuple(removed), tuple(release_ids(index)), tuple(in_use), freed)


def _kept(index: Path, current: str, keep: int) -> set[str]:
    newest = [manifest.id for manifest in list_releases(index)]
    return {current, read_manifest(index, current).parent, *newest[max(0, len(newest) - keep) :]}


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
