"""What is recorded of an answer, by every way in; and that no answer is lost, to the database or to the person."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from site_client import recording_service, site_client
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access import LOCAL
from app.answer_record import Asking, Span, new_id, read_id, record_from, row_of
from app.answer_store import AnswerStore
from app.database import create_tables, open_database, prepare_database
from app.question import Turn
from app.safety import DISCLAIMER
from app.service import NOT_RECORDED, Service
from indexer.errors import ServeError
from indexer.release import current_id

QUESTION = "头孢克洛的禁忌是什么？"
EVENTS = {"accept": "text/event-stream"}


def asking(question: str = QUESTION, **more: Any) -> Asking:
    return Asking(question, more.pop("history", ()), "", more.pop("person", "li"), more.pop("way", "api"), **more)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_database(f"sqlite:///{tmp_path / 'q.sqlite'}")
    await create_tables(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def service(sample_index: Path, engine: AsyncEngine) -> Service:
    return recording_service(sample_index, engine)


async def test_everything_that_made_an_answer_is_recorded(service: Service, sample_index: Path) -> None:
    history = (Turn("user", "头孢克洛能治什么病？"), Turn("assistant", "……"))
    told = await service.answer(asking(" 它的禁忌呢？", history=history, key="k1", way="chat", thread="t", step="s"))
    assert service.records is not None
    record = await service.records.find(told.record)
    assert record is not None
    assert (record.person, record.key, record.way, record.thread, record.step) == ("li", "k1", "chat", "t", "s")
    assert (record.question, record.history, record.status) == ("它的禁忌呢？", history, "answered")
    assert (record.release, record.chosen, record.generator) == (current_id(sample_index), "quoting", "quoting")
    assert (record.settings["program"], record.settings["reranker"]) == ("0.1.0", "")
    assert [sentence.text for sentence in record.sentences] == ["对头孢菌素过敏者禁用。", "孕妇禁用。"]
    document = service.shelf.current().document("drug/a")
    assert document is not None
    assert [document.text[span.start : span.end] for span in record.citations] == ["对头孢菌素过敏者禁用。", "孕妇禁用。"]
    assert [span.number for span in record.citations] == [1, 2]
    assert (record.notices, record.candidates, record.verdicts) == ((DISCLAIMER,), (), ("supported", "supported"))
    assert (record.rating, record.comment) == (0, "")
    assert record.at.endswith("Z")
    assert len(record.at) == 24


async def test_a_refusal_and_its_candidates_are_recorded(service: Service) -> None:
    told = await service.answer(asking("奥司他韦的禁忌？"))
    assert service.records is not None
    record = await service.records.find(told.record)
    assert record is not None
    assert record.status == "refused"
    assert record.candidates == told.answer.candidates
    assert record == record_from(row_of(record))


async def test_half_a_character_is_recorded(service: Service) -> None:
    told = await service.answer(asking())
    assert service.records is not None
    record = await service.records.find(told.record)
    assert record is not None
    odd = replace(record, id="odd", history=(Turn("user", "头孢\ud83d\x00克洛"),))
    assert await service.records.keep(odd)
    assert await service.records.find("odd") == odd


async def test_the_row_is_there_before_the_last_step_of_an_answer(service: Service, tmp_path: Path) -> None:
    steps = service.steps(asking())
    seen = []
    async for step in steps:
        with sqlite3.connect(tmp_path / "q.sqlite") as other:
            seen.append((type(step).__name__, other.execute("SELECT count(*) FROM answers").fetchone()[0]))
    assert seen[-1] == ("Told", 1)
    assert [name for name, _ in seen[:-1]] == ["Found", "Said", "Said"]


async def test_many_at_once_are_committed_together(service: Service, engine: AsyncEngine) -> None:
    commits: list[int] = []
    assert service.records is not None
    event.listen(service.records.committing, "commit", lambda _: commits.append(1))
    told = await asyncio.gather(*(service.answer(asking(person=f"p{number}")) for number in range(60)))
    assert len({one.record for one in told} - {""}) == 60
    async with engine.connect() as connection:
        people = {row.person for row in await connection.execute(text("SELECT person FROM answers"))}
    assert people == {f"p{number}" for number in range(60)}
    assert 1 <= len(commits) < 60


async def test_whoever_stops_waiting_is_recorded_all_the_same(service: Service, engine: AsyncEngine) -> None:
    told = await service.answer(asking())
    assert service.records is not None
    record = await service.records.find(told.record)
    assert record is not None
    row = replace(record, id="other")
    waiting = asyncio.create_task(service.records.keep(row))
    await asyncio.sleep(0)
    waiting.cancel()
    await service.records.finish()
    assert await service.records.find("other") == row


async def test_one_row_that_is_refused_takes_no_other_with_it(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    told = await service.answer(asking())
    assert service.records is not None
    first = await service.records.find(told.record)
    assert first is not None
    more = [replace(first, id=f"n{number}") for number in range(3)]
    assert await asyncio.gather(*(service.records.keep(row) for row in (more[0], first, *more[1:]))) == [True, False, True, True]
    assert [await service.records.find(row.id) for row in more] == more
    assert f"answer {told.record} is not recorded" in caplog.text


async def test_a_failing_database_loses_no_answer(sample_index: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'empty.sqlite'}")  # no tables: nothing can be written
    service = recording_service(sample_index, engine)
    told = await service.answer(asking())
    assert told.record == ""
    assert [sentence.text for sentence in told.answer.sentences] == ["对头孢菌素过敏者禁用。", "孕妇禁用。"]
    assert told.answer.notices == ("勿与“头孢克肟胶囊”混淆。", NOT_RECORDED, DISCLAIMER)
    assert "qizhen_answers_not_recorded_total 1.0" in service.figures.text("", 0).decode()
    assert "no such table" in caplog.text
    assert "头孢" not in caplog.text
    await engine.dispose()


async def test_a_database_that_does_not_answer_holds_nobody_up(sample_index: Path, tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'q.sqlite'}")
    await create_tables(engine)
    service = recording_service(sample_index, engine)
    object.__setattr__(service, "records", AnswerStore(engine, patience=0.05))
    other = sqlite3.connect(tmp_path / "q.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await service.answer(asking())).record == ""
    other.execute("ROLLBACK")
    other.close()
    assert (await service.answer(asking())).record
    await engine.dispose()


def test_programs_are_told_the_id(sample_index: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'q.sqlite'}"
    asyncio.run(prepare_database(url))
    with site_client(recording_service(sample_index, open_database(url))) as client:
        plain = client.post("/api/v1/ask", json={"question": QUESTION}).json()["record"]
        streamed = client.post("/api/v1/ask", json={"question": QUESTION}, headers=EVENTS).text
        spoken = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": QUESTION}]}).json()["qizhen"]["record"]
    event_name, data = streamed.strip().split("\n\n")[-1].split("\n")
    assert event_name == "event: answer"
    ids = [plain, json.loads(data.removeprefix("data: "))["record"], spoken]
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        rows = database.execute("SELECT id, person, way FROM answers ORDER BY at").fetchall()
    assert rows == [(ids[0], LOCAL.name, "api"), (ids[1], LOCAL.name, "api"), (ids[2], LOCAL.name, "openai")]


@pytest.mark.parametrize("told", ["7K3M-9QXT-2FHD", " 7k3m-9qxt-2fhd ", "7k3m9qxt2fhd", "7K3M 9QXT 2FHD"])
def test_ids_are_read_as_people_type_them(told: str) -> None:
    assert read_id(told) == "7K3M-9QXT-2FHD"


def test_letters_that_are_misread_are_put_right_and_nonsense_is_none() -> None:
    assert read_id("OI1L-ABCD-EFGU") == "0111-ABCD-EFGV"
    assert [read_id(told) for told in ("", "7K3M", "7K3M-9QXT-2FH'", "7K3M-9QXT-2FHD-1", "中" * 12)] == [""] * 5
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(read_id(one) == one for one in made)


async def test_a_database_that_cannot_be_used_is_told_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="不能用：") as told:
        await prepare_database(f"sqlite:///{tmp_path / 'no' / 'folder' / 'q.sqlite'}")
    assert "QIZHEN_DATABASE" in told.value.hint
    with pytest.raises(ServeError) as told:
        await prepare_database("postgresql://li:geheim@127.0.0.1:1/x")
    assert "geheim" not in str(told.value)


def test_a_span_is_a_place() -> None:
    assert Span(1, "drug/a", 3, 9) == Span(number=1, document="drug/a", start=3, end=9)


_ASK_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from site_client import recording_service
from app.answer_record import Asking
from app.database import open_database, prepare_database

async def main():
    url = f"sqlite:///{sys.argv[1]}"
    await prepare_database(url)
    service = recording_service(Path(sys.argv[2]), open_database(url))
    async def one(number):
        told = await service.answer(Asking("头孢克洛的禁忌是什么？", (), "", str(number), "api"))
        os.write(1, (told.record + "\\n").encode())  # what a person would have been shown
        if number == 25:
            os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.gather(*(one(number) for number in range(60)))

asyncio.run(main())
"""


@pytest.mark.slow
def test_killed_at_any_moment_whatever_was_shown_is_recorded(sample_index: Path, tmp_path: Path) -> None:
    database = tmp_path / "q.sqlite"
    command = [sys.executable, "-c", _ASK_AND_DIE, str(database), str(sample_index), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    shown = set(done.stdout.split())
    with sqlite3.connect(database) as connection:
        recorded = {row[0] for row in connection.execute("SELECT id FROM answers")}
    assert shown
    assert shown <= recorded
