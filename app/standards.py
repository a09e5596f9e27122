"""Does an answer name what experts expect? The three standards of the QiZhen evaluation, with an automatic matcher.

An expected item counts as named where one of its accepted forms stands in the answer, or where at least 0.75 of its characters
stand there in order within a window of twice its length and two (longest common subsequence). On the 94 labels of the original
evaluation that credits 94.3 % of the experts' items and no more chance hits than plain search; 0.60 begins to credit wrong ones.
A hit right after a negation in its own clause does not count.

Experts' items nest (高血压, 高血压急症) and labels join them (胃十二指肠溃疡), so items may share a place, and the standards count them
all. A hit is `exclusive` where no longer item took its place first; figures of both are told.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz.distance import LCSseq

from indexer.terms import bare, fold, telling

# Told in the manifest of an evaluation: raised whenever an answer may be scored otherwise than before.
MATCHER_VERSION = 3
SHIPPED_ALIASES = Path(__file__).parent.parent / "kb_data" / "term_aliases.toml"
_IN_ORDER = 0.75
# Two characters stand near each other by chance too often.
_SHORTEST_IN_ORDER = 3
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NEGATED = re.compile(r"(不用于|不适用于|不能用于|不推荐用于|不宜用于|禁用|忌用|除外|无效)[^,。;!?\n]{0,8}$")


@dataclass(frozen=True, slots=True)
class Hit:
    """Expected item number `item` (from 0) stands in the answer in its accepted `form`.

    `start` to `end` are characters of `indexer.terms.tidy(answer)`; of a form that stands there with gaps, the first to the last.
    `exclusive`: the place is not inside or across the place of a longer item.
    """

    item: int
    form: str
    start: int
    end: int
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Score:
    """`named` of `expected` items, `exclusive` of them at places of their own; `hits` in the order of the items."""

    named: int
    expected: int
    exclusive: int = 0
    hits: tuple[Hit, ...] = ()

    @property
    def standards(self) -> tuple[bool, bool, bool]:
        """Whether the answer meets standard 1, 2 and 3."""
        return standards(self.named, self.expected)


def standards(named: int, expected: int) -> tuple[bool, bool, bool]:
    """At least one of the items, half of them, two thirds of them: exact fractions, nothing is rounded."""
    return named >= 1, 2 * named >= expected, 3 * named >= 2 * expected


def load_term_aliases(path: Path = SHIPPED_ALIASES) -> dict[str, tuple[str, ...]]:
    """Item (without white space and punctuation) to its other wordings."""
    raw = tomllib.loads(path.read_text("utf-8"))["aliases"]
    return {bare(item): tuple(forms) for item, forms in raw.items()}


def score_answer(answer: str, expected: Sequence[Sequence[str]], aliases: Mapping[str, Sequence[str]]) -> Score:
    """Count the expected items, each given by its accepted forms, that an answer names. The longest items choose their places first."""
    reading = _Reading(answer)
    accepted = [_accepted(forms, aliases) for forms in expected]
    hits: dict[int, Hit] = {}
    taken: list[tuple[int, int]] = []
    for item in sorted(range(len(accepted)), key=lambda item: -max(map(len, accepted[item]), default=0)):
        shared = own = None
        for form, place in _places(reading, accepted[item]):
            shared = shared or (form, place)
            if not any(place[0] < end and start < place[1] for start, end in taken):
                own = (form, place)
                taken.append(place)
                break
        if found := own or shared:
            hits[item] = Hit(item, found[0], *found[1], exclusive=own is not None)
    return Score(len(hits), len(expected), sum(hit.exclusive for hit in hits.values()), tuple(hits[item] for item in sorted(hits)))


def _places(reading: "_Reading", forms: Sequence[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    return ((form, place) for form in forms for place in reading.places(form))


def _accepted(forms: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> list[str]:
    """Every wording of an item, bare, longest first."""
    wordings = {bare(form) for form in forms} | {bare(alias) for form in forms for alias in aliases.get(bare(form), ())}
    return sorted(filter(None, wordings), key=lambda form: (-len(form), form))


class _Reading:
    """An answer as the matcher reads it: what tells of it (indexer/terms.py), each sign with its position in the folded text."""

    def __init__(self, answer: str) -> None:
        self._folded = fold(answer)
        self._positions = telling(self._folded)
        self._text = "".join(self._folded[i] for i in self._positions)
        self._numbers = list(_NUMBER.finditer(self._text))

    def places(self, form: str) -> Iterator[tuple[int, int]]:
        """Where a form stands and is not denied: word for word first, then in order within a window."""
        at = self._text.find(form)
        while at >= 0:
            if not self._negated(at) and self._has_numbers_of(form, at, at + len(form)):
                yield self._place(at, at + len(form))
            at = self._text.find(form, at + 1)
        if len(form) < _SHORTEST_IN_ORDER:
            return
        needed, width = math.ceil(_IN_ORDER * len(form)), 2 * len(form) + 2
        for start in range(max(1, len(self._text) - width + 1)):
            window = self._text[start : start + width]
            if LCSseq.similarity(form, window, score_cutoff=needed) >= needed:
                blocks = [step for step in LCSseq.opcodes(form, window) if step.tag == "equal"]
                first, last = start + blocks[0].dest_start, start + blocks[-1].dest_end
                if not self._negated(first) and self._has_numbers_of(form, first, last):
                    yield self._place(first, last)

    def _has_numbers_of(self, form: str, start: int, end: int) -> bool:
        """Whether the numbers of a form stand there whole: 5mg is not named by 15mg."""
        inside = {number[0] for number in self._numbers if number.start() < end and start < number.end()}
        return inside.issuperset(_NUMBER.findall(form))

    def _place(self, start: int, end: int) -> tuple[int, int]:
        return self._positions[start], self._positions[end - 1] + 1

    def _negated(self, at: int) -> bool:
        position = self._positions[at]
        return _NEGATED.search(self._folded, max(0, position - 16), position) is not None
