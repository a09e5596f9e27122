from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.answering import ask
from app.layout import leading
from app.question import Turn
from indexer.build import build_release
from indexer.release import Release, open_release


def asked(release: Release, question: str, *earlier: str) -> str:
    return "\n".join(sentence.text for sentence in ask(release, question, [Turn("user", turn) for turn in earlier]).sentences)


@pytest.mark.parametrize(
    ("question", "earlier", "surfaced"),
    [
        ("我怀孕了，头孢克洛能治什么病", [], "孕妇禁用。"),
        ("头孢克洛能治什么病", ["我怀孕了"], "孕妇禁用。"),
        ("头孢克洛怎么保存", ["我对头孢过敏"], "对头孢菌素过敏者禁用。"),
        ("阿司匹林能治什么", ["我在吃华法林"], "华法林：合用增加出血风险，应避免。"),
        ("阿司匹林能治什么", ["我有痛风"], "痛风患者禁用。"),
        ("阿司匹林和华法林有什么区别", [], "阿司匹林合用应避免。"),
        ("阿司匹林和华法林怎么吃", [], "阿司匹林合用应避免。"),
    ],
)
def test_warnings_that_the_question_touches_come_unasked(sample: Release, question: str, earlier: list[str], surfaced: str) -> None:
    assert surfaced in asked(sample, question, *earlier)


@pytest.mark.parametrize(
    ("question", "earlier"),
    [("头孢克洛能治什么病", []), ("我没怀孕，头孢克洛能治什么病", []), ("头孢克洛能治什么病", ["我怀孕了", "那我爸呢，他50岁"])],
)
def test_warnings_for_others_do_not(sample: Release, question: str, earlier: list[str]) -> None:
    assert "孕妇禁用" not in asked(sample, question, *earlier)


def test_what_forbids_a_dose_stands_before_it(shipped: Release) -> None:
    text = asked(shipped, "青霉素过敏，阿莫西林怎么吃")
    assert text.startswith("对阿莫西林、青霉素或其他青霉素类药物过敏者禁用。")


@pytest.mark.parametrize(
    ("question", "surfaced"),
    [
        ("孩子16个月，洛哌丁胺有什么不良反应", "2岁以下婴幼儿禁用。"),
        ("eGFR 38，二甲双胍治什么", "eGFR低于45mL/(min·1.73m²)的肾功能不全患者禁用。"),
    ],
)
def test_a_contraindication_that_names_a_span_is_compared_with_the_number_told(shipped: Release, question: str, surfaced: str) -> None:
    assert surfaced in asked(shipped, question)


@pytest.mark.parametrize(
    ("question", "shown", "never"),
    [
        ("肌酐清除率20，头孢克肟怎么吃", "50%", "75%"),
        ("肌酐清除率40，头孢克肟怎么吃", "75%", "50%"),
        ("eGFR 95，二甲双胍怎么吃", "一次500mg", "eGFR为30"),
        ("孩子25公斤，8岁，头孢克肟怎么吃", "体重30kg以下", "成人敏感菌感染"),
    ],
)
def test_a_dose_holds_the_number_told(shipped: Release, question: str, shown: str, never: str) -> None:
    text = asked(shipped, question)
    assert shown in text
    assert never not in text


@pytest.mark.parametrize(("age", "answered"), [("34", True), ("5", False)])
def test_what_a_label_says_of_nobody_is_for_adults(sample: Release, age: str, answered: bool) -> None:
    assert (ask(sample, f"我{age}岁，逍遥丸怎么吃").status == "answered") is answered


def test_three_drugs_are_checked_pairwise(shipped: Release) -> None:
    text = asked(shipped, "阿司匹林、布洛芬和华法林一起吃行吗")
    for words in ("布洛芬可能妨碍小剂量阿司匹林", "合用使出血尤其消化道出血风险增加", "合用出血风险明显增加"):
        assert words in text


def test_a_drug_whose_name_holds_the_others_is_not_taken_for_it(shipped: Release) -> None:
    lines = asked(shipped, "泼尼松和呋塞米能一起吃吗").split("\n")
    assert lines
    assert all("泼尼松" in line.replace("泼尼松龙", "") or "呋塞米" in line or "利尿" in line for line in lines)


def label(number: int, revised: str, sections: dict[str, str]) -> dict[str, Any]:
    return {
        "id": f"x{number}",
        "kind": "drug",
        "title": "某某片",
        "sections": [{"title": title, "text": text} for title, text in sections.items()],
        "source": {"publisher": f"药厂{number}", "revised": revised},
    }


@pytest.mark.parametrize(
    ("older", "newer", "disagree"),
    [
        ("成人：一次5mg，一日1次。", "成人：一次10mg，一日1次。", True),
        ("成人：一次5mg，一日1次。", "成人：一次5mg，一日3次。", True),
        ("孕妇禁用。", "孕妇慎用。", True),
        ("成人：一次5mg，一日1次。", "成人口服一次5mg，每日1次。", False),
        ("成人：一次5mg，一日1次。", "儿童：一次2mg/kg，分3次服用。", False),
    ],
)
def test_sources_disagree_by_what_they_say_not_by_how(
    write_lines: Callable[..., Path], tmp_path: Path, older: str, newer: str, disagree: bool
) -> None:
    rows = [label(1, "2023-01-01", {"用法用量": older}), label(2, "2025-01-01", {"用法用量": newer})]
    build_release(tmp_path / "index", [write_lines(rows)])
    answer = ask(open_release(tmp_path / "index"), "某某片怎么吃")
    assert [sentence.text for sentence in answer.sentences] == [newer, older]
    notice = "资料不一致，请核对原文：药厂2（2025-01-01）；药厂1（2023-01-01）。"
    assert (notice in answer.notices) is disagree
    assert (notice in leading(answer.notices)[0]) is disagree  # it stands above the sentences
