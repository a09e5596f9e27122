"""Records over HTTP: one's own, or for admins; rating, replaying, and asking once however often it is sent."""

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from site_client import recording_service
from starlette.testclient import TestClient

from app.access import Person
from app.api_examples import RECORD
from app.database import open_database, prepare_database
from app.idempotency import Repeats
from app.service import Service
from app.site import create_site

QUESTION = "头孢克洛的禁忌是什么？"
HERE = ("127.0.0.1", 50_000)
EVENTS = {"accept": "text/event-stream"}


@pytest.fixture
def service(sample_index: Path, tmp_path: Path) -> Service:
    url = f"sqlite:///{tmp_path / 'q.sqlite'}"
    asyncio.run(prepare_database(url))
    engine = open_database(url)
    return replace(recording_service(sample_index, engine), repeats=Repeats(engine))


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(create_site(service), client=HERE, raise_server_exceptions=False) as client:
        yield client


def put(client: TestClient, question: str = QUESTION, **more: Any) -> str:
    return str(client.post("/api/v1/ask", json={"question": question}, **more).json()["record"])


def give_to(tmp_path: Path, record: str, person: str) -> None:
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        database.execute("UPDATE answers SET person = ? WHERE id = ?", (person, record))


def become(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    """Whoever asks from here is this person."""
    monkeypatch.setattr("app.access.LOCAL", person)


def test_answers_are_listed_filtered_and_paged(client: TestClient) -> None:
    ids = [put(client, question) for question in (QUESTION, "奥司他韦的禁忌？", "头孢克肟能治什么？")]
    listed = client.get("/api/v1/answers").json()
    assert [row["id"] for row in listed["answers"]] == ids[::-1]
    assert listed["next"] == ""
    first = client.get("/api/v1/answers", params={"limit": 2}).json()
    rest = client.get("/api/v1/answers", params={"limit": 2, "cursor": first["next"]}).json()
    assert [row["id"] for row in first["answers"] + rest["answers"]] == ids[::-1]
    refused = client.get("/api/v1/answers", params={"status": "refused"}).json()["answers"]
    assert [row["id"] for row in refused] == [ids[1]]
    assert client.get("/api/v1/answers", params={"status": "refused", "cursor": first["next"]}).status_code == 422
    at = listed["answers"][0]["at"]
    assert [row["id"] for row in client.get("/api/v1/answers", params={"since": at}).json()["answers"]] == [ids[2]]
    assert client.get("/api/v1/answers", params={"since": "2099-01-01T00:00:00+08:00"}).json()["answers"] == []
    for wrong in ({"status": "x"}, {"rating": "2"}, {"since": "昨天"}, {"since": "2026-01-01T00:00:00"}):
        assert client.get("/api/v1/answers", params=wrong).status_code == 422


def test_an_answer_is_read_by_its_id(client: TestClient) -> None:
    record = put(client)
    told = client.get(f"/api/v1/answers/{record.lower()}").json()
    assert (told["id"], told["question"], told["person"]) == (record, QUESTION, "local")
    assert set(told) == set(RECORD)
    assert client.get("/api/v1/answers/0000-0000-0000").status_code == 404
    assert client.get("/api/v1/answers/x").status_code == 404


def test_ones_own_answer_is_rated_as_often_as_one_likes(client: TestClient) -> None:
    record = put(client)
    for rating, comment in ((-1, "缺少\x00用量"), (-1, "缺少\x00用量"), (1, "")):
        told = client.post(f"/api/v1/answers/{record}/rating", json={"rating": rating, "comment": comment})
        assert told.json() == {"record": record, "rating": rating, "comment": comment.replace("\x00", "")}
    disliked = client.get("/api/v1/answers", params={"rating": "1"}).json()["answers"]
    assert [(row["id"], row["rating"]) for row in disliked] == [(record, 1)]
    figures = client.get("/metrics").text
    assert 'qizhen_ratings_total{rating="down"} 1.0' in figures
    assert 'qizhen_ratings_total{rating="up"} 1.0' in figures
    for wrong in ({"rating": 2}, {"rating": "1"}, {}, {"rating": 1, "comment": "长" * 2001}, {"rating": 1, "person": "x"}):
        assert client.post(f"/api/v1/answers/{record}/rating", json=wrong).status_code == 422


def test_somebody_elses_answer_is_neither_read_nor_rated(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = put(client)
    give_to(tmp_path, record, "wang")
    rated = client.post(f"/api/v1/answers/{record}/rating", json={"rating": 1})
    assert rated.status_code == 403  # an admin sees it, but does not speak for its owner
    become(monkeypatch, Person("li", "clinician"))
    for told in (client.get(f"/api/v1/answers/{record}"), client.post(f"/api/v1/answers/{record}/rating", json={"rating": -1})):
        assert told.status_code == 404
    become(monkeypatch, Person("wang", "clinician"))
    assert client.get(f"/api/v1/answers/{record}").json()["rating"] == 0
    assert client.post(f"/api/v1/answers/{record}/rating", json={"rating": -1}).status_code == 200


def test_an_answer_is_replayed(client: TestClient, tmp_path: Path) -> None:
    record = put(client)
    told = client.post(f"/api/v1/answers/{record}/replay").json()
    assert (told["record"], told["same"], told["differences"]) == (record, True, [])
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        database.execute("UPDATE answers SET release = 'gone'")
    gone = client.post(f"/api/v1/answers/{record}/replay")
    assert gone.status_code == 410
    assert "所依据的版本 `gone` 已经清除，不能重放" in gone.json()["detail"]


def test_the_same_request_sent_again_is_the_same_answer(client: TestClient, tmp_path: Path) -> None:
    body, key = {"question": QUESTION, "id": "七"}, {"Idempotency-Key": "a1"}
    first = client.post("/api/v1/ask", json=body, headers=key)
    again = client.post("/api/v1/ask", json=body, headers=key)
    assert again.json() == first.json()
    streamed = client.post("/api/v1/ask", json=body, headers={**key, **EVENTS}).text
    assert first.json()["record"] in streamed
    assert streamed.count("event: sentence") == 2
    other = client.post("/api/v1/ask", json={"question": "奥司他韦的禁忌？"}, headers=key)
    assert other.status_code == 422
    assert "Idempotency-Key `a1` 已用于另一个请求" in other.json()["detail"]
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        assert database.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    assert put(client, headers={"Idempotency-Key": "a2"}) != first.json()["record"]


def test_a_key_is_its_persons_own(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"Idempotency-Key": "a1"}
    mine = put(client, headers=key)
    become(monkeypatch, Person("wang", "clinician"))
    assert put(client, headers=key) != mine


def test_a_request_under_way_is_not_begun_again(client: TestClient, service: Service, tmp_path: Path) -> None:
    key = {"Idempotency-Key": "a1"}
    put(client, headers=key)
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        database.execute("UPDATE idempotency SET record = ''")
    busy = client.post("/api/v1/ask", json={"question": QUESTION}, headers=key)
    assert (busy.status_code, busy.headers["retry-after"]) == (409, "2")
    with sqlite3.connect(tmp_path / "q.sqlite") as database:  # whoever began it was killed long ago
        database.execute("UPDATE idempotency SET at = '2026-01-01T00:00:00.000Z'")
    assert put(client, headers=key)


def test_a_request_that_failed_may_be_sent_again(client: TestClient) -> None:
    key = {"Idempotency-Key": "a1"}
    wrong = client.post("/api/v1/ask", json={"question": QUESTION, "generator": "谁"}, headers=key)
    assert wrong.status_code == 422
    assert put(client, headers=key)
    for odd in ("长" * 3, "a" * 201, "a b"):
        told = client.post("/api/v1/ask", json={"question": QUESTION}, headers={"Idempotency-Key": odd.encode()})
        assert told.status_code == 422


def test_an_answer_that_was_purged_is_gone_for_its_key_too(client: TestClient, tmp_path: Path) -> None:
    key = {"Idempotency-Key": "a1"}
    put(client, headers=key)
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        database.execute("DELETE FROM answers")
    gone = client.post("/api/v1/ask", json={"question": QUESTION}, headers=key)
    assert gone.status_code == 410
