"""Look a drug up by any of its names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.answering import Candidate, candidate_of
from app.lookalike import Confusable, confusable_with, could_mean
from indexer.documents import Document, Section
from indexer.release import Release
from indexer.terms import fold

CardStatus = Literal["found", "ambiguous", "unknown"]


@dataclass(frozen=True, slots=True)
class DrugCard:
    """`sections` are (document, section) pairs of the drug's sources; `candidates` what else could be meant, `look_alikes` what must not
    be mistaken for it.
    """

    status: CardStatus
    document: Document | None
    sections: tuple[tuple[Document, Section], ...]
    candidates: tuple[Candidate, ...]
    look_alikes: tuple[Confusable, ...] = ()


def look_up(release: Release, name: str, section: str = "") -> DrugCard:
    """Find a drug by title, alias or title without dosage form; `section` keeps only sections that are one of that kind."""
    positions = _of_kind_drug(release, release.names.exact(name))
    if not positions:
        mentions = [mention for mention in release.names.mentions(fold(name)) if not mention.is_other and mention.kind == "drug"]
        positions = _of_kind_drug(release, mentions[0].documents) if len(mentions) == 1 else []
    if not positions:
        near = could_mean(release, name) or release.names.containing(name, {"drug"}) or release.names.related(name, {"drug"})
        return DrugCard("unknown", None, (), _candidates(release, near))
    if len({fold(release.names.title(position)) for position in positions}) > 1:
        return DrugCard("ambiguous", None, (), _candidates(release, positions))
    documents = [release.store.document(position) for position in positions]
    pairs = [
        (document, found) for document in documents for found in (release.guide.find(document, section) if section else document.sections)
    ]
    return DrugCard("found", documents[0], tuple(pairs), (), tuple(confusable_with(release, positions)))


def _of_kind_drug(release: Release, positions: Sequence[int]) -> list[int]:
    return [position for position in positions if release.names.kind(position) == "drug"]


def _candidates(release: Release, positions: Sequence[int]) -> tuple[Candidate, ...]:
    return tuple(candidate_of(release, release.store.document(position)) for position in positions)
