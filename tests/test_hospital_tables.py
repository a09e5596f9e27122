"""Layouts made to mislead a reader of tables, each with its truth: whatever pair of a group and a dose is read must be true."""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from indexer.readers import Reading, read_knowledge
from indexer.sentences import sentence_spans
from indexer.tables import bound_rows

TRUE = {"成人": {"10mg", "20mg"}, "儿童": {"5mg", "15mg"}}  # first and greatest dose
GRID = (("人群", "起始剂量", "最大剂量"), ("成人", "10mg", "20mg"), ("儿童", "5mg", "15mg"))
TURNED = (("项目", "成人", "儿童"), ("起始剂量", "10mg", "5mg"), ("最大剂量", "20mg", "15mg"))
PROSE = "本品为测试用药品的说明文字，应当在医师指导下使用，不得自行增减，不得随意停用。"

Put = tuple[float, float, str]
Rule = tuple[float, float, float]  # from, to, height


def pdf(*pages: Sequence[Put], size: int = 10, turn: int = 0, rules: Sequence[Rule] = ()) -> bytes:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(595, 842), invariant=True)
    for page in pages:
        canvas.setFont("STSong-Light", size)
        for left, top, text in page:
            canvas.saveState()
            canvas.translate(left, top)
            canvas.rotate(turn)
            canvas.drawString(0, 0, text)
            canvas.restoreState()
        for left, right, height in rules:
            canvas.line(left, height, right, height)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def table(grid: Sequence[Sequence[str]], left: float = 50, top: float = 700, step: float = 100, pitch: float = 15) -> list[Put]:
    return [(left + step * x, top - pitch * y, cell) for y, row in enumerate(grid) for x, cell in enumerate(row) if cell]


def column(left: float, heading: str, top: float = 780, rows: int = 8) -> list[Put]:
    words = PROSE * 6
    return [(left, top, f"【{heading}】"), *((left, top - 15 * (n + 1), words[n * 20 : n * 20 + 20]) for n in range(rows))]


def columns(left: str = "用法用量", right: str = "禁忌", top: float = 780) -> list[Put]:
    return [*column(50, left, top), *column(310, right, top)]


def word(grid: Sequence[Sequence[str]], *merges: tuple[int, int, int, int]) -> bytes:
    target = io.BytesIO()
    document = docx.Document()
    document.add_heading("用法用量", 1)
    document.add_paragraph(PROSE)
    held = document.add_table(len(grid), len(grid[0]))
    for y, row in enumerate(grid):
        for x, cell in enumerate(row):
            held.cell(y, x).text = cell
    for y, x, to_y, to_x in merges:
        held.cell(y, x).merge(held.cell(to_y, to_x))
    document.save(target)
    return target.getvalue()


def page(inner: str) -> bytes:
    return f"<html><body><h1>用法用量</h1><p>{PROSE}</p><table>{inner}</table></body></html>".encode()


def html(grid: Sequence[Sequence[str]]) -> bytes:
    return page("".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in grid))


def ruled(grid: Sequence[Sequence[str]], left: float = 50, step: float = 100, pitch: float = 15) -> bytes:
    """A table with lines over, between and under its rows."""
    rules = [(left - 5, left - 5 + step * len(grid[0]), 700 - pitch * y + pitch - (pitch - 6) / 2) for y in range(len(grid) + 1)]
    return pdf([*HEAD, *table(grid, left=left, step=step, pitch=pitch)], rules=rules)


