"""What happens when many ask at once: load.py [--index DIR] [--people 200] [--rounds 3] [--postgres] [--slow-model]

Starts the whole server as a process of its own on this machine, connects the people, and lets all of them ask in the same moment: through
the chat, as a browser does, and through /api/v1/ask by server-sent events. Times run from sending the question to the first sentence
shown, and to the end of the answer. Every answer's id must be found in the database at the end. `--slow-model` lets as many people as have
a place ask a language model beside them that takes five seconds for a sentence.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import socketio
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).parents[1]))
from openai_server import OpenAIServer
from postgres_server import PostgresServer

from app.answer_record import ANSWERS
from app.database import open_database
from app.questions_file import read_questions
from app.settings import history_url
from indexer.measure import percentile

QUESTIONS = Path(__file__).parents[2] / "kb_data" / "questions" / "dev.jsonl"
PATIENCE = 60.0  # seconds
SLOW = 32  # as many as may ask a model at once (app/service.py)
_COMMAND = "from app.console import main; main()"
_RECORD = re.compile(r"记录编号 ([0-9A-Z\\-]+)")
# Chainlit 2.12 alone, a handler that says a text of 50 words without searching or recording anything, on two cores like these; measured
# with a data layer and log-in: time to the first word at so many at once, milliseconds.
_BARE = {1: (15, 15), 10: (69, 71), 50: (490, 505), 200: (1100, 1134)}


@dataclass
class Told:
    """What one person saw: seconds to the first sentence and to the end, and the id of the record; `failed` says what went wrong."""

    first: float = 0.0
    whole: float = 0.0
    record: str = ""
    failed: str = ""


@dataclass
class Chatter:
    """One browser at the chat."""

    url: str
    headers: dict[str, str]
    address: str = "127.0.0.1"  # where it asks from
    told: Told = field(default_factory=Told)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    started: float = 0.0

    async def connect(self) -> None:
        """Open the socket, as the page does when it is loaded."""
        connector = aiohttp.TCPConnector(local_addr=(self.address, 0))
        self.http = aiohttp.ClientSession(connector=connector)
        self.socket = socketio.AsyncClient(reconnection=False, http_session=self.http)
        for name in ("new_message", "update_message", "stream_start"):
            self.socket.on(name, self._message)
        self.socket.on("stream_token", self._token)
        self.socket.on("task_end", self._end)
        self.socket.on("disconnect", self._gone)
        session = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": "{}", "chatProfile": "", "threadId": ""}
        await self.socket.connect(
            self.url, headers=self.headers, auth=session, socketio_path="/ws/socket.io", transports=["websocket"], wait_timeout=PATIENCE
        )
        await self.socket.emit("connection_successful")

    async def ask(self, question: str) -> Told:
        """Put a question and wait for the end of its answer."""
        self.told, self.done, self.started = Told(), asyncio.Event(), time.perf_counter()
        message = {"id": str(uuid.uuid4()), "name": "local", "type": "user_message", "output": question, "createdAt": "", "threadId": ""}
        await self.socket.emit("client_message", {"message": message, "fileReferences": []})
        try:
            await asyncio.wait_for(self.done.wait(), PATIENCE)
        except TimeoutError:
            self.told.failed = "no answer in time"
        return self.told

    async def close(self) -> None:
        """Close the page."""
        await self.socket.disconnect()
        await self.http.close()

    async def _message(self, step: dict[str, Any]) -> None:
        if step.get("type") != "assistant_message":
            return
        text = step.get("output", "")
        if text and not self.told.first:
            self.told.first = time.perf_counter() - self.started
        if found := _RECORD.search(text):
            self.told.record = found[1].replace("\\", "")

    async def _token(self, _token: Any) -> None:
        self.told.first = self.told.first or time.perf_counter() - self.started

    async def _end(self, *_: Any) -> None:
        if self.started and self.told.first:
            self.told.whole = time.perf_counter() - self.started
            self.done.set()

    async def _gone(self, *_: Any) -> None:
        if self.started and not self.done.is_set():
            self.told.failed = "disconnected"
            self.done.set()


async def asked_by_events(port: int, question: str, headers: dict[str, str], generator: str = "") -> Told:
    """One question by server-sent events; plain sockets, for the client shares the machine."""
    told, started = Told(), time.perf_counter()
    body = json.dumps({"question": question, "generator": generator}).encode()
    sent = {"host": f"127.0.0.1:{port}", "content-type": "application/json", "accept": "text/event-stream", **headers}
    sent |= {"content-length": str(len(body)), "connection": "close"}
    head = "".join(["POST /api/v1/ask HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in sent.items()), "\r\n"])
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            writer.write(head.encode() + body)
            seen = ""
            while piece := await reader.read(1 << 16):
                seen += piece.decode("utf-8", "replace")
                if not told.first and ("event: sentence" in seen or "event: answer" in seen):
                    told.first = time.perf_counter() - started
            told.whole = time.perf_counter() - started
            writer.close()
    except (OSError, TimeoutError) as error:
        told.failed = type(error).__name__
        return told
    found = re.search(r'"record": "([^"]+)"', seen)
    told.record = found[1] if found else ""
    told.failed = "" if told.record else seen[:200]
    return told


@asynccontextmanager
async def served(index: Path, state: Path, environment: dict[str, str]) -> AsyncIterator[tuple[int, int]]:
    """The port and the process of a server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-c", _COMMAND, "serve", "--port", str(port), "--index", str(index), "--state", str(state)]
    with (state / "log").open("w") as log:
        server = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            async with httpx.AsyncClient() as client:
                for _ in range(1200):
                    try:
                        if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                            break
                    except httpx.TransportError:
                        pass
                    await asyncio.sleep(0.1)
            yield port, server.pid
        finally:
            server.terminate()
            await asyncio.wait_for(server.wait(), 30)


