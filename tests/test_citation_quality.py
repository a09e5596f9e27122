"""A sentence is a set of letters; spans support it where together they hold all of them, and contradict it where they hold "!"."""

from collections.abc import Sequence

import pytest

from app.citation_quality import CitationQuality, Cited, citation_quality


def judge(text: str, spans: Sequence[str]) -> str:
    held = set("".join(spans))
    return "contradicted" if "!" in held else "supported" if set(text) <= held else "unsupported"


@pytest.mark.parametrize(
    ("text", "spans", "counts"),  # counts: supported, contradicted, citations, precise
    [
        ("ab", ("abc",), (1, 0, 1, 1)),
        ("ab", ("a", "b"), (1, 0, 2, 2)),  # neither alone, neither superfluous
        ("ab", ("ab", "ba"), (1, 0, 2, 2)),  # each alone
        ("ab", ("ab", "x"), (1, 0, 2, 1)),  # x supports nothing and is not missed
        ("ab", ("a", "b", "x"), (1, 0, 3, 2)),
        ("ab", ("ab", "a"), (1, 0, 2, 1)),  # a part of what the other says whole is superfluous
        ("ab", ("a", "x"), (0, 0, 2, 0)),
        ("ab", ("ab", "!"), (0, 1, 2, 0)),
        ("ab", (), (0, 0, 0, 0)),
    ],
)
def test_recall_and_precision_by_hand(text: str, spans: tuple[str, ...], counts: tuple[int, int, int, int]) -> None:
    supported, contradicted, citations, precise = counts
    assert citation_quality([Cited(text, spans)], judge) == CitationQuality(1, supported, contradicted, citations, precise)


def test_counts_add_up() -> None:
    sentences = [Cited("ab", ("ab", "x")), Cited("c", ()), Cited("d", ("d",))]
    assert citation_quality(sentences, judge) == CitationQuality(3, 2, 0, 3, 2)