# Every cell on two lines, as far apart as rows are.
EVEN = (
    ("人群", "起始剂量", "最大剂量"),
    ("成人", "10mg", "20mg"),
    ("体重不限者", "一日一次", "一日两次"),
    ("儿童", "5mg", "15mg"),
    ("六岁以上者", "一日一次", "一日两次"),
)
SPLIT_HEADS = (
    ("人群", "起始剂量", "最大剂量"),
    ("成人", "10mg", "20mg"),
    ("肾功能不", "减为一次", "减为一次"),
    ("全的儿童", "5mg", "15mg"),
)
# A group's name and its doses on two lines each: 5mg is no dose of children whose liver is sound.
DOUBLE = (
    ("人群", "起始剂量", "最大剂量"),
    ("肝功能不全的", "首日1mg", "首日2mg"),
    ("儿童", "以后3mg", "以后4mg"),
    ("肝功能正常的", "首日6mg", "首日7mg"),
    ("成人", "以后8mg", "以后9mg"),
)
PARTED = [(45, 345, 695), (145, 345, 680), (45, 345, 665), (145, 345, 650)]
FRAMED = [(left, left + 100, height) for left in (45, 145, 245) for height in (710, 695, 680, 665)]
UNDERLINED = [(50 + 100 * x, 110.5 + 100 * x, 698.5 - 15 * y) for x in range(3) for y in range(5)]
TWO_TABLES = (*GRID, ("项目", "儿童", "成人"), ("起始剂量", "5mg", "10mg"))
STOPPED = (("人群", "起始剂量", "最大剂量"), ("成人", "10mg。饭后服！", "20mg；分两次"), ("儿童", "5mg。连用3天。", "15mg"))
FORBIDDEN = (("人群", "起始剂量", "最大剂量"), ("成人", "10mg", "20mg"), ("孕妇", "禁用", "禁用"), ("儿童", "5mg", "15mg"))
HALVES = (("人群", "起始剂量", "最大剂量"), ("成人", "10mg", "20mg"), ("儿童", "", ""), ("", "5mg", "15mg"))
GAP = (("人群", "起始剂量", "最大剂量"), ("成人", "10mg", ""), ("儿童", "5mg", "15mg"))
HEAD = [(50.0, 780.0, "【用法用量】"), (50.0, 765.0, "按下表用药。")]
LAYOUTS: dict[str, tuple[str, bytes]] = {
    "plain": ("pdf", ruled(GRID)),
    "turned": ("pdf", ruled(TURNED)),
    "narrow": ("pdf", ruled(GRID, step=70)),
    "wide": ("pdf", ruled(GRID, step=180)),
    "tall rows": ("pdf", pdf([*HEAD, *table(GRID, pitch=40)])),
    "close rows": ("pdf", ruled(GRID, pitch=11)),
    "no head": ("pdf", pdf([*HEAD, *table(GRID[1:])])),
    "no row head": ("pdf", pdf([*HEAD, *table((("成人", "儿童"), ("10mg", "5mg"), ("20mg", "15mg")))])),
    "empty cell": ("pdf", pdf([*HEAD, *table(GAP)])),
    "two-line cell": ("pdf", pdf([*HEAD, *table(HALVES)])),
    "row head of two lines": ("pdf", pdf([*HEAD, *table(GRID), (50, 655, "（6～12岁）")])),
    "under columns": ("pdf", pdf([*columns(), *table(GRID, top=600)])),
    "between columns": ("pdf", pdf([*columns(), *table(GRID, top=600), *columns("不良反应", "注意事项", 530)])),
    "in the left column": ("pdf", pdf([*columns(), *table(GRID, top=620, step=70), *column(310, "孕妇", 640)])),
    "in the right column": ("pdf", pdf([*columns(), *table(GRID, left=310, top=620, step=70)])),
    "tables side by side": ("pdf", pdf([*HEAD, *table(GRID[:2], step=80), *table((GRID[0], GRID[2]), left=310, step=80)])),
    "over a page": ("pdf", pdf([*HEAD, *table(GRID[:2], top=80)], table(GRID[2:], top=780))),
    "over a page, head alone": ("pdf", pdf([*HEAD, *table(GRID[:1], top=80)], table(GRID[1:], top=780))),
    "shifted cells": ("pdf", pdf([*HEAD, *table(GRID[:1]), *table(GRID[1:], left=95, top=685)])),
    "turned by 90": ("pdf", pdf([*HEAD, *table(GRID)], turn=90)),
    "even cells of two lines": ("pdf", pdf([*HEAD, *table(EVEN)])),
    "even cells of two lines, ruled": ("pdf", pdf([*HEAD, *table(EVEN)], rules=[(45, 345, height) for height in (711, 695, 665, 635)])),
    "doses on every line": ("pdf", pdf([*HEAD, *table(DOUBLE)])),
    "doses on every line, ruled": ("pdf", pdf([*HEAD, *table(DOUBLE)], rules=[(45, 345, height) for height in (711, 695, 665, 635)])),
    "a line beside a group name of two lines": ("pdf", pdf([*HEAD, *table(DOUBLE)], rules=PARTED)),
    "plain, without lines": ("pdf", pdf([*HEAD, *table(GRID)])),
    "plain, framed cells": ("pdf", pdf([*HEAD, *table(GRID)], rules=FRAMED)),
    "group names of two lines": ("pdf", pdf([*HEAD, *table(SPLIT_HEADS)])),
    "plain, stops in cells": ("pdf", ruled(STOPPED)),
    "plain, forbidden": ("pdf", ruled(FORBIDDEN)),
    "a second table below": ("pdf", pdf([*HEAD, *table(TWO_TABLES)])),
    "a second table in the same lines": ("pdf", ruled(TWO_TABLES)),
    "doses on every line, underlined": ("pdf", pdf([*HEAD, *table(DOUBLE)], rules=UNDERLINED)),
    "over columns of the page before": ("pdf", pdf(columns(), table(GRID, top=780))),
    "paragraph over columns of the page before": ("pdf", pdf(columns(), [(50, 780, "成人一次15mg，" + PROSE[:20]), (50, 765, PROSE)])),
    "docx plain, stops in cells": ("docx", word(STOPPED)),
    "html plain, stops in cells": ("html", html(STOPPED)),
    "note below": ("pdf", pdf([*HEAD, *table(GRID), (50, 640, "注：15mg为极量。")])),
    "docx plain": ("docx", word(GRID)),
    "docx turned": ("docx", word(TURNED)),
    "docx no head": ("docx", word(GRID[1:])),
    "docx merged row heads": (
        "docx",
        word((("人群", "项", "剂量"), ("成人", "起始", "10mg"), ("", "最大", "20mg"), ("儿童", "起始", "5mg")), (1, 0, 2, 0)),
    ),
    "docx merged heads": (
        "docx",
        word((("项目", "成人", ""), ("项目", "起始", "最大"), ("剂量", "10mg", "20mg")), (0, 1, 0, 2), (0, 0, 1, 0)),
    ),
    "docx merged across": ("docx", word((*GRID[:2], ("儿童", "", ""), ("一日", "5mg", "15mg")), (2, 0, 2, 2))),
    "html plain": ("html", html(GRID)),
    "html turned": ("html", html(TURNED)),
    "html rowspan": (
        "html",
        page(
            "<tr><th>人群<th>项<th>剂量<tr><td rowspan=2>成人<td>起始<td>10mg<tr><td>最大<td>20mg"
            "<tr><td rowspan=2>儿童<td>起始<td>5mg<tr><td>最大<td>15mg"
        ),
    ),
    "html colspan": (
        "html",
        page(
            "<tr><th rowspan=2>项目<th colspan=2>成人<th colspan=2>儿童"
            "<tr><th>起始<th>最大<th>起始<th>最大<tr><td>剂量<td>10mg<td>20mg<td>5mg<td>15mg"
        ),
    ),
    "html ragged": ("html", page("<tr><th>人群<th>起始<th>最大<tr><td>成人<td>10mg<tr><td>儿童<td>5mg<td>15mg")),
    "html in a table": ("html", page("<tr><td><table><tr><td>成人<td>儿童<tr><td>10mg<td>5mg</table><td>儿童")),
    "html span of nonsense": ("html", page("<tr><th>人群<th rowspan=9>剂量<tr><td>成人<td>10mg")),
}
WHOLE = {
    name for name in LAYOUTS if re.search("plain|turned$|narrow|^wide|rowspan|colspan|merged (row )?heads", name) and "without" not in name
}


