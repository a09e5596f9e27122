"""Is one run better than another on the same questions, or was it chance?"""

import math
import random
from collections.abc import Sequence

_ROUNDS = 2000


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> tuple[int, int, float]:
    """Questions that only the first and only the second got right, and the exact two-sided p of so uneven a split (McNemar 1947)."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    differing = only_first + only_second
    tail = sum(math.comb(differing, k) for k in range(min(only_first, only_second) + 1))
    return only_first, only_second, min(1.0, 2 * tail / 2**differing)


def bootstrap(first: Sequence[float], second: Sequence[float], seed: int = 7, rounds: int = _ROUNDS) -> tuple[float, float, float]:
    """The mean difference, first less second, and its 95 % interval by drawing the questions anew (Efron 1979); zeros for none."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if not differences:
        return 0.0, 0.0, 0.0
    dice = random.Random(seed)  # noqa: S311 - a seeded draw
    count = len(differences)
    means = sorted(math.fsum(dice.choices(differences, k=count)) / count for _ in range(rounds))
    return math.fsum(differences) / count, means[int(0.025 * rounds)], means[math.ceil(0.975 * rounds) - 1]
