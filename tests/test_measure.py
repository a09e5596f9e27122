import math

import pytest

from indexer.measure import discounted_gain, percentile, recall_at, reciprocal_rank, wilson


def test_recall_and_reciprocal_rank() -> None:
    assert recall_at(["x", "a", "b"], {"a": 1, "c": 1}, 2) == 0.5
    assert reciprocal_rank(["x", "a", "b"], {"a": 1, "b": 1}) == 0.5
    assert reciprocal_rank(["x"], {"a": 1}) == 0.0


def test_discounted_gain_by_hand() -> None:
    got = discounted_gain(["b", "x", "a"], {"a": 2, "b": 1}, 10)
    assert got == pytest.approx((1 + 3 / 2) / (3 + 1 / math.log2(3)))
    assert discounted_gain(["x"], {}, 10) == 0.0


def test_percentiles_take_a_measured_value() -> None:
    assert [percentile([5, 1, 3, 2, 4], share) for share in (0.5, 0.95, 0.2)] == [3, 5, 1]
    assert percentile([], 0.5) == 0


def test_wilson_interval_of_a_published_figure() -> None:
    low, high = wilson(85, 94)  # notes of the evaluation give 82.8-94.9
    assert (round(100 * low, 1), round(100 * high, 1)) == (82.8, 94.9)
    assert wilson(0, 0) == (0.0, 1.0)
