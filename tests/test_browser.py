"""The chat as a person uses it, in Chromium, against the installed command."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from openai_server import OpenAIServer
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as TookTooLong

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
CHROMIUM = shutil.which("chromium")
FLAGS = """
--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync
""".split()
PATIENCE = 40_000  # milliseconds; two busy cores


class Server:
    """`qizhen serve` in a process of its own, which can be stopped and started again on the same state."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        qizhen = str(Path(sys.executable).parent / "qizhen")
        self.log = (self.folder / "log").open("a", encoding="utf-8")
        command = [qizhen, "serve", "--port", str(self.port), "--index", "index", "--state", "state"]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **self.environment}
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=self.log, stderr=self.log, env=environment)
        for _ in range(240):
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.25)
        raise AssertionError((self.folder / "log").read_text("utf-8"))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("served"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; `make browser` says how to get it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    yield from open_page(browser, server)


def open_page(browser: Browser, server: Server) -> Iterator[Page]:
    """The chat in a fresh browser context, which must not speak to any other address."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="zh-CN")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    outside: list[str] = []
    page.on(
        "request",
        lambda r: None if r.url.startswith((server.url, "data:", "blob:", server.url.replace("http", "ws"))) else outside.append(r.url),
    )
    page.goto(server.url)
    page.wait_for_selector("#chat-input")
    yield page
    assert outside == []
    context.close()


def put(page: Page, question: str) -> None:
    """Ask. Chainlit lays its page out anew when the first answer is there, and what was just typed is gone: then it is typed again."""
    for _ in range(5):
        page.click("#chat-input")
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(question)
        with suppress(TookTooLong):
            page.locator("#chat-submit:enabled").click(timeout=PATIENCE / 5)
            break
    expect(page.get_by_text(question, exact=True).first).to_be_visible()


def test_ask_open_the_citation_and_find_the_words_marked(page: Page) -> None:
    put(page, "非布司他能治疗什么病？")
    expect(page.get_by_text("痛风患者高尿酸血症的长期治疗。").first).to_be_visible()
    expect(page.get_by_text("仅供专业人员参考，不能替代诊疗决策。").first).to_be_visible()
    page.locator('a[href*="#cite-2"]').click()
    mark = page.locator("#side-view-content mark, mark").first
    expect(mark).to_have_text("不推荐用于无临床症状的高尿酸血症。")
    expect(mark).to_be_in_viewport()
    panel = page.locator(".qz-source")
    for fact in ("启真示例知识库", "启真项目", "2026-11-22", "未经临床审核"):
        expect(panel).to_contain_text(fact)
    expect(page.locator("#side-view-title")).to_have_text("非布司他 · 适应症")
    page.get_by_role("button", name="打开全文").click()
    expect(panel.locator("h3")).to_have_count(11)
    expect(panel.locator("mark")).to_have_text("不推荐用于无临床症状的高尿酸血症。")


def test_a_thread_survives_a_reload_and_a_restart_of_the_server(page: Page, server: Server) -> None:
    put(page, "氨氯地平的禁忌有哪些？")
    expect(page.locator("button[data-cite='1']")).to_be_visible()
    page.wait_for_url("**/thread/**")
    for restart in (False, True):
        if restart:
            server.stop()
            server.start()
        page.reload()
        expect(page.locator("button[data-cite='1']")).to_be_visible()
        page.locator('a[href*="#cite-1"]').click()
        expect(page.locator(".qz-source mark")).to_contain_text("禁用")
    put(page, "它的适应症呢？")
    expect(page.get_by_text("氨氯地平 · 适应症").first).to_be_visible()
    expect(page.locator("a[href*='/thread/']").first).to_contain_text("氨氯地平的禁忌有哪些？")


def test_a_mark_waits_for_its_own_source_and_never_opens_another_answer_s(page: Page) -> None:
    put(page, "非布司他能治疗什么病？")
    expect(page.locator("button[data-cite='1']")).to_have_count(1)
    put(page, "氨氯地平的禁忌有哪些？")
    expect(page.locator("button[data-cite='1']")).to_have_count(2)
    page.evaluate("""window.late = [...document.querySelectorAll('button[data-cite="1"]')].pop(); window.late.dataset.cite = 'late'""")
    mark = page.locator("a[href*='#cite-1']").last
    mark.click()
    page.wait_for_timeout(300)
    expect(page.locator(".qz-source")).to_have_count(0)
    page.evaluate("window.late.dataset.cite = '1'")
    expect(page.locator(".qz-source")).to_contain_text("氨氯地平")


def test_a_choice_asks_the_same_question_of_the_chosen_drug(page: Page) -> None:
    put(page, "氯丙那林的禁忌？")
    expect(page.get_by_text("没有收录“氯丙那林”。您要找的是：").first).to_be_visible()
    page.get_by_role("button", name="氯丙嗪").click()
    expect(page.get_by_text("氯丙嗪 · 禁忌").first).to_be_visible()


def test_a_refusal_and_a_question_that_cannot_be_asked_are_told(page: Page) -> None:
    put(page, "阿哌沙班的禁忌是什么？")
    expect(page.get_by_text("知识库无法回答这个问题：没有收录“阿哌沙班”。").first).to_be_visible()
    put(page, "？？？")
    expect(page.get_by_text("问题是空的").first).to_be_visible()


def test_starters_ask(page: Page) -> None:
    page.get_by_role("button", name="两药合用").click()
    expect(page.get_by_text("阿司匹林 · 药物相互作用").first).to_be_visible()


def test_ranges_are_not_struck_through(page: Page) -> None:
    put(page, "布洛芬儿童怎么用？")
    expect(page.get_by_text("5~10mg/kg").first).to_be_visible()
    assert page.locator("del").count() == 0


def test_the_server_answers_only_what_it_should(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        page = client.get("/")
        assert 'lang="zh-CN"' in page.text
        assert "https://" not in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json", "/api/nope")] == [404] * 4
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        assert client.get("/healthz").json() == {"status": "ok"}
        for path in ("/auth/header", "/logout", "/project/action"):
            assert client.post(path, headers={"origin": "http://127.0.0.1:1"}).status_code == 403
        allowed = client.get("/user", headers={"origin": "http://evil.example"}).headers.get("access-control-allow-origin")
        assert allowed != "http://evil.example"


def test_another_page_of_this_machine_gets_no_socket(server: Server) -> None:
    request = (
        f"GET /ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert b" 403 " in connection.recv(200).split(b"\r\n")[0]


def test_a_language_model_speaks_by_checked_sentence(browser: Browser, tmp_path: Path) -> None:
    script = ["非布司他：痛风患者高尿酸血症的长期治疗。[1]\n", "一次8000mg。[1]\n", 4.0, "不用"]
    with OpenAIServer(script) as model:
        server = Server(tmp_path, QIZHEN_GENERATOR="chat", QIZHEN_CHAT_URL=model.url, QIZHEN_CHAT_MODEL="m")
        try:
            for page in open_page(browser, server):
                put(page, "非布司他能治疗什么病？")
                working = page.get_by_text(re.compile("检索 \\d+ 毫秒 · 找到 \\d+ 段 · 正在组织语言"))
                expect(working).to_be_visible()
                expect(page.get_by_text("非布司他：痛风患者高尿酸血症的长期治疗。").first).to_be_visible()
                assert page.get_by_text("不推荐用于无临床症状的高尿酸血症。").count() == 0
                assert httpx.get(f"{server.url}/healthz", timeout=2).status_code == 200
                expect(page.get_by_text("不推荐用于无临床症状的高尿酸血症。").first).to_be_visible()
                expect(working).to_have_count(0)
                assert page.get_by_text("8000").count() == 0
                expect(page.get_by_text("部分语句由语言模型转述").first).to_be_visible()
                put(page, "氨氯地平的禁忌有哪些？")
                expect(working).to_be_visible()
                page.locator("#stop-button").click()
                expect(page.get_by_text("已按您的要求停止").first).to_be_visible()
                expect(working).to_have_count(0)
        finally:
            server.stop()


def test_a_forged_citation_opens_nothing(page: Page) -> None:
    put(page, "非布司他的禁忌")
    button = page.locator("button[data-cite='1']")
    expect(button).to_be_visible()
    requests: list[str] = []

    def forge(route: object) -> None:
        body = json.loads(route.request.post_data)  # type: ignore[attr-defined]
        body["action"]["payload"] = {"release": "../../../etc", "document": "passwd", "start": 0, "end": 9}
        requests.append("forged")
        route.continue_(post_data=json.dumps(body))  # type: ignore[attr-defined]

    page.route("**/project/action*", forge)
    button.click()
    expect(page.get_by_text("无法打开原文").first).to_be_visible()
    assert requests == ["forged"]
    assert page.locator(".qz-source").count() == 0


def test_what_answers_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    with OpenAIServer(["非布司他：痛风患者高尿酸血症的长期治疗。[1]\n"]) as model:
        server = Server(tmp_path, QIZHEN_CHAT_URL=model.url, QIZHEN_CHAT_MODEL="mini")
        try:
            for page in open_page(browser, server):
                put(page, "非布司他能治疗什么病？")
                expect(page.get_by_text("不推荐用于无临床症状的高尿酸血症。").first).to_be_visible()
                assert page.get_by_text("由语言模型转述").count() == 0
                page.locator("#chat-settings-open-modal").click()
                page.get_by_role("combobox").click()
                page.get_by_role("option", name="模型服务 mini").click()
                page.locator("#confirm").click()
                put(page, "非布司他可以治什么病？")
                expect(page.get_by_text("部分语句由语言模型转述").first).to_be_visible()
        finally:
            server.stop()
