"""Recorded answers day by day: how many, what they came to, how long they took, how they were rated."""

import datetime
import math
from dataclasses import dataclass

from app.answer_store import AnswerStore

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Day:
    """The answers of one day in UTC. `p50` and `p95` are milliseconds by nearest rank, 0 for a day without answers."""

    day: str
    answered: int = 0
    refused: int = 0
    clarify: int = 0
    up: int = 0
    down: int = 0
    p50: float = 0.0
    p95: float = 0.0

    @property
    def total(self) -> int:
        """How many answers."""
        return self.answered + self.refused + self.clarify


async def days_of(store: AnswerStore, count: int, now: datetime.datetime) -> tuple[Day, ...]:
    """The last `count` days, the present one being the last; those without answers too."""
    last = now.astimezone(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = last - (count - 1) * _DAY
    tallies = await store.tallies(since)
    days = []
    for number in range(count):
        name = (since + number * _DAY).date().isoformat()
        of_day = [(status, rating, met) for day, status, rating, met in tallies if day == name]
        by_status = {wanted: sum(met for status, _, met in of_day if status == wanted) for wanted in ("answered", "refused", "clarify")}
        total = sum(by_status.values())
        ranks = (rank_of(0.5, total), rank_of(0.95, total))
        p50, p95 = await store.milliseconds_at(name, ranks) if total else (0.0, 0.0)
        up, down = (sum(met for _, rating, met in of_day if rating == wanted) for wanted in (1, -1))
        days.append(Day(name, **by_status, up=up, down=down, p50=p50, p95=p95))
    return tuple(days)


def rank_of(share: float, count: int) -> int:
    """The nearest rank of a quantile among `count` values, from 0."""
    return max(0, math.ceil(share * count) - 1)
