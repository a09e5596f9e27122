"""Figures of retrieval: recall, reciprocal rank and discounted gain; and intervals and percentiles for any figure."""

import math
from collections.abc import Mapping, Sequence


def recall_at(ranked: Sequence[str], relevant: Mapping[str, int], cutoff: int) -> float:
    """Share of the relevant ids among the first `cutoff`, 0 to 1."""
    return len(set(ranked[:cutoff]) & set(relevant)) / len(relevant)


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """1 / rank of the first relevant id; 0 where there is none."""
    return next((1 / rank for rank, name in enumerate(ranked, 1) if name in relevant), 0.0)


def discounted_gain(ranked: Sequence[str], relevant: Mapping[str, int], cutoff: int) -> float:
    """NDCG at `cutoff`, 0 to 1, with gain 2^grade - 1 (Burges et al. 2005)."""

    def total(grades: Sequence[int]) -> float:
        return float(sum((2**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1)))

    ideal = total(sorted(relevant.values(), reverse=True)[:cutoff])
    return total([relevant.get(name, 0) for name in ranked[:cutoff]]) / ideal if ideal else 0.0


def mean(values: Sequence[float]) -> float:
    """The mean; 0 for no values."""
    return sum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed; 0 for no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % Wilson interval of a proportion (Wilson 1927); (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
