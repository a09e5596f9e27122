"""What a build would change, and what differs between two releases: counts, and each document's text diff."""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.changes import DocumentChange, difference
from indexer.errors import Fault, IndexMissingError
from indexer.intake import Before, Expired, Intake, take_in
from indexer.release import check_format, current_id, read_manifest, release_folder


@dataclass(frozen=True, slots=True)
class Comparison:
    """What lies between two states of a knowledge base. `old` and `new` are release ids; empty for none, or for one not yet built.

    `documents` is how many the new state has. `changes` are in its order, what was removed at the end.
    """

    old: str
    new: str
    documents: int
    changes: tuple[DocumentChange, ...]

    def of(self, *kinds: str) -> tuple[DocumentChange, ...]:
        """The changes of the given kinds."""
        return tuple(change for change in self.changes if change.change in kinds)

    @property
    def counts(self) -> dict[str, int]:
        """Documents added, changed (of them `dated`: only the source), removed."""
        dated, changed = len(self.of("dated")), len(self.of("changed", "dated"))
        return {"added": len(self.of("added")), "changed": changed, "dated": dated, "removed": len(self.of("removed"))}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build would do. `rejected` is why documents would be left out, or the build refused; `expired` leave for their age;
    `warnings` is what to look at in what was read.
    """

    comparison: Comparison
    rejected: tuple[Fault, ...]
    expired: tuple[Expired, ...]
    warnings: tuple[Fault, ...]


def plan_build(index: Path, knowledge: Sequence[Path], *, today: datetime.date | None = None) -> Plan:
    """Compare documents with the published release; nothing is written. Raises IndexDamagedError where that cannot be read."""
    before = None
    with contextlib.suppress(IndexMissingError):
        before = _opened(index, current_id(index))
    intake = take_in(knowledge, before, recall=before is not None, today=today)
    old = before.manifest.id if before else ""
    compared = Comparison(old, "", len(intake.items), tuple(_planned(intake, before)))
    return Plan(compared, intake.faults, intake.expired, intake.warnings)


def _opened(index: Path, release_id: str) -> Before:
    manifest = read_manifest(index, release_id)
    check_format(manifest)
    return Before(release_folder(index, release_id), manifest)


def _planned(intake: Intake, before: Before | None) -> Iterator[DocumentChange]:
    ids = {item.id for item in intake.items}
    for item in intake.items:
        if item.state != "same" and item.document is not None:
            known = before.positions.get(item.id, -1) if before else -1
            yield difference(before.store.document(known) if before and known >= 0 else None, item.document)
    if before:
        yield from _removed(before, ids)


def _removed(before: Before, ids: set[str]) -> Iterator[DocumentChange]:
    for document_id, position in before.positions.items():
        if document_id not in ids:
            yield difference(before.store.document(position), None)


def compare_releases(index: Path, old_id: str, new_id: str) -> Comparison:
    """What changed from one release to another. Raises IndexMissingError, IndexDamagedError or IndexMismatchError."""
    old, new = _opened(index, old_id), _opened(index, new_id)
    changes: list[DocumentChange] = []
    for position, (document_id, _, _) in enumerate(new.places):
        known = old.positions.get(document_id, -1)
        if known < 0 or old.digests[known] != new.digests[position]:
            before = old.store.document(known) if known >= 0 else None
            changes.append(difference(before, new.store.document(position)))
    changes += _removed(old, set(new.positions))
    return Comparison(old_id, new_id, len(new.places), tuple(changes))
