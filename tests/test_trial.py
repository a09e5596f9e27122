import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.questions_file import read_questions
from app.trial import GoldenTrial
from indexer.build import build_release
from indexer.errors import ReleaseRejectedError
from indexer.record import read_log
from indexer.release import current_id, release_ids

Write = Callable[..., Path]
ROWS = [
    {"id": "a", "kind": "drug", "title": "甲硝唑片", "sections": [{"title": "适应症", "text": "用于头痛。"}]},
    {"id": "b", "kind": "drug", "title": "丙泊酚", "sections": [{"title": "适应症", "text": "用于麻醉。"}]},
]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    asked: list[dict[str, Any]] = [
        {"id": "q1", "question": "甲硝唑片的适应症", "documents": ["a"], "terms": [["头痛"]]},
        {"id": "q2", "question": "丙泊酚的适应症", "documents": ["b"], "span": "用于麻醉。"},
        {"id": "q3", "question": "利多卡因的适应症", "refuse": True},
    ]
    path = tmp_path / "golden.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in asked), "utf-8")
    return path


def test_what_got_worse_is_told_and_published(tmp_path: Path, write_lines: Write, questions: Path) -> None:
    index = tmp_path / "index"
    first = GoldenTrial(read_questions(questions))
    built = build_release(index, [write_lines(ROWS)], trial=first)
    assert built.remarks == ("标准问题 3 道：新版本答对 3；变差 0 道",)
    built = build_release(index, [write_lines(ROWS[:1])], trial=GoldenTrial(read_questions(questions)))
    assert built.remarks[0] == "标准问题 3 道：新版本答对 2，发布中的版本答对 3；变差 1 道"
    assert built.remarks[1].startswith("  变差 q2  丙泊酚的适应症\n    原  回答：用于麻醉。\n    新  拒答：")
    assert current_id(index) == built.release


def test_too_few_right_answers_are_not_published(tmp_path: Path, write_lines: Write, questions: Path) -> None:
    index = tmp_path / "index"
    before = build_release(index, [write_lines(ROWS)]).release
    with pytest.raises(ReleaseRejectedError, match=r"的标准问题答对 `0\.667`，低于要求的 `0\.900`，没有发布") as refused:
        build_release(index, [write_lines(ROWS[:1])], trial=GoldenTrial(read_questions(questions), 0.9))
    assert current_id(index) == before
    [new] = set(release_ids(index)) - {before}
    assert refused.value.hint == f"看清变差的问题；要照样发布：qizhen index publish {new}"
    assert (read_log(index)[-1].action, read_log(index)[-1].release) == ("reject", new)
