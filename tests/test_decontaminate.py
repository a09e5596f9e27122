import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune.dataset import BuildSettings, build_data
from finetune.exports import export
from finetune.facts import Shares
from indexer.errors import QizhenError

ANSWER = "先查血常规，排除肺炎后再用药，多喝水。"


@pytest.fixture
def settings(tmp_path: Path, sample_file: Path, write_lines: Callable[..., Path]) -> BuildSettings:
    asked = [
        "老人胸闷三天没有好转应该去哪里看呢",
        "邻居家的老人胸闷三天没有好转应该去医院急诊吗",
        "阿司匹林要吃多久才停呢",
        "胃痛三天怎么办才好呢",
    ]
    questions = write_lines([{"question": question, "answer": ANSWER} for question in asked])
    return BuildSettings(
        kb=(sample_file,),
        out=tmp_path / "out",
        mix={"closed": 1},
        per_section={"drug": 0, "disease": 0},
        workers=1,
        question_files=(questions,),
    )


def _questions(path: Path) -> list[str]:
    return [json.loads(line)["messages"][0]["content"] for line in path.read_text("utf-8").splitlines()]


def test_contaminated_samples_are_kept_apart_and_told(settings: BuildSettings, write_lines: Callable[..., Path]) -> None:
    evaluation = write_lines(
        [
            {"id": "1", "question": "胃痛三天，怎么办才好呢？"},
            {"id": "2", "question": "如果老人胸闷三天没有好转应该去哪", "history": [{"role": "user", "content": "拜阿司匹林的禁忌？"}]},
        ]
    )
    report = build_data(replace(settings, against=(evaluation,)))
    assert report.apart == {"overlap": 2, "question": 1}
    assert report.flagged == {"entity": 1}
    assert _questions(settings.out / "samples.jsonl") == ["阿司匹林要吃多久才停呢"]
    assert len(_questions(settings.out / "contaminated.jsonl")) == 3
    told: dict[str, Any] = json.loads((settings.out / "contamination.json").read_text("utf-8"))
    assert told["entities"] == ["阿司匹林"]
    assert told["against"][0]["questions"] == 3
    assert [example["question"] for example in told["examples"]["question"]] == ["胃痛三天怎么办才好呢"]
    build_data(settings)  # without evaluations nothing of an earlier report stays
    assert not (settings.out / "contamination.json").exists()
    assert not (settings.out / "contaminated.jsonl").exists()


def test_an_evaluation_s_drugs_may_be_kept_apart_too(settings: BuildSettings, write_lines: Callable[..., Path], tmp_path: Path) -> None:
    kb = write_lines(
        [{"id": "z", "kind": "drug", "title": "阿司匹林肠溶片", "aliases": ["拜阿司匹林"], "sections": [{"title": "禁忌", "text": "无"}]}]
    )
    table = tmp_path / "eval.csv"
    table.write_text("药品,instruction\n阿司匹林,阿司匹林的适应病症\n", "utf-8")
    for path in (kb, table):
        report = build_data(replace(settings, against=(path,), entities_apart=True))
        assert report.apart == {"entity": 1}
        assert "阿司匹林要吃多久才停呢" not in _questions(settings.out / "samples.jsonl")


def test_the_question_behind_evidence_is_compared_too(settings: BuildSettings, write_lines: Callable[..., Path], sample_file: Path) -> None:
    whole = replace(settings, question_files=(), mix={"cited": 1}, per_section={"drug": 12, "disease": 12}, shares=Shares(0, 0))
    build_data(whole)
    asked = [text.rpartition("<问题>")[2].removesuffix("</问题>") for text in _questions(whole.out / "samples.jsonl")]
    build_data(replace(whole, against=(write_lines([{"id": "1", "question": asked[0]}]),)))
    left = [text.rpartition("<问题>")[2].removesuffix("</问题>") for text in _questions(whole.out / "samples.jsonl")]
    assert asked[0] in asked
    assert asked[0] not in left


def test_faults_of_evaluations_are_told_together(settings: BuildSettings, tmp_path: Path) -> None:
    broken, absent = tmp_path / "x.jsonl", tmp_path / "y.jsonl"
    broken.write_text('{"question"', "utf-8")
    with pytest.raises(QizhenError, match="`2` 处错误") as told:
        build_data(replace(settings, against=(broken, absent)))
    assert "x.jsonl" in told.value.fault
    assert "y.jsonl" in told.value.fault


def test_exports_are_what_other_tools_read(tmp_path: Path, sample_file: Path) -> None:
    build_data(BuildSettings(kb=(sample_file,), out=tmp_path, shares=Shares(0, 0), workers=1))
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["split"] == "train"]
    number = next(n for n, row in enumerate(rows) if len(row["messages"]) == 4)
    first, answer, second, last = (turn["content"] for turn in rows[number]["messages"])
    expected = {
        "alpaca": {"instruction": second, "input": "", "output": last, "system": "", "history": [[first, answer]]},
        "sharegpt": {
            "conversations": [
                {"from": "human", "value": first},
                {"from": "gpt", "value": answer},
                {"from": "human", "value": second},
                {"from": "gpt", "value": last},
            ]
        },
        "messages": {"messages": rows[number]["messages"]},
    }
    for form, shape in expected.items():
        counts = export(tmp_path, form, tmp_path / form)
        assert counts[f"{form}-train.jsonl"] == len(rows)
        lines = (tmp_path / form / f"{form}-train.jsonl").read_text("utf-8").splitlines()
        assert json.loads(lines[number]) == shape
        info = json.loads((tmp_path / form / "dataset_info.json").read_text("utf-8"))
        assert {entry["file_name"] for entry in info.values()} == set(counts)
        assert set(info["qizhen_train"]["columns"].values()) <= set(shape)
    with pytest.raises(QizhenError, match="没有格式 `csv`"):
        export(tmp_path, "csv", tmp_path)