def reading_of(folder: Path, name: str) -> Reading:
    kind, data = LAYOUTS[name]
    path = folder / f"x.{kind}"
    path.write_bytes(data)
    return read_knowledge([path])


def pairs(line: str) -> set[tuple[str, str]]:
    """(group, dose) of a bound line; a dose belongs to the group of its own column head, or to that of its row."""
    row, _, rest = line.removeprefix("按下表用药：").partition("：")
    found = set()
    for value in rest.split("，"):
        groups = [group for group in TRUE if group in value] or [group for group in TRUE if group in row] or [""]
        found |= {(group, dose) for group in groups for dose in re.findall(r"\d+mg", value)}
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_dose_is_read_for_a_group_that_it_is_not_for(tmp_path: Path, name: str) -> None:
    reading = reading_of(tmp_path, name)
    read: set[tuple[str, str]] = set()
    for document in reading.documents:
        for section in document.sections:
            lines = [line for line in document.body(section).splitlines() if not line.startswith("注")]
            read |= {pair for line in lines for pair in pairs(line)}
            assert section.title == "用法用量" or not re.search(r"\d+mg", document.body(section))
    assert {(group, dose) for group, dose in read if dose not in TRUE.get(group, ())} == set()
    assert bool(read) == (name in WHOLE)
    assert read or reading.warnings or reading.faults


