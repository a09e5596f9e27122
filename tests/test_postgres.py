"""Answers, keys and retention in a real PostgreSQL that the test starts."""

import asyncio
import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from postgres_server import PostgresServer, found
from site_client import recording_service
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.answer_record import Asking, stamp
from app.answer_store import Wanted
from app.database import open_database, prepare_database
from app.forgetting import Forgotten, Keeping
from app.gaps import gaps
from app.idempotency import Repeats
from app.question import Turn

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not found(), reason="PostgreSQL is not installed")]
QUESTION = "头孢克洛的禁忌是什么？"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with PostgresServer() as url:
        asyncio.run(prepare_database(url))
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncEngine:
    engine = open_database(url)
    async with engine.begin() as connection:
        for table in ("answers", "idempotency", "acts"):
            await connection.execute(text(f"DELETE FROM {table}"))
    yield engine
    await engine.dispose()


async def test_answers_of_many_are_recorded_listed_rated_and_forgotten(sample_index: Path, engine: AsyncEngine) -> None:
    service = recording_service(sample_index, engine)
    assert service.records is not None
    odd = (Turn("user", "头孢\ud83d\x00克洛'\"\\"),)
    told = await asyncio.gather(*(service.answer(Asking(QUESTION, (), "", f"p{n % 2}", "api", step=str(n))) for n in range(60)))
    refused = await service.answer(Asking("奥司他韦的禁忌？", (), "", "p0", "api"))
    record = await service.records.find(told[0].record)
    assert record is not None
    assert await service.records.keep(replace(record, id="odd", history=odd, at=stamp(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))))
    assert await service.records.find("odd") == replace(record, id="odd", history=odd, at="2020-01-01T00:00:00.000Z")
    assert not await service.records.keep(record)  # its id is taken
    listed = await service.records.list(Wanted(status="refused"), 0, 10)
    assert [one.id for one in listed] == [refused.record]
    assert await service.records.rate_steps(["1"], "p1", -1, "不全")
    assert not await service.records.rate_steps(["1"], "p0", 1, "")
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    assert {(gap.about, gap.count) for gap in await gaps(service.records, since)} == {("奥司他韦", 1), (QUESTION, 1)}
    keeping = Keeping(engine, engine)
    assert await keeping.forget_before(since, "x") == Forgotten(1, 0)
    assert await keeping.forget_person("p1", "x") == Forgotten(30, 0)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM answers"))).scalar_one() == 31


async def test_a_key_is_used_once_by_many_at_once(engine: AsyncEngine) -> None:
    repeats = Repeats(engine)
    outcomes = [repeat.outcome for repeat in await asyncio.gather(*(repeats.begin("li", "k", "body") for _ in range(8)))]
    assert sorted(outcomes) == ["new"] + ["under_way"] * 7
    await repeats.end("li", "k", "7K3M-9QXT-2FHD")
    assert (await repeats.begin("li", "k", "body")).record == "7K3M-9QXT-2FHD"
    assert (await repeats.begin("li", "k", "other")).outcome == "other_request"
