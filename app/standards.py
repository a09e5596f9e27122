"""Does an answer name what experts expect? The three standards of the QiZhen evaluation, with an automatic matcher.

An expected item counts as named where one of its accepted forms stands in the answer, or where at least 0.75 of its characters
stand there in order within a window of twice its length and two (longest common subsequence). On the 94 labels of the original
evaluation that credits 94.3 % of the experts' items and no more chance hits than plain search; 0.60 begins to credit wrong ones.
A hit right after a negation in its own clause does not count.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz.distance import LCSseq

from indexer.terms import bare, fold, telling

SHIPPED_ALIASES = Path(__file__).parent.parent / "kb_data" / "term_aliases.toml"
_IN_ORDER = 0.75
# Two characters stand near each other by chance too often.
_SHORTEST_IN_ORDER = 3
_NEGATED = re.compile(r"(不用于|不适用于|不能用于|不推荐用于|不宜用于|禁用|忌用|除外|无效)[^,。;!?\n]{0,8}$")


@dataclass(frozen=True, slots=True)
class Score:
    """`named` of `expected` items; the standards ask for one, for half, for two thirds of them."""

    named: int
    expected: int

    @property
    def standards(self) -> tuple[bool, bool, bool]:
        """Whether the answer meets standard 1, 2 and 3."""
        return self.named >= 1, 2 * self.named >= self.expected, 3 * self.named >= 2 * self.expected


def load_term_aliases(path: Path = SHIPPED_ALIASES) -> dict[str, tuple[str, ...]]:
    """Item (without white space and punctuation) to its other wordings."""
    raw = tomllib.loads(path.read_text("utf-8"))["aliases"]
    return {bare(item): tuple(forms) for item, forms in raw.items()}


def score_answer(answer: str, expected: Sequence[Sequence[str]], aliases: Mapping[str, Sequence[str]]) -> Score:
    """Count the expected items, each given by its accepted forms, that an answer names."""
    folded = fold(answer)
    positions = telling(folded)
    text = "".join(folded[i] for i in positions)
    named = 0
    for forms in expected:
        accepted = {bare(form) for form in forms} | {bare(a) for form in forms for a in aliases.get(bare(form), ())}
        named += any(_is_named(form, text, folded, positions) for form in accepted if form)
    return Score(named, len(expected))


def _is_named(form: str, text: str, folded: str, positions: Sequence[int]) -> bool:
    at = text.find(form)
    while at >= 0:
        if not _negated(folded, positions[at]):
            return True
        at = text.find(form, at + 1)
    needed = math.ceil(_IN_ORDER * len(form))
    if len(form) < _SHORTEST_IN_ORDER:
        return False
    width = 2 * len(form) + 2
    for start in range(max(1, len(text) - width + 1)):
        window = text[start : start + width]
        if LCSseq.similarity(form, window, score_cutoff=needed) >= needed:
            first = next(i for i, c in enumerate(window) if c in form)
            if not _negated(folded, positions[start + first]):
                return True
    return False


def _negated(folded: str, position: int) -> bool:
    return _NEGATED.search(folded, max(0, position - 16), position) is not None
