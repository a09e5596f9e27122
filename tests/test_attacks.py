"""What somebody with an account of their own, or with none, must not get at: tried on a running server, as an attacker would."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from test_browser import PATIENCE as BROWSERS_PATIENCE
from test_browser import Server, browser, put
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from app.doorkeeper import COOKIE

__all__ = ["browser"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PASSWORDS = {"admin": "管理密码一二三四五六", "li": "临床密码一二三四五六", "wang": "药师密码一二三四五六"}
ROLES = {"admin": "admin", "li": "clinician", "wang": "pharmacist"}
QUESTION = "非布司他的禁忌是什么？"
PATIENCE = 20.0  # seconds


def qizhen(folder: Path, *words: str, given: str = "") -> str:
    command = [str(Path(sys.executable).parent / "qizhen"), *words, "--state", "state"]
    done = subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("attacked")
    for name, password in PASSWORDS.items():
        qizhen(folder, "users", "add", name, "--role", ROLES[name], "--password-stdin", given=password + "\n")
    server = Server(folder)
    yield server
    server.stop()


class Attacker(httpx.Client):
    """A browser without scruples: signed in, with Chainlit's token too."""

    def __init__(self, server: Server, name: str = "") -> None:
        super().__init__(base_url=server.url, timeout=PATIENCE)
        self.server = server
        if name:
            answer = self.post("/login", data={"name": name, "password": PASSWORDS[name]})
            assert answer.status_code == 303, answer.text
            assert self.get("/").status_code == 200
            self.user = self.get("/user").json()
            assert self.user["identifier"] == name

    @property
    def cookie(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies.jar)

    def chat(self, thread: str = "", session: str = "", **more: str) -> "Chat":
        return Chat(self.server, self.cookie, thread, session or str(uuid.uuid4()), more)


class Chat:
    """A websocket to Chainlit, spoken by hand (Engine.IO 4, Socket.IO 5)."""

    def __init__(self, server: Server, cookie: str, thread: str, session: str, more: dict[str, str]) -> None:
        address = server.url.replace("http", "ws") + "/ws/socket.io/?EIO=4&transport=websocket"
        headers = {"Cookie": cookie, "Origin": server.url}
        self.session = session
        self.socket: ClientConnection = connect(address, additional_headers=headers, open_timeout=PATIENCE)
        assert self.socket.recv(PATIENCE)[0] == "0"
        told = {"sessionId": session, "clientType": "webapp", "userEnv": "{}", "chatProfile": "", "threadId": thread, **more}
        self.socket.send("40" + json.dumps(told))
        self.welcome = str(self.socket.recv(PATIENCE))

    def say(self, event: str, content: Any = None) -> None:
        self.socket.send("42" + json.dumps([event] if content is None else [event, content], ensure_ascii=False))

    def hear(self, event: str) -> Any:
        """The content of the next event of that name."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            message = str(self.socket.recv(PATIENCE))
            if message == "2":
                self.socket.send("3")
            elif message.startswith("42") and (told := json.loads(message[2:]))[0] == event:
                return told[1:]
        raise AssertionError(f"no {event}")

    def go_on(self) -> None:
        """Speak and hear for as long as that is let happen, a while at most."""
        for _ in range(20):
            self.say("connection_successful")
            self.socket.recv(2)

    def ask(self, question: str) -> None:
        self.say("connection_successful")
        message = {"id": str(uuid.uuid4()), "name": "user", "type": "user_message", "output": question, "createdAt": "2026-11-23T08:00:00Z"}
        self.say("client_message", {"message": message, "fileReferences": []})
        self.hear("task_end")


@pytest.fixture(scope="module")
def li(server: Server) -> Iterator[Attacker]:
    with closing(Attacker(server, "li")) as li:
        yield li


@pytest.fixture(scope="module")
def wang(server: Server) -> Iterator[Attacker]:
    with closing(Attacker(server, "wang")) as wang:
        yield wang


@pytest.fixture(scope="module")
def thread(li: Attacker) -> str:
    """A conversation of li's, as it is in the history."""
    chat = li.chat()
    assert chat.welcome.startswith("40{")
    chat.ask(QUESTION)
    chat.socket.close()
    for _ in range(50):
        found = threads(li)
        if found and answers(li, found[0]["id"]):
            return str(found[0]["id"])
        time.sleep(0.2)
    raise AssertionError("no conversation in the history")


def answers(who: Attacker, thread: str) -> list[dict[str, Any]]:
    return [step for step in who.get(f"/project/thread/{thread}").json()["steps"] if step["type"] == "assistant_message"]


