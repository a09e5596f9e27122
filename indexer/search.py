"""Find passages: names, keywords and vectors together."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from indexer.documents import Document
from indexer.folding import fold_texts
from indexer.keyword_index import inverse_frequency
from indexer.lay_terms import Said
from indexer.measure import mean
from indexer.passages import Passage
from indexer.query import Query, read_query
from indexer.release import Release
from indexer.reranker import Reranker
from indexer.terms import TermsHeld, fold, missing_terms, terms

# A passage of a section that the question asks for outranks every other passage of the same document.
_SECTION_BONUS = 1.0
_CANDIDATES = 100
# What keywords give a candidate of the vectors that is not among their own, as a share of what they give the last of those, which is the
# most that it can have. Counting it exactly orders no better and takes 1.3 ms of 100,000 passages, 5.9 of a million.
_BEHIND = 0.85
# The least share of keywords in the score for a list of words, which stand in a text just so or not at all.
_LISTED = 0.8
# What a term of texts for what the question puts otherwise weighs, beside the question's own.
_OTHERWISE = 0.35
_RERANKED = 50
_LONG_RUN = 5  # terms
_SUMMED = 200
_GROUP_WEIGHT = 5.0  # as a term in one of 150 passages


@dataclass(frozen=True, slots=True)
class Parts:
    """What a score is the sum of: `keyword`, the share of BM25, 0 to its weight; `vector`, the weighed cosine; `section`, what standing
    in a section that the question asks for is worth; `reranker`, what a reranker says of the best passages, 1 to 2, if there is one.
    """

    keyword: float
    vector: float
    section: float
    reranker: float = 0.0

    @property
    def score(self) -> float:
        """The sum."""
        return self.keyword + self.vector + self.section + self.reranker


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
    named = {position for mention in query.held for position in mention.documents}
    return find_passages(release, query, limit, () if query.is_list else sorted(named))


def find_passages(release: Release, query: Query, limit: int, documents: Sequence[int] = ()) -> list[Hit]:
    """As `search`, for a question already taken apart and, if any are given, these documents only."""
    wanted = _wanted(query)
    said = query.residue or (query.folded,)
    vector = release.embedder.embed_question(query.folded)
    candidates = _candidates(release, wanted, vector, documents)
    best = max((candidate.keyword for candidate in candidates), default=0.0) or 1.0
    share = max(release.embedder.keyword_share, _LISTED) if query.is_list else release.embedder.keyword_share
    # Sections are read where they count: of a named document's passages. Otherwise only what is found is read from disk.
    asked = {title for cue in query.cues for title in release.guide.titles(cue.name)} if documents else set()
    scored = []
    for candidate in candidates:
        bonus = _SECTION_BONUS if asked and fold(_placed(release, candidate.passage)[2]) in asked else 0.0
        parts = Parts(share * candidate.keyword / best, (1 - share) * _above(release, candidate.cosine), bonus)
        scored.append((-parts.score, candidate.passage, candidate.cosine, parts))
    scored.sort(key=lambda entry: entry[:2])
    shown = max(limit, _RERANKED) if release.reranker else limit
    hits = _hits(release, said, [(number, cosine, parts) for _, number, cosine, parts in scored[:shown]])
    return (_reranked(hits, query, release.reranker) if release.reranker else hits)[:limit]


def _wanted(query: Query) -> dict[str, float]:
    """The terms to look for, with their weights: the question's own, and those of texts for what it puts otherwise."""
    otherwise = meant_terms(said for said in query.said_beside_names if said.is_put_otherwise(query.folded))
    return {**dict.fromkeys(otherwise, _OTHERWISE), **dict.fromkeys(terms(query.folded), 1.0)}


def _reranked(hits: Sequence[Hit], query: Query, reranker: Reranker) -> list[Hit]:
    """The first fifty by what the reranker says of them added to their scores, then the rest as they were."""
    first = hits[:_RERANKED]
    told = reranker.scores(query.folded, [f"{hit.document.title} {hit.section} {hit.text}" for hit in first])
    again = [replace(hit, parts=replace(hit.parts, reranker=1 + float(score))) for hit, score in zip(first, told, strict=True)]
    return [*sorted(again, key=lambda hit: -hit.score), *hits[_RERANKED:]]


def _hits(release: Release, said: Sequence[str], scored: Sequence[tuple[int, float, Parts]]) -> list[Hit]:
    """Hits of (passage, cosine, parts)."""
    weighed = _weighed(release, said)
    placed = [_placed(release, number) for number, _, _ in scored]
    folded = fold_texts([f"{document.title} {section} {passage.text}" for document, passage, section in placed])
    return [
        Hit(document, section, passage.start, passage.end, passage.text, parts, cosine, _covered(weighed, text))
        for (document, passage, section), (_, cosine, parts), text in zip(placed, scored, folded, strict=True)
    ]


def _placed(release: Release, number: int) -> tuple[Document, Passage, str]:
    """A passage with its document and its section's title."""
    position, passage = release.store.passage(number)
    document = release.store.document(position)
    return document, passage, document.sections[passage.section].title


