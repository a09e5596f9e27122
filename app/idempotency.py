"""The same request sent again, because its answer did not arrive, is answered by the same record (header Idempotency-Key)."""

import datetime
import hashlib
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Column, ColumnElement, String, Table, Text, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.answer_record import stamp
from app.database import TABLES

LONGEST_KEY = 200
_UNDER_WAY = datetime.timedelta(seconds=90)  # longer than any answer takes; then whoever began it is gone
IDEMPOTENCY = Table(
    "idempotency",
    TABLES,
    Column("person", Text, primary_key=True),
    Column("key", String(LONGEST_KEY), primary_key=True),
    Column("body", String(64), nullable=False),
    Column("record", Text, nullable=False),  # "" while the answer is being made
    Column("at", String(24), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request with a key: `record` is the id of the answer that it was given."""

    outcome: Literal["new", "under_way", "answered", "other_request"]
    record: str = ""


class Repeats:
    """Which keys were used, by whom, for what."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, person: str, key: str, body: str) -> Repeat:
        """Whether a request is new, and what became of it where it is not. A new one must be ended."""
        digest, now = hashlib.sha256(body.encode("utf-8", "backslashreplace")).hexdigest(), datetime.datetime.now(datetime.UTC)
        mine = _of(person, key)
        abandoned = and_(mine, IDEMPOTENCY.c.record == "", IDEMPOTENCY.c.at < stamp(now - _UNDER_WAY))
        row = {"person": person, "key": key, "body": digest, "record": "", "at": stamp(now)}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(delete(IDEMPOTENCY).where(abandoned))
                await connection.execute(insert(IDEMPOTENCY), row)
                return Repeat("new")
        except IntegrityError:
            pass
        async with self._engine.connect() as connection:
            used = (await connection.execute(select(IDEMPOTENCY.c.body, IDEMPOTENCY.c.record).where(mine))).first()
        if used is None or (used.body == digest and not used.record):
            return Repeat("under_way")
        return Repeat("answered", used.record) if used.body == digest else Repeat("other_request")

    async def end(self, person: str, key: str, record: str) -> None:
        """Note the record of the answer that was given; where there is none, the key is free again."""
        mine = _of(person, key)
        change = update(IDEMPOTENCY).where(mine).values(record=record) if record else delete(IDEMPOTENCY).where(mine)
        async with self._engine.begin() as connection:
            await connection.execute(change)

    async def forget(self, record: str) -> None:
        """Free the key of an answer that cannot be shown again."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.record == record))


def _of(person: str, key: str) -> ColumnElement[bool]:
    return and_(IDEMPOTENCY.c.person == person, IDEMPOTENCY.c.key == key)