BROKEN: dict[str, Callable[[], bytes]] = {
    "in a row": lambda: pdf([(50, 780, "【用法用量】"), (50, 765, PROSE[:20] + "一次1"), (50, 750, "0mg，一日一次。")]),
    "unit": lambda: pdf([(50, 780, "【用法用量】"), (50, 765, PROSE[:20] + "一次1"), (50, 750, "mg，一日一次。")]),
    "over a page": lambda: pdf([(50, 780, "【用法用量】"), (50, 40, "一次1")], [(50, 780, "0mg，一日一次。")]),
    "over columns": lambda: pdf([*columns()[:9], (50, 645, "一次1"), (310, 780, "0mg，一日一次。"), *columns()[10:]]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_number_broken_by_a_line_a_column_or_a_page_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.pdf").write_bytes(BROKEN[name]())
    reading = read_knowledge([tmp_path / "x.pdf"])
    assert not any(re.search(r"\d", document.text) for document in reading.documents)
    assert reading.warnings


def test_a_raised_digit_is_no_digit_of_the_number_before(tmp_path: Path) -> None:
    target = io.BytesIO()
    canvas = Canvas(target)
    left = 50.0
    for size, top, text in ((10, 700, "Indications: below 1.0 x 10"), (6, 704, "9"), (10, 700, "/L of cells")):
        canvas.setFont("Helvetica", size)
        canvas.drawString(left, top, text)
        left += canvas.stringWidth(text, "Helvetica", size)
    canvas.save()
    (tmp_path / "x.pdf").write_bytes(target.getvalue())
    [document] = read_knowledge([tmp_path / "x.pdf"]).documents
    assert "10⁹" in document.text


def test_several_drugs_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    drug = [("甲", "10mg"), ("乙", "40mg")]
    puts = [
        (50.0, 780.0 - 100 * n - 18 * m, text)
        for n, (name, dose) in enumerate(drug)
        for m, text in enumerate(("【药品名称】", f"通用名称：{name}普利片", "【用法用量】", f"一次{dose}。"))
    ]
    (tmp_path / "x.pdf").write_bytes(pdf(puts))
    reading = read_knowledge([tmp_path / "x.pdf"])
    assert reading.documents == ()
    assert [fault.message for fault in reading.faults] == [
        "像是一个文件里有几种药品（乙普利片、甲普利片），分不清各节属于哪一种，没有收录：请一种药品一个文件"
    ]


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    groups=st.lists(
        st.sampled_from(["成人", "儿童", "老年人", "孕妇", "轻度肾功能不全者", "透析患者"]), min_size=1, max_size=5, unique=True
    ),
    heads=st.lists(st.sampled_from(["起始剂量", "最大剂量", "维持剂量", "频次"]), min_size=1, max_size=3, unique=True),
)
def test_every_value_stands_under_its_own_heads(data: st.DataObject, groups: list[str], heads: list[str]) -> None:
    """Through the rows of a table as every format gives them."""
    values = {(group, head): data.draw(st.integers(1, 900)) for group in groups for head in heads}
    stop = data.draw(st.sampled_from(["", "。", "；睡前服", "。饭后服。"]))
    rows = bound_rows([["人群", *heads], *([group, *(f"{values[group, head]}mg{stop}" for head in heads)] for group in groups)])
    assert rows is not None
    for group, line in zip(groups, rows, strict=True):
        assert len(sentence_spans(line)) == 1
        assert line.startswith(f"{group}：")
        told = re.findall(r"(起始剂量|最大剂量|维持剂量|频次) (\d+)mg", line)
        assert told == [(head, str(values[group, head])) for head in heads]


@pytest.mark.parametrize(
    ("above", "lead"),
    [
        ("肾功能不全者：", "肾功能不全者："),
        ("肾功能不全者的剂量", "肾功能不全者的剂量："),
        ("本品口服。肾功能不全者按下表用药。", "肾功能不全者按下表用药："),
        ("本品口服，一日一次。", ""),
    ],
)
def test_rows_carry_what_stands_right_above_their_table(tmp_path: Path, above: str, lead: str) -> None:
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in GRID)
    (tmp_path / "x.html").write_text(
        f"<html><h1>用法用量</h1><p>{above}</p><table>{rows}</table><p>另见说明。</p><table>{rows}</table></html>", "utf-8"
    )
    [document] = read_knowledge([tmp_path]).documents
    lines = document.body(document.sections[0]).splitlines()
    assert lines == [
        above,
        f"{lead}成人：起始剂量 10mg，最大剂量 20mg。",
        f"{lead}儿童：起始剂量 5mg，最大剂量 15mg。",
        "另见说明。",
        "成人：起始剂量 10mg，最大剂量 20mg。",
        "儿童：起始剂量 5mg，最大剂量 15mg。",
    ]


def test_a_heading_is_no_caption(tmp_path: Path) -> None:
    (tmp_path / "x.docx").write_bytes(word(GRID))
    [document] = read_knowledge([tmp_path]).documents
    assert "用法用量：成人" not in document.text
