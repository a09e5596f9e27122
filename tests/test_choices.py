"""Multiple-choice questions: reading the file, reading the letters, counting exact sets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.choices import Choice, Chosen, is_choices, letters_in, read_choices
from finetune.evaluate import choice_figures
from indexer.errors import QuestionError

OPTIONS = {"A": "阿司匹林", "B": "华法林", "C": "肝素", "D": "维生素K", "E": "氯吡格雷"}
ROWS = [
    {"id": "1", "question": "华法林过量用什么拮抗？", "options": OPTIONS, "answer": "D"},
    {"id": "2", "question": "哪些是抗血小板药？", "options": OPTIONS, "answer": "E,A", "question_type": "多项选择题"},
    {"id": "3", "question": "只有一个对的多选题？", "options": {"A": "甲", "B": "乙", "C": ""}, "answer": "A", "type": "单项"},
]


@pytest.mark.parametrize(
    ("said", "letters"),
    [
        ("D", "D"),
        ("Ｄ", "D"),
        ("D。维生素K可以拮抗华法林", "D"),
        ("答案：D", "D"),
        ("答案是 D。", "D"),
        ("正确答案为（D）", "D"),
        ("故选AE。", "AE"),
        ("A、E", "AE"),
        ("A和E都是抗血小板药，答案：A，E", "AE"),
        ("A选项错误，B选项错误，应选D", "D"),
        ("不选A，选B", "B"),
        ("C 项不对。所以选 B", "B"),
        ("维生素D缺乏的人要补充", ""),
        ("DNA 检测和 CT 检查", ""),
        ("应使用维生素K。", "D"),
        ("阿司匹林和氯吡格雷", ""),
        ("F", ""),
        ("", ""),
    ],
)
def test_letters_are_read_from_what_is_said(said: str, letters: str) -> None:
    assert letters_in(said, OPTIONS) == letters


def test_a_file_is_read_with_its_types(write_lines: Callable[..., Path]) -> None:
    path = write_lines(ROWS, "choices.jsonl")
    assert is_choices(path)
    single, several, short = read_choices(path).choices
    assert (single.answer, single.type, single.answers) == ("D", "单选", ["A", "B", "C", "D", "E"])
    assert (several.answer, several.type, len(several.answers)) == ("AE", "多选", 26)
    assert short.answers == ["A", "B"]
    assert "B. 华法林" in single.asked


def test_every_fault_of_a_file_is_told(write_lines: Callable[..., Path]) -> None:
    rows = [
        {**ROWS[0], "answer": "F"},
        {**ROWS[0], "answer": ""},
        {"id": "x", "question": "?", "options": {"A": "甲"}, "answer": "A"},
        ROWS[0],
    ]
    with pytest.raises(QuestionError) as caught:
        read_choices(write_lines(rows, "choices.jsonl"))
    assert "`3` 处" in caught.value.fault
    assert "`F` 不是选项里的字母" in caught.value.fault


def test_questions_without_options_are_no_choices(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    assert not is_choices(write_lines([{"id": "1", "question": "?"}]))
    assert not is_choices(tmp_path / "absent.jsonl")


def test_only_the_exact_set_is_right() -> None:
    one = Choice("1", "?", OPTIONS, "D", "单选")
    two = Choice("2", "?", OPTIONS, "AE", "多选")
    got = choice_figures([Chosen(one, "D", "D", "A"), Chosen(two, "A", "A", "AE"), Chosen(two, "", "", "AE")])
    assert got[""]["written"]["share"] == pytest.approx(1 / 3, abs=1e-4)
    assert got["多选"]["likeliest"]["share"] == 1
    assert got["多选"]["unreadable"]["share"] == 0.5
    assert got["单选"]["written"]["n"] == 1
