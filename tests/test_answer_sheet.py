"""What is copied of an answer, by hand."""

from app.answer_sheet import AnswerSheet, SheetGroup, SheetSentence, SheetSource, html_text, plain_text, read_sheet, sheet_json, sheet_of
from app.answering import ask
from app.safety import DISCLAIMER
from indexer.release import Release

SHEET = AnswerSheet(
    question="甲药<b>怎么用？",
    first=("请核对。",),
    groups=(SheetGroup("甲药 · 用法用量", (SheetSentence("一次5~10mg，\n一日3次。", (1, 2)),)),),
    last=("引用的资料未经临床审核。", "仅供参考。"),
    choices=("乙<药>",),
    sources=(SheetSource(1, "甲药 · 用法用量 · 甲厂", "一次5~10mg"), SheetSource(2, "甲药 · 用法用量 · 乙厂", "一日3次")),
    release="20261122-1",
    record="7K3M-9QXT-2FHD",
)


def test_an_answer_is_copied_with_marks_sources_release_and_disclaimer() -> None:
    assert plain_text(SHEET) == (
        "请核对。\n\n甲药 · 用法用量\n一次5~10mg， 一日3次。[1][2]\n\n引用的资料未经临床审核。\n1. 乙<药>\n\n"
        "来源\n[1] 甲药 · 用法用量 · 甲厂\n[2] 甲药 · 用法用量 · 乙厂\n\n知识库版本 20261122-1 · 记录编号 7K3M-9QXT-2FHD\n仅供参考。"
    )


def test_as_html_nothing_in_it_is_markup() -> None:
    html = html_text(SHEET)
    assert "<li>乙&lt;药&gt;</li>" in html
    assert "<br>[2] 甲药 · 用法用量 · 乙厂</p>" in html
    assert html.endswith("<p>知识库版本 20261122-1 · 记录编号 7K3M-9QXT-2FHD<br>仅供参考。</p>")


def test_the_sheet_of_an_answer_names_publisher_date_and_quote(sample: Release) -> None:
    sheet = sheet_of(ask(sample, "头孢克洛的禁忌是什么？"), "")
    assert sheet.groups[0].heading == "头孢克洛胶囊 · 禁忌"
    assert sheet.sources[0] == SheetSource(1, "头孢克洛胶囊 · 禁忌 · 甲药厂 · 2025-01-02", "对头孢菌素过敏者禁用。")
    assert sheet.last[-1] == DISCLAIMER
    assert sheet.origin == f"知识库版本 {sample.id}"


def test_a_refusal_is_copied_too(sample: Release) -> None:
    copied = plain_text(sheet_of(ask(sample, "阿哌沙班的禁忌是什么？"), ""))
    assert "没有收录“阿哌沙班”" in copied
    assert "来源" not in copied


def test_what_was_kept_is_read_back_and_what_is_no_sheet_is_none() -> None:
    assert read_sheet(sheet_json(SHEET)) == SHEET
    assert read_sheet({"question": "x"}) is None
    assert read_sheet(None) is None
    assert read_sheet({**sheet_json(SHEET), "sources": [{"number": "x", "label": 1, "quote": []}]}) is None