def threads(who: Attacker) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = who.post("/project/threads", json={"pagination": {"first": 20}, "filter": {}}).json()["data"]
    return found


def test_a_conversation_is_its_owners_alone(li: Attacker, wang: Attacker, thread: str) -> None:
    assert threads(wang) == []
    assert wang.post("/project/threads", json={"pagination": {"first": 20}, "filter": {"userId": li.user["id"]}}).json()["data"] == []
    tried = [
        wang.get(f"/project/thread/{thread}"),
        wang.put("/project/thread", json={"threadId": thread, "name": "改名"}),
        wang.request("DELETE", "/project/thread", json={"threadId": thread}),
        wang.get(f"/conversations/{thread}.docx"),
        wang.get(f"/conversations/{thread}.pdf"),
    ]
    assert all(answer.status_code in (401, 403, 404) for answer in tried), [answer.status_code for answer in tried]
    assert all(QUESTION not in answer.text for answer in tried)
    kept = li.get(f"/project/thread/{thread}").json()
    assert (kept["id"], kept["name"]) == (thread, QUESTION)


def test_a_conversation_cannot_be_shared(li: Attacker, wang: Attacker, thread: str) -> None:
    assert li.put("/project/thread/share", json={"threadId": thread, "isShared": True}).status_code == 404
    assert wang.get(f"/project/share/{thread}").status_code == 404


def test_nobody_joins_the_conversation_of_another(wang: Attacker, thread: str) -> None:
    assert wang.chat(thread=thread).welcome.startswith("44")  # refused


def test_nobody_takes_over_the_session_of_another(li: Attacker, wang: Attacker) -> None:
    session = li.chat().session
    assert wang.chat(session=session).welcome.startswith("44")
    told = wang.post("/project/action", json={"sessionId": session, "action": {"name": "open_source", "payload": {}, "id": "x"}})
    assert told.status_code in (401, 403, 404)


def test_a_conversation_id_is_no_sql(li: Attacker) -> None:
    chat = li.chat(thread="' OR '1'='1")
    if chat.welcome.startswith("40"):
        chat.say("connection_successful")
        chat.socket.close()
    assert li.get("/project/thread/' OR '1'='1").status_code == 404
    before = threads(li)
    assert {row["userIdentifier"] for row in before} <= {"li"}


def test_an_action_that_was_never_offered_does_nothing(li: Attacker) -> None:
    session = li.chat().session
    action = {"id": "x", "name": "reindex", "payload": {}, "label": "", "tooltip": "", "forId": None}
    assert li.post("/project/action", json={"sessionId": session, "action": action}).status_code >= 400
    assert li.get("/admin").status_code == 403
    assert li.post("/api/v1/answers/7K3M-9QXT-2FHD/replay").status_code == 403


def test_feedback_on_the_answer_of_another_is_not_taken(li: Attacker, wang: Attacker, thread: str) -> None:
    answer = answers(li, thread)[0]
    given = {"feedback": {"forId": answer["id"], "value": 0, "comment": "胡说"}, "sessionId": str(uuid.uuid4())}
    assert wang.put("/feedback", json=given).status_code in (401, 403, 404)
    told = li.put("/feedback", json={**given, "feedback": {**given["feedback"], "value": 1}})
    assert told.status_code == 200
    number = told.json()["feedbackId"]
    assert wang.request("DELETE", "/feedback", json={"feedbackId": number}).status_code in (401, 403, 404)
    stolen = {"feedback": {"id": number, "forId": answer["id"], "value": 0}, "sessionId": str(uuid.uuid4())}
    assert wang.put("/feedback", json=stolen).status_code in (401, 403, 404)
    kept = next(step for step in li.get(f"/project/thread/{thread}").json()["steps"] if step["id"] == answer["id"])
    assert kept["feedback"]["value"] == 1


def test_chainlits_token_alone_opens_nothing(server: Server, li: Attacker) -> None:
    token = li.cookies["access_token"]
    with closing(Attacker(server)) as stranger:
        for headers in ({"cookie": f"access_token={token}"}, {"authorization": f"Bearer {token}"}):
            assert stranger.get("/user", headers=headers).status_code == 401
            assert stranger.post("/project/threads", json={"pagination": {"first": 20}, "filter": {}}, headers=headers).status_code == 401
        forged = {"x-qizhen-person": "admin", "cookie": f"access_token={token}"}
        assert stranger.post("/auth/header", headers=forged).status_code == 401


