"""Sentences of given documents, chosen by section, patient group, name or wording."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from app.citations import Unit
from app.remembering import remembered
from indexer.documents import Document, Section
from indexer.query import Query
from indexer.release import Release
from indexer.search import folded_text, shares_said
from indexer.sections import Population
from indexer.sentences import sentence_spans
from indexer.terms import fold

# What a sentence of a named document must come to: the share of what the question says that it holds, plus half of their cosine.
# 0.2: 2.0 % of answerable dev questions are refused and 88 % of held names before other talk; at 0.1 1.7 and 50 %
# (tests/benchmarks/refusals.py).
FITTING = 0.2
_COSINE_SHARE = 0.5
_NEAR_BEST = 0.8
# More than the cosines of sentences that hold the same words differ by, less than one rare word makes.
_SUGGESTED = 0.1
# When a sentence of another section than the one asked for is shown first: its own fit, and how much better than theirs.
_CLOSE, _MUCH, _MOST_CLOSER = 0.65, 0.25, 2
MOST_SENTENCES = 6
INTERACTION, DOSE = "药物相互作用", "用法用量"
# Where a drug's texts speak of whom it must not be given to, or how else.
_AVOIDING = ("禁忌", "注意事项", INTERACTION, "特殊人群", "用法用量")


def units_of(document: Document, section: Section) -> list[Unit]:
    """The sentences of a section, in order."""
    return [Unit(document, section, *span) for span in _spans(document.text, section.start, section.end)]


@lru_cache(maxsize=4096)
def _spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A drug's sections are looked through for every question about it, and for every drug beside it."""
    return sentence_spans(text, start, end)


def in_sections(release: Release, documents: Sequence[Document], names: Sequence[str]) -> list[Unit]:
    """The sections of these canonical names (or headings), whole; where a document has none, sentences that speak of it."""
    found: list[Unit] = []
    for document in documents:
        for name in names:
            sections = release.guide.find(document, name)
            found += [unit for section in sections for unit in units_of(document, section)]
            canonical = release.guide.named(name)
            if not sections and canonical and canonical.words:
                found += mentioning(release, [document], canonical.words)
    return unique(found)


def mentioning(release: Release, documents: Sequence[Document], names: Sequence[str]) -> list[Unit]:
    """Sentences of the clinical sections that hold one of the names."""
    return [unit for unit in _clinical(release, documents) if any(name in folded_text(unit.text) for name in names)]


def speaking_of(release: Release, documents: Sequence[Document], populations: Sequence[Population]) -> list[Unit]:
    """Sentences of the clinical sections that speak of one of these patient groups."""
    return [unit for unit in _clinical(release, documents) if any(group.about.search(folded_text(unit.text)) for group in populations)]


def covering(release: Release, documents: Sequence[Document], query: Query, least: float | None = None) -> list[Unit]:
    """Sentences of the clinical sections that fit what is said beside the names by at least so much, the best first where they
    differ much; of like ones those first whose section the form of the question suggests.
    """
    units = _clinical(release, documents)
    scored = list(zip(fits(release, units, query), units, strict=True))
    best = max((score for score, _ in scored), default=0.0)
    chosen = [(score, unit) for score, unit in scored if score >= max(FITTING if least is None else least, _NEAR_BEST * best)]
    hints = {hint.name for kind in {d.kind for d in documents} for hint in release.guide.hints(query.beside_names, kind)}
    suggested = {title for name in hints for title in release.guide.titles(name)}
    ranked = sorted(chosen, key=lambda pair: -pair[0] - _SUGGESTED * (fold(pair[1].section.title) in suggested))
    return unique([unit for _, unit in ranked])[:MOST_SENTENCES]


def closer(release: Release, documents: Sequence[Document], query: Query, found: Sequence[Unit]) -> list[Unit]:
    """Sentences that fit a question much better than all that was found where it asked."""
    units = _clinical(release, documents)
    least = max(_CLOSE, _MUCH + max(fits(release, found, query), default=0.0))
    scored = sorted(zip(fits(release, units, query), range(len(units)), strict=True), key=lambda pair: (-pair[0], pair[1]))
    return [units[n] for score, n in scored[:_MOST_CLOSER] if score >= least]


def fits(release: Release, units: Sequence[Unit], query: Query) -> list[float]:
    """How well each sentence, with its heading, fits what a question says beside the names in it."""
    texts = tuple(f"{unit.section.title} {unit.text}" for unit in units)
    cosines = _vectors(release, texts) @ release.sentence_embedder.embed_question(query.beside_names)
    share_said = shares_said(release, query)
    return [share_said(text) + _COSINE_SHARE * float(cosine) for text, cosine in zip(texts, cosines, strict=True)]


def best_fit(release: Release, query: Query, documents: Sequence[Document]) -> float:
    """How well the best sentence of the clinical sections fits what a question says beside the names in it."""
    return max(fits(release, _clinical(release, documents), query), default=0.0)


@remembered
def _vectors(release: Release, texts: tuple[str, ...]) -> np.ndarray:
    """The vectors of sentences; those of a subject are looked through at every turn about it."""
    return release.sentence_embedder.embed(texts)


def for_populations(
    release: Release, documents: Sequence[Document], populations: Sequence[Population], sections: Sequence[str]
) -> list[Unit]:
    """Sections about the populations, and the sentences that speak of them in the sections asked for and in the warnings."""
    found: list[Unit] = []
    for document in documents:
        own = [s for s in document.sections if any(fold(s.title) in population.titles for population in populations)]
        asked = [s for name in dict.fromkeys((*sections, *_AVOIDING)) for s in release.guide.find(document, name)]
        for section in asked:
            found.extend(unit for unit in units_of(document, section) if any(p.about.search(folded_text(unit.text)) for p in populations))
        found.extend(unit for section in own for unit in units_of(document, section))
    return unique(found)


def overview(release: Release, documents: Sequence[Document]) -> list[Unit]:
    """What a bare name is answered with: what it is and what it is for."""
    found: list[Unit] = []
    for document in documents:
        names = ("药物类别", "适应症") if document.kind == "drug" else ("概述", "临床表现")
        sections = [section for name in names for section in release.guide.find(document, name)[:1]]
        if document.kind == "disease" and len(sections) > 1:
            sections = sections[:1]
        found.extend(unit for section in sections or document.sections[:1] for unit in units_of(document, section))
    return unique(found)


def warnings(release: Release, documents: Sequence[Document]) -> list[Unit]:
    """All sentences about what a drug must not be combined with or given to."""
    sections = [(d, s) for d in documents for name in (INTERACTION, "禁忌", "注意事项") for s in release.guide.find(d, name)]
    return [unit for document, section in sections for unit in units_of(document, section)]


def class_names(release: Release, documents: Sequence[Document]) -> list[str]:
    """What the drugs are by class, as other texts may call them: 非甾体抗炎药."""
    sections = [(d, s) for d in documents for s in release.guide.find(d, "药物类别")]
    parts = [part for d, s in sections for part in re.split(r"[,。;、()\s]|属于?", fold(d.body(s)))]
    return [part for part in parts if len(part) > 2]


def _clinical(release: Release, documents: Sequence[Document]) -> list[Unit]:
    sections = [(d, s) for d in documents for s in d.sections if release.guide.is_clinical(s.title)]
    return [unit for document, section in sections for unit in units_of(document, section)]


def unique(units: Iterable[Unit]) -> list[Unit]:
    """Each span once, where it first stands."""
    return list({(unit.document.id, unit.start, unit.end): unit for unit in units}.values())
