"""Which section a question asks for in words that no cue knows, learnt from labelled questions (finetune/intents.py).

One linear model for questions about a drug and one for those about a disease, over the character 1- to 3-grams of the question without
its names. A question that no clinical section answers has a label of its own.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError
from indexer.name_models import hashed

INTENTS = Path(__file__).parent / "encoders" / "intents"
OUTSIDE = "outside"


def question_grams(masked: str) -> list[str]:
    """Features of a folded question with its names masked: 1- to 3-grams that reach over no name and no punctuation."""
    grams = (masked[at : at + size] for size in (1, 2, 3) for at in range(len(masked) - size + 1))
    return [gram for gram in grams if gram.isalnum()]


@dataclass(frozen=True)
class Intents:
    """Multinomial logistic regression: `table` (rows, labels) int8 times `scale`, and `bias` (labels,) float32."""

    labels: tuple[str, ...]
    table: NDArray[np.int8]
    scale: float
    bias: NDArray[np.float32]

    def likely(self, masked: str) -> tuple[str, float]:
        """The section that a folded question with its names masked asks for, or OUTSIDE, and how likely that is (0 to 1)."""
        rows = hashed(question_grams(masked), len(self.table))
        scores = self.table[rows].sum(axis=0, dtype=np.float64) * self.scale + self.bias
        shares = np.exp(scores - scores.max())
        best = int(scores.argmax())
        return self.labels[best], float(shares[best] / shares.sum())


@cache
def shipped_intents(kind: str) -> Intents:
    """The model that comes with the project for questions about a drug, or about a disease. Raises IndexDamagedError."""
    try:
        labels = json.loads((INTENTS / "manifest.json").read_text("utf-8"))["kinds"][kind]
        with np.load(INTENTS / f"{kind}.npz", allow_pickle=False) as held:
            return Intents(tuple(labels["labels"]), held["table"], float(held["scale"]), held["bias"])
    except (OSError, ValueError, KeyError) as error:
        raise IndexDamagedError(f"问法模型 `{INTENTS}` 读不出来：{error}", "重新安装本项目") from error
