"""Conversations, kept through Chainlit's SQLAlchemy layer with what that gets wrong put right."""

import asyncio
import json
import logging
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.element import CustomElement, Element
from chainlit.step import StepDict
from chainlit.types import PageInfo, PaginatedResponse, Pagination, ThreadDict, ThreadFilter
from sqlalchemy import TextClause, text

from app.database import cause_of, open_database, usable
from app.group_commit import GroupCommit

# Chainlit ships no schema; a column it writes and does not find loses the row silently, so test_history.py round-trips each kind.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    "id" TEXT PRIMARY KEY, "identifier" TEXT NOT NULL UNIQUE, "metadata" TEXT NOT NULL, "createdAt" TEXT);
CREATE TABLE IF NOT EXISTS threads (
    "id" TEXT PRIMARY KEY, "createdAt" TEXT, "name" TEXT, "userId" TEXT REFERENCES users ("id") ON DELETE CASCADE,
    "userIdentifier" TEXT, "tags" TEXT, "metadata" TEXT);
CREATE TABLE IF NOT EXISTS steps (
    "id" TEXT PRIMARY KEY, "name" TEXT NOT NULL, "type" TEXT NOT NULL,
    "threadId" TEXT NOT NULL REFERENCES threads ("id") ON DELETE CASCADE, "parentId" TEXT, "streaming" BOOLEAN NOT NULL,
    "waitForAnswer" BOOLEAN, "isError" BOOLEAN, "metadata" TEXT, "tags" TEXT, "input" TEXT, "output" TEXT, "createdAt" TEXT,
    "command" TEXT, "modes" TEXT, "start" TEXT, "end" TEXT, "generation" TEXT, "showInput" TEXT, "language" TEXT,
    "indent" INTEGER, "defaultOpen" BOOLEAN, "autoCollapse" BOOLEAN, "icon" TEXT, "feedback" TEXT);
CREATE TABLE IF NOT EXISTS elements (
    "id" TEXT PRIMARY KEY, "threadId" TEXT REFERENCES threads ("id") ON DELETE CASCADE, "type" TEXT, "url" TEXT,
    "chainlitKey" TEXT, "name" TEXT NOT NULL, "display" TEXT, "objectKey" TEXT, "size" TEXT, "page" INTEGER, "language" TEXT,
    "forId" TEXT, "mime" TEXT, "props" TEXT DEFAULT '{}', "autoPlay" BOOLEAN, "playerConfig" TEXT);
CREATE TABLE IF NOT EXISTS feedbacks (
    "id" TEXT PRIMARY KEY, "forId" TEXT NOT NULL, "threadId" TEXT, "value" INTEGER NOT NULL, "comment" TEXT);