def diseases_nearest(release: Release, query: Query, said: Sequence[Said], sections: Collection[str], limit: int) -> list[NearDisease]:
    """Diseases whose passages say the most of what is meant, by the sum of their passages' BM25; ties in the order of the release.

    `sections` are folded headings: only those count for the similarity.
    """
    scores: dict[int, float] = defaultdict(float)
    wanted = dict.fromkeys(meant_terms(said).union(terms(query.folded)), 1.0)
    for passage, score in release.keywords.search(wanted, _SUMMED, release.diseases) if release.diseases else ():
        scores[release.store.passage(passage)[0]] += score
    ranked = sorted(scores, key=lambda position: (-scores[position], position))[:limit]
    vector = release.embedder.embed_question(" ".join([query.folded, *(part.texts[0] for part in said)]))
    near = []
    for position in ranked:
        document = release.store.document(position)
        passages = [n for n, p in release.store.passages_of(position) if fold(document.sections[p.section].title) in sections]
        cosines = release.vectors.vectors(np.array(passages)) @ vector if passages else np.zeros(1)
        near.append(NearDisease(document, scores[position] / scores[ranked[0]], _above(release, float(cosines.max()))))
    return near


def _above(release: Release, cosine: float) -> float:
    """A cosine counted from that of texts which have nothing to do with one another: 0 there, 1 for the same text."""
    floor = release.embedder.floor
    return (cosine - floor) / (1 - floor)


def meant_terms(said: Iterable[Said]) -> set[str]:
    """Terms of the wordings of texts for what is said."""
    return {term for part in said for text in part.texts for term in terms(text)}


def coverage(release: Release, runs: Sequence[str], text: str) -> float:
    """Share of what the runs say that the text holds, 0 to 1, each term weighted by its rarity.

    A bigram that only bridges two words which the text does hold (渴多 in 口渴多饮) does not count against it.
    """
    return _covered(_weighed(release, runs), fold(text))


def _weighed(release: Release, runs: Sequence[str]) -> list[list[tuple[str, float]]]:
    """The terms of each run with their rarities."""
    return [[(term, rarity(release, term)) for term in terms(run)] for run in runs]


def _covered(runs: Sequence[Sequence[tuple[str, float]]], folded: str) -> float:
    held = TermsHeld(folded)
    found = missed = 0.0
    for run in runs:
        here = {term: weight for term, weight in run if term in held}
        found += sum(weight for term, weight in run if term in here)
        # A short run is a word of its own, and 头孢 and 氨苄 beside each other are no 头孢氨苄.
        missing = missing_terms([term for term, _ in run], here) if len(run) >= _LONG_RUN else [term for term, _ in run if term not in here]
        weights = dict(run)
        missed += sum(weights[term] for term in missing)
    return found / (found + missed) if found else 0.0


def shares_said(release: Release, query: Query) -> Callable[[str], float]:
    """As `coverage`, for what a question says beside names, its lay terms read in the words of texts: a function of a text.

    Lay terms that overlap say one thing: the rarest counts, and it stands in the text where any of them does. A patient group counts
    as much as a rare word.
    """
    bigrams = [(term, rarity(release, term)) for run in query.unsaid for term in terms(run) if len(term) > 1]
    meanings = [(max(meaning_rarity(release, part) for part in parts), parts) for parts in overlapping(query.said_beside_names)]
    total = sum(weight for _, weight in bigrams) + _GROUP_WEIGHT * len(query.populations) + sum(weight for weight, _ in meanings)

    def share(text: str) -> float:
        folded = folded_text(text)
        there = TermsHeld(folded)
        held = sum(weight for term, weight in bigrams if term in there)
        held += sum(_GROUP_WEIGHT for group in query.populations if group.about.search(folded))
        held += sum(weight for weight, parts in meanings if any(part.stands_in(folded) for part in parts))
        return held / total if total else 0.0

    return share


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
    """BM25's inverse document frequency of a term over passages."""
    return inverse_frequency(release.keywords.document_frequency(term), release.manifest.passages)


def _candidates(release: Release, wanted: Mapping[str, float], vector: np.ndarray, documents: Sequence[int]) -> list[_Scored]:
    nearest = None if documents else release.vectors.begin(vector, _CANDIDATES)
    found = release.keywords.search(wanted, _CANDIDATES, documents)
    keyword = dict(found)
    if nearest is None:
        positions = sorted({number for position in documents for number, _ in release.store.passages_of(position)} | set(keyword))
    else:
        positions = sorted(set(keyword) | {passage for passage, _ in nearest()})
    if not positions:
        return []
    behind = _BEHIND * found[-1][1] if len(found) == _CANDIDATES else 0.0
    cosines = release.vectors.vectors(np.array(positions)) @ vector
    return [_Scored(p, keyword.get(p, behind), float(cosine)) for p, cosine in zip(positions, cosines, strict=True)]
