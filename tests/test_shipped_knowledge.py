"""The shipped texts keep their form, and the promises of the sketches hold on them."""

import re
from pathlib import Path

import pytest

from app.answering import ask
from app.safety import EMERGENCY
from indexer.documents import Document
from indexer.readers import read_documents
from indexer.release import Release
from indexer.terms import fold

ROOT = Path(__file__).parent.parent / "kb_data"
DRUG_SECTIONS = "药物类别 适应症 用法用量 禁忌 不良反应 注意事项 药物相互作用 特殊人群 药理作用 规格与剂型 贮藏".split()
DISEASE_SECTIONS = "概述 病因 临床表现 检查检验 诊断要点 治疗药物 其他治疗 急症信号 就诊科室 预防".split()


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return read_documents([ROOT])


def body(document: Document, title: str) -> str:
    return next(document.body(section) for section in document.sections if section.title == title)


def test_the_counts_that_the_card_promises(documents: list[Document]) -> None:
    kinds = [document.kind for document in documents]
    card = (ROOT / "README.md").read_text("utf-8")
    assert kinds.count("drug") >= 40
    assert kinds.count("disease") >= 25
    assert f"{kinds.count('drug')} 种药品" in card
    assert f"{kinds.count('disease')} 种疾病" in card


def test_every_document_has_all_its_sections_and_says_what_it_is(documents: list[Document]) -> None:
    for document in documents:
        expected = DRUG_SECTIONS if document.kind == "drug" else DISEASE_SECTIONS
        assert [section.title for section in document.sections] == expected, document.id
        assert document.source.review == "未经临床审核", document.id
        assert (document.source.publisher, document.source.licence) == ("启真项目", "CC BY 4.0"), document.id


def test_no_two_documents_share_a_name(documents: list[Document]) -> None:
    names = [name for document in documents for name in {fold(n) for n in (document.title, *document.aliases)}]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_lists_are_lists_of_whole_sentences(documents: list[Document]) -> None:
    for document in documents:
        for title in ("适应症", "用法用量", "禁忌", "不良反应", "注意事项", "药物相互作用", "特殊人群", "临床表现", "治疗药物", "急症信号"):
            lines = [line for s in document.sections if s.title == title for line in document.body(s).split("\n")]
            assert all(re.fullmatch(r"- .+。", line) for line in lines), (document.id, title, lines)


def test_an_interaction_stated_on_one_side_is_stated_on_the_other(documents: list[Document]) -> None:
    drugs = {document.title: body(document, "药物相互作用") for document in documents if document.kind == "drug"}
    longer = {name: [other for other in drugs if name in other and name != other] for name in drugs}

    def names_it(text: str, name: str) -> bool:
        for other in longer[name]:
            text = text.replace(other, "")
        return name in text

    one_sided = [(a, b) for a, text in drugs.items() for b in drugs if a != b and names_it(text, b) and not names_it(drugs[b], a)]
    assert one_sided == []


def test_every_population_is_spoken_of(documents: list[Document]) -> None:
    for document in documents:
        if document.kind == "drug":
            text = body(document, "特殊人群")
            assert all(f"- {group}：" in text for group in ("孕妇", "哺乳期妇女", "儿童", "老年人")), document.id


def test_doses_carry_units(documents: list[Document]) -> None:
    for document in documents:
        if document.kind == "drug":
            naked = re.findall(r"一次\d+(?:\.\d+)?(?:~\d+(?:\.\d+)?)?(?![\d.~])[，。；]", body(document, "用法用量"))
            assert naked == [], (document.id, naked)


@pytest.mark.parametrize(
    ("question", "status", "document"),
    [
        ("非布司他能治疗什么病？", "answered", "drug/febuxostat"),
        ("阿哌沙班的禁忌是什么？", "refused", ""),
        ("痛风的临床表现有哪些？", "answered", "disease/gout"),
        ("拜阿司匹林怎么吃", "answered", "drug/aspirin"),
        ("warfarin的禁忌", "answered", "drug/warfarin"),
        ("高血壓患者能用布洛芬嗎", "answered", "drug/ibuprofen"),
    ],
)
def test_the_sketches(shipped: Release, question: str, status: str, document: str) -> None:
    answer = ask(shipped, question)
    assert answer.status == status
    assert {citation.unit.document.id for citation in answer.citations} == ({document} if document else set())


def test_the_look_alike_sketch(shipped: Release) -> None:
    answer = ask(shipped, "氯丙那林怎么用？")
    assert answer.status == "clarify"
    assert [candidate.title for candidate in answer.candidates] == ["氯丙嗪"]
    assert answer.candidates[0].about


def test_the_two_drugs_sketch(shipped: Release) -> None:
    answer = ask(shipped, "阿司匹林和华法林能一起用吗？")
    assert {c.unit.document.title for c in answer.citations} == {"阿司匹林", "华法林"}
    assert all("华法林" in s.text or "阿司匹林" in s.text for s in answer.sentences)


def test_the_emergency_sketch(shipped: Release) -> None:
    assert ask(shipped, "胸痛两小时大汗").notices[0] == EMERGENCY


def test_unreviewed_sources_are_marked(shipped: Release) -> None:
    assert "引用的资料未经临床审核。" in ask(shipped, "非布司他的禁忌").notices
