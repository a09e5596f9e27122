"""Signing in: sessions that end on the server, and limits for those who guess."""

import asyncio
import datetime
import hashlib
import secrets
from functools import cache

from sqlalchemy import Column, Float, Integer, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.access import Person
from app.accounts import ACCOUNTS, LONGEST_PASSWORD, SESSIONS, Clock, hasher, is_password, now, plain_name
from app.answer_record import stamp
from app.database import TABLES
from app.problems import Problem

# Wrong passwords are counted by name, held or not, and by address; both as digests, since people type passwords into the wrong field.
ATTEMPTS = Table(
    "sign_in_attempts",
    TABLES,
    Column("digest", String(64), primary_key=True),
    Column("wrong", Integer, nullable=False),
    Column("until", Float, nullable=False),
    Column("last", Float, nullable=False),
)
_IDLE = datetime.timedelta(hours=12)
LONGEST = datetime.timedelta(days=7)
_SEEN_EVERY = datetime.timedelta(minutes=5)
# So many wrong passwords cost nothing; then each doubles the wait, from half a minute to a quarter of an hour.
_FREE_BY_NAME, _FREE_BY_ADDRESS = 5, 30
_FIRST_WAIT, _LONGEST_WAIT, _FORGOTTEN_AFTER = 30.0, 900.0, 3600.0  # seconds
_WRONG = "账户名称或密码不对。"


class SignIns:
    """Sessions of a database. Belongs to the event loop that its engine belongs to."""

    def __init__(self, engine: AsyncEngine, clock: Clock = now) -> None:
        self._engine = engine
        self._clock = clock
        self._checking = asyncio.Semaphore(2)  # each check takes 64 MiB
        self._counting = asyncio.Lock()

    async def sign_in(self, name: str, password: str, address: str) -> str:
        """The token of a new session. Raises Problem 401 for a wrong name or password, 429 while there were too many.

        An unknown name takes as long as a wrong password, and is told the same.
        """
        name = plain_name(name)
        guesses = [(_digest(f"name {name}"), _FREE_BY_NAME), (_digest(f"address {address}"), _FREE_BY_ADDRESS)]
        async with self._checking:
            await self._check_wait([digest for digest, _ in guesses])
            async with self._engine.connect() as connection:
                row = (await connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name))).mappings().first()
            kept = str(row["password"]) if row else await asyncio.to_thread(_nobodys_password)
            right = len(password) <= LONGEST_PASSWORD and await asyncio.to_thread(is_password, kept, password)
            if row is None or not right or row["disabled"]:
                await self._count(guesses)
                raise Problem(401, _WRONG)
            return await self._started(name, guesses[0][0])

    async def prepare(self) -> None:
        """Make what the first unknown name is compared with, which would take longer than the next."""
        await asyncio.to_thread(_nobodys_password)

    async def person(self, token: str) -> Person | None:
        """Whose session a token is, while it lasts."""
        digest, moment = _digest(token), self._clock()
        query = select(ACCOUNTS.c.name, ACCOUNTS.c.role, ACCOUNTS.c.disabled, SESSIONS.c.created, SESSIONS.c.seen)
        query = query.join_from(SESSIONS, ACCOUNTS, SESSIONS.c.name == ACCOUNTS.c.name).where(SESSIONS.c.digest == digest)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None or row["disabled"] or row["created"] < stamp(moment - LONGEST) or row["seen"] < stamp(moment - _IDLE):
            return None
        if row["seen"] < stamp(moment - _SEEN_EVERY):
            async with self._engine.begin() as connection:
                await connection.execute(update(SESSIONS).where(SESSIONS.c.digest == digest).values(seen=stamp(moment)))
        return Person(row["name"], row["role"])

    async def sign_out(self, token: str) -> None:
        """End a session, if it is one."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == _digest(token)))

    async def _started(self, name: str, attempts: str) -> str:
        token, moment = secrets.token_urlsafe(32), stamp(self._clock())
        old = stamp(self._clock() - LONGEST)
        async with self._engine.begin() as connection:
            await connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.digest == attempts))
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.created < old))
            await connection.execute(insert(SESSIONS).values(digest=_digest(token), name=name, created=moment, seen=moment))
        return token

    async def _check_wait(self, digests: list[str]) -> None:
        async with self._engine.connect() as connection:
            waits = await connection.execute(select(ATTEMPTS.c.until).where(ATTEMPTS.c.digest.in_(digests)))
            left = max((until for (until,) in waits), default=0.0) - self._clock().timestamp()
        if left > 0:
            seconds = int(left) + 1
            raise Problem(429, f"密码错误次数太多，请 {seconds} 秒后再试，或请管理员重设密码。", headers={"Retry-After": str(seconds)})

    async def _count(self, guesses: list[tuple[str, int]]) -> None:
        async with self._counting, self._engine.begin() as connection:
            await connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.last < self._clock().timestamp() - _FORGOTTEN_AFTER))
            for digest, free in guesses:
                await self._count_one(connection, digest, free)

    async def _count_one(self, connection: AsyncConnection, digest: str, free: int) -> None:
        moment = self._clock().timestamp()
        before = (await connection.execute(select(ATTEMPTS.c.wrong).where(ATTEMPTS.c.digest == digest))).scalar() or 0
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(before + 1 - free, 10)) if before + 1 >= free else 0.0
        values = {"wrong": before + 1, "until": moment + wait if wait else 0.0, "last": moment}
        if before:
            await connection.execute(update(ATTEMPTS).where(ATTEMPTS.c.digest == digest).values(**values))
        else:
            await connection.execute(insert(ATTEMPTS).values(digest=digest, **values))


def _digest(secret: str) -> str:
    """A token has 256 bits, so a plain digest cannot be turned back."""
    return hashlib.sha256(secret.encode()).hexdigest()


@cache
def _nobodys_password() -> str:
    return hasher().hash(secrets.token_urlsafe(32))
