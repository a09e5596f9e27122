from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.changes import Line, diff_lines, difference, render_change, render_dated
from indexer.documents import Document, Source, compose

OLD = compose(
    "drug/a",
    "drug",
    "甲药片",
    ["甲"],
    [("适应症", "用于头痛。"), ("用法用量", "口服。\n成人一次0.25g，一日3次。\n儿童遵医嘱。\n不宜久用。\n睡前服。"), ("贮藏", "密封。")],
    Source(publisher="药学部", revised="2025-01-01"),
)
NEW = compose(
    "drug/a",
    "drug",
    "甲药片",
    ["甲", "A"],
    [("适应症", "用于头痛。"), ("用法用量", "口服。\n成人一次0.5g，一日2次。\n儿童遵医嘱。\n不宜久用。\n睡前服。"), ("禁忌", "孕妇禁用。")],
    Source(publisher="药学部", revised="2025-06-01"),
)


def test_a_change_reads_sentence_by_sentence() -> None:
    assert render_change(difference(OLD, NEW)) == (
        "修改  drug/a  甲药片\n"
        "  别名：甲 → 甲、A\n"
        "  修订日期：2025-01-01 → 2025-06-01\n"
        "  【用法用量】\n"
        "    口服。\n"
        "  - 成人一次0.25g，一日3次。\n"
        "  + 成人一次0.5g，一日2次。\n"
        "    儿童遵医嘱。\n"
        "  …\n"
        "  【贮藏】\n"
        "  - 密封。\n"
        "  【禁忌】\n"
        "  + 孕妇禁用。\n"
    )


def test_whole_documents_are_named_only() -> None:
    assert render_change(difference(None, NEW)) == "新增  drug/a  甲药片\n"
    assert render_change(difference(OLD, None)) == "删除  drug/a  甲药片\n"
    with pytest.raises(ValueError, match="neither state"):
        difference(None, None)


def test_documents_dated_anew_are_gathered() -> None:
    dated = [
        difference(replace(OLD, id=str(n)), replace(OLD, id=str(n), source=replace(OLD.source, revised="2025-06-01"))) for n in range(5)
    ]
    assert {change.change for change in dated} == {"dated"}
    assert render_dated(dated) == "仅来源改变  0、1、2 等 5 篇\n  修订日期：2025-01-01 → 2025-06-01\n"


def test_sections_of_one_title_are_told_apart() -> None:
    old, new = (compose("a", "text", "甲", [], [("一", "甲。"), ("一", last)], Source()) for last in ("乙。", "丙。"))
    [section] = difference(old, new).sections
    assert section.lines == (Line("-", "乙。"), Line("+", "丙。"))


def test_white_space_alone_is_said() -> None:
    assert diff_lines("甲。乙。", "甲。\n乙。") == [Line("…", "（只有空白或换行不同）")]


TEXTS = st.text(alphabet="甲乙。；\n 1", max_size=40)


@given(before=TEXTS, after=TEXTS)
def test_every_sentence_that_came_or_went_is_shown(before: str, after: str) -> None:
    def sentences(text: str) -> list[str]:
        return [s.strip() for s in text.replace("。", "。\n").replace("；", "；\n").split("\n") if s.strip("。； ")]

    lines = diff_lines(before, after)
    gone, come = ({line.text.strip("。；") for line in lines if line.mark == mark} for mark in "-+")
    for text in set(sentences(before)) ^ set(sentences(after)):
        assert text.strip("。；") in gone | come


@given(text=TEXTS)
def test_the_same_text_has_no_lines_that_came_or_went(text: str) -> None:
    assert not [line for line in diff_lines(text, text) if line.mark in "-+"]


def test_a_document_is_the_same_whatever_its_source() -> None:
    other: Document = replace(OLD, source=Source())
    assert difference(OLD, other).change == "dated"
    assert difference(OLD, replace(OLD, kind="text")).change == "changed"
