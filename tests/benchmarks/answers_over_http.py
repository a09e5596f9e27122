"""How long answers take over HTTP when many ask at once: answers_over_http.py [--index DIR] [--at-once 32] [--rounds 4]

Starts the whole server (the chat included) as a process of its own on this machine and asks the dev questions.
"""

import argparse
import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from app.questions_file import read_questions
from indexer.measure import percentile

QUESTIONS = Path(__file__).parents[2] / "kb_data" / "questions" / "dev.jsonl"
_COMMAND = "from app.console import main; main()"


def main() -> None:
    """Print times to the first event and to the whole answer, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as state:
        places = ["--index", str(options.index or Path(state) / "index"), "--state", state]
        server = subprocess.Popen([sys.executable, "-c", _COMMAND, "serve", "--port", str(port), *places], stderr=subprocess.DEVNULL)
        try:
            asyncio.run(_measure(f"http://127.0.0.1:{port}", options.at_once, options.rounds))
        finally:
            server.terminate()
            server.wait()


async def _measure(url: str, at_once: int, rounds: int) -> None:
    questions = [asked.question for asked in read_questions(QUESTIONS)]
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=at_once)) as client:
        await _until_ready(client)
        await _ask(client, questions[0])
        for together in (1, at_once):
            firsts, wholes = [], []
            for number in range(rounds):
                asked = [questions[(number * together + n) % len(questions)] for n in range(together)]
                for first, whole in await asyncio.gather(*(_ask(client, question) for question in asked)):
                    firsts.append(first)
                    wholes.append(whole)
            told = " ".join(
                f"{name} p50 {percentile(times, 0.5):.0f} p95 {percentile(times, 0.95):.0f} ms"
                for name, times in (("first event", firsts), ("whole answer", wholes))
            )
            sys.stdout.write(f"{together:3} at once, {len(wholes)} answered: {told}\n")


async def _until_ready(client: httpx.AsyncClient) -> None:
    for _ in range(600):
        try:
            if (await client.get("/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    sys.exit("the server did not become ready")


async def _ask(client: httpx.AsyncClient, question: str) -> tuple[float, float]:
    started, first, told = time.perf_counter(), 0.0, ""
    async with client.stream("POST", "/api/v1/ask", json={"question": question}, headers={"accept": "text/event-stream"}) as response:
        response.raise_for_status()
        async for piece in response.aiter_text():
            first = first or time.perf_counter() - started
            told += piece
    if "event: answer" not in told:
        sys.exit(f"no answer to {question}: {told[-300:]}")
    return first * 1000, (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
