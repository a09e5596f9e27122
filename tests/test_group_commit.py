"""Writes of many are committed together, in their time, and each is told what became of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import open_database
from app.group_commit import GroupCommit

INSERT = text("INSERT INTO t (n) VALUES (:n)")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_database(f"sqlite:///{tmp_path / 't.sqlite'}")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    yield engine
    await engine.dispose()


async def rows(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return list((await connection.execute(text("SELECT n FROM t ORDER BY n"))).scalars())


async def test_what_waits_at_the_same_time_is_one_commit(engine: AsyncEngine) -> None:
    commits: list[int] = []
    writer = GroupCommit(engine)
    event.listen(writer.committing, "commit", lambda _: commits.append(1))
    await asyncio.gather(*(writer.write(INSERT, {"n": number}) for number in range(100)))
    assert await rows(engine) == list(range(100))
    assert 1 <= len(commits) <= 2


async def test_a_refused_row_is_told_to_its_own_alone(engine: AsyncEngine) -> None:
    writer = GroupCommit(engine)
    await writer.write(INSERT, {"n": 1})
    told = await asyncio.gather(*(writer.write(INSERT, {"n": number}) for number in (0, 1, 2)), return_exceptions=True)
    assert [type(one) for one in told] == [type(None), IntegrityError, type(None)]
    assert await rows(engine) == [0, 1, 2]


async def test_what_is_in_no_hurry_waits_until_something_is(engine: AsyncEngine) -> None:
    writer = GroupCommit(engine, gather=3600)
    later = asyncio.create_task(writer.write(INSERT, {"n": 1}, hurry=False))
    await asyncio.sleep(0.02)
    assert await rows(engine) == []
    await writer.write(INSERT, {"n": 2})
    await later
    assert await rows(engine) == [1, 2]


async def test_at_the_end_nothing_waits_any_more(engine: AsyncEngine) -> None:
    writer = GroupCommit(engine, gather=3600)
    later = asyncio.create_task(writer.write(INSERT, {"n": 1}, hurry=False))
    await asyncio.sleep(0)
    await writer.finish()
    await later
    assert await rows(engine) == [1]


async def test_a_database_that_is_gone_is_told_to_all(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'no' / 't.sqlite'}")
    writer = GroupCommit(engine)
    told = await asyncio.gather(*(writer.write(INSERT, {"n": number}) for number in range(3)), return_exceptions=True)
    assert {type(one).__name__ for one in told} == {"OperationalError"}
    await engine.dispose()
