import re

from hypothesis import given
from hypothesis import strategies as st

from app.answering import Found, Said, ask, ask_by_sentence
from app.generators import Draft
from app.layout import SUPERSEDED, escape, groups, leading, message_pieces, panel, source_rows, unfinished_message
from app.safety import EMERGENCY
from indexer.release import Release


@given(st.text(max_size=80))
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    assert re.sub(r"\\(.)", r"\1", escape(text)) == text.replace("\n", " ")


def test_what_markdown_would_change_is_escaped() -> None:
    assert escape("5~10mg~20mg *重要* <b>_x_") == r"5\~10mg\~20mg \*重要\* \<b\>\_x\_"


def test_a_message_names_its_source_and_marks_every_sentence(sample: Release) -> None:
    message = "".join(message_pieces(ask(sample, "头孢克洛能治什么病")))
    assert message == (
        "**头孢克洛胶囊 · 适应症**\n\n- 中耳炎。 [\\[1\\]](#cite-1)\n- 下呼吸道感染，包括肺炎。 [\\[2\\]](#cite-2)\n"
        "- 尿路感染。 [\\[3\\]](#cite-3)\n\n勿与“头孢克肟胶囊”混淆。\n\n仅供专业人员参考，不能替代诊疗决策。"
    )


def test_an_emergency_is_the_first_line(sample: Release) -> None:
    assert next(message_pieces(ask(sample, "突然昏迷怎么办"))) == f"> **{EMERGENCY}**\n\n"


def test_an_unfinished_message_says_what_is_happening_and_what_is_checked(sample: Release) -> None:
    found = Found(11.6, 3, (EMERGENCY,))
    working = r"*检索 12 毫秒 · 找到 3 段 · 正在组织语言*"
    assert unfinished_message(found, []) == f"> **{EMERGENCY}**\n\n{working}"
    said = [step for step in ask_by_sentence(sample, "头孢克洛能治什么病") if isinstance(step, Said)]
    assert unfinished_message(Found(11.6, 3, ()), said[:1]) == f"**头孢克洛胶囊 · 适应症**\n\n中耳炎。 [\\[1\\]](#cite-1)\n\n{working}"


class Silent:
    name = "silent"

    def draft(self, question: str, evidence: object) -> list[Draft]:
        return []


def test_that_the_model_said_nothing_stands_before_the_quotes(sample: Release) -> None:
    answer = ask(sample, "头孢克洛能治什么病", generator=Silent())  # type: ignore[arg-type]
    notice = "模型的说法没有通过核对，以下为原文摘录。"
    assert leading(answer.notices)[0] == [notice]
    message = "".join(message_pieces(answer))
    assert message.startswith(f"> **{notice}**\n\n**头孢克洛胶囊")
    assert message.count(notice) == 1


def test_sentences_are_grouped_by_document_and_section(sample: Release) -> None:
    answer = ask(sample, "阿司匹林和华法林能一起吃吗")
    assert [(g.title, g.section, len(g.sentences)) for g in groups(answer.sentences, answer.citations)] == [
        ("阿司匹林", "药物相互作用", 1),
        ("华法林钠片", "药物相互作用", 1),
    ]


def test_a_source_row_holds_the_places_of_its_citations(sample: Release) -> None:
    answer = ask(sample, "头孢克洛能治什么病")
    [row] = source_rows(answer)
    assert row["label"] == "头孢克洛胶囊 · 适应症 · 甲药厂 · 2025-01-02"
    unit = answer.citations[0].unit
    assert row["citations"][0] == {"number": 1, "release": sample.id, "document": "drug/a", "start": unit.start, "end": unit.end}


def test_the_panel_cuts_the_text_at_the_cited_words(sample: Release) -> None:
    document = sample.document("drug/a")
    assert document is not None
    section = document.sections[0]
    shown = panel(sample, document, section.start + 2, section.start + 6, whole=False)
    assert shown is not None
    assert shown["sections"] == [
        {"title": "适应症", "before": "1、", "cited": "中耳炎。", "after": "2、下呼吸道感染，包括肺炎。3、尿路感染。"}
    ]
    assert ["修订日期", "2025-01-02"] in shown["facts"]
    assert ["知识库版本", sample.id] in shown["facts"]
    assert shown["page"] == "/drugs/drug/a"
    whole = panel(sample, document, section.start + 2, section.start + 6, whole=True)
    assert whole is not None
    assert [part["cited"] for part in whole["sections"]] == ["中耳炎。", "", "", "", ""]


def test_only_a_drug_has_a_page(sample: Release) -> None:
    disease = sample.document("disease/g")
    assert disease is not None
    shown = panel(sample, disease, disease.sections[0].start, disease.sections[0].end, whole=False)
    assert shown is not None
    assert shown["page"] == ""


def test_a_drug_that_was_withdrawn_has_no_page(sample: Release) -> None:
    document = sample.document("drug/a")
    assert document is not None
    start, end = document.sections[0].start, document.sections[0].end
    pages = {told: panel(sample, document, start, end, whole=False, superseded=told) for told in SUPERSEDED.values()}
    assert [shown and shown["page"] for shown in pages.values()] == ["/drugs/drug/a", ""]


def test_a_place_across_sections_or_backwards_opens_nothing(sample: Release) -> None:
    document = sample.document("drug/a")
    assert document is not None
    assert panel(sample, document, 0, len(document.text), whole=False) is None
    assert panel(sample, document, 9, 9, whole=False) is None
    assert panel(sample, document, -5, 9, whole=False) is None
