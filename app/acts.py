"""What was done to what is kept of people, by whom and when; never a word of what it was."""

import datetime
import json
from collections.abc import Mapping

from sqlalchemy import Column, Integer, String, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import TABLES

ACTS = Table(
    "acts",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", String(24), nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("details", Text, nullable=False),
)


async def note(connection: AsyncConnection, actor: str, act: str, details: Mapping[str, int | str], at: datetime.datetime) -> None:
    """Note an act in the transaction that does it: neither is without the other."""
    moment = at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await connection.execute(insert(ACTS), {"at": moment, "actor": actor, "act": act, "details": json.dumps(details, ensure_ascii=False)})
