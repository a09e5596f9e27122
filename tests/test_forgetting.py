"""What is purged is gone, from the files too; what is not, stays; and the act is noted without a name."""

import asyncio
import datetime
import json
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from chainlit.context import context_var
from chainlit.types import Feedback
from chainlit.user import User
from site_client import recording_service
from sqlalchemy.ext.asyncio import AsyncEngine
from test_history import Context, step

from app import console
from app.answer_record import Asking, stamp
from app.database import create_tables, open_database
from app.forgetting import Forgotten, Keeping
from app.history import open_history
from app.service import Service
from app.settings import keep_days
from indexer.errors import ServeError

SECRET = "患者王某的甲胎蛋白"
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Keeping]:
    engines = [open_database(f"sqlite:///{tmp_path / name}") for name in ("qizhen.sqlite", "chat.sqlite")]
    await create_tables(engines[0])
    yield Keeping(*engines)
    for engine in engines:
        await engine.dispose()


async def chatted(folder: Path, person: str, said: str, created: str) -> str:
    """A thread of somebody with a step and a comment on it."""
    token = context_var.set(Context())  # type: ignore[arg-type]
    history = await open_history(f"sqlite:///{folder / 'chat.sqlite'}")
    user = await history.create_user(User(identifier=person, metadata={}))
    thread = str(uuid.uuid4())
    await history.update_thread(thread, name=said, user_id=user.id)
    row = step(thread, "user_message", said, created)
    await history.create_step(row)
    await history.upsert_feedback(Feedback(forId=row["id"], threadId=thread, value=0, comment=said))
    await history.close()
    context_var.reset(token)
    return thread


def service_of(index: Path, engine: AsyncEngine) -> Service:
    return recording_service(index, engine)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as database:
        return database.execute(query).fetchall()


async def test_all_of_a_person_is_gone_and_nobody_elses(sample_index: Path, kept: Keeping, tmp_path: Path) -> None:
    service = service_of(sample_index, kept.answers)
    for person in ("zhao", "li", "zhao"):
        await service.answer(Asking(f"{SECRET if person == 'zhao' else '头孢克洛'}的禁忌是什么？", (), "", person, "api"))
        await chatted(tmp_path, person, SECRET if person == "zhao" else "头孢", "2026-11-22T01:00:00Z")
    assert await kept.forget_person("zhao", "admin-of-today") == Forgotten(2, 2)
    assert rows(tmp_path / "qizhen.sqlite", "SELECT person FROM answers") == [("li",)]
    for table, left in (("threads", 1), ("steps", 1), ("feedbacks", 1), ("users", 1)):
        assert rows(tmp_path / "chat.sqlite", f"SELECT count(*) FROM {table}") == [(left,)], table
    ((act, actor, details),) = rows(tmp_path / "qizhen.sqlite", "SELECT act, actor, details FROM acts")
    assert (act, actor, json.loads(str(details))) == ("purge_person", "admin-of-today", {"answers": 2, "threads": 2})
    contents = {path.name: path.read_bytes() for path in sorted(tmp_path.glob("*"))}  # noqa: ASYNC240 - a few small files
    assert {"qizhen.sqlite", "chat.sqlite"} <= set(contents)
    assert [name for name, content in contents.items() if SECRET.encode() in content or b"zhao" in content] == []


async def test_what_is_too_old_is_gone(sample_index: Path, kept: Keeping, tmp_path: Path) -> None:
    service = service_of(sample_index, kept.answers)
    assert service.records is not None
    told = await service.answer(Asking("头孢克洛的禁忌是什么？", (), "", "li", "api"))
    record = await service.records.find(told.record)
    assert record is not None
    days = {name: stamp(NOW - datetime.timedelta(days=age)) for name, age in (("old", 400), ("edge", 364))}
    for name, at in days.items():
        await service.records.keep(replace(record, id=name, at=at))
        await chatted(tmp_path, "li", name, at)
    assert await kept.forget_before(NOW - datetime.timedelta(days=365), "x") == Forgotten(1, 1)
    assert {row[0] for row in rows(tmp_path / "qizhen.sqlite", "SELECT id FROM answers")} == {"edge", told.record}
    assert rows(tmp_path / "chat.sqlite", "SELECT name FROM threads") == [("edge",)]
    assert await kept.forget_before(NOW - datetime.timedelta(days=365), "x") == Forgotten(0, 0)
    assert len(rows(tmp_path / "qizhen.sqlite", "SELECT * FROM acts")) == 1


async def test_the_server_forgets_at_its_start(sample_index: Path, kept: Keeping) -> None:
    service = replace(service_of(sample_index, kept.answers), keeping=kept, keep_days=30)
    assert service.records is not None
    told = await service.answer(Asking("头孢克洛的禁忌是什么？", (), "", "li", "api"))
    record = await service.records.find(told.record)
    assert record is not None
    await service.records.keep(replace(record, id="old", at=stamp(NOW - datetime.timedelta(days=31))))
    async with service.running():
        while await service.records.find("old"):  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.001)
    assert await service.records.find(told.record) == record


async def test_a_person_whom_nobody_knows_is_nothing_to_forget(kept: Keeping) -> None:
    assert await kept.forget_person("nobody", "x") == Forgotten(0, 0)


def test_the_command_forgets(
    sample_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def put() -> None:
        engine = open_database(f"sqlite:///{tmp_path / 'qizhen.sqlite'}")
        await create_tables(engine)
        await service_of(sample_index, engine).answer(Asking("头孢克洛的禁忌是什么？", (), "", "li", "api"))
        await engine.dispose()
        await chatted(tmp_path, "li", "头孢", "2026-11-22T01:00:00Z")

    asyncio.run(put())
    for words, told in ((("--older-than", "3650"), (0, 0)), (("--user", "li"), (1, 1)), (("--user", "li"), (0, 0))):
        monkeypatch.setattr(sys, "argv", ["qizhen", "answers", "purge", *words, "--state", str(tmp_path), "--json"])
        with pytest.raises(SystemExit):
            console.main()
        assert json.loads(capsys.readouterr().out) == {"answers": told[0], "threads": told[1]}


def test_how_long_is_kept_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QIZHEN_KEEP_DAYS", raising=False)
    assert keep_days() == 365
    monkeypatch.setenv("QIZHEN_KEEP_DAYS", "0")
    assert keep_days() == 0
    for wrong in ("-1", "一年", "1.5", "٣"):
        monkeypatch.setenv("QIZHEN_KEEP_DAYS", wrong)
        with pytest.raises(ServeError, match="QIZHEN_KEEP_DAYS 是"):
            keep_days()
