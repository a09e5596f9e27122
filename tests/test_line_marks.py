"""What changed within a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.line_marks import Marked, marked
from indexer.changes import Line


def test_a_number_is_marked_whole() -> None:
    assert marked([Line("-", "一次0.25g，一日3次。"), Line("+", "一次0.5g，一日3次。"), Line(" ", "饭后服。")]) == [
        Marked("-", (("一次", False), ("0.25", True), ("g，一日3次。", False))),
        Marked("+", (("一次", False), ("0.5", True), ("g，一日3次。", False))),
        Marked(" ", (("饭后服。", False),)),
    ]


def test_what_was_added_within_a_sentence_is_marked_there_alone() -> None:
    gone, new = marked([Line("-", "孕妇禁用。"), Line("+", "孕妇和儿童禁用。")])
    assert gone.parts == (("孕妇", False), ("禁用。", False))
    assert new.parts == (("孕妇", False), ("和儿童", True), ("禁用。", False))


@pytest.mark.parametrize(
    "lines",
    [
        [Line("-", "孕妇禁用。"), Line("+", "密封，在阴凉干燥处保存。")],
        [Line("-", "孕妇禁用。")],
        [Line("+", "孕妇禁用。")],
        [Line("…", "")],
        [Line("+", "一次1mg。"), Line("-", "一次2mg。")],
    ],
)
def test_sentences_with_little_in_common_are_shown_as_they_are(lines: list[Line]) -> None:
    assert marked(lines) == [Marked(line.mark, ((line.text, False),)) for line in lines]


def test_pairs_go_in_order_and_the_rest_follows() -> None:
    found = marked([Line("-", "一次1mg。"), Line("-", "一次2mg。"), Line("+", "一次3mg。")])
    assert [(line.mark, [text for text, changed in line.parts if changed]) for line in found] == [("-", ["1"]), ("-", []), ("+", ["3"])]


@given(st.lists(st.builds(Line, st.sampled_from(["-", "+", " ", "…"]), st.text("一次0.5mg 禁用", max_size=12)), max_size=8))
def test_no_word_is_lost_or_moved(lines: list[Line]) -> None:
    assert [(line.mark, "".join(text for text, _ in line.parts)) for line in marked(lines)] == [(line.mark, line.text) for line in lines]
