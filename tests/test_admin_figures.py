"""Figures by day: counted, ranked, drawn."""

import asyncio
import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from site_client import recording_client
from sqlalchemy import insert
from test_drug_pages import words

from app.answer_record import ANSWERS
from app.answer_store import AnswerStore
from app.database import open_database, prepare_database
from app.day_figures import Day, days_of, rank_of
from app.day_plots import Label, bars, ceiling, lines

BLANK = dict.fromkeys(("person", "key", "thread", "step", "comment"), "") | {"way": "api", "question": "q", "read_as": "q"}
BLANK |= dict.fromkeys(("history", "sentences", "citations", "notices", "candidates", "verdicts"), "[]")
BLANK |= {"chosen": "quoting", "generator": "quoting", "settings": "{}", "release": "r"}


async def put(url: str, rows: list[tuple[str, str, float, int]]) -> None:
    engine = open_database(url)
    names = ("at", "status", "milliseconds", "rating")
    async with engine.begin() as connection:
        for number, row in enumerate(rows):
            await connection.execute(insert(ANSWERS).values(id=str(number), **BLANK, **dict(zip(names, row, strict=True))))
    await engine.dispose()


@pytest.fixture
def client(sample_index: Path, tmp_path: Path) -> Iterator[TestClient]:
    with recording_client(sample_index, tmp_path / "q.sqlite") as client:
        yield client


async def test_days_are_counted_and_ranked(database: str) -> None:
    await prepare_database(database)
    rows = [("2026-11-20T23:59:59.999Z", "answered", 9.0, 1), ("2026-11-21T00:00:00.000Z", "clarify", 7.0, 0)]
    rows += [(f"2026-11-23T0{n // 10}:00:{n % 60:02}.000Z", "answered", float(n), 1 if n > 18 else 0) for n in range(1, 21)]
    rows += [("2026-11-23T23:59:59.999Z", "refused", 500.0, -1)]
    await put(database, rows)
    engine = open_database(database)
    found = await days_of(AnswerStore(engine), 3, datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC))
    await engine.dispose()
    # 21 answers: the 11th of 1…20, 500 is the median, the 20th is the 95th percentile.
    assert found == (
        Day("2026-11-21", clarify=1, p50=7.0, p95=7.0),
        Day("2026-11-22"),
        Day("2026-11-23", answered=20, refused=1, up=2, down=1, p50=11.0, p95=20.0),
    )
    assert [day.total for day in found] == [1, 0, 21]


@pytest.mark.parametrize(("share", "count", "rank"), [(0.5, 1, 0), (0.95, 1, 0), (0.5, 2, 0), (0.5, 3, 1), (0.95, 100, 94), (0.95, 20, 18)])
def test_quantiles_are_by_nearest_rank(share: float, count: int, rank: int) -> None:
    assert rank_of(share, count) == rank


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.5, 2), (2, 2), (3, 5), (7, 10), (11, 20), (100, 100), (101, 200), (999, 1000)]
)
def test_a_scale_ends_on_a_round_number(value: float, top: float) -> None:
    assert ceiling(value) == top


def test_bars_stand_on_one_another_and_fill_the_scale() -> None:
    plot = bars("x", ["2026-11-22", "2026-11-23"], {"a": "甲", "b": "乙"}, {"a": [1, 0], "b": [1, 0]})
    lower, upper = plot.bars
    assert (lower.y + lower.height, upper.y + upper.height) == (190, lower.y)
    assert (upper.y, lower.height, upper.height) == (14, 88, 88)
    assert upper.told == "2026-11-22 乙 1"
    assert plot.ticks == (Label(50, 190, "0"), Label(50, 102, "1"), Label(50, 14, "2"))
    assert [label.text for label in plot.days] == ["11-22", "11-23"]


def test_lines_pass_over_days_without_a_value() -> None:
    plot = lines("x", ["2026-11-21", "2026-11-22", "2026-11-23"], {"p50": "p50"}, {"p50": [10.0, 0.0, 5.0]})
    assert plot.lines[0].points == "142.7,14.0 489.3,102.0"
    assert [dot.told for dot in plot.bars] == ["2026-11-21 p50 10", "2026-11-23 p50 5"]


def test_the_page_draws_without_inline_style_and_says_the_same_in_a_table(client: TestClient, tmp_path: Path) -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rows = [(f"{today}T00:00:00.000Z", "answered", 12.4, 1), (f"{today}T00:00:01.000Z", "refused", 30.0, 0)]
    asyncio.run(put(f"sqlite:///{tmp_path / 'q.sqlite'}", rows))
    page = client.get("/admin/figures?days=7").text
    assert "最近7天2条回答：已答1·反问0·拒答1；赞1·踩0。" in words(page)
    row = re.search(rf'<th scope="row">{today}</th>(.*?)</tr>', page, re.DOTALL)
    assert row
    assert re.findall(r">(\d+)<", row[1]) == ["2", "1", "0", "1", "12", "30", "1", "0"]
    assert page.count("<figure>") == 3
    assert f"<title>{today} 拒答 1</title>" in page
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?://", page)
    assert client.get("/admin/figures?days=367").status_code == 422


def test_without_answers_that_is_told(client: TestClient) -> None:
    assert "这段时间没有回答。" in words(client.get("/admin/figures").text)