async def in_chat(port: int, people: int, rounds: int, questions: Sequence[str]) -> list[Told]:
    """What so many people saw in the chat, asking in the same moment, so many times."""
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        entered = await client.post("/auth/header")
        cookie = "; ".join(f"{name}={value}" for name, value in entered.cookies.items())
    chatters = [Chatter(url, {"cookie": cookie, "origin": url}) for _ in range(people)]
    told: list[Told] = []
    for start in range(0, people, 10):
        await asyncio.gather(*(chatter.connect() for chatter in chatters[start : start + 10]))
    await asyncio.sleep(1)
    for number in range(rounds):
        asked = [questions[(number * people + n) % len(questions)] for n in range(people)]
        told += await asyncio.gather(*(chatter.ask(question) for chatter, question in zip(chatters, asked, strict=True)))
        await asyncio.sleep(1)
    await asyncio.gather(*(chatter.close() for chatter in chatters))
    return told


async def by_events(port: int, people: int, rounds: int, questions: Sequence[str]) -> list[Told]:
    """As `in_chat`, through /api/v1/ask."""
    told: list[Told] = []
    for number in range(rounds):
        asked = [questions[(number * people + n) % len(questions)] for n in range(people)]
        told += await asyncio.gather(*(asked_by_events(port, question, {}) for question in asked))
        await asyncio.sleep(1)
    return told


async def recorded(url: str, told: Sequence[Told]) -> tuple[int, int]:
    """How many answers have a row, and how many rows there are."""
    engine = open_database(url)
    async with engine.connect() as connection:
        rows = set((await connection.execute(select(ANSWERS.c.id))).scalars())
        count = (await connection.execute(select(func.count()).select_from(ANSWERS))).scalar_one()
    await engine.dispose()
    return len({one.record for one in told if one.record} & rows), count


