"""Find passages: names, keywords and vectors together."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from indexer.documents import Document
from indexer.lay_terms import Said
from indexer.measure import mean
from indexer.query import Query, read_query
from indexer.release import Release
from indexer.terms import fold, missing_terms, terms

# How much of a candidate's score is BM25 (as a share of the best candidate's) and how much cosine.
# 0.4: above keywords alone in nDCG on lay questions, titles, signs, Chinese papers and English documentation (questions that the encoder
# had not been trained on), and the best over them; tests/benchmarks/search_quality.py prints the curve.
_KEYWORD_SHARE = 0.4
# A passage of a section that the question asks for outranks every other passage of the same document.
_SECTION_BONUS = 1.0
_CANDIDATES = 100
_LONG_RUN = 5  # terms
_SUMMED = 200
_GROUP_WEIGHT = 5.0  # as a term in one of 150 passages


@dataclass(frozen=True, slots=True)
class Parts:
    """What a score is the sum of: `keyword`, the share of BM25, 0 to its weight; `vector`, the weighed cosine; `section`, what standing
    in a section that the question asks for is worth.
    """

    keyword: float
    vector: float
    section: float

    @property
    def score(self) -> float:
        """The sum."""
        return self.keyword + self.vector + self.section


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found. `text` is `document.text[start:end]`.

    `parts.score` orders hits of one question. `similarity` is the raw cosine to the question, -1 to 1. `coverage`, 0 to 1, is how much of
    what the question says beyond names and section words stands in the passage or its titles.
    """

    document: Document
    section: str
    start: int
    end: int
    text: str
    parts: Parts
    similarity: float
    coverage: float

    @property
    def score(self) -> float:
        """What hits of one question are ordered by."""
        return self.parts.score


@dataclass(frozen=True, slots=True)
class _Scored:
    passage: int
    keyword: float
    cosine: float


@dataclass(frozen=True, slots=True)
class NearDisease:
    """A disease found for described signs. `keyword`, 0 to 1, is its BM25 beside the best one's; `similarity` its best passage's cosine."""

    document: Document
    keyword: float
    similarity: float


def search(release: Release, question: str, limit: int = 10) -> list[Hit]:
    """The best passages for a question, best first; equal scores in the order of the release.

    A question that names a held drug or disease gets passages of its documents only. The answer depends on the question and the
    release alone.
    """
    query = read_query(question, release.names, release.guide)
    named = sorted({position for mention in query.held for position in mention.documents})
    return find_passages(release, query, limit, named)


def find_passages(release: Release, query: Query, limit: int, documents: Sequence[int] = ()) -> list[Hit]:
    """As `search`, for a question already taken apart and, if any are given, these documents only."""
    wanted = sorted(set(terms(query.folded)) | meant_terms(query.said_beside_names))
    said = query.residue or (query.folded,)
    vector = release.embedder.embed([query.folded])[0]
    candidates = _candidates(release, wanted, vector, documents)
    best = max((candidate.keyword for candidate in candidates), default=0.0) or 1.0
    asked = {title for cue in query.cues for title in release.guide.titles(cue.name)}
    scored = []
    for candidate in candidates:
        position, passage = release.store.passage(candidate.passage)
        document = release.store.document(position)
        section = document.sections[passage.section].title
        bonus = _SECTION_BONUS if documents and fold(section) in asked else 0.0
        parts = Parts(_KEYWORD_SHARE * candidate.keyword / best, (1 - _KEYWORD_SHARE) * candidate.cosine, bonus)
        scored.append((-parts.score, candidate.passage, document, passage, section, candidate.cosine, parts))
    scored.sort(key=lambda entry: entry[:2])
    return [
        Hit(document, section, p.start, p.end, p.text, parts, cosine, coverage(release, said, f"{document.title} {section} {p.text}"))
        for _, _, document, p, section, cosine, parts in scored[:limit]
    ]


def diseases_nearest(release: Release, query: Query, said: Sequence[Said], sections: Collection[str], limit: int) -> list[NearDisease]:
    """Diseases whose passages say the most of what is meant, by the sum of their passages' BM25; ties in the order of the release.

    `sections` are folded headings: only those count for the similarity.
    """
    scores: dict[int, float] = defaultdict(float)
    wanted = sorted(set(terms(query.folded)) | meant_terms(said))
    for passage, score in release.keywords.search(wanted, _SUMMED, release.diseases) if release.diseases else ():
        scores[release.store.passage(passage)[0]] += score
    ranked = sorted(scores, key=lambda position: (-scores[position], position))[:limit]
    vector = release.embedder.embed([" ".join([query.folded, *(part.texts[0] for part in said)])])[0]
    near = []
    for position in ranked:
        document = release.store.document(position)
        passages = [n for n, p in release.store.passages_of(position) if fold(document.sections[p.section].title) in sections]
        cosines = release.vectors.vectors(np.array(passages)) @ vector if passages else np.zeros(1)
        near.append(NearDisease(document, scores[position] / scores[ranked[0]], float(cosines.max())))
    return near


