"""The records of answers in the database. One writer commits what many answers wait for at once."""

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.answer_record import ANSWERS, AnswerRecord, record_from, row_of, stamp
from app.answering import Status
from app.database import cause_of
from app.group_commit import PATIENCE, GroupCommit

_INSERT = insert(ANSWERS)
_OF_GAPS = ("id", "at", "question", "read_as", "status", "notices", "rating", "comment")
_log = logging.getLogger("qizhen.answers")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers to list; None or "" takes any. `since` is a moment, `rating` 1, -1, or 0 for those without one."""

    status: Status | None = None
    rating: int | None = None
    since: datetime.datetime | None = None
    person: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """What holds of their rows."""
        asked: tuple[ColumnElement[bool] | None, ...] = (
            ANSWERS.c.status == self.status if self.status else None,
            ANSWERS.c.rating == self.rating if self.rating is not None else None,
            ANSWERS.c.at >= stamp(self.since) if self.since else None,
            ANSWERS.c.person == self.person if self.person else None,
        )
        return [condition for condition in asked if condition is not None]


class AnswerStore:
    """Keeps and finds records. Belongs to the event loop that its engine belongs to."""

    def __init__(self, engine: AsyncEngine, patience: float = PATIENCE) -> None:
        self._engine = engine
        self._commits = GroupCommit(engine, patience)

    async def keep(self, record: AnswerRecord) -> bool:
        """Whether the record is durable now; the log says why where it is not. Whoever stops waiting does not stop the writing."""
        try:
            await self._commits.write(_INSERT, row_of(record))
        except Exception as error:  # noqa: BLE001 - whatever the database does, the answer is shown
            _log.error("answer %s is not recorded: %s", record.id, cause_of(error))
            return False
        return True

    @property
    def committing(self) -> Engine:
        """What commits the records."""
        return self._commits.committing

    async def finish(self) -> None:
        """Wait until everything that was given is written."""
        await self._commits.finish()

    async def find(self, answer_id: str) -> AnswerRecord | None:
        """The record of an id."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(ANSWERS).where(ANSWERS.c.id == answer_id))).mappings().first()
        return record_from(dict(row)) if row else None

    async def list(self, wanted: Wanted, offset: int, most: int) -> Sequence[AnswerRecord]:
        """The records that are wanted, the newest first."""
        query = select(ANSWERS).where(*wanted.conditions()).order_by(ANSWERS.c.at.desc(), ANSWERS.c.id).offset(offset).limit(most)
        async with self._engine.connect() as connection:
            return [record_from(dict(row)) for row in (await connection.execute(query)).mappings()]

    async def unsatisfying(self, since: datetime.datetime) -> Sequence[Mapping[str, Any]]:
        """Rows of what was refused, asked back or disliked since then, in order of time; those of app/gaps.py's columns."""
        columns = [ANSWERS.c[name] for name in _OF_GAPS]
        wrong = or_(ANSWERS.c.status.in_(("refused", "clarify")), ANSWERS.c.rating < 0)
        query = select(*columns).where(ANSWERS.c.at >= stamp(since), wrong).order_by(ANSWERS.c.at, ANSWERS.c.id)
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def tallies(self, since: datetime.datetime) -> Sequence[tuple[str, str, int, int]]:
        """(day in UTC, status, rating, how many answers) since then."""
        day = func.substr(ANSWERS.c.at, 1, 10)
        query = select(day, ANSWERS.c.status, ANSWERS.c.rating, func.count()).where(ANSWERS.c.at >= stamp(since))
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.group_by(day, ANSWERS.c.status, ANSWERS.c.rating))
            return [(str(row[0]), str(row[1]), int(row[2]), int(row[3])) for row in rows]

    async def milliseconds_at(self, day: str, ranks: Sequence[int]) -> Sequence[float]:
        """How long the answers of a day took that have these ranks, the quickest's being 0."""
        of_day = ANSWERS.c.at.between(f"{day}T", f"{day}U")
        query = select(ANSWERS.c.milliseconds).where(of_day).order_by(ANSWERS.c.milliseconds)
        async with self._engine.connect() as connection:
            return [float((await connection.execute(query.offset(rank).limit(1))).scalar() or 0.0) for rank in ranks]

    async def rate(self, answer_id: str, rating: int, comment: str) -> bool:
        """Rate an answer anew: 1, -1, or 0 to take it back. Whether there is such an answer."""
        return await self._rate(ANSWERS.c.id == answer_id, rating, comment)

    async def rate_steps(self, steps: Sequence[str], person: str, rating: int, comment: str) -> bool:
        """As `rate`, the answers that messages of the chat are, if they are this person's."""
        return await self._rate(and_(ANSWERS.c.step.in_(steps), ANSWERS.c.person == person), rating, comment)

    async def _rate(self, which: ColumnElement[bool], rating: int, comment: str) -> bool:
        async with self._engine.begin() as connection:
            rated = await connection.execute(update(ANSWERS).where(which).values(rating=rating, comment=comment))
        return rated.rowcount > 0