async def measure(options: argparse.Namespace, state: Path) -> bool:
    """Print a line for every way; whether nothing failed and nothing was lost."""
    index = options.index or state / "index"
    questions = [asked.question for asked in read_questions(QUESTIONS) if not asked.history]
    url = options.database or f"sqlite:///{state / 'qizhen.sqlite'}"
    sound = True
    with OpenAIServer([5.0, "非布司他：痛风患者高尿酸血症的长期治疗。[1]\n"]) if options.slow_model else nullcontext() as model:
        environment = {"QIZHEN_DATABASE": url}
        environment |= {"QIZHEN_CHAT_URL": model.url, "QIZHEN_CHAT_MODEL": "slow"} if model else {}
        async with served(index, state, environment) as (port, process):
            await by_events(port, 1, 2, questions)  # whatever is made once is made now
            ways = {"chat": in_chat, "events": by_events}
            for name, way in ways.items():
                if options.only and options.only != name:
                    continue
                for people in sorted({1, 10, 50, options.people} if options.steps else {options.people}):
                    slow = [asyncio.create_task(asked_by_events(port, "非布司他能治疗什么病？", {}, "chat")) for _ in range(SLOW) if model]
                    spent = _processor(process)
                    told = await way(port, people, options.rounds, questions)
                    waited = [one.failed for one in await asyncio.gather(*slow)]
                    kept, _ = await recorded(url, told)
                    each = (_processor(process) - spent) / len(told)
                    sound &= _print(name, people, told, kept, waited, each)
    steps = await _steps(options.database or history_url(state)) if not options.only or options.only == "chat" else ""
    sys.stdout.write(
        f"{steps}\nbare Chainlit 2.12, first word, p50 / p95 ms: "
        + ", ".join(f"{n} at once {a} / {b}" for n, (a, b) in _BARE.items())
        + "\n"
    )
    return sound


def _processor(process: int) -> float:
    """Seconds of processor time that a process and those it started have taken so far (proc(5), fields 14 and 15)."""
    family = [str(process), *Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    fields = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in family]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def _print(name: str, people: int, told: Sequence[Told], kept: int, waited: Sequence[str], each: float) -> bool:
    answered = [one for one in told if not one.failed]
    times = " · ".join(
        f"{what} p50 {percentile(found, 0.5) * 1000:.0f} p95 {percentile(found, 0.95) * 1000:.0f} ms"
        for what, found in (("first sentence", [one.first for one in answered]), ("whole", [one.whole for one in answered]))
    )
    failures = {one.failed for one in told if one.failed}
    lost = len(told) - len(failures and [one for one in told if one.failed]) - kept
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    sys.stdout.write(
        f"{name:6} {people:3} at once, {len(told)} asked, {len(told) - len(answered)} failed, {lost} rows lost: {times} "
        f"· {each * 1000:.1f} ms of processor each (load {load})\n"
    )
    if waited:
        sys.stdout.write(f"       beside them {len(waited)} asked a slow model, {sum(map(bool, waited))} failed\n")
    sys.stdout.writelines(f"       {failure}\n" for failure in sorted(failures))
    sys.stdout.flush()
    return not failures and not lost


async def _steps(url: str) -> str:
    """How many messages the chat keeps."""
    engine = open_database(url)
    async with engine.connect() as connection:
        query = 'SELECT "type", count(*) FROM steps WHERE "type" <> \'run\' GROUP BY "type" ORDER BY "type"'
        found = (await connection.exec_driver_sql(query)).all()
    await engine.dispose()
    return "kept of the chat: " + ", ".join(f"{count} {kind}" for kind, count in found)


def main() -> None:
    """Measure; exit 1 where anything failed or was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", default="", help="an address as in QIZHEN_DATABASE, instead of a file")
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL of its own instead")
    parser.add_argument("--slow-model", action="store_true")
    parser.add_argument("--steps", action="store_true", help="1, 10 and 50 at once too")
    parser.add_argument("--only", choices=("chat", "events"))
    parser.add_argument("--state", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = options.state or Path(folder)
        state.mkdir(parents=True, exist_ok=True)
        if options.index is None:
            build = [sys.executable, "-c", _COMMAND, "index", "build", "--index", str(state / "index")]
            subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        with PostgresServer() if options.postgres else nullcontext(options.database) as options.database:
            sound = asyncio.run(measure(options, state))
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
