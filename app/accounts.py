"""Accounts and what was done to them. Passwords are kept as argon2id only; who has signed in is in app/sign_in.py."""

import asyncio
import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Boolean, Column, Integer, String, Table, Text, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.access import LOCAL, ROLES, Role
from app.answer_record import stamp
from app.database import TABLES
from indexer.errors import AccountError
from indexer.terms import tidy

ACCOUNTS = Table(
    "accounts",
    TABLES,
    Column("name", String(40), primary_key=True),
    Column("role", String(12), nullable=False),
    Column("password", Text, nullable=False),
    Column("created", String(24), nullable=False),
    Column("disabled", Boolean, nullable=False),
)
SESSIONS = Table(
    "sessions",
    TABLES,
    Column("digest", String(64), primary_key=True),
    Column("name", String(40), nullable=False, index=True),
    Column("created", String(24), nullable=False),
    Column("seen", String(24), nullable=False),
)
ACTS = Table(
    "account_acts",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", String(24), nullable=False),
    Column("by", Text, nullable=False),
    Column("act", String(20), nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),
)
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 200
_NAME = re.compile(r"[\w.@-]{1,40}")
Clock = Callable[[], datetime.datetime]


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `created` is UTC, ISO 8601."""

    name: str
    role: Role
    created: str
    disabled: bool


@dataclass(frozen=True, slots=True)
class Act:
    """What was done to an account or a key: when (UTC), by whom, what, to which."""

    at: str
    by: str
    act: str
    subject: str
    details: str


def now() -> datetime.datetime:
    """The present, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def plain_name(name: str) -> str:
    """The one form of an account's name: half width, small letters."""
    return tidy(name).strip().lower()


@cache
def hasher() -> PasswordHasher:
    """Argon2id with the second recommendation of RFC 9106, section 4: 64 MiB, three passes."""
    return PasswordHasher()


def is_password(kept: str, given: str) -> bool:
    """Whether a password is the one that a hash was made of."""
    try:
        return hasher().verify(kept, given)
    except (VerificationError, InvalidHashError):
        return False


