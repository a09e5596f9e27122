import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.dataset import BuildSettings, build_data
from finetune.near_duplicates import gram_hashes, near_duplicates
from finetune.question_files import Columns, Pair, Rows, pairs_of, plain
from indexer.errors import QizhenError
from indexer.terms import bare

GOOD = {"question": "孩子咳嗽一周了怎么办？", "answer": "先查血常规，排除肺炎后再用药，多喝水。"}


def _one(row: dict[str, Any], **answers: str) -> Any:
    rows = Rows("x.jsonl", "x.jsonl", ((3, json.dumps(row, ensure_ascii=False)),))
    (found,) = pairs_of(rows, Columns(), answers)
    return found


@pytest.fixture
def build(tmp_path: Path, sample_file: Path) -> Callable[..., BuildSettings]:
    base = BuildSettings(kb=(sample_file,), out=tmp_path / "out", mix={"closed": 1}, per_section={"drug": 0, "disease": 0}, workers=1)
    return lambda *files, **changed: replace(base, question_files=files, **changed)


def _samples(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("您好！先查血常规再用药，多休息。祝您早日康复！", "先查血常规再用药，多休息。"),
        ("<p>先查血常规，再用药&nbsp;，<b>多休息</b>。</p>", "先查血常规，再用药 ，\n多休息\n。"),
        ("先查血常规再用药，多休息。咨询电话：010-12345678。", "先查血常规再用药，多休息。"),
        ("先查血常规再用药，多休息。加微信 abc12345 了解更多。", "先查血常规再用药，多休息。"),
        ("先查血常规再用药，多休息。详见 https://a.example.com 。", "先查血常规再用药，多休息。"),
        ("先查血常规再用药，多休息。我院位于人民路5号。", "先查血常规再用药，多休息。"),
        ("血压低于130/80mmHg时，一次5mg，一日1次。", "血压低于130/80mmHg时，一次5mg，一日1次。"),
        ("肌酐清除率<30mL/min者慎用，应减量。", "肌酐清除率<30mL/min者慎用，应减量。"),
    ],
)
def test_answers_are_cleaned_of_what_is_not_medicine(answer: str, kept: str) -> None:
    found = _one(GOOD | {"answer": answer})
    assert isinstance(found, Pair)
    assert found.answer.replace("\n", "") == kept.replace("\n", "")
    assert (found.file, found.line) == ("x.jsonl", 3)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (GOOD | {"answer": " "}, "empty"),
        (GOOD | {"answer": "多喝水。"}, "answer length"),
        (GOOD | {"answer": "多喝水。" * 200}, "answer length"),
        (GOOD | {"question": "咳嗽"}, "question length"),
        (GOOD | {"answer": "详见说明书。"}, "boilerplate"),
        (GOOD | {"answer": "您好！谢谢您的咨询！祝您健康！"}, "boilerplate"),
        (GOOD | {"question": "包治糖尿病，电话13812345678，要吗"}, "advertisement"),
    ],
)
def test_pairs_that_teach_nothing_are_left_out_with_the_reason(row: dict[str, Any], why: str) -> None:
    assert _one(row) == why


def test_html_is_taken_out_of_questions_too() -> None:
    assert plain("&ldquo;头痛&rdquo;<br/>怎么办<script>x()</script>\u200b") == "“头痛”\n怎么办"


def test_a_question_may_be_answered_by_a_document() -> None:
    found = _one({"id": "h1", "question": "股癣去哪里治比较好？", "documents": ["h1"]}, h1="去三甲医院的皮肤科，按疗程外用药物。")
    assert isinstance(found, Pair)
    assert found.answer == "去三甲医院的皮肤科，按疗程外用药物。"
    assert "--kb" in str(_one({"question": "股癣去哪里治比较好？", "documents": ["h2"]}))


