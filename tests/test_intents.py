"""The section that a question asks for in words that no cue knows, or that no text answers it."""

import json

import numpy as np
import pytest

from app.answering import ask
from finetune.intents import LAY, IntentRecipe, read_labelled, train_intents
from indexer.errors import IndexDamagedError, QizhenError
from indexer.intents import INTENTS, OUTSIDE, Intents, shipped_intents
from indexer.release import Release
from indexer.sections import MASK


@pytest.mark.parametrize(
    ("kind", "question", "label"),
    [
        ("drug", "名那支膏子的浓度是百分之几", "规格与剂型"),
        ("drug", "名那瓶里头都配了哪几味药材", "成分"),
        ("disease", "名的人上班会不会过给同事", "传染性"),
        ("disease", "得了名该挂哪个号", "就诊科室"),
        ("drug", "给名写首打油诗", OUTSIDE),
        ("disease", "写一首关于名的诗", OUTSIDE),
    ],
)
def test_what_lay_words_ask_for(kind: str, question: str, label: str) -> None:
    assert shipped_intents(kind).likely(question.replace("名", MASK, 1))[0] == label


def test_the_shipped_model_belongs_to_the_shipped_questions() -> None:
    made = json.loads((INTENTS / "manifest.json").read_text("utf-8"))
    labelled = read_labelled()
    for kind, told in made["kinds"].items():
        assert set(told["labels"]) == {one.label for one in labelled if one.kind == kind}
        assert told["kept apart"]["right at 0.5"] >= 0.75
    assert len({one.masked for one in labelled}) > 2000


def test_a_question_in_lay_words_shows_what_is_nearest(shipped: Release) -> None:
    answer = ask(shipped, "孚琪那支膏子的浓度是百分之几")
    assert answer.status == "answered"
    assert {citation.unit.section.title for citation in answer.citations} == {"规格与剂型"}
    assert any("没有找到直接回答的内容" in notice for notice in answer.notices)


def test_what_no_text_answers_is_refused_behind_a_held_name(shipped: Release) -> None:
    assert ask(shipped, "写一首关于癫痫的诗吧").status == "refused"


def test_likelihoods_are_those_of_a_softmax() -> None:
    model = Intents(("a", "b"), np.zeros((4, 2), dtype=np.int8), 1.0, np.log(np.array([3.0, 1.0], dtype=np.float32)))
    label, likely = model.likely("什么都不说")
    assert (label, round(likely, 6)) == ("a", 0.75)


def _questions(tmp_path, lines):
    path = tmp_path / "asked.tsv"
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_every_faulty_line_is_told(tmp_path) -> None:
    path = _questions(tmp_path, ["drug\t贮藏\t{名}放哪", "food\t贮藏\t{名}放哪", "drug\t贮藏", "disease\t病因\t没有名字"])
    with pytest.raises(QizhenError, match=r"第 2 行 `food.*第 3 行 .*第 4 行") as told:
        read_labelled(path)
    assert "制表符" in told.value.hint


def test_training_is_reproducible(tmp_path) -> None:
    lines = LAY.read_text("utf-8").splitlines()[::12]
    made = [train_intents(_questions(tmp_path, lines), tmp_path / out, IntentRecipe(rows=1024)) for out in ("a", "b")]
    assert made[0] == made[1]
    assert (tmp_path / "a" / "drug.npz").read_bytes() == (tmp_path / "b" / "drug.npz").read_bytes()


def test_a_missing_model_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("indexer.intents.INTENTS", tmp_path)
    with pytest.raises(IndexDamagedError, match="问法模型"):
        shipped_intents.__wrapped__("drug")
