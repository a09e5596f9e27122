"""Blocking work for a server of many: done in threads, so many at once, and let go of when nobody waits for it any more."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from app.problems import Problem

Result = TypeVar("Result")
_RETRY_AFTER = "2"  # seconds


class Desk:
    """Takes at most `most` pieces of work at once, of which `threads` are being done; the next is answered 503."""

    def __init__(self, most: int, threads: int) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="desk")

    @property
    def taken(self) -> int:
        """How many pieces of work are taken now."""
        return self._taken

    async def do(self, work: Callable[[], Result]) -> Result:
        """The result of one piece of work. Raises Problem 503 where too many are taken."""
        self._take()
        pending = self._threads.submit(work)
        pending.add_done_callback(lambda _: self._leave())
        return await asyncio.wrap_future(pending)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one piece of work that is done elsewhere. Raises Problem 503 where too many are taken."""
        self._take()
        try:
            yield
        finally:
            self._leave()

    async def follow(self, steps: Iterator[Result]) -> AsyncIterator[Result]:
        """The steps of an iterator as they come. Whoever stops listening closes it, as soon as its present step is done."""
        self._take()
        pending: Future[list[Result]] | None = None
        try:
            while True:
                pending = self._threads.submit(lambda: [step for _, step in zip((None,), steps, strict=False)])
                step = await asyncio.wrap_future(pending)
                if not step:
                    return
                yield step[0]
        finally:
            self._close(steps, pending)

    def _close(self, steps: Iterator[Result], pending: "Future[list[Result]] | None") -> None:
        def close(_: object) -> None:
            getattr(steps, "close", lambda: None)()
            self._leave()

        if pending is None:
            close(None)
        else:
            pending.add_done_callback(close)

    def _take(self) -> None:
        with self._lock:
            if self._taken >= self._most:
                raise Problem(503, f"正在回答的问题已有 `{self._taken}` 个，请稍候再试。", headers={"Retry-After": _RETRY_AFTER})
            self._taken += 1

    def _leave(self) -> None:
        with self._lock:
            self._taken -= 1
