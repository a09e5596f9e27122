"""Personal data is taken away: all of one person, or all that is older than it may be kept. Answers and conversations alike."""

import datetime
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.acts import note
from app.answer_record import ANSWERS, stamp
from app.idempotency import IDEMPOTENCY

# Chainlit's tables (app/history.py); what hangs on a thread goes before it.
_OF_THREADS = (
    'DELETE FROM feedbacks WHERE "forId" IN (SELECT "id" FROM steps WHERE "threadId" IN :threads)',
    'DELETE FROM feedbacks WHERE "threadId" IN :threads',
    'DELETE FROM elements WHERE "threadId" IN :threads',
    'DELETE FROM steps WHERE "threadId" IN :threads',
    'DELETE FROM threads WHERE "id" IN :threads',
)
_AT_ONCE = 500  # threads in a statement
_OF_PERSON = (
    'SELECT "id" FROM threads WHERE "userIdentifier" = :person OR "userId" IN (SELECT "id" FROM users WHERE "identifier" = :person)'
)
_LATEST = 'coalesce((SELECT max(s."createdAt") FROM steps s WHERE s."threadId" = t."id"), t."createdAt")'
_BEFORE = f'SELECT t."id" FROM threads t WHERE {_LATEST} < :before'


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many answers and conversations are gone."""

    answers: int
    threads: int


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where personal data is: the database of answers, and that of the chat's conversations, which may be the same."""

    answers: AsyncEngine
    threads: AsyncEngine

    async def forget_person(self, person: str, actor: str) -> Forgotten:
        """Take away all that is kept of somebody; the act is noted without the name."""
        threads = await self._forget_threads(_OF_PERSON, {"person": person}, 'DELETE FROM users WHERE "identifier" = :person')
        async with self.answers.begin() as connection:
            await _overwrite(connection)
            gone = (await connection.execute(delete(ANSWERS).where(ANSWERS.c.person == person))).rowcount
            await connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.person == person))
            await note(connection, actor, "purge_person", {"answers": gone, "threads": threads}, _now())
        await _empty_log(self.answers)
        return Forgotten(gone, threads)

    async def forget_before(self, moment: datetime.datetime, actor: str) -> Forgotten:
        """Take away what is older; noted where anything was."""
        before = stamp(moment)
        threads = await self._forget_threads(_BEFORE, {"before": before})
        async with self.answers.begin() as connection:
            await _overwrite(connection)
            gone = (await connection.execute(delete(ANSWERS).where(ANSWERS.c.at < before))).rowcount
            await connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.at < before))
            if gone or threads:
                await note(connection, actor, "purge_older", {"before": before, "answers": gone, "threads": threads}, _now())
        await _empty_log(self.answers)
        return Forgotten(gone, threads)

    async def _forget_threads(self, threads: str, values: dict[str, str], last: str = "") -> int:
        async with self.threads.begin() as connection:
            if not await connection.run_sync(lambda plain: inspect(plain).has_table("threads")):
                return 0  # nobody has chatted yet
            await _overwrite(connection)
            found = list((await connection.execute(text(threads), values)).scalars())
            for start in range(0, len(found), _AT_ONCE):
                for statement in _OF_THREADS:
                    chosen = text(statement).bindparams(bindparam("threads", expanding=True))
                    await connection.execute(chosen, {"threads": found[start : start + _AT_ONCE]})
            if last:
                await connection.execute(text(last), values)
        await _empty_log(self.threads)
        return len(found)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def _overwrite(connection: AsyncConnection) -> None:
    """SQLite only unlinks what is deleted, unless it is told to write zeros there."""
    if connection.dialect.name == "sqlite":
        await connection.execute(text("PRAGMA secure_delete = ON"))


async def _empty_log(engine: AsyncEngine) -> None:
    """What was written ahead holds the rows until it is taken over; where somebody reads just now, the next one does it."""
    if engine.dialect.name == "sqlite":
        async with engine.connect() as connection:
            await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
