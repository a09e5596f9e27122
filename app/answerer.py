"""Quotes, found in a process beside the server: its event loop and the search for evidence have a core of the machine each.

The two speak through the stdin and stdout of that process, in frames of four bytes of length and a pickle. It answers one question after
the other, in the order they were put, and ends with the server.
"""

import asyncio
import gc
import itertools
import logging
import os
import pickle
import struct
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.answering import Answer, Found, Said, ask_by_sentence
from app.question import Turn
from app.shelf import ReleaseShelf

Quoted = list[Found | Said | Answer]
PATIENCE = 30.0  # seconds without an answer, after which a process that was asked is taken for hung
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds before a process that ended is started again
# Asked before the first person asks, one for each way of finding an answer: what is laid out at the first question is laid out then.
_TRIED = (
    "布洛芬儿童怎么用？",
    "阿司匹林和华法林能一起用吗？",
    "2型糖尿病的临床表现有哪些？",
    "阿斯匹灵林怎么吃",
    "百多邦对脚气真菌、疱疹病毒这些管用吗？",
    "喝完酒半夜大脚趾突然又红又肿疼得不敢碰，是啥病",
    "孕妇肾功能不全能不能吃这个药",
)
_LENGTH = struct.Struct(">I")
_READY = 0
_ROOT = str(Path(__file__).parent.parent)
_log = logging.getLogger("qizhen.site")


@dataclass(frozen=True, slots=True)
class _Asked:
    at: float
    quoted: "asyncio.Future[Quoted | None]"


class Answerer:
    """What the server knows of that process. Where there is none yet, or it fails, the answer is None: whoever asks finds it here."""

    def __init__(self, index: Path, reranker: str = "", patience: float = PATIENCE) -> None:
        self._command = [sys.executable, "-m", "app.answerer", str(index.resolve()), reranker]
        self._patience = patience
        self._numbers = itertools.count(_READY + 1)
        self._asked: dict[int, _Asked] = {}
        self._process: Process | None = None
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        """Wait until questions are answered there."""
        await self._ready.wait()

    async def quoted(self, question: str, history: Sequence[Turn]) -> Quoted | None:
        """What `ask_by_sentence` tells of a question with the quoting generator."""
        if not self._ready.is_set() or self._process is None or self._process.stdin is None:
            return None
        number = next(self._numbers)
        asked = _Asked(time.monotonic(), asyncio.get_running_loop().create_future())
        self._asked[number] = asked
        self._process.stdin.write(_framed((number, question, tuple(history))))
        try:
            return await asked.quoted
        finally:
            self._asked.pop(number, None)

    async def run(self) -> None:
        """Keep a process running, until cancelled."""
        pause = _PAUSE
        while True:
            started = time.monotonic()
            try:
                await self._serve()
            except OSError as error:
                _log.error("answers cannot be found beside the server: %s", error.strerror)
            pause = _PAUSE if time.monotonic() - started > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _serve(self) -> None:
        """One process, from its start to its end. SIGINT is for the server, which ends it."""
        process = await asyncio.create_subprocess_exec(*self._command, cwd=_ROOT, stdin=PIPE, stdout=PIPE, start_new_session=True)
        self._process = process
        try:
            await self._hear(process)
            _log.error("the process that finds answers ended; they are found in the server until it runs again")
        finally:
            self._process = None
            self._ready.clear()
            for asked in self._asked.values():
                _settle(asked, None)
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def _hear(self, process: Process) -> None:
        """Hand every answer to whoever waits for it, until there are no more."""
        if process.stdout is None:
            raise ValueError("a process without a pipe")
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    [length] = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
                    number, quoted = pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 - written by this program
            except TimeoutError:
                if self._asked and next(iter(self._asked.values())).at < time.monotonic() - self._patience:
                    return
                continue
            except asyncio.IncompleteReadError:
                return
            if number == _READY:
                self._ready.set()
            elif number in self._asked:
                _settle(self._asked[number], quoted)


def _settle(asked: _Asked, quoted: Quoted | None) -> None:
    if not asked.quoted.done():
        asked.quoted.set_result(quoted)


def _framed(content: object) -> bytes:
    written = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(written)) + written


def _work(questions: IO[bytes], answers: IO[bytes], shelf: ReleaseShelf) -> None:
    """Answer until there are no more questions. What goes wrong goes wrong again in the server, which tells it."""
    for question in _TRIED:
        list(ask_by_sentence(shelf.current(), question))
    shelf.watch(lambda _release: None)
    gc.collect()
    gc.freeze()
    _tell(answers, (_READY, None))
    while length := questions.read(_LENGTH.size):
        number, question, history = pickle.loads(questions.read(*_LENGTH.unpack(length)))  # noqa: S301 - written by this program
        quoted = None
        with suppress(Exception):
            quoted = list(ask_by_sentence(shelf.current(), question, history))
        _tell(answers, (number, quoted))


def _tell(pipe: IO[bytes], content: object) -> None:
    pipe.write(_framed(content))
    pipe.flush()


def main() -> None:
    """Answer what stdin asks. Whatever else writes to stdout writes to stderr."""
    index, reranker = sys.argv[1:]
    with os.fdopen(os.dup(1), "wb") as answers, suppress(BrokenPipeError):
        os.dup2(2, 1)
        _work(sys.stdin.buffer, answers, ReleaseShelf(Path(index), reranker))


if __name__ == "__main__":
    main()
