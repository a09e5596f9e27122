"""What is let in at all: only what names this machine, and writes only from its own pages."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from app.guard import Guard

HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin", "x-frame-options": "DENY"}


async def behind(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        return
    own = [(b"Content-Security-Policy", b"default-src 'none'")] if scope["path"] == "/strict" else []
    await send({"type": "http.response.start", "status": 200, "headers": own})
    await send({"type": "http.response.body", "body": b"let in"})


@pytest.fixture
def client() -> TestClient:
    return TestClient(Guard(behind, {"127.0.0.1", "localhost", "::1"}), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]", "[::1]:8000"])
def test_this_machine_is_let_in_by_each_of_its_names(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).text == "let in"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost@evil.example", "[::1", "", "0.0.0.0:8000"])
def test_another_name_is_turned_away_in_chinese(client: TestClient, host: str) -> None:
    told = client.get("/", headers={"host": host})
    assert (told.status_code, told.headers["content-type"]) == (403, "application/problem+json")
    assert told.json()["detail"] == f"不接受主机名 `{host}`，请用启动时显示的地址打开。"


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://evil.example", "null"])
def test_another_page_may_read_but_not_write(client: TestClient, origin: str) -> None:
    headers = {"origin": origin}
    assert [client.request(method, "/", headers=headers).status_code for method in ("GET", "HEAD", "OPTIONS")] == [200] * 3
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        told = client.request(method, "/", headers=headers)
        assert told.status_code == 403
        assert told.json()["detail"] == f"不接受来自 `{origin}` 的请求，请在启真自己的页面上操作。"


def test_our_own_page_and_programs_without_a_page_may_write(client: TestClient) -> None:
    assert client.post("/", headers={"origin": "http://127.0.0.1:8000"}).text == "let in"
    assert client.post("/").text == "let in"


@pytest.mark.parametrize("headers", [{"origin": "http://127.0.0.1:1"}, {"host": "evil.example"}])
def test_a_web_socket_of_another_page_or_name_is_closed_unopened(client: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/", headers=headers):
        pass
    assert closed.value.code == 1008
    with client.websocket_connect("/", headers={"origin": "http://127.0.0.1:8000", "host": "127.0.0.1:8000"}):
        pass


@pytest.mark.parametrize("path", ["/", "/docs", "/strict"])
def test_every_answer_bears_the_headers_and_a_stricter_policy_stays(client: TestClient, path: str) -> None:
    told = client.get(path)
    assert HEADERS.items() <= dict(told.headers).items()
    policies = told.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert (policies[0] == "default-src 'none'") is (path == "/strict")


def test_the_descriptions_of_the_chat_are_closed(client: TestClient) -> None:
    assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3
