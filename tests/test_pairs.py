import json
import random
from pathlib import Path

import pytest

from finetune.pairs import crops_of, is_held_out, pairs_of, read_pairs, read_set, usable
from indexer.documents import Source, compose
from indexer.errors import QizhenError


def test_pairs_come_from_files(tmp_path: Path) -> None:
    rows = [
        {"question": "问", "passage": "答", "long": "长问"},
        {"a": "甲", "b": "乙", "same": True},
        {"a": "甲", "b": "丙", "same": False},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert list(read_pairs(path)) == [("问", "答"), ("长问", "答"), ("甲", "乙")]


@pytest.mark.parametrize("line", ['{"a": "甲"}', '{"passage": "答"}', "[]", "{"])
def test_every_faulty_line_of_pairs_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"question": "问", "passage": "答"}}\n{line}\n{line}\n', "utf-8")
    with pytest.raises(QizhenError, match=r"有 2 行不合格式：.*pairs.jsonl:2、.*pairs.jsonl:3"):
        list(read_pairs(path))


def test_a_set_without_questions_is_refused(tmp_path: Path) -> None:
    document = {"id": "d", "kind": "text", "title": "文", "sections": [{"title": "正文", "text": "头痛"}]}
    (tmp_path / "kb.jsonl").write_text(json.dumps(document), "utf-8")
    with pytest.raises(QizhenError, match=r"questions\.jsonl` 读不出来"):
        read_set(tmp_path, split=False)
    (tmp_path / "questions.jsonl").write_text('{"question": "头痛"}', "utf-8")
    with pytest.raises(QizhenError, match="有 1 行不合格式") as raised:
        read_set(tmp_path, split=False)
    assert "documents" in raised.value.hint


def test_a_drug_gives_questions_about_it_its_indication_and_its_aliases() -> None:
    document = compose("d", "drug", "某药", ["别名"], [("适应症", "用于治疗轻度头痛。"), ("禁忌", "孕妇")], Source())
    asked, told, alias = pairs_of(document, random.Random(1))
    assert "某药" in asked[0] or "别名" in asked[0]
    assert asked[1] == "某药 适应症 用于治疗轻度头痛。"
    assert told == ("用于治疗轻度头痛。", "某药")
    assert alias == ("别名", "某药")


def test_a_crop_takes_one_sentence_out_of_a_section() -> None:
    parts = ["第一句话说的是头痛。", "第二句话说的是发热。", "第三句话说的是咳嗽。"]
    document = compose("d", "text", "文", [], [("正文", "".join(parts)), ("短", "只有一句话在这里。")], Source())
    ((sentence, rest),) = crops_of(document, random.Random(1))
    assert sentence in parts
    assert rest == "".join(part for part in parts if part != sentence)


def test_a_set_is_split_by_question(tmp_path: Path) -> None:
    documents = [{"id": f"d{n}", "kind": "text", "title": "文", "sections": [{"title": "正文", "text": f"第{n}篇"}]} for n in range(20)]
    questions = [{"id": f"q{n}", "question": f"问题{n}", "documents": [f"d{n}"], "grades": {f"d{n}": 3, "d0": 1}} for n in range(1, 20)]
    (tmp_path / "kb.jsonl").write_text("\n".join(map(json.dumps, documents)), "utf-8")
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)), "utf-8")
    source, held = read_set(tmp_path, split=True)
    whole, same = read_set(tmp_path, split=False)
    assert held == same
    assert {question for question, _ in source.pairs}.isdisjoint(held.questions)
    assert len(source.pairs) + len(held.questions) == len(whole.pairs) == 19  # the grade 1 is no answer
    assert all(is_held_out(question) for question in held.questions)
    assert held.texts[4] == "第4篇"


def test_pairs_without_letters_or_twice_are_left_out() -> None:
    assert usable([("问", "答"), ("问", "答"), ("？", "答"), ("问", "")]) == (("问", "答"),)
