"""A recorded answer comes out the same when it is made again; what is gone, or different, is told."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from site_client import recording_service

from app import console
from app.answer_record import AnswerRecord, Asking
from app.answering import Candidate, Sentence, ask
from app.database import open_database, prepare_database
from app.generators import QuotingGenerator
from app.question import Turn
from app.questions_file import read_questions
from app.replay import answer_of, differences, replay
from indexer.build import build_release
from indexer.collecting import collect_releases
from indexer.release import Release

DEV = Path(__file__).parent.parent / "kb_data" / "questions" / "dev.jsonl"
QUESTION = "头孢克洛的禁忌是什么？"


def recorded(index: Path, state: Path, asked: Sequence[tuple[str, tuple[Turn, ...]]], person: str = "li") -> list[AnswerRecord]:
    """The records of questions that a server asked with its state there."""

    async def put() -> list[AnswerRecord]:
        url = f"sqlite:///{state / 'qizhen.sqlite'}"
        await prepare_database(url)
        engine = open_database(url)
        service = recording_service(index, engine)
        assert service.records is not None
        told = [await service.answer(Asking(question, history, "", person, "api")) for question, history in asked]
        found = [await service.records.find(one.record) for one in told]
        await engine.dispose()
        return [record for record in found if record is not None]

    return asyncio.run(put())


def qizhen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    monkeypatch.setattr(sys, "argv", ["qizhen", *words])
    with pytest.raises(SystemExit) as stop:
        console.main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.mark.slow
def test_golden_answers_come_out_the_same_byte_for_byte(shipped_index: Path, shipped: Release, tmp_path: Path) -> None:
    asked = [(question.question, tuple(question.history)) for question in read_questions(DEV)]
    records = recorded(shipped_index, tmp_path, asked)
    assert len(records) == len(asked) > 400
    different = [record.question for record in records if replay(record, shipped, QuotingGenerator())]
    assert different == []


def test_an_answer_is_rebuilt_from_its_record(sample_index: Path, sample: Release, tmp_path: Path) -> None:
    asked = [(QUESTION, ()), ("它的用法呢？", (Turn("user", QUESTION),)), ("奥司他韦的禁忌？", ()), ("环孢素怎么用？", ())]
    for record, (question, history) in zip(recorded(sample_index, tmp_path, asked), asked, strict=True):
        answer = ask(sample, question, history)
        assert answer_of(record, sample) == replace(answer, milliseconds=record.milliseconds)


def test_whatever_differs_is_told(sample_index: Path, sample: Release, tmp_path: Path) -> None:
    (record,) = recorded(sample_index, tmp_path, [(QUESTION, ())])
    answer = ask(sample, QUESTION)
    assert differences(record, answer) == ()
    changed = (Sentence("孕妇慎用。", (1,)),)
    (difference,) = differences(record, replace(answer, sentences=changed))
    assert (difference.part, difference.now) == ("句子", ("孕妇慎用。[1]",))
    assert difference.before == ("对头孢菌素过敏者禁用。[1]", "孕妇禁用。[2]")
    others: list[dict[str, Any]] = [
        {"status": "refused"},
        {"citations": answer.citations[:1]},
        {"notices": ()},
        {"candidates": (Candidate("drug/a", "头孢克洛胶囊", ""),)},
    ]
    assert [differences(record, replace(answer, **other))[0].part for other in others] == ["结果", "引用", "提示", "候选"]


@pytest.fixture
def two_releases(write_lines: Any, tmp_path: Path) -> tuple[Path, Path, AnswerRecord]:
    """An index whose first release an answer is from, a state folder, and that answer."""
    index, state = tmp_path / "index", tmp_path / "state"
    state.mkdir()
    for ban in ("孕妇禁用。", "孕妇慎用。", "孕妇可用。"):
        row = {"id": "d", "kind": "drug", "title": "某某药片", "sections": [{"title": "禁忌", "text": ban}]}
        build_release(index, [write_lines([row])])
        if ban == "孕妇禁用。":
            (record,) = recorded(index, state, [("某某药片的禁忌是什么？", ())])
    return index, state, record


def test_the_release_of_the_answer_is_asked_not_the_published_one(
    two_releases: tuple[Path, Path, AnswerRecord], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index, state, record = two_releases
    places = ("--index", str(index), "--state", str(state))
    typed = record.id.lower().replace("-", "")
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "replay", typed, *places)
    assert (code, out) == (0, f"{record.id}  版本 {record.release}：相同\n")
    with sqlite3.connect(state / "qizhen.sqlite") as database:
        database.execute("UPDATE answers SET sentences = ?", (json.dumps([{"text": "孕妇可用。", "citations": [1]}]),))
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "replay", record.id, *places)
    assert code == 1
    assert out.splitlines() == [f"{record.id}  版本 {record.release}：不同", "句子", "  - 孕妇可用。[1]", "  + 孕妇禁用。[1]"]
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "replay", record.id, *places, "--json")
    assert code == 1
    assert json.loads(out)["differences"] == [{"part": "句子", "before": ["孕妇可用。[1]"], "now": ["孕妇禁用。[1]"]}]


def test_a_collected_release_is_told(
    two_releases: tuple[Path, Path, AnswerRecord], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index, state, record = two_releases
    collect_releases(index, keep=0)
    code, out, err = qizhen(monkeypatch, capsys, "answers", "replay", record.id, "--index", str(index), "--state", str(state))
    assert (code, out) == (2, "")
    assert f"回答 `{record.id}` 所依据的版本 `{record.release}` 已经清除，不能重放" in err
    assert f"qizhen answers show {record.id}" in err
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "show", record.id, "--state", str(state))
    assert code == 0
    assert "孕妇禁用。[1]" in out


def test_answers_are_listed_and_shown(
    sample_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = recorded(sample_index, tmp_path, [(QUESTION, ()), ("奥司他韦的禁忌？", (Turn("user", "你好"),))])
    state = ("--state", str(tmp_path))
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "list", *state)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [second.id, first.id]
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "list", *state, "--status", "refused", "--json")
    assert [json.loads(line)["id"] for line in out.splitlines()] == [second.id]
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "list", *state, "--rating", "-1")
    assert out == "没有符合条件的记录\n"
    assert qizhen(monkeypatch, capsys, "answers", "list", *state, "--user", "wang", "--json")[1] == ""
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "show", second.id, *state)
    assert "问（之前）：你好\n问：奥司他韦的禁忌？\n结果：拒答\n" in out
    code, out, _ = qizhen(monkeypatch, capsys, "answers", "show", first.id, *state, "--json")
    assert json.loads(out)["citations"] == [
        {"number": span.number, "document": "drug/a", "start": span.start, "end": span.end} for span in first.citations
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "abc"), "`abc` 不是记录编号"),
        (("show", "0000-0000-0000"), "没有编号是 `0000-0000-0000` 的回答"),
        (("purge",), "应给出一个，且只给一个"),
        (("purge", "--user", "li", "--older-than", "3"), "应给出一个，且只给一个"),
    ],
)
def test_misuse_is_told_with_the_next_step(
    sample_index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    recorded(sample_index, tmp_path, [(QUESTION, ())])
    code, out, err = qizhen(monkeypatch, capsys, "answers", *words, "--state", str(tmp_path))
    assert (code, out) == (2, "")
    assert told in err
    assert "hint: " in err


def test_a_folder_without_records_stays_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = qizhen(monkeypatch, capsys, "answers", "list", "--state", str(tmp_path))
    assert code == 2
    assert "还没有记录过回答" in err
    assert list(tmp_path.iterdir()) == []
