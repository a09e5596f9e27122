"""Thumbs and comments of the chat: kept once, with the recorded answer, and only for the owner of the conversation."""

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from chainlit.context import context_var
from chainlit.user import User
from playwright.sync_api import Browser
from site_client import HERE, recording_service
from starlette.testclient import TestClient
from test_browser import Server, browser, expect, open_page, server
from test_browser import put as put_question
from test_history import Context, step

from app.access import Person
from app.answer_record import Asking
from app.database import create_tables, open_database
from app.forgetting import Keeping
from app.history import open_history
from app.site import create_site

__all__ = ["browser", "server"]  # fixtures
QUESTION = "头孢克洛的禁忌是什么？"


async def chatted(folder: Path, index: Path, person: str) -> str:
    """The id of an answer in a conversation of somebody, recorded as the chat does."""
    token = context_var.set(Context())  # type: ignore[arg-type]
    history = await open_history(f"sqlite:///{folder / 'chat.sqlite'}")
    user = await history.create_user(User(identifier=person, metadata={}))
    thread = str(uuid.uuid4())
    await history.update_thread(thread, name=QUESTION, user_id=user.id)
    answer = step(thread, "assistant_message", "答", "2026-11-22T01:00:01Z")
    await history.create_step(answer)
    await history.close()
    context_var.reset(token)
    engine = open_database(f"sqlite:///{folder / 'qizhen.sqlite'}")
    await create_tables(engine)
    service = recording_service(index, engine)
    await service.answer(Asking(QUESTION, (), "", person, "chat", thread=thread, step=answer["id"]))
    await engine.dispose()
    return answer["id"]


@pytest.fixture
def steps(tmp_path: Path, sample_index: Path) -> dict[str, str]:
    """An answer of each person."""
    return {person: asyncio.run(chatted(tmp_path, sample_index, person)) for person in ("local", "wang")}


@pytest.fixture
def client(tmp_path: Path, sample_index: Path, steps: dict[str, str]) -> Iterator[TestClient]:
    answers, threads = (open_database(f"sqlite:///{tmp_path / name}") for name in ("qizhen.sqlite", "chat.sqlite"))
    service = replace(recording_service(sample_index, answers), keeping=Keeping(answers, threads))
    with TestClient(create_site(service), client=HERE, raise_server_exceptions=False) as client:
        yield client


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as database:
        return database.execute(query).fetchall()


def ratings(folder: Path) -> dict[object, tuple[object, ...]]:
    return {row[0]: row[1:] for row in rows(folder / "qizhen.sqlite", "SELECT step, rating, comment FROM answers")}


def put(client: TestClient, step_id: str, value: object, comment: str | None = None, **more: str) -> int:
    sent = {"sessionId": "s", "feedback": {"forId": step_id, "value": value, "comment": comment, **more}}
    told = client.put("/feedback", json=sent)
    return told.status_code


def test_a_thumb_is_kept_once_and_with_the_answer(client: TestClient, tmp_path: Path, steps: dict[str, str]) -> None:
    mine = steps["local"]
    assert put(client, mine, 1) == 200
    assert ratings(tmp_path)[mine] == (1, "")
    assert put(client, mine, 0, " 没有\x00儿童用量 ", id="made up") == 200
    assert ratings(tmp_path)[mine] == (-1, "没有儿童用量")
    assert rows(tmp_path / "chat.sqlite", 'SELECT "forId", "value", "comment" FROM feedbacks') == [(mine, 0, "没有儿童用量")]
    assert 'qizhen_ratings_total{rating="down"} 1.0' in client.get("/metrics").text
    assert ratings(tmp_path)[steps["wang"]] == (0, "")


def test_a_thumb_under_a_run_is_for_its_answer(client: TestClient, tmp_path: Path, steps: dict[str, str]) -> None:
    mine, run = steps["local"], str(uuid.uuid4())
    with sqlite3.connect(tmp_path / "chat.sqlite") as database:
        thread = database.execute('SELECT "threadId" FROM steps WHERE "id" = ?', (mine,)).fetchone()[0]
        database.execute('INSERT INTO steps ("id", "name", "type", "threadId", "streaming") VALUES (?, "r", "run", ?, 0)', (run, thread))
        database.execute('UPDATE steps SET "parentId" = ? WHERE "id" IN (?, ?)', (run, mine, steps["wang"]))
    assert put(client, run, 1) == 200
    assert ratings(tmp_path) == {mine: (1, ""), steps["wang"]: (0, "")}


