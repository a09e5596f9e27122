from collections.abc import Callable
from pathlib import Path

import pytest

from app.answering import ask
from app.drug_card import look_up
from indexer.build import build_release
from indexer.errors import KnowledgeBaseError
from indexer.lookalikes import LookAlike
from indexer.release import Release, open_release

DRUG = "---\nid: drug/{0}\nkind: drug\ntitle: {0}\n---\n## 适应症\n{0}用于治疗。\n## 药物类别\n{1}\n"
PAIR = '[[pair]]\nnames = ["多巴胺", "多巴酚丁胺"]\ndifference = "一个升压，一个强心。"\n'


def knowledge(folder: Path, pairs: str) -> Path:
    folder.mkdir()
    for name, about in (("多巴胺", "升压药。"), ("多巴酚丁胺", "强心药。"), ("阿昔洛韦", "抗病毒药。"), ("伐昔洛韦", "前体药。")):
        (folder / f"{name}.md").write_text(DRUG.format(name, about), "utf-8")
    (folder / "lookalikes.toml").write_text(pairs, "utf-8")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Release:
    build_release(tmp_path / "index", [knowledge(tmp_path / "kb", PAIR)])
    return open_release(tmp_path / "index")


def test_a_release_keeps_the_pairs_of_its_knowledge_base(own: Release) -> None:
    assert own.look_alikes == (LookAlike(("多巴胺", "多巴酚丁胺"), "一个升压，一个强心。"),)


def test_a_changed_list_makes_another_release(tmp_path: Path) -> None:
    folder = knowledge(tmp_path / "kb", PAIR)
    before = build_release(tmp_path / "index", [folder])
    assert build_release(tmp_path / "index", [folder]).release == before.release
    (folder / "lookalikes.toml").write_text("", "utf-8")
    after = build_release(tmp_path / "index", [folder])
    assert after.release != before.release
    assert open_release(tmp_path / "index").look_alikes == ()


def test_all_faults_of_a_list_are_told_with_those_of_the_documents(tmp_path: Path) -> None:
    bad = (
        '[[pair]]\nnames = ["甲"]\n'
        '[[pair]]\nnames = ["乙", "丙"]\ndifference = "。"\nnote = 1\n'
        '[[pair]]\nnames = ["丁", "丁"]\ndifference = ""\n'
    )
    folder = knowledge(tmp_path / "kb", bad + PAIR + PAIR)
    (folder / "多巴胺.md").write_text("没有文件头", "utf-8")
    with pytest.raises(KnowledgeBaseError) as caught:
        build_release(tmp_path / "index", [folder])
    told = [(Path(fault.path).name, fault.field, fault.message) for fault in caught.value.faults]
    assert told == [
        ("多巴胺.md", "", "开头缺少 --- 之间的 YAML 文件头"),
        ("lookalikes.toml", "pair 1", "names 应为两个不同的药名，现为 `['甲']`"),
        ("lookalikes.toml", "pair 1", "difference 缺少，应为一句区别"),
        ("lookalikes.toml", "pair 2", "不认识的项 `note`"),
        ("lookalikes.toml", "pair 3", "names 应为两个不同的药名，现为 `['丁', '丁']`"),
        ("lookalikes.toml", "pair 3", "difference 缺少，应为一句区别"),
        ("lookalikes.toml", "pair 5", "`多巴胺、多巴酚丁胺` 重复"),
    ]


@pytest.mark.parametrize(
    ("question", "notice"),
    [
        ("多巴胺治什么", "勿与“多巴酚丁胺”混淆：一个升压，一个强心。"),
        ("多巴胺和多巴酚丁胺有什么区别", "请注意区分：一个升压，一个强心。"),
        ("阿昔洛韦治什么", "勿与“伐昔洛韦”混淆。"),
    ],
)
def test_an_answer_tells_look_alikes_apart(own: Release, question: str, notice: str) -> None:
    answer = ask(own, question)
    assert answer.status == "answered"
    assert notice in answer.notices
    asked = {name for name in ("多巴胺", "多巴酚丁胺", "阿昔洛韦") if name in question}
    assert {citation.unit.document.title for citation in answer.citations} == asked


def test_the_partner_must_be_held(tmp_path: Path) -> None:
    pairs = '[[pair]]\nnames = ["多巴胺", "去甲肾上腺素"]\ndifference = "两者不同。"\n'
    build_release(tmp_path / "index", [knowledge(tmp_path / "kb", pairs)])
    assert not [n for n in ask(open_release(tmp_path / "index"), "多巴胺治什么").notices if "去甲肾上腺素" in n]


def test_the_drug_card_names_look_alikes(own: Release) -> None:
    assert [(near.title, near.difference) for near in look_up(own, "多巴酚丁胺").look_alikes] == [("多巴胺", "一个升压，一个强心。")]


@pytest.mark.parametrize(
    ("question", "offered"),
    [
        ("氯炳嗪有什么禁忌", ["氯丙嗪", "异丙嗪"]),
        ("利发平吃了小便发红正常吗", ["利福平", "利拉鲁肽"]),
        ("伐昔络韦治带状疱疹吃几天", ["伐昔洛韦", "阿昔洛韦"]),
    ],
)
def test_a_slip_is_offered_with_its_listed_look_alike(shipped: Release, question: str, offered: list[str]) -> None:
    answer = ask(shipped, question)
    assert (answer.status, answer.sentences) == ("clarify", ())
    assert [candidate.title for candidate in answer.candidates] == offered
    assert all(candidate.about for candidate in answer.candidates)


def test_a_knowledge_base_of_lines_needs_no_list(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    rows = [{"id": "a", "kind": "drug", "title": "某药", "sections": [{"title": "适应症", "text": "用于治疗。"}]}]
    build_release(tmp_path / "index", [write_lines(rows)])
    assert open_release(tmp_path / "index").look_alikes == ()
