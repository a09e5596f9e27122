"""Keys for programs: each with an owner, scopes and a last day. Only a digest is kept; the key itself is shown once."""

import datetime
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import Column, String, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access import SCOPES_OF, Person, Scope
from app.accounts import ACCOUNTS, Accounts, Clock, now, plain_name
from app.answer_record import stamp
from app.database import TABLES
from indexer.errors import AccountError

KEYS = Table(
    "api_keys",
    TABLES,
    Column("id", String(12), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("owner", String(40), nullable=False),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", String(24), nullable=False),
    Column("expires", String(24), nullable=False),
    Column("used", String(24), nullable=False),
    Column("revoked", String(24), nullable=False),
)
PREFIX = "qz_"
_MOST_DAYS = 366
_USED_EVERY = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. Times are UTC, ISO 8601; `used` and `revoked` are empty where that never was."""

    id: str
    owner: str
    label: str
    scopes: tuple[Scope, ...]
    created: str
    expires: str
    used: str
    revoked: str


class ApiKeys:
    """The keys of a database. Belongs to the event loop that its engine belongs to."""

    def __init__(self, engine: AsyncEngine, clock: Clock = now) -> None:
        self._engine = engine
        self._clock = clock
        self._accounts = Accounts(engine, clock)

    async def add(self, owner: str, scopes: Sequence[str], days: int, label: str, by: str, why: str = "") -> tuple[ApiKey, str]:
        """A new key of an account, for at most what its role may do, and its secret. Raises AccountError with all that is wrong."""
        owner, chosen = plain_name(owner), [scope for scope in get_args(Scope) if scope in scopes]
        unknown = [f"没有权限 `{scope[:40]}`，可用：{'、'.join(get_args(Scope))}" for scope in scopes if scope not in get_args(Scope)]
        accounts = {account.name: account for account in await self._accounts.all()}
        account = accounts.get(owner)
        faults = [] if account and not account.disabled else [f"没有可用的账户 `{owner[:40]}`"]
        beyond = [scope for scope in chosen if account and scope not in SCOPES_OF[account.role]]
        faults += [f"账户 `{owner}` 的角色没有权限 `{scope}`" for scope in beyond] + unknown
        faults += [] if scopes else ["没有写明权限"]
        faults += [] if 1 <= days <= _MOST_DAYS else [f"有效期 `{days}` 天应为 1 到 {_MOST_DAYS} 天"]
        if faults:
            raise AccountError("；".join(faults), "改正后再试")
        moment = self._clock()
        expires = stamp(moment + datetime.timedelta(days=days))
        key = ApiKey(secrets.token_hex(4), owner, label[:80], tuple(chosen), stamp(moment), expires, "", "")
        secret = PREFIX + secrets.token_urlsafe(32)
        row = {"id": key.id, "digest": _digest(secret), "owner": owner, "label": key.label, "scopes": " ".join(chosen)}
        row |= {"created": key.created, "expires": expires, "used": "", "revoked": ""}
        async with self._engine.begin() as connection:
            await connection.execute(insert(KEYS).values(row))
            await self._accounts.note(connection, by, "key-add", owner, f"{key.id} {' '.join(chosen)}", why)
        return key, secret

    async def all(self) -> list[ApiKey]:
        """All keys, newest first."""
        columns = [KEYS.c[name] for name in ("id", "owner", "label", "scopes", "created", "expires", "used", "revoked")]
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(*columns).order_by(KEYS.c.created.desc(), KEYS.c.id))
            return [ApiKey(row[0], row[1], row[2], tuple(row[3].split()), *row[4:]) for row in rows]

    async def revoke(self, key_id: str, by: str, why: str = "") -> None:
        """End a key. Raises AccountError for one that does not exist."""
        async with self._engine.begin() as connection:
            ended = await connection.execute(
                update(KEYS).where(KEYS.c.id == key_id, KEYS.c.revoked == "").values(revoked=stamp(self._clock()))
            )
            if not ended.rowcount:
                raise AccountError(f"没有可用的密钥 `{key_id[:40]}`", "用 qizhen keys list 查看全部密钥")
            await self._accounts.note(connection, by, "key-revoke", key_id, "", why)

    async def person(self, secret: str) -> Person | None:
        """Whose key a secret is, while it holds; with no more than the key's scopes."""
        moment = stamp(self._clock())
        query = select(KEYS, ACCOUNTS.c.role).join_from(KEYS, ACCOUNTS, KEYS.c.owner == ACCOUNTS.c.name)
        query = query.where(KEYS.c.digest == _digest(secret), ACCOUNTS.c.disabled.is_(False))
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None or row["revoked"] or row["expires"] <= moment:
            return None
        if row["used"] < stamp(self._clock() - _USED_EVERY):
            async with self._engine.begin() as connection:
                await connection.execute(update(KEYS).where(KEYS.c.id == row["id"]).values(used=moment))
        return Person(row["owner"], row["role"], row["id"], frozenset(row["scopes"].split()))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
