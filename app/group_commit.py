"""Small writes of many, committed together: while one commit is under way, the next batch gathers, and each caller waits for its own."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Executable
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import in_thread

PATIENCE = 10.0  # seconds for a commit
_BREATH = 0.01  # seconds between two commits, where many write: whoever is alone waits for none
# The database itself fails, not a row.
_DOWN = (OperationalError, InterfaceError, OSError, TimeoutError)
_COMMITTING = ThreadPoolExecutor(max_workers=4, thread_name_prefix="commit")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Write:
    statement: Executable
    row: Row
    done: "asyncio.Future[None]"


class GroupCommit:
    """The one writer of an engine, and of its event loop.

    Writes that wait at the same time are written in any order: whoever needs another's first waits for it before giving its own.
    """

    def __init__(self, engine: AsyncEngine, patience: float = PATIENCE, gather: float = 0.0) -> None:
        """`gather` is how many seconds a write that nobody is in a hurry for may wait for others."""
        self.engine = engine
        # aiosqlite wakes a thread for every step of every statement; one that does the whole batch is woken once.
        self._in_thread = in_thread(engine) if engine.dialect.name == "sqlite" else None
        self._patience = patience
        self._gather = gather
        self._hurry = asyncio.Event()
        self._waiting: list[_Write] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, statement: Executable, row: Row, hurry: bool = True) -> None:
        """Return when it is durable; raise what the database raises. Whoever stops waiting does not stop the writing."""
        if hurry:
            self._hurry.set()
        write = _Write(statement, row, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._work())
        await write.done

    @property
    def committing(self) -> Engine:
        """What commits."""
        return self._in_thread or self.engine.sync_engine

    async def finish(self) -> None:
        """Wait until everything that was given is written."""
        self._hurry.set()
        if self._writer is not None:
            await self._writer
        if self._in_thread is not None:
            self._in_thread.dispose()

    async def _work(self) -> None:
        while self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._gather)
            self._hurry.clear()
            batch, self._waiting = self._waiting, []
            try:
                await self._commit(batch)
            except _DOWN as error:
                for write in batch:
                    _settle(write, error)
            except Exception:  # noqa: BLE001 - told to the one whose row it is
                await self._one_by_one(batch)
            for write in batch:
                _settle(write)
            if self._waiting:
                await asyncio.sleep(_BREATH)

    async def _one_by_one(self, batch: list[_Write]) -> None:
        """One row that the database refuses keeps no other from being written."""
        for write in batch:
            try:
                await self._commit([write])
            except Exception as error:  # noqa: BLE001 - told to the one that waits
                _settle(write, error)

    async def _commit(self, batch: list[_Write]) -> None:
        together: dict[Executable, list[Row]] = {}
        for write in batch:
            together.setdefault(write.statement, []).append(write.row)
        async with asyncio.timeout(self._patience):
            if self._in_thread is not None:
                await asyncio.get_running_loop().run_in_executor(_COMMITTING, _commit_all, self._in_thread, together)
                return
            async with self.engine.begin() as connection:
                for statement, rows in together.items():
                    await connection.execute(statement, rows)


def _commit_all(engine: Engine, together: Mapping[Executable, list[Row]]) -> None:
    with engine.begin() as connection:
        for statement, rows in together.items():
            connection.execute(statement, rows)


def _settle(write: _Write, error: Exception | None = None) -> None:
    if write.done.done():
        return
    if error is None:
        write.done.set_result(None)
    else:
        write.done.set_exception(error)