def meant_terms(said: Iterable[Said]) -> set[str]:
    """Terms of the wordings of texts for what is said."""
    return {term for part in said for text in part.texts for term in terms(text)}


def coverage(release: Release, runs: Sequence[str], text: str) -> float:
    """Share of what the runs say that the text holds, 0 to 1, each term weighted by its rarity.

    A bigram that only bridges two words which the text does hold (渴多 in 口渴多饮) does not count against it.
    """
    held = set(terms(fold(text)))
    found = missed = 0.0
    for run in runs:
        wanted = terms(run)
        found += sum(rarity(release, term) for term in wanted if term in held)
        # A short run is a word of its own, and 头孢 and 氨苄 beside each other are no 头孢氨苄.
        missing = missing_terms(wanted, held) if len(wanted) >= _LONG_RUN else [term for term in wanted if term not in held]
        missed += sum(rarity(release, term) for term in missing)
    return found / (found + missed) if found else 0.0


def share_said(release: Release, query: Query, text: str) -> float:
    """As `coverage`, for what a question says beside names, its lay terms read in the words of texts.

    Lay terms that overlap say one thing: the rarest counts, and it stands in the text where any of them does. A patient group counts
    as much as a rare word.
    """
    folded = folded_text(text)
    held, total = _bigrams_held(release, query.unsaid, folded)
    for group in query.populations:
        total += _GROUP_WEIGHT
        held += _GROUP_WEIGHT if group.about.search(folded) else 0.0
    for parts in overlapping(query.said_beside_names):
        weight = max(meaning_rarity(release, part) for part in parts)
        total += weight
        held += weight if any(part.stands_in(folded) for part in parts) else 0.0
    return held / total if total else 0.0


def _bigrams_held(release: Release, runs: Sequence[str], folded: str) -> tuple[float, float]:
    there = set(terms(folded))
    wanted = [term for run in runs for term in terms(run) if len(term) > 1]  # a lone character says too little
    weights = [(rarity(release, term), term in there) for term in wanted]
    return sum(weight for weight, found in weights if found), sum(weight for weight, _ in weights)


# Sentences and sections are folded anew for every question otherwise, which took most of the time of a description of signs.
folded_text = lru_cache(maxsize=16384)(fold)


def overlapping(said: Sequence[Said]) -> list[list[Said]]:
    """Lay terms by the stretches of the question that they share."""
    groups: list[list[Said]] = []
    reach = -1
    for part in said:
        if part.start < reach:
            groups[-1].append(part)
        else:
            groups.append([part])
        reach = max(reach, part.end)
    return groups


def meaning_rarity(release: Release, said: Said) -> float:
    """How rare a meaning is: the mean over its wordings, each as rare as the rarest of its terms."""
    return mean([max((rarity(release, term) for term in wording), default=0.0) for wording in _wordings(said.texts)])


@lru_cache(maxsize=2048)
def _wordings(texts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(terms(text)) for text in texts)


def rarity(release: Release, term: str) -> float:
    """BM25's inverse document frequency of a term over passages (Robertson and Zaragoza 2009, section 3.1)."""
    frequency, passages = release.keywords.document_frequency(term), release.manifest.passages
    return math.log1p((passages - frequency + 0.5) / (frequency + 0.5))


def _candidates(release: Release, wanted: Sequence[str], vector: np.ndarray, documents: Sequence[int]) -> list[_Scored]:
    keyword = dict(release.keywords.search(wanted, _CANDIDATES, documents))
    if documents:
        positions = sorted({number for position in documents for number, _ in release.store.passages_of(position)} | set(keyword))
    else:
        nearest = release.vectors.search(vector, _CANDIDATES)
        positions = sorted(set(keyword) | {passage for passage, _ in nearest})
    if not positions:
        return []
    cosines = release.vectors.vectors(np.array(positions)) @ vector
    return [_Scored(p, keyword.get(p, 0.0), float(cosine)) for p, cosine in zip(positions, cosines, strict=True)]
