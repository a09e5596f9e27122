"""A conversation of the chat as it is taken away: what was asked, what was answered, and from which sources."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.answer_sheet import AnswerSheet, read_sheet
from app.safety import DISCLAIMER

TOOLS = "AnswerTools"  # the element that holds the sheet of its answer
UNNAMED = "未命名对话"
NO_SOURCES = "这条回答早于导出功能，没有存下出处，只有文字。"
LONGEST_NAME = 60  # characters of a file's name
_OWNED = (
    'SELECT t."name", t."createdAt" FROM threads t LEFT JOIN users u ON u."id" = t."userId" '
    'WHERE t."id" = :thread AND (t."userIdentifier" = :person OR u."identifier" = :person)'
)
_MESSAGES = (
    'SELECT "id", "type", "output", "createdAt" FROM steps WHERE "threadId" = :thread '
    "AND \"type\" IN ('user_message', 'assistant_message') ORDER BY \"createdAt\""
)
_SHEETS = 'SELECT "forId", "props" FROM elements WHERE "threadId" = :thread AND "name" = :name'
_UNESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~$:])")
_MARK = re.compile(r" ?\[\\\[(\d+)\\\]\]\(#cite-\d+\)")
_BOLD = re.compile(r"(?m)^(?:> )?\*{1,2}(.+?)\*{1,2}$")
# XML holds none of these, and no page shows them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and what was said to it. `said` are lines of plain text where an answer has no sheet; then `sheet` is None."""

    at: str
    asked: str
    sheet: AnswerSheet | None
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConversationFile:
    """A conversation for a file; `begun` and the times in it are UTC, to the minute."""

    title: str
    begun: str
    exchanges: tuple[Exchange, ...]
    disclaimer: str = DISCLAIMER

    @property
    def file_name(self) -> str:
        """A name that every system takes, without its ending."""
        return "".join(c if c.isalnum() or c in "-（）" else "_" for c in self.title)[:LONGEST_NAME].strip("_") or "conversation"


async def read_conversation(threads: AsyncEngine, person: str, thread_id: str) -> ConversationFile | None:
    """Somebody's own conversation; None for anybody else's, as for one that is not there."""
    try:
        thread = str(uuid.UUID(thread_id))
    except ValueError:
        return None
    async with threads.connect() as connection:
        owned = (await connection.execute(text(_OWNED), {"thread": thread, "person": person})).mappings().first()
        if owned is None:
            return None
        messages = (await connection.execute(text(_MESSAGES), {"thread": thread})).mappings().all()
        kept = (await connection.execute(text(_SHEETS), {"thread": thread, "name": TOOLS})).mappings().all()
    sheets = {str(row["forId"]): _sheet(row["props"]) for row in kept}
    title = _printable(str(owned["name"] or "")).strip() or UNNAMED
    return ConversationFile(title, minute(str(owned["createdAt"] or "")), tuple(_exchanges([dict(row) for row in messages], sheets)))


def _exchanges(messages: Sequence[Mapping[str, Any]], sheets: Mapping[str, AnswerSheet | None]) -> list[Exchange]:
    """Every question with the answers behind it; an answer without a question stands alone."""
    found: list[Exchange] = []
    asked, at = "", ""
    for is_question, group in groupby(messages, key=lambda row: row["type"] == "user_message"):
        for row in group:
            said = _printable(str(row["output"] or ""))
            if is_question:
                found += [Exchange(at, asked, None)] if asked else []
                asked, at = said, minute(str(row["createdAt"] or ""))
            else:
                sheet = sheets.get(str(row["id"]))
                found.append(Exchange(at or minute(str(row["createdAt"] or "")), asked, sheet, () if sheet else plain_lines(said)))
                asked, at = "", ""
    return [*found, Exchange(at, asked, None)] if asked else found


def _sheet(props: object) -> AnswerSheet | None:
    values = json.loads(_printable(props)) if isinstance(props, str) else props
    return read_sheet(values.get("sheet")) if isinstance(values, dict) else None


def plain_lines(message: str) -> tuple[str, ...]:
    """A message of ours, which is Markdown, as lines of plain text."""
    unmarked = _BOLD.sub(r"\1", _MARK.sub(r"[\1]", message))
    return tuple(_UNESCAPED.sub(r"\1", line) for line in unmarked.split("\n") if line.strip())


def minute(stamp: str) -> str:
    """2026-11-23T11:50:08.123Z as 2026-11-23 11:50."""
    return stamp[:16].replace("T", " ")


def _printable(told: str) -> str:
    return _UNPRINTABLE.sub("", told)
