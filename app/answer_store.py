"""The records of answers in the database. One writer commits what many answers wait for at once."""

import asyncio
import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, or_, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.answer_record import ANSWERS, AnswerRecord, record_from, row_of, stamp
from app.answering import Status
from app.database import cause_of

_PATIENCE = 5.0  # seconds for a commit; then its answers are shown all the same, as not recorded
# The database itself fails, not a row.
_DOWN = (OperationalError, InterfaceError, OSError, TimeoutError)
_OF_GAPS = ("id", "at", "question", "read_as", "status", "notices", "rating", "comment")
_log = logging.getLogger("qizhen.answers")
_Waiting = tuple[dict[str, Any], "asyncio.Future[None]"]


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

    def __init__(self, engine: AsyncEngine, patience: float = _PATIENCE) -> None:
        self._engine = engine
        self._patience = patience
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, record: AnswerRecord) -> bool:
        """Whether the record is durable now; the log says why where it is not. Whoever stops waiting does not stop the writing."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row_of(record), kept))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        try:
            await kept
        except Exception as error:  # noqa: BLE001 - whatever the database does, the answer is shown
            _log.error("answer %s is not recorded: %s", record.id, cause_of(error))
            return False
        return True

    async def finish(self) -> None:
        """Wait until everything that was given is written."""
        if self._writer is not None:
            await self._writer

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

    async def _write(self) -> None:
        """Commit all that waits, again and again until nothing does: while one commit is under way, the next batch gathers."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._insert([row for row, _ in batch])
            except _DOWN as error:
                for _, kept in batch:
                    _settle(kept, error)
            except Exception:  # noqa: BLE001 - told to the one whose row it is
                await self._one_by_one(batch)
            for _, kept in batch:
                _settle(kept)

    async def _one_by_one(self, batch: Sequence[_Waiting]) -> None:
        """One row that the database refuses keeps no other from being written."""
        for row, kept in batch:
            try:
                await self._insert([row])
            except Exception as error:  # noqa: BLE001 - told to the one that waits
                _settle(kept, error)

    async def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
        async with asyncio.timeout(self._patience), self._engine.begin() as connection:
            await connection.execute(insert(ANSWERS), rows)


def _settle(kept: "asyncio.Future[None]", error: Exception | None = None) -> None:
    if kept.done():
        return
    if error is None:
        kept.set_result(None)
    else:
        kept.set_exception(error)
