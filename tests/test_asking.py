import json
import random
import re
import sys
from pathlib import Path

import pytest

from app.answering import ask
from finetune.asking import Asking, Template, load_asking
from finetune.facts import Fact, Shares, read_knowledge
from indexer.names import NamedDocument, NameIndex
from indexer.readers import read_documents
from indexer.release import Release
from indexer.sections import SectionGuide, guide_text, load_guide
from indexer.terms import bare, fold

ROOT = Path(__file__).parent.parent
MATTER = {
    "drug": "适应症 用法用量 禁忌 不良反应 注意事项 药物相互作用 特殊人群 药理作用 规格与剂型 药物类别 贮藏 成分 孕妇 儿童".split(),
    "disease": [
        *"概述 病因 临床表现 检查检验 诊断要点 治疗药物 其他治疗 治疗方法".split(),
        *"急症信号 就诊科室 预防 并发症 好发人群 传染性 治疗周期 治愈率".split(),
    ],
}


@pytest.fixture(scope="module")
def asking() -> Asking:
    return load_asking()


@pytest.fixture(scope="module")
def guide() -> SectionGuide:
    return load_guide(guide_text())


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in MATTER.items() for field in fields])
def test_a_field_that_matters_is_asked_for_in_many_ways_and_some_are_held_out(asking: Asking, kind: str, field: str) -> None:
    form = asking.forms[kind, field]
    assert len(form.ask) >= 12
    assert {template.split for template in form.held_out} == {"test", "dev"}
    assert {template.split for template in form.ask} == {"train"}
    assert form.follow


def test_no_template_stands_twice_and_what_is_held_out_is_nowhere_else(asking: Asking) -> None:
    for form in asking.forms.values():
        texts = [template.text for template in (*form.ask, *form.held_out)]
        assert len(set(texts)) == len(texts), form.field


def test_the_original_evaluation_s_question_is_held_out_for_the_test(asking: Asking) -> None:
    (literal,) = (template for template in asking.forms["drug", "适应症"].held_out if template.text == "{名}的适应病症")
    assert literal.split == "test"
    assert literal.id in asking.held_out_ids()
    assert asking.fill(literal, "非布司他片", "适应症", random.Random(1)) == "非布司他片的适应病症"


def test_fields_are_canonical_sections(asking: Asking, guide: SectionGuide) -> None:
    names = {(kind, section.name) for section in guide.sections for kind in section.kinds}
    names |= {("drug", population.name) for population in guide.populations}
    assert {key for key in asking.forms if key[1] != "*"} <= names


def test_every_slot_is_filled(asking: Asking) -> None:
    dice = random.Random(4)
    for form in asking.forms.values():
        for template in (*form.ask, *form.held_out, *form.follow):
            assert not re.search(r"[{}]", asking.fill(template, "某药", "某章节", dice)), template


def test_a_name_is_never_misspelt(asking: Asking) -> None:
    name = "禁忌症状治疗检查片"  # made of nothing but words that slips are made in
    dice = random.Random(5)
    for _ in range(3000):
        assert name in asking.roughen(f"{name}的禁忌有哪些症状？", name, dice)


def test_some_questions_are_roughened_and_most_are_not(asking: Asking) -> None:
    dice = random.Random(6)
    asked = [asking.roughen("某药的禁忌有哪些？", "某药", dice) for _ in range(2000)]
    assert 0.4 < sum(question == "某药的禁忌有哪些？" for question in asked) / 2000 < 0.7
    assert any(question.startswith("请问") for question in asked)
    assert any("禁祭" in question for question in asked)


def _pattern(asking: Asking, template: Template, headings: tuple[str, ...]) -> re.Pattern[str]:
    """What a template can become, its name as X, without punctuation."""
    slots = {**asking.slots, "名": ("x",), "章节": headings}
    parts = re.split(r"\{([^}]+)\}", template.text)
    written = ["|".join(re.escape(bare(word)) for word in slots[part]) if n % 2 else re.escape(bare(part)) for n, part in enumerate(parts)]
    return re.compile("".join(f"(?:{part})" for part in written))


def _evaluated() -> set[str]:
    """Questions by which answers are measured, their one name as X."""
    sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
    import answers

    forms = [text for table in (answers.DRUG_QUESTIONS, answers.DISEASE_QUESTIONS) for texts in table.values() for text in texts]
    documents = read_documents([ROOT / "kb_data"])
    names = NameIndex([NamedDocument(n, d.kind, d.title, d.aliases) for n, d in enumerate(documents)], load_guide(guide_text()).words)
    asked = {bare(text.replace("{}", "x")) for text in forms}
    for line in (ROOT / "kb_data" / "questions" / "dev.jsonl").read_text("utf-8").splitlines():
        question = fold(json.loads(line)["question"])
        mentions = names.mentions(question)
        if len(mentions) == 1:
            asked.add(bare(f"{question[: mentions[0].start]}x{question[mentions[0].end :]}"))
    return asked


def test_no_template_is_one_that_answers_are_measured_by(asking: Asking, guide: SectionGuide) -> None:
    evaluated = _evaluated()
    assert len(evaluated) > 100
    found = []
    for form in asking.forms.values():
        section = guide.named(form.field)
        headings = (section.name, *section.titles) if section else ("某章节",)
        for template in (*form.ask, *form.held_out):
            pattern = _pattern(asking, template, headings)
            found += [(template.id, question) for question in evaluated if pattern.fullmatch(question)]
    assert found == []


@pytest.mark.slow
def test_what_models_are_taught_to_be_asked_is_understood_without_them(asking: Asking, shipped: Release) -> None:
    """Every form with two entities; before the cues were made for them 13 % found nothing or another section."""
    knowledge, _, _ = read_knowledge((ROOT / "kb_data",), Shares())
    dice = random.Random(5)
    fields: dict[tuple[str, str], list[Fact]] = {}
    for fact in knowledge.facts:
        if fact.names:
            fields.setdefault((knowledge.document(fact).kind, fact.field), []).append(fact)
    missed, count = [], 0
    for (kind, field), facts in fields.items():
        form = asking.form(kind, field)
        for template in (*form.ask, *form.held_out):
            for fact in dice.sample(facts, 2):
                question = asking.fill(template, fact.names[0], fact.section.title, dice)
                units = [citation.unit for citation in ask(shipped, question).citations]
                right = [unit for unit in units if unit.document.id == knowledge.document(fact).id]
                count += 1
                if not any(unit.start < fact.section.end and fact.section.start < unit.end for unit in right):
                    missed.append(question)
    assert len(missed) < 0.03 * count, missed