CREATE INDEX IF NOT EXISTS steps_by_thread ON steps ("threadId");
CREATE INDEX IF NOT EXISTS elements_by_thread ON elements ("threadId");
CREATE INDEX IF NOT EXISTS feedbacks_by_step ON feedbacks ("forId");
CREATE INDEX IF NOT EXISTS threads_by_user ON threads ("userId");
"""
# Everything else is text, and goes in as text: PostgreSQL takes nothing else for it.
_NO_TEXT = {
    "streaming",
    "waitForAnswer",
    "isError",
    "defaultOpen",
    "autoCollapse",
    "autoPlay",
    "indent",
    "page",
    "value",
    "limit",
    "offset",
}
# What is said and shown is on the screen already.
_LATER = re.compile(r"\s*INSERT INTO (?:steps|elements)\b")
_THREADS_KNOWN = 10_000
_log = logging.getLogger("qizhen.chat")
_JSON_COLUMNS = ("metadata", "tags", "generation", "props")


@lru_cache(maxsize=512)
def _statement(query: str) -> TextClause:
    """One statement for one text, so that it is compiled once, and the same ones of many are executed together."""
    return text(query)


async def prepare_history(url: str) -> None:
    """Create what is missing of the tables, before the server starts. Raises ServeError where the database cannot be used."""
    async with usable(url) as engine, engine.begin() as connection:
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                await connection.execute(text(statement))


async def open_history(url: str) -> "ChatHistory":
    """The conversations of a database, its tables created."""
    await prepare_history(url)
    return ChatHistory(GroupCommit(open_database(url)))


class ChatHistory(SQLAlchemyDataLayer):  # type: ignore[misc]
    """Threads, steps, elements and feedback in a database, SQLite or PostgreSQL."""

    def __init__(self, commits: GroupCommit, reopened: Callable[[list[dict[str, Any]]], None] | None = None) -> None:
        """`commits` writes to the database; `reopened` may change the elements of threads that are read back, for showing only."""
        super().__init__(conninfo="sqlite+aiosqlite://")  # an engine that is never used
        self._reopened = reopened
        self._commits = commits
        self.engine = commits.engine
        self._threads: OrderedDict[str, None] = OrderedDict()  # that are known to have a row
        self._identifiers: dict[str, str] = {}

    async def execute_sql(self, query: str, parameters: dict[str, Any]) -> Any:
        """Lists, dictionaries and whatever else is no text go in as JSON text. What is written is written with what others write.

        As the parent's, it returns rows, or None where the database refused; the log says why, and never what.
        """
        plain = {name: value if value is None or name in _NO_TEXT else _as_text(value) for name, value in parameters.items()}
        try:
            if not query.lstrip().upper().startswith("SELECT"):
                await self._commits.write(_statement(query), plain, hurry=not _LATER.match(query))
                return 1
            async with self.engine.connect() as connection:
                found = await connection.execute(_statement(query), plain)
                return [self.clean_result(dict(row)) for row in found.mappings()]
        except Exception as error:  # noqa: BLE001 - the parent's contract: the chat goes on
            _log.error("conversation not kept: %s", cause_of(error))
            return None

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Thread ids come from the browser and are pasted into SQL by the parent class: only UUIDs pass.

        Every step that is kept asks for its thread to be there; that is looked up once. What need not be merged is not read before.
        """
        uuid.UUID(str(thread_id))
        given = {"name": name, "userId": user_id, "tags": tags}
        told = {column: value for column, value in given.items() if value is not None}
        if metadata is not None:
            await super().update_thread(thread_id, name, user_id, metadata, tags)
        elif told or thread_id not in self._threads:
            if user_id is not None:
                told["userIdentifier"] = await self._identifier(user_id)
            row = {"id": thread_id, "createdAt": await self.get_current_timestamp(), "metadata": "{}", **told}
            columns, values = ", ".join(f'"{column}"' for column in row), ", ".join(f":{column}" for column in row)
            changes = ", ".join(f'"{column}" = EXCLUDED."{column}"' for column in told)
            conflict = f"DO UPDATE SET {changes}" if changes else "DO NOTHING"
            await self.execute_sql(f'INSERT INTO threads ({columns}) VALUES ({values}) ON CONFLICT ("id") {conflict}', row)
        self._threads[thread_id] = None
        if len(self._threads) > _THREADS_KNOWN:
            self._threads.popitem(last=False)

    async def _identifier(self, user_id: str) -> str:
        """An account's name never changes."""
        if user_id not in self._identifiers:
            self._identifiers[user_id] = await self._get_user_identifer_by_id(user_id)
        return self._identifiers[user_id]

    async def delete_thread(self, thread_id: str) -> None:
        """As the parent's."""
        self._threads.pop(thread_id, None)
        await super().delete_thread(thread_id)

    async def get_all_user_threads(self, *arguments: Any, **keywords: Any) -> Any:
        """As the parent's, with JSON text read back."""
        threads = await super().get_all_user_threads(*arguments, **keywords)
        for thread in threads or []:
            for row in (thread, *thread["steps"], *thread["elements"]):
                for column in _JSON_COLUMNS:
                    if isinstance(row.get(column), str):
                        row[column] = json.loads(row[column] or "null")
                if row.get("showInput") in ("true", "false"):
                    row["showInput"] = row["showInput"] == "true"
        if self._reopened and threads:
            await asyncio.to_thread(self._reopened, [element for thread in threads for element in thread["elements"]])
        return threads

    async def create_step(self, step_dict: StepDict) -> None:
        """As the parent's, but a run is written once, when it is over, and not at its beginning too."""
        if step_dict.get("type") != "run" or step_dict.get("end"):
            await super().create_step(step_dict)

    @queue_until_user_message()
    async def create_element(self, element: Element) -> None:
        """Keep what our own elements show; they are values only, so no blob store is needed."""
        if not isinstance(element, CustomElement) or not element.for_id:
            return
        await self.update_thread(element.thread_id)
        row = {
            "id": element.id,
            "threadId": element.thread_id,
            "type": element.type,
            "name": element.name,
            "display": element.display,
            "forId": element.for_id,
            "mime": element.mime,
            "props": element.props,
        }
        columns, values = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
        anew = ", ".join(f'"{name}" = EXCLUDED."{name}"' for name in row if name != "id")
        await self.execute_sql(f'INSERT INTO elements ({columns}) VALUES ({values}) ON CONFLICT ("id") DO UPDATE SET {anew}', row)

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> PaginatedResponse[ThreadDict]:
        """The sidebar's list: thread rows only. The parent loads every step of every thread for it."""
        query = (
            'SELECT t."id", t."createdAt", t."name", t."userId", t."userIdentifier", t."metadata", t."tags", '
            '(SELECT MAX(s."createdAt") FROM steps s WHERE s."threadId" = t."id") AS latest '
            'FROM threads t WHERE t."userId" = :user'
        )
        offset = int(pagination.cursor or 0)
        values: dict[str, Any] = {"user": filters.userId, "limit": pagination.first + 1, "offset": offset}
        if filters.search:
            query += ' AND (t."name" LIKE :like OR EXISTS (SELECT 1 FROM steps s WHERE s."threadId" = t."id" AND s."output" LIKE :like))'
            values["like"] = f"%{filters.search}%"
        rows = await self.execute_sql(query + " ORDER BY latest DESC, t.id LIMIT :limit OFFSET :offset", values) or []
        shown = rows[: pagination.first]
        page = PageInfo(hasNextPage=len(rows) > len(shown), startCursor=str(offset), endCursor=str(offset + len(shown)))
        return PaginatedResponse(data=[_thread(row) for row in shown], pageInfo=page)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _thread(row: dict[str, Any]) -> ThreadDict:
    kept = {name: row[name] for name in ("id", "createdAt", "name", "userId", "userIdentifier")}
    opened = {"tags": json.loads(row["tags"] or "[]"), "metadata": json.loads(row["metadata"] or "{}")}
    return ThreadDict(**kept, **opened, steps=[], elements=[])
