"""Drugs and diseases that a question is about, and how texts spell them."""

from collections.abc import Sequence
from dataclasses import dataclass

from indexer.documents import Document
from indexer.release import Release
from indexer.terms import fold


@dataclass(frozen=True, slots=True)
class Subject:
    """A held drug or disease that a question names; several documents may bear the name. `form` is the dosage form named."""

    name: str
    kind: str
    documents: tuple[int, ...]
    form: str = ""


def documents_of(release: Release, subject: Subject) -> list[Document]:
    """The subject's sources, the newest first, those without a date last."""
    found = [release.store.document(position) for position in subject.documents]
    return sorted(found, key=lambda document: document.source.revised, reverse=True)


def spellings(release: Release, subject: Subject) -> list[str]:
    """Every name of a subject, folded, as texts may write it."""
    named = (name for document in documents_of(release, subject) for name in (document.title, *document.aliases))
    return list(dict.fromkeys(name for name in (subject.name, *map(fold, named)) if len(name) > 1))


def unique_subjects(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """Each drug or disease once, where it first stands."""
    first: dict[tuple[int, ...], Subject] = {}
    for subject in subjects:
        first.setdefault(subject.documents, subject)
    return tuple(first.values())
