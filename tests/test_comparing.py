"""Paired tests against values worked out by hand."""

import pytest

from finetune.comparing import bootstrap, mcnemar


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 1, 0], [1, 1, 0], (0, 0, 1.0)),
        ([1, 0], [0, 1], (1, 1, 1.0)),
        ([1] * 5, [0] * 5, (5, 0, 2 / 32)),
        ([1] * 6 + [0], [0] * 6 + [1], (6, 1, 2 * (1 + 7) / 128)),
        ([1] * 10 + [0, 0], [0] * 10 + [1, 1], (10, 2, 2 * (1 + 12 + 66) / 4096)),
    ],
)
def test_mcnemar_is_exact(first: list[int], second: list[int], expected: tuple[int, int, float]) -> None:
    assert mcnemar([*map(bool, first)], [*map(bool, second)]) == pytest.approx(expected)


def test_questions_must_be_paired() -> None:
    with pytest.raises(ValueError, match="zip"):
        mcnemar([True], [True, False])


def test_the_bootstrap_is_the_same_for_a_seed_and_holds_the_mean() -> None:
    first, second = [1.0, 0.5, 0.8, 1.0, 0.2] * 8, [0.5, 0.5, 0.9, 0.0, 0.2] * 8
    mean, low, high = bootstrap(first, second, seed=3)
    assert mean == pytest.approx((0.5 + 0 - 0.1 + 1.0 + 0) / 5)
    assert low < mean < high
    assert bootstrap(first, second, seed=3) == (mean, low, high)
    assert bootstrap(first, second, seed=4) != (mean, low, high)


def test_equal_runs_have_an_interval_of_nothing() -> None:
    assert bootstrap([0.3, 0.7], [0.3, 0.7]) == (0, 0, 0)
    assert bootstrap([], []) == (0, 0, 0)


def test_a_constant_difference_is_certain() -> None:
    assert bootstrap([0.75] * 9, [0.5] * 9) == (0.25, 0.25, 0.25)
