"""Checks drugs against each other: every pair, with what their texts say of one another, and what they have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from app.citations import Unit
from app.drug_names import drug_names
from app.subject import Subject
from app.surfacing import forbids_together, of_one_ingredient, together
from indexer.documents import Document, Section
from indexer.release import Release
from indexer.terms import fold

FEWEST, MOST = 2, 10


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug to check. `document` is the one that was chosen; `subject` bears all documents of that name."""

    document: Document
    subject: Subject


@dataclass(frozen=True, slots=True)
class Statements:
    """Sentences in a row from one section of one document."""

    document: Document
    section: Section
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two drugs: what their texts say of one another, and the names and sentences by which they may hold one ingredient.

    `forbids`: one of the statements is a contraindication that is not about allergy. Empty `statements` mean that the texts are silent,
    not that nothing happens.
    """

    first: Drug
    second: Drug
    statements: tuple[Statements, ...]
    shared_names: tuple[str, ...]
    made_of: tuple[Statements, ...]
    forbids: bool


def drug_of(release: Release, document: Document) -> Drug:
    """A document's drug with every document that has its title: sources may say different things."""
    title = fold(document.title).strip()
    named = [position for position in release.names.exact(title) if release.names.kind(position) == "drug"]
    same = [position for position in named if fold(release.names.title(position)).strip() == title]
    own = release.store.position(document.id)
    return Drug(document, Subject(title, "drug", tuple(same if own is None or own in same else [own, *same])))


def check(release: Release, drugs: Sequence[Drug]) -> list[Pair]:
    """Every pair of different drugs, contraindicated ones first, those that the texts say nothing of last."""
    pairs = [_pair(release, *two) for two in combinations(drugs, 2)]
    return sorted(pairs, key=lambda pair: (not pair.forbids, not pair.statements))


def _pair(release: Release, first: Drug, second: Drug) -> Pair:
    units = together(release, [first.subject, second.subject])
    return Pair(
        first,
        second,
        _by_section(units),
        _shared_names(release, first, second),
        _by_section(of_one_ingredient(release, first.subject, second.subject)),
        forbids_together(release, units),
    )


def _shared_names(release: Release, first: Drug, second: Drug) -> tuple[str, ...]:
    """Names without dosage form and salt that both bear: 环孢素 of 环孢素软胶囊 and 环孢素口服溶液."""
    shared = drug_names(release).shared(first.subject.documents, second.subject.documents)
    return tuple(sorted(shared, key=lambda name: (len(name), name))[:1])


def _by_section(units: Sequence[Unit]) -> tuple[Statements, ...]:
    """Sentences by document and section, in the order in which these first come."""
    order: dict[tuple[str, int], int] = {}
    for unit in units:
        order.setdefault((unit.document.id, unit.section.start), len(order))
    ranked = sorted(units, key=lambda unit: (order[unit.document.id, unit.section.start], unit.start))
    grouped = (tuple(found) for _, found in groupby(ranked, key=lambda unit: (unit.document.id, unit.section.start)))
    return tuple(Statements(found[0].document, found[0].section, found) for found in grouped)
