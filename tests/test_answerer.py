"""Quotes found in a process beside the server: the same, whatever becomes of that process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from site_client import recording_service

from app import answerer
from app.answer_record import Asking
from app.answerer import Answerer, Quoted
from app.answering import Answer, ask_by_sentence
from app.database import create_tables, open_database
from app.desk import Desk
from app.problems import Problem
from app.question import Turn
from app.service import Service, Told
from indexer.build import build_release
from indexer.errors import QuestionError
from indexer.release import Release

QUESTION = "头孢克洛的禁忌是什么？"
HISTORY = (Turn("user", "头孢克洛能治什么病？"), Turn("assistant", "……"))


@asynccontextmanager
async def running(beside: Answerer) -> AsyncIterator[Answerer]:
    work = asyncio.create_task(beside.run())
    try:
        async with asyncio.timeout(30):
            await beside.ready()
        yield beside
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


@pytest.fixture
async def beside(sample_index: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Answerer]:
    monkeypatch.setattr(answerer, "_PAUSE", 0.01)
    async with running(Answerer(sample_index, patience=1.0)) as started:
        yield started


def process_of(beside: Answerer) -> int:
    assert beside._process is not None
    return beside._process.pid


def timeless(quoted: Quoted | None) -> list[Any]:
    assert quoted is not None
    return [step if not hasattr(step, "milliseconds") else replace(step, milliseconds=0.0) for step in quoted]


async def test_the_process_tells_what_the_server_would(beside: Answerer, sample: Release) -> None:
    asked = [(QUESTION, ()), ("它一天吃几次？", HISTORY), ("奥司他韦的禁忌？", ()), ("环孢素怎么吃？", ())]
    told = await asyncio.gather(*(beside.quoted(question, history) for question, history in asked))
    for (question, history), quoted in zip(asked, told, strict=True):
        assert timeless(quoted) == timeless(list(ask_by_sentence(sample, question, history)))


async def test_whoever_stops_waiting_leaves_the_others_their_own_answers(beside: Answerer) -> None:
    waiting = [asyncio.create_task(beside.quoted(question, ())) for question in (QUESTION, "环孢素怎么吃？", "逍遥丸的功能主治？")]
    await asyncio.sleep(0)
    waiting[0].cancel()
    told = [timeless(await one)[-1] for one in waiting[1:]]
    assert [answer.question for answer in told] == ["环孢素怎么吃？", "逍遥丸的功能主治？"]
    assert not beside._asked


async def test_a_process_that_is_killed_is_started_again(beside: Answerer) -> None:
    killed = process_of(beside)
    os.kill(killed, signal.SIGSTOP)
    waiting = asyncio.create_task(beside.quoted(QUESTION, ()))
    await asyncio.sleep(0.05)
    os.kill(killed, signal.SIGKILL)
    assert await waiting is None
    assert await beside.quoted(QUESTION, ()) is None
    async with asyncio.timeout(30):
        await beside.ready()
    assert process_of(beside) != killed
    assert timeless(await beside.quoted(QUESTION, ()))


async def test_a_process_that_hangs_is_given_up(beside: Answerer) -> None:
    hung = process_of(beside)
    os.kill(hung, signal.SIGSTOP)
    async with asyncio.timeout(10):
        assert await beside.quoted(QUESTION, ()) is None
    async with asyncio.timeout(30):
        await beside.ready()
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)


async def test_a_process_that_cannot_start_keeps_nobody_waiting(tmp_path: Path) -> None:
    nowhere = Answerer(tmp_path / "no-index")
    work = asyncio.create_task(nowhere.run())
    await asyncio.sleep(0.05)
    assert await nowhere.quoted(QUESTION, ()) is None
    work.cancel()
    await asyncio.wait([work])


async def test_what_was_just_published_answers(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    def lines(use: str) -> list[dict[str, Any]]:
        return [{"id": "drug/a", "kind": "drug", "title": "甲药片", "sections": [{"title": "适应症", "text": use}]}]

    index = tmp_path / "index"
    build_release(index, [write_lines(lines("用于头痛。"))])
    async with running(Answerer(index)) as beside:
        first = timeless(await beside.quoted("甲药片的适应症？", ()))[-1]
        build_release(index, [write_lines(lines("用于咳嗽。"))])
        second = timeless(await beside.quoted("甲药片的适应症？", ()))[-1]
    assert [answer.sentences[0].text for answer in (first, second)] == ["用于头痛。", "用于咳嗽。"]


def test_the_process_ends_with_the_server(sample_index: Path) -> None:
    command = [sys.executable, "-m", "app.answerer", str(sample_index), ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(4)  # it is ready
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.fixture
async def service(beside: Answerer, sample_index: Path, tmp_path: Path) -> AsyncIterator[Service]:
    engine = open_database(f"sqlite:///{tmp_path / 'q.sqlite'}")
    await create_tables(engine)
    yield replace(recording_service(sample_index, engine), answerer=beside)
    await engine.dispose()


async def test_an_answer_from_beside_is_recorded_as_any(service: Service) -> None:
    here = replace(service, answerer=None)
    told = [await one.answer(Asking(" 它的禁忌呢？", HISTORY, "", "li", "api")) for one in (service, here)]
    assert service.records is not None
    records = [await service.records.find(one.record) for one in told]
    assert records[0] is not None
    assert records[1] is not None
    same = {"id": "", "at": "", "milliseconds": 0.0}
    assert replace(records[0], **same) == replace(records[1], **same)
    assert records[0].settings["program"]


async def test_questions_are_answered_while_the_process_is_gone(service: Service, beside: Answerer) -> None:
    os.kill(process_of(beside), signal.SIGKILL)
    for _ in range(3):
        told: Told = await service.answer(Asking(QUESTION, (), "", "li", "api"))
        assert told.answer.status == "answered"
    assert service.quick.taken == 0


async def test_what_fails_beside_fails_here_with_its_reason(service: Service, beside: Answerer) -> None:
    assert await beside.quoted("", ()) is None
    with pytest.raises((Problem, QuestionError), match="空"):
        await service.answer(Asking("", (), "", "li", "api"))


async def test_more_than_can_wait_are_told_to_come_back(service: Service) -> None:
    full = replace(service, quick=Desk(most=2, threads=1))
    asked = await asyncio.gather(*(full.answer(Asking(QUESTION, (), "", "li", "api")) for _ in range(5)), return_exceptions=True)
    refused = [one for one in asked if isinstance(one, Problem)]
    assert {problem.status_code for problem in refused} == {503}
    assert [one.answer.status for one in asked if isinstance(one, Told)] == ["answered"] * (5 - len(refused))
    assert refused
    assert isinstance(asked[0], Told)
    assert isinstance(asked[0].answer, Answer)
