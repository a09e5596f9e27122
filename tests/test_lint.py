from pathlib import Path

import pytest

from indexer.documents import Document, Source, compose
from indexer.lint import LintRules, lint, load_rules
from indexer.readers import read_documents

RULES = LintRules(
    ("适应症", "用法用量", "药物相互作用", "特殊人群"),
    ("概述",),
    ("适应症",),
    ("孕妇",),
    "用法用量",
    "药物相互作用",
    "特殊人群",
    "（未收录）",
)


def drug(name: str, *aliases: str, **changed: str) -> Document:
    parts = {
        "适应症": "- 头痛。",
        "用法用量": "- 成人：口服，一次10mg，一日3次。",
        "药物相互作用": "- 无。",
        "特殊人群": "- 孕妇：禁用。",
    } | changed
    return compose(f"drug/{name}", "drug", name, aliases, [(title, text) for title, text in parts.items() if text], Source())


def remarks(*documents: Document) -> list[str]:
    return [str(remark) for remark in lint(documents, RULES)]


def test_a_careful_text_has_no_remark() -> None:
    assert remarks(drug("甲"), drug("乙")) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"适应症": ""}, "drug/甲: 适应症: 缺少这一节"),
        ({"适应症": "头痛、发热。"}, "drug/甲: 适应症: 不是一行一条、以句号结尾的列表：头痛、发热。"),
        ({"用法用量": "- 一次10，一日3次。"}, "drug/甲: 用法用量: 剂量没有单位：一次10"),
        ({"用法用量": "- 一次5~10，一日3次。"}, "drug/甲: 用法用量: 剂量没有单位：一次5~10"),
        ({"特殊人群": "- 儿童：慎用。"}, "drug/甲: 特殊人群: 没有写“孕妇”"),
    ],
)
def test_faults_of_form_are_named(changed: dict[str, str], expected: str) -> None:
    assert remarks(drug("甲", **changed)) == [expected]


def test_names_that_collide_are_named() -> None:
    assert remarks(drug("甲", "Abc"), drug("乙", "ＡＢＣ")) == ["drug/甲: 名称“abc”也属于 drug/乙"]


def test_a_one_sided_interaction_is_named_and_a_longer_name_is_no_mention() -> None:
    stated = drug("甲", 药物相互作用="- 泼尼松龙：避免合用。")
    assert remarks(stated, drug("泼尼松龙"), drug("泼尼松")) == ["drug/泼尼松龙: 药物相互作用: 没有写“甲”，而“甲”一侧写了“泼尼松龙”"]


def test_a_held_drug_called_absent_is_named() -> None:
    disease = compose("disease/丙", "disease", "丙", [], [("概述", "可用乙（未收录）和丁（未收录）。")], Source())
    assert remarks(drug("乙"), disease) == ["disease/丙: “乙”标为未收录，其实已收录"]


def test_the_shipped_texts_are_clean() -> None:
    shipped = Path(__file__).parent.parent / "kb_data"
    assert [str(remark) for remark in lint(read_documents([shipped]), load_rules())] == []
