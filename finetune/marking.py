"""One answer marked: the items it names, what it says besides, how it reads."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from app.standards import Hit, Score, score_answer
from indexer.terms import bare, fold

# Where a list is cut into its entries, as the original scorers did by hand.
_CUTS = re.compile(r"[、,;。:!?()\[\]|\n]|以及|和|及|或")
# What lists are wrapped in; an entry that is nothing else names nothing.
_WRAPPING = re.compile(
    r"^(?:本品|主要|可|适用于|用于|适应症|治疗|下列|如|包括|例如|等|引起|所致|的|是|为|有)+|(?:等|的?患者|的?治疗|疾病|病症)+$"
)
_SHORTEST_ENTRY = 2
_GRAM = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of an answer that may name something; `start` to `end` are characters of `indexer.terms.tidy(answer)`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mark:
    """An answer's score, and what of its `entries` are expected items (`matched`) or at least stand in the source (`held`, None where
    there is none); `recall`: share of a reference text's characters that stand in the answer in order, None without one;
    `distinct`: share of its sequences of four characters that are not repetitions.
    """

    score: Score
    entries: int
    matched: int
    held: int | None
    recall: float | None
    distinct: float
    characters: int


def mark(answer: str, terms: Sequence[Sequence[str]], aliases: Mapping[str, Sequence[str]], source: str = "", reference: str = "") -> Mark:
    """Mark an answer against its expected items, the text it should come from, and a right answer."""
    score, entries = score_answer(answer, terms, aliases), entries_of(answer)
    return Mark(
        score=score,
        entries=len(entries),
        matched=sum(_is_expected(entry, score.hits, terms, aliases) for entry in entries),
        held=score_answer(source, [[entry.text] for entry in entries], {}).named if source else None,
        recall=text_recall(answer, reference) if bare(reference) else None,
        distinct=distinct_share(answer),
        characters=len(answer),
    )


def entries_of(answer: str) -> list[Entry]:
    """The pieces of an answer between list marks and joining words, without what lists are wrapped in."""
    folded = fold(answer)
    ends = [0, *(at for cut in _CUTS.finditer(folded) for at in cut.span()), len(folded)]
    pieces = ((folded[start:end], start, end) for start, end in zip(ends[::2], ends[1::2], strict=True))
    return [Entry(kept, start, end) for text, start, end in pieces if len(bare(kept := _WRAPPING.sub("", text.strip()))) >= _SHORTEST_ENTRY]


def _is_expected(entry: Entry, hits: Sequence[Hit], terms: Sequence[Sequence[str]], aliases: Mapping[str, Sequence[str]]) -> bool:
    """Whether a hit reaches into the entry, or the entry names an item that has been named before."""
    inside = any(hit.start < entry.end and entry.start < hit.end for hit in hits)
    return inside or score_answer(entry.text, terms, aliases).named > 0


def text_recall(answer: str, reference: str) -> float:
    """Share of the reference's characters that stand in the answer in the same order, 0 to 1; punctuation and spaces do not count."""
    wanted = bare(reference)
    return LCSseq.similarity(wanted, bare(answer)) / len(wanted)


def distinct_share(answer: str) -> float:
    """Different sequences of four characters over all of them; 1 for an answer too short to have two."""
    text = bare(answer)
    grams = [text[i : i + _GRAM] for i in range(len(text) - _GRAM + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
