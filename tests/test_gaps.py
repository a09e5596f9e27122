"""What was not answered well, grouped by what it was about."""

import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from site_client import recording_service
from sqlalchemy.ext.asyncio import AsyncEngine

from app.answer_record import Asking
from app.database import create_tables, open_database
from app.gaps import asked_about, gaps
from app.service import Service

YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_database(f"sqlite:///{tmp_path / 'q.sqlite'}")
    await create_tables(engine)
    yield engine
    await engine.dispose()


async def put(service: Service, question: str) -> str:
    return (await service.answer(Asking(question, (), "", "li", "api"))).record


async def test_gaps_are_grouped_counted_and_dated(sample_index: Path, engine: AsyncEngine) -> None:
    service = recording_service(sample_index, engine)
    assert service.records is not None
    for question in ("奥司他韦的禁忌？", "头孢克肟的禁忌是什么？", "奥司他韦怎么用？"):
        await put(service, question)
    liked = await put(service, "头孢克洛的禁忌是什么？")
    disliked = await put(service, "头孢克洛能治什么病？")
    await service.records.rate(liked, 1, "好")
    await service.records.rate(disliked, -1, "不全")
    first, *others = await gaps(service.records, YESTERDAY)
    assert (first.kind, first.about, first.refused, first.disliked, first.count) == ("not_held", "奥司他韦", 2, 0, 2)
    assert first.question == "奥司他韦怎么用？"
    assert first.first < first.latest
    assert [(gap.kind, gap.about, gap.refused, gap.disliked, gap.comment) for gap in others] == [
        ("other", "头孢克洛能治什么病？", 0, 1, "不全"),
        ("not_mentioned", "头孢克肟 · 禁忌", 1, 0, ""),
    ]
    assert others[0].record == disliked
    assert await gaps(service.records, datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)) == ()
    assert len(await gaps(service.records, YESTERDAY, most=1)) == 1


@pytest.mark.parametrize(
    ("notices", "about"),
    [
        (["知识库无法回答这个问题：没有收录“头孢曲松”。"], ("not_held", "头孢曲松")),
        (["没有收录“氯丙那林”。您要找的是："], ("not_held", "氯丙那林")),
        (["知识库无法回答这个问题：“逍遥丸”的资料里没有提到“贮藏”（已有：用法用量）。"], ("not_mentioned", "逍遥丸 · 贮藏")),
        (["知识库无法回答这个问题：“环孢素”的资料里没有“注射剂”这种剂型。"], ("not_mentioned", "环孢素 · 注射剂")),
        (["“环孢素”有几种，说明不同。您要问的是："], ("other", "环孢素")),
        (["知识库无法回答这个问题：没有看出要问的药品、疾病或症状。"], ("other", "问")),
        ([], ("other", "问")),
    ],
)
def test_what_a_question_was_about_is_read_from_what_was_told(notices: list[str], about: tuple[str, str]) -> None:
    assert asked_about(notices, "问") == about