class Accounts:
    """The accounts of a database. Belongs to the event loop that its engine belongs to.

    Every method that changes something takes who does it and why, raises AccountError for what cannot be done, and records the act.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock = now) -> None:
        self._engine = engine
        self._clock = clock

    async def add(self, name: str, role: str, password: str, by: str, why: str = "") -> Account:
        """A new account. All that is wrong with it is told at once."""
        name = plain_name(name)
        faults = [*_name_faults(name), *_role_faults(role), *_password_faults(name, password)]
        if faults:
            raise AccountError("；".join(faults), "改正后再试")
        account = Account(name, role, stamp(self._clock()), disabled=False)  # type: ignore[arg-type]
        hashed = await asyncio.to_thread(hasher().hash, password)
        row = {"name": name, "role": role, "password": hashed, "created": account.created, "disabled": False}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(ACCOUNTS).values(row))
                await self.note(connection, by, "add", name, role, why)
        except IntegrityError:
            raise AccountError(f"已有账户 `{name}`", "换一个名称，或用 qizhen users password 重设密码") from None
        return account

    async def all(self) -> list[Account]:
        """All accounts by name."""
        columns = (ACCOUNTS.c.name, ACCOUNTS.c.role, ACCOUNTS.c.created, ACCOUNTS.c.disabled)
        async with self._engine.connect() as connection:
            return [Account(*row) for row in await connection.execute(select(*columns).order_by(ACCOUNTS.c.name))]

    async def exist(self) -> bool:
        """Whether there is any account: then everybody signs in."""
        async with self._engine.connect() as connection:
            return (await connection.execute(select(ACCOUNTS.c.name).limit(1))).first() is not None

    async def disable(self, name: str, by: str, why: str = "") -> None:
        """End an account's sessions and let it sign in no more. Not the last admin who may sign in."""
        await self._change(name, by, "disable", "", why, disabled=True)

    async def enable(self, name: str, by: str, why: str = "") -> None:
        """Let an account sign in again."""
        await self._change(name, by, "enable", "", why, disabled=False)

    async def set_role(self, name: str, role: str, by: str, why: str = "") -> None:
        """Give an account another role and end its sessions. Not to the last admin who may sign in."""
        if faults := _role_faults(role):
            raise AccountError(faults[0], "改正后再试")
        await self._change(name, by, "role", role, why, role=role)

    async def set_password(self, name: str, password: str, by: str, why: str = "") -> None:
        """Give an account another password and end its sessions."""
        name = plain_name(name)
        if faults := _password_faults(name, password):
            raise AccountError("；".join(faults), "改正后再试")
        hashed = await asyncio.to_thread(hasher().hash, password)
        await self._change(name, by, "password", "", why, password=hashed)

    async def sign_out(self, name: str, by: str, why: str = "") -> int:
        """End all sessions of an account; how many there were."""
        async with self._engine.begin() as connection:
            name = await self._known(connection, name)
            ended = await connection.execute(delete(SESSIONS).where(SESSIONS.c.name == name))
            await self.note(connection, by, "sign-out", name, "", why)
            return int(ended.rowcount)

    async def acts(self, limit: int = 200) -> list[Act]:
        """What was done last, newest first."""
        columns = (ACTS.c.at, ACTS.c.by, ACTS.c.act, ACTS.c.subject, ACTS.c.details)
        async with self._engine.connect() as connection:
            return [Act(*row) for row in await connection.execute(select(*columns).order_by(ACTS.c.number.desc()).limit(limit))]

    async def note(self, connection: AsyncConnection, by: str, act: str, subject: str, details: str, why: str = "") -> None:
        """Record an act in the transaction that does it; `why` stands with the details."""
        details = " · ".join(part for part in (details, f"缘由：{why}" if why else "") if part)
        row = {"at": stamp(self._clock()), "by": by, "act": act, "subject": subject, "details": details}
        await connection.execute(insert(ACTS).values(row))

    async def _change(self, name: str, by: str, act: str, details: str, why: str, **values: Any) -> None:
        """Change an account, end its sessions, and see that an admin is left who may sign in."""
        async with self._engine.begin() as connection:
            name = await self._known(connection, name)
            # Two that change different admins at once wait for each other here, so that the second sees what the first left.
            admins = select(ACCOUNTS.c.name).where(ACCOUNTS.c.role == "admin").order_by(ACCOUNTS.c.name)
            await connection.execute(admins.with_for_update())
            await connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.name == name).values(**values))
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.name == name))
            left = select(func.count()).where(ACCOUNTS.c.role == "admin", ACCOUNTS.c.disabled.is_(False))
            if act in ("disable", "role") and not (await connection.execute(left)).scalar():
                raise AccountError(f"`{name}` 是最后一个可用的管理员账户", "先新增或启用另一个管理员：qizhen users add 名称 --role admin")
            await self.note(connection, by, act, name, details, why)

    async def _known(self, connection: AsyncConnection, name: str) -> str:
        name = plain_name(name)
        if (await connection.execute(select(ACCOUNTS.c.name).where(ACCOUNTS.c.name == name))).first() is None:
            raise AccountError(f"没有账户 `{name[:40]}`", "用 qizhen users list 查看全部账户")
        return name


def _name_faults(name: str) -> list[str]:
    if not _NAME.fullmatch(name):
        return [f"账户名称 `{name[:60]}` 应为 1 到 40 个文字、字母、数字或 . _ @ -"]
    return [f"账户名称 `{name}` 留给了本机用户"] if name == LOCAL.name else []


def _role_faults(role: str) -> list[str]:
    return (
        [] if role in get_args(Role) else [f"角色 `{role[:40]}` 应为 {'、'.join(f'{key}（{label}）' for key, label in ROLES.items())} 之一"]
    )


def _password_faults(name: str, password: str) -> list[str]:
    """A password is never repeated in a message."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return [f"密码有 {len(password)} 个字符，应为 {SHORTEST_PASSWORD} 到 {LONGEST_PASSWORD} 个"]
    return ["密码不能与账户名称相同"] if plain_name(password) == name else []