def test_the_name_the_door_hands_over_cannot_be_forged(li: Attacker) -> None:
    assert li.post("/auth/header", headers={"x-qizhen-person": "admin"}).status_code == 200
    assert li.get("/user", headers={"x-qizhen-person": "admin"}).json()["identifier"] == "li"


def test_the_token_of_one_person_is_not_used_beside_the_session_of_another(li: Attacker, wang: Attacker) -> None:
    mixed = {"cookie": f"{COOKIE}={wang.cookies[COOKIE]}; access_token={li.cookies['access_token']}"}
    with httpx.Client(base_url=str(wang.base_url)) as browser:
        assert browser.get("/user", headers=mixed).status_code == 401
        page = browser.get("/", headers=mixed)
        assert "access_token=" in page.headers["set-cookie"]  # of wang's own


@pytest.mark.parametrize("act", [("users", "disable"), ("users", "role"), ("users", "sign-out")])
def test_what_ends_a_session_ends_an_open_chat(server: Server, act: tuple[str, ...]) -> None:
    name = f"temp-{act[1]}"
    qizhen(server.folder, "users", "add", name, "--password-stdin", given="a long password of a guest\n")
    PASSWORDS[name] = "a long password of a guest"
    with closing(Attacker(server, name)) as guest:
        chat = guest.chat()
        assert chat.welcome.startswith("40{")
        qizhen(server.folder, *act, name, *(["pharmacist"] if act[1] == "role" else []))
        time.sleep(2.2)  # for so long a session is believed
        with pytest.raises(ConnectionClosed):
            chat.go_on()
        assert guest.get("/user").status_code == 401
        assert guest.get("/").headers["location"].startswith("/login")
        assert guest.post("/api/v1/ask", json={"question": QUESTION}).status_code == 401


def test_without_a_session_nothing_is_open_but_the_page_to_sign_in(server: Server) -> None:
    with closing(Attacker(server)) as stranger:
        for path in ("/", "/drugs", "/drugs/interactions", "/admin", f"/thread/{uuid.uuid4()}"):
            answer = stranger.get(path)
            assert (path, answer.status_code, answer.headers.get("location", "").startswith("/login")) == (path, 303, True)
        for path in ("/user", "/project/settings", "/public/elements/Sources.jsx", "/api/v1/releases", "/v1/models", "/metrics", "/me"):
            assert (path, stranger.get(path).status_code) in ((path, 401), (path, 303))
        with pytest.raises(InvalidStatus):
            stranger.chat()
        assert stranger.get("/login").status_code == 200


def test_what_the_chat_does_not_need_of_chainlit_is_closed(li: Attacker) -> None:
    closed = ["/docs", "/redoc", "/openapi.json", "/auth/oauth/github", "/mcp", "/copilot/index.js", "/nowhere", "/slack/events", "/env"]
    assert {path: li.get(path).status_code for path in closed} == dict.fromkeys(closed, 404)
    for method, path in (("POST", "/auth/jwt"), ("POST", "/mcp"), ("PUT", "/project/element"), ("PUT", "/project/thread/share")):
        assert (path, li.request(method, path, json={}).status_code) == (path, 404)


@pytest.mark.parametrize(
    "path", ["/public/../../secret", "/public/%2e%2e/%2e%2e/secret", "/public/..%2f..%2fqizhen.sqlite", "/assets/../../../secret"]
)
def test_no_path_leads_out_of_the_folder(li: Attacker, server: Server, path: str) -> None:
    secret = (server.folder / "state" / "secret").read_text("utf-8")
    answer = httpx.Client().build_request("GET", server.url + path, headers={"cookie": li.cookie})
    with httpx.Client() as raw:
        told = raw.send(answer)
    assert told.status_code in (400, 403, 404)
    assert secret not in told.text


def test_another_host_or_origin_is_turned_away(li: Attacker) -> None:
    assert li.get("/login", headers={"host": "evil.example"}).status_code == 403
    for origin in ("https://evil.example", "null"):
        assert li.post("/api/v1/ask", json={"question": QUESTION}, headers={"origin": origin}).status_code == 403
        assert li.post("/logout", headers={"origin": origin}).status_code == 403
    preflight = li.options("/project/threads", headers={"origin": "https://evil.example", "access-control-request-method": "POST"})
    assert preflight.headers.get("access-control-allow-origin") in (None, "")


def test_every_answer_bears_the_policy(li: Attacker, server: Server) -> None:
    with closing(Attacker(server)) as stranger:
        for who, path in ((li, "/"), (li, "/drugs"), (li, "/user"), (stranger, "/login"), (stranger, "/api/v1/nope"), (li, "/admin")):
            policy = who.get(path).headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, path
            assert "https:" not in policy, path
            assert "*" not in policy, path


