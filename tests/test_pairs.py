import json
import random
from pathlib import Path

from finetune.pairs import crops_of, is_held_out, pairs_of, read_pairs, read_set, usable
from indexer.documents import Source, compose


def test_pairs_come_from_files(tmp_path: Path) -> None:
    rows = [
        {"question": "问", "passage": "答", "long": "长问"},
        {"a": "甲", "b": "乙", "same": True},
        {"a": "甲", "b": "丙", "same": False},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert list(read_pairs(path)) == [("问", "答"), ("长问", "答"), ("甲", "乙")]


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