def test_all_faulty_lines_of_all_files_are_told_together(build: Callable[..., BuildSettings], tmp_path: Path) -> None:
    first, second, third = tmp_path / "a.jsonl", tmp_path / "b.csv", tmp_path / "c.txt"
    good = json.dumps(GOOD, ensure_ascii=False)
    first.write_bytes(
        f'{good}\n{{"question"\n["x"]\n\n{{"question": "头痛怎么办呢"}}\n{{"question": 5, "answer": "好"}}\n'.encode() + b"\xff\n"
    )
    second.write_text("问题,回答\n头痛怎么办呢,休息一下，多余\n胃痛怎么办呢,先查胃镜再用药别乱吃。\n", "utf-8")
    third.write_text("x", "utf-8")
    with pytest.raises(QizhenError) as told:
        build_data(build(first, second, third))
    places = [line.removeprefix(f"{tmp_path}/") for line in told.value.fault.splitlines()[1:]]
    assert [place.split(": ")[0] for place in places] == ["a.jsonl:2", "a.jsonl:3", "a.jsonl:5", "a.jsonl:6", "a.jsonl:7", "c.txt"]
    assert "`6`" in told.value.fault
    assert "--skip-faulty" in told.value.hint
    assert not (tmp_path / "out" / "samples.jsonl").exists()
    report = build_data(build(first, second, third, skip_faulty=True))
    assert (report.faulty, report.samples) == (6, 2)  # "休息一下，多余" is too short an answer


def test_a_row_of_another_width_is_told_by_its_line(build: Callable[..., BuildSettings], tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text('问题,回答\n头痛怎么办呢,休息,多余\n"胃痛\n怎么办呢","先查胃镜再用药，别乱吃。"\n', "utf-8")
    with pytest.raises(QizhenError, match=r"b\.csv:2: 单元格的数目"):
        build_data(build(path))
    assert build_data(build(path, skip_faulty=True)).samples == 1


def test_columns_may_be_named(build: Callable[..., BuildSettings], tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text("department,title,ask,reply\n内科,头痛,头痛一周怎么办呢,先量血压，必要时查头部CT。\n", "utf-8")
    with pytest.raises(QizhenError, match="现有：department、title、ask、reply"):
        build_data(build(path))
    build_data(build(path, columns=Columns("title", "reply"), skip_faulty=True))
    assert _samples(tmp_path / "out") == []  # "头痛" is too short a question
    build_data(build(path, columns=Columns(answer="reply")))
    (row,) = _samples(tmp_path / "out")
    assert [turn["content"] for turn in row["messages"]] == ["头痛一周怎么办呢", "先量血压，必要时查头部CT。"]
    assert row["provenance"]["file"] == "b.csv"
    assert row["provenance"]["line"] == 2


def test_a_question_goes_where_its_drug_is(build: Callable[..., BuildSettings], tmp_path: Path) -> None:
    from finetune.facts import Shares

    path = tmp_path / "a.jsonl.gz"
    rows = [GOOD | {"question": "老人能长期吃阿司匹林吗？"}, GOOD | {"question": "希刻劳和阿莫西林哪个好些？"}]
    path.write_bytes(gzip.compress("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()))
    for shares, split in ((Shares(0, 1), "test"), (Shares(1, 0), "dev"), (Shares(0, 0), "train")):
        build_data(build(path, shares=shares))
        assert [(row["entity"], row["split"]) for row in _samples(tmp_path / "out")] == [("阿司匹林", split), ("头孢克洛胶囊", split)]


def test_near_duplicates_are_left_out_and_the_first_stays(build: Callable[..., BuildSettings], write_lines: Callable[..., Path]) -> None:
    asked = [
        "高血压病人平时饮食上应该注意哪些问题",
        "高血压病人平时饮食上应该注意哪些问题？？",
        "请问高血压病人平时饮食上应该注意哪些问题",
        "糖尿病病人平时饮食上可以吃哪些水果呢",
    ]
    report = build_data(build(write_lines([GOOD | {"question": question} for question in asked])))
    assert report.left_out["near duplicate"] == 2
    assert report.samples == 2


@given(st.lists(st.text("甲乙丙丁", min_size=1, max_size=14), min_size=1, max_size=25))
@settings(max_examples=150, deadline=None)
def test_near_duplicates_are_those_of_comparing_all_with_all(texts: list[str]) -> None:
    def grams(text: str) -> set[str]:
        plain = bare(text)
        return {plain[i : i + 5] for i in range(len(plain) - 4)} or {plain}

    kept: list[set[str]] = []
    expected = []
    for own in map(grams, texts):
        alike = any(len(own & other) >= 0.8 * len(own | other) for other in kept)
        expected.append(alike)
        if not alike:
            kept.append(own)
    found = near_duplicates(*gram_hashes(texts))
    assert found.tolist() == expected


def test_nothing_is_no_duplicate() -> None:
    assert near_duplicates(*gram_hashes([])).tolist() == []
    assert near_duplicates(*gram_hashes(["？", "！"])).tolist() == [False, False]
    assert gram_hashes(["甲乙丙丁戊己"])[1].tolist() == [2]
    assert gram_hashes(["甲乙"])[0].dtype == np.uint32