def test_a_thumb_is_taken_back(client: TestClient, tmp_path: Path, steps: dict[str, str]) -> None:
    sent = {"sessionId": "s", "feedback": {"forId": steps["local"], "value": 1}}
    feedback = client.put("/feedback", json=sent).json()["feedbackId"]
    assert client.request("DELETE", "/feedback", json={"feedbackId": feedback}).json() == {"success": True}
    assert rows(tmp_path / "chat.sqlite", "SELECT * FROM feedbacks") == []
    assert ratings(tmp_path)[steps["local"]] == (0, "")
    assert client.request("DELETE", "/feedback", json={"feedbackId": feedback}).status_code == 404


def test_nobody_speaks_for_another(client: TestClient, tmp_path: Path, steps: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    mine = steps["local"]
    feedback = client.put("/feedback", json={"sessionId": "s", "feedback": {"forId": mine, "value": 1}}).json()["feedbackId"]
    for role in ("clinician", "admin"):
        monkeypatch.setattr("app.access.LOCAL", Person("li", role))
        assert put(client, mine, 0, "坏") == 404
        assert put(client, mine, 0, "坏", id=feedback) == 404
        assert client.request("DELETE", "/feedback", json={"feedbackId": feedback}).status_code == 404
    monkeypatch.setattr("app.access.LOCAL", Person("wang", "clinician"))
    assert put(client, steps["wang"], 0, "坏", id=feedback) == 200  # a forged id writes over nothing
    kept = rows(tmp_path / "chat.sqlite", 'SELECT "id", "forId", "value" FROM feedbacks ORDER BY "value" DESC')
    assert kept[0] == (feedback, mine, 1)
    assert ratings(tmp_path) == {mine: (1, ""), steps["wang"]: (-1, "坏")}


@pytest.mark.parametrize("value", [2, -1, "1", None, 0.5, [1]])
def test_only_thumbs_are_values(client: TestClient, tmp_path: Path, steps: dict[str, str], value: object) -> None:
    assert put(client, steps["local"], value) == 422
    assert rows(tmp_path / "chat.sqlite", "SELECT * FROM feedbacks") == []


def test_an_odd_step_is_none(client: TestClient, steps: dict[str, str]) -> None:
    for odd in ("", "x' OR '1'='1", str(uuid.uuid4()), "\x00"):
        assert put(client, odd, 1) == 404
    assert put(client, steps["local"], 1, "长" * 2001) == 422


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_thumb_in_the_browser_is_kept_with_the_answer(browser: Browser, server: Server) -> None:
    for page in open_page(browser, server):
        put_question(page, "非布司他能治疗什么病？")
        foot = page.get_by_text("记录编号 ").first
        expect(foot).to_be_visible()
        record = foot.inner_text().removeprefix("记录编号 ")
        page.locator(".negative-feedback-off").first.click()
        page.get_by_role("dialog").locator("textarea").fill("没有肾功能不全的用量")
        with page.expect_response("**/feedback") as kept:
            page.locator("#submit-feedback").click()
        assert kept.value.status == 200, kept.value.text()
        expect(page.locator(".negative-feedback-on").first).to_be_visible()
        told = httpx.get(f"{server.url}/api/v1/answers/{record}").json()
        assert (told["way"], told["person"], told["rating"], told["comment"]) == ("chat", "local", -1, "没有肾功能不全的用量")
        page.wait_for_url("**/thread/**")
        assert told["thread"] == page.url.rsplit("/", 1)[1]
        page.reload()
        with page.expect_response("**/feedback"):
            page.locator(".negative-feedback-on").first.click()
        expect(page.locator(".negative-feedback-off").first).to_be_visible()
        assert httpx.get(f"{server.url}/api/v1/answers/{record}").json()["rating"] == 0
