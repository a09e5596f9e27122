"""Two processes behind a sticky proxy, on one state folder and one index: they work as one."""

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sticky_proxy import StickyProxy
from test_browser import Server

from indexer.build import build_release
from indexer.release import current_id

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from load import Chatter

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FIRST, SECOND = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def servers(tmp_path: Path, sample_file: Path) -> Iterator[list[Server]]:
    build_release(tmp_path / "index", [sample_file])
    servers = [Server(tmp_path), Server(tmp_path)]
    yield servers
    for server in servers:
        server.stop()


def client_at(address: str, port: int) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=20)


async def test_what_one_does_the_other_knows(servers: list[Server], tmp_path: Path, write_lines: Any) -> None:
    proxy = StickyProxy([server.port for server in servers])
    async with proxy as port, client_at(FIRST, port) as first, client_at(SECOND, port) as second:
        url = f"http://127.0.0.1:{port}"
        chatters = []
        for client, address in ((first, FIRST), (second, SECOND)):
            cookies = (await client.post("/auth/header")).cookies
            cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
            chatters.append(Chatter(url, {"cookie": cookie, "origin": url}, address))
            await chatters[-1].connect()
        told = [
            await chatter.ask(question) for chatter, question in zip(chatters, ("头孢克洛的禁忌是什么？", "奥司他韦的禁忌？"), strict=True)
        ]
        assert [one.failed for one in told] == ["", ""]
        assert proxy.sent == {FIRST: servers[0].port, SECOND: servers[1].port}
        # An answer of one is found and rated at the other; both conversations are in either's list.
        record = told[0].record
        assert (await second.get(f"/api/v1/answers/{record}")).json()["question"] == "头孢克洛的禁忌是什么？"
        assert (await second.post(f"/api/v1/answers/{record}/rating", json={"rating": -1})).status_code == 200
        assert (await first.get(f"/api/v1/answers/{record}")).json()["rating"] == -1
        for client in (first, second):
            listed = (await client.post("/project/threads", json={"pagination": {"first": 20}, "filter": {}})).json()
            assert {thread["name"] for thread in listed["data"]} == {"头孢克洛的禁忌是什么？", "奥司他韦的禁忌？"}
        # A request sent again is the same answer, whoever answers it.
        again = [
            (await client.post("/api/v1/ask", json={"question": "头孢克肟能治什么？"}, headers={"Idempotency-Key": "k"})).json()["record"]
            for client in (first, second)
        ]
        assert again[0] == again[1] != ""
        # A release that is published is taken over by both.
        row = {"id": "d", "kind": "drug", "title": "某某药片", "sections": [{"title": "禁忌", "text": "孕妇禁用。"}]}
        build_release(tmp_path / "index", [write_lines([row])])
        for client in (first, second):
            answer = (await client.post("/api/v1/ask", json={"question": "某某药片的禁忌是什么？"})).json()
            assert (answer["release"], answer["sentences"][0]["text"]) == (current_id(tmp_path / "index"), "孕妇禁用。")
        for chatter in chatters:
            await chatter.close()


async def test_a_server_that_is_stopped_has_written_everything(tmp_path: Path, sample_file: Path) -> None:
    build_release(tmp_path / "index", [sample_file])
    server = Server(tmp_path)
    async with client_at("127.0.0.1", server.port) as client:
        cookies = (await client.post("/auth/header")).cookies
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    chatters = [Chatter(server.url, {"cookie": cookie, "origin": server.url}) for _ in range(10)]
    await asyncio.gather(*(chatter.connect() for chatter in chatters))
    told = await asyncio.gather(*(chatter.ask("头孢克洛的禁忌是什么？") for chatter in chatters))
    server.stop()  # in the moment in which the last answer is on the screen
    await asyncio.gather(*(chatter.close() for chatter in chatters))
    with sqlite3.connect(tmp_path / "state" / "qizhen.sqlite") as database:
        assert {row[0] for row in database.execute("SELECT id FROM answers")} == {one.record for one in told}
    with sqlite3.connect(tmp_path / "state" / "chat.sqlite") as database:
        kept = database.execute('SELECT "type", count(*) FROM steps WHERE "type" <> \'run\' GROUP BY "type" ORDER BY "type"').fetchall()
        assert kept == [("assistant_message", 10), ("user_message", 10)]
        assert database.execute("SELECT count(*) FROM elements WHERE name = 'Sources'").fetchone() == (10,)
    assert "conversation not kept" not in (tmp_path / "log").read_text("utf-8")