def test_a_large_body_is_refused(li: Attacker) -> None:
    body = b'{"question": "' + b"x" * 2_000_000 + b'"}'
    answer = li.post("/api/v1/ask", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def uploaded(who: Attacker, session: str, name: str = "院内.txt", content: bytes = b"x", kind: str = "text/plain") -> httpx.Response:
    return who.post(f"/project/file?session_id={session}", files={"file": (name, content, kind)})


def test_a_file_goes_to_no_session_of_another_and_none_is_too_large(li: Attacker, wang: Attacker) -> None:
    chat = li.chat()
    chat.say("connection_successful")
    assert uploaded(wang, chat.session).status_code in (401, 403)
    assert uploaded(li, chat.session, content=b"x" * (21 << 20)).status_code in (400, 413)
    assert uploaded(li, chat.session, "a.exe", kind="application/x-msdownload").status_code == 400
    kept = uploaded(li, chat.session)
    assert kept.status_code == 200
    assert wang.get(f"/project/file/{kept.json()['id']}?session_id={chat.session}").status_code in (401, 403)
    chat.socket.close()


def test_an_uploaded_document_opens_in_no_other_conversation(li: Attacker, wang: Attacker) -> None:
    chat, others = li.chat(), wang.chat()
    text = "甲乙胶囊\n【适应症】\n用于秘密试验。\n【用法用量】\n口服。成人一次一粒，一日两次。\n".encode()
    chat.say("connection_successful")
    kept = uploaded(li, chat.session, "甲乙胶囊.txt", text).json()["id"]
    message = {"id": str(uuid.uuid4()), "name": "li", "type": "user_message", "output": "甲乙胶囊的适应症？", "createdAt": ""}
    chat.say("client_message", {"message": message, "fileReferences": [{"id": kept}]})
    cited = {}
    while not cited:
        [element] = chat.hear("element")
        props = element.get("props") or {}
        cited = next((citation for row in props.get("rows", []) for citation in row["citations"]), {})
    assert cited["document"]
    others.say("connection_successful")
    payload = {**cited, "whole": True}
    for who, session, opens in ((li, chat.session, True), (wang, others.session, False)):
        action = {"id": "x", "name": "open_source", "payload": payload, "label": "", "tooltip": "", "forId": None}
        told = who.post("/project/action", json={"sessionId": session, "action": action})
        assert (told.status_code, told.json().get("response", told.json())) == (200, {"opened": opens})
    chat.socket.close()
    others.socket.close()


def test_a_profile_that_was_never_offered_changes_nothing(li: Attacker) -> None:
    chat = li.chat(chatProfile="admin")
    chat.ask(QUESTION)
    assert li.get("/admin").status_code == 403
    chat.socket.close()


def test_a_picture_in_a_question_is_fetched_from_nowhere(browser: Browser, server: Server) -> None:
    page = browser.new_page(locale="zh-CN")
    page.set_default_timeout(BROWSERS_PATIENCE)
    page.goto(server.url + "/")
    page.fill("#name", "li")
    page.fill("#password", PASSWORDS["li"])
    page.press("#password", "Enter")
    page.wait_for_selector("#chat-input")
    fetched: list[str] = []
    page.on("requestfinished", lambda request: fetched.append(request.url))
    put(page, "![x](http://127.0.0.2:9/picture.png) <img src=http://127.0.0.2:9/two.png> 非布司他的禁忌是什么？")
    expect(page.get_by_text("记录编号")).to_be_visible(timeout=BROWSERS_PATIENCE)
    assert fetched
    assert not [url for url in fetched if "127.0.0.2" in url]
    page.close()


def test_signing_out_in_the_chat_leaves_nothing_on_the_screen(browser: Browser, server: Server) -> None:
    page = browser.new_page(locale="zh-CN")
    page.set_default_timeout(BROWSERS_PATIENCE)
    page.goto(server.url + "/")
    page.fill("#name", "li")
    page.fill("#password", PASSWORDS["li"])
    page.press("#password", "Enter")
    page.wait_for_selector("#chat-input")
    put(page, QUESTION)
    expect(page.get_by_text("来源", exact=True)).to_be_visible(timeout=BROWSERS_PATIENCE)
    page.click("#user-nav-button")
    page.get_by_role("menuitem", name="退出登录").click()
    page.wait_for_url("**/login**")
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    assert QUESTION not in page.content()
    page.go_back()
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    page.close()
