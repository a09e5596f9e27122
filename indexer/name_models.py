"""What looks like a name: text that touches a name and makes a longer one of it (禽|流感), or only stands beside it (小毛头闹|肠胃炎), and
runs of text that could be names themselves (阿美替尼) or are ordinary words (刚开始治).

Logistic regressions over hashed n-grams of characters, learnt from names and from running text (finetune/name_models.py). They decide
about names that are not held, and so whether a question is refused; the thresholds of those who ask lean to "a name".
"""

import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError

NAME_MODELS = Path(__file__).parent / "encoders" / "names"
BEFORE, BEHIND, WHOLE = "before", "behind", "whole"
PAIRS = "pairs.npy"
# Characters of a context that are read, and the longest run that is told apart by its length.
_REACH, _LONGEST = 4, 9
_NOTHING, _START, _END = "\0", "\1", "\2"


def context_grams(context: str, name: str, side: str) -> list[str]:
    """Features of a folded name with the text on one side of it, nearest character first. Empty where nothing touches it."""
    near = (context[::-1] if side == BEFORE else context)[:_REACH].ljust(_REACH, _NOTHING)
    edge = name[0] if side == BEFORE else name[-1]
    grams = (near[:1], near[:2], near[:3], near, edge + near[:1], edge + near[:2], near[1], near[1:3], near[2])
    return [f"{number}{gram}" for number, gram in enumerate(grams)] if context else []


def run_grams(run: str) -> list[str]:
    """Features of a folded run: its 1- to 3-grams, ends marked, and its length."""
    marked = _START + run + _END
    grams = {f"{size}{marked[at : at + size]}" for size in (1, 2, 3) for at in range(len(marked) - size + 1)}
    return [*sorted(grams), f"long{min(len(run), _LONGEST)}"]


def hashed(grams: list[str], rows: int) -> NDArray[np.int64]:
    """Table rows of features, each once."""
    return np.unique([zlib.crc32(gram.encode()) % rows for gram in grams]).astype(np.int64)


def pair_bit(pair: str, bits: int) -> int:
    """The bit of a pair of characters in the set of those that running text says together."""
    return zlib.crc32(pair.encode()) % bits


@dataclass(frozen=True)
class NameModel:
    """`table` (rows,) int8 times `scale`, and `bias`."""

    table: NDArray[np.int8]
    scale: float
    bias: float

    def likelihood(self, grams: list[str]) -> float:
        """0 to 1; 0 where there is nothing to read."""
        if not grams:
            return 0.0
        score = self.table[hashed(grams, len(self.table))].sum(dtype=np.float64) * self.scale + self.bias
        return 1 / (1 + float(np.exp(-score)))


def joined_before(context: str, name: str) -> float:
    """How likely the text directly before a folded name belongs to a longer name."""
    return _shipped(BEFORE).likelihood(context_grams(context, name, BEFORE))


def joined_behind(context: str, name: str) -> float:
    """How likely the text directly behind a folded name belongs to a longer name."""
    return _shipped(BEHIND).likelihood(context_grams(context, name, BEHIND))


def likely_name(run: str) -> float:
    """How likely a folded run of Chinese text is the name of a drug or a disease, and not ordinary words."""
    return _shipped(WHOLE).likelihood(run_grams(run))


def said_together(pair: str) -> bool:
    """Whether running text says two characters together often (威胁); one in ten of other pairs is taken for such (a hashed set)."""
    bits = _pairs()
    at = pair_bit(pair, 8 * len(bits))
    return bool(bits[at // 8] >> (at % 8) & 1)


@cache
def _pairs() -> NDArray[np.uint8]:
    try:
        bits: NDArray[np.uint8] = np.load(NAME_MODELS / PAIRS, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IndexDamagedError(f"名称模型 `{NAME_MODELS}` 读不出来：{error}", "重新安装本项目") from error
    return bits


@cache
def _shipped(part: str) -> NameModel:
    """A model that comes with the project. Raises IndexDamagedError."""
    try:
        held = json.loads((NAME_MODELS / "manifest.json").read_text("utf-8"))["models"][part]
        table = np.load(NAME_MODELS / f"{part}.npy", allow_pickle=False)
        return NameModel(table, float(held["scale"]), float(held["bias"]))
    except (OSError, ValueError, KeyError) as error:
        raise IndexDamagedError(f"名称模型 `{NAME_MODELS}` 读不出来：{error}", "重新安装本项目") from error
