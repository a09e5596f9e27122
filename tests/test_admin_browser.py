"""An admin's day in Chromium: what changed, publish, ask, roll back, ask again; accounts and keys."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from test_browser import Server, browser
from test_drug_browser import opened

from indexer.build import build_release

__all__ = ["browser"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
QUESTION = "非布司他的用法用量是什么？"
OLD, NEW = "口服，起始一次40mg，一日1次。", "口服，起始一次20mg，一日1次。"
PASSWORD = "阿莫西林每日三次0.5g"


def drug(name: str, dose: str) -> dict[str, Any]:
    sections = [{"title": "适应症", "text": "用于痛风患者高尿酸血症的长期治疗。"}, {"title": "用法用量", "text": dose}]
    return {"id": f"drug/{name}", "kind": "drug", "title": name, "sections": sections}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases, the first published; the second was built without a document that could not be read."""
    folder = tmp_path_factory.mktemp("admin")
    faulty = {"id": "drug/x", "kind": "drug", "title": "", "sections": []}
    for name, rows, publish in (
        ("first", [drug("非布司他", OLD), drug("别嘌醇", "口服，一次50mg，一日2次。")], True),
        ("second", [drug("非布司他", NEW), drug("苯溴马隆", "口服，一次50mg，一日1次。"), faulty], False),
    ):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        build_release(folder / "index", [path], why="十一月修订", user="张药师", publish=publish, skip_faulty=not publish)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    yield server
    server.stop()


def expect_answer(page: Page, server: Server, dose: str) -> None:
    """What programs are told; a release that was just published may take a moment to open."""
    told = ""
    for _ in range(40):
        answer = page.request.post(f"{server.url}/api/v1/ask", data={"question": QUESTION}).json()
        told = " ".join(sentence["text"] for sentence in answer["sentences"])
        if dose in told:
            return
        time.sleep(0.25)
    raise AssertionError(told)


@pytest.mark.parametrize("script", [True, False])
def test_publish_ask_roll_back_ask(browser: Browser, server: Server, script: bool) -> None:
    for page in opened(browser, server, java_script_enabled=script):
        page.goto(f"{server.url}/admin")
        page.get_by_role("table").get_by_role("link").first.click()
        expect(page.get_by_text("新增 1 · 修改 1 · 删除 1 · 拒收 2")).to_be_visible()
        expect(page.get_by_role("region", name="没有收录的")).to_contain_text("second.jsonl:3: title")
        expect(page.locator("del", has_text=OLD)).to_be_visible()
        expect(page.locator("ins", has_text=NEW)).to_be_visible()
        expect_answer(page, server, "40mg")

        page.get_by_role("button", name="核对这一版").click()
        if script:
            expect(page.get_by_text("核对：完好")).to_be_visible()
        page.get_by_label("缘由").first.fill("两人核对无误")
        page.get_by_role("button", name="发布这一版").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("发布中")
        expect(page.get_by_role("table", name="记录，新的在前")).to_contain_text("两人核对无误")
        expect_answer(page, server, "20mg")

        page.get_by_role("link", name="回退到上一版").click()
        expect(page.get_by_role("region", name="对提问的人意味着")).to_contain_text("1 篇文档回到之前的文字，回答随之改变")
        page.get_by_label("缘由").fill("剂量待确认")
        page.get_by_role("button", name="回退到上一版").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("发布中")
        expect_answer(page, server, "40mg")
        page.get_by_role("link", name="记录", exact=True).click()
        expect(page.get_by_text("没有被改动")).to_be_visible()
        expect(page.get_by_role("row").nth(1)).to_contain_text("剂量待确认")


def test_without_a_reason_the_page_keeps_the_act_back(browser: Browser, server: Server) -> None:
    for page in opened(browser, server):
        page.goto(f"{server.url}/admin")
        page.get_by_role("table").get_by_role("link").first.click()
        page.get_by_role("button", name="发布这一版").click()
        assert page.get_by_label("缘由").first.evaluate("field => field.matches(':invalid')")
        expect(page.get_by_role("heading", level=1)).not_to_contain_text("发布中")


def fits(page: Page, path: str) -> None:
    violations = Axe().run(page).response["violations"]
    assert [(path, found["id"], found["nodes"][0]["html"]) for found in violations] == []
    width = page.viewport_size
    assert width
    assert page.evaluate("document.documentElement.scrollWidth") == width["width"], path


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("light", 390), ("dark", 390)])
def test_no_page_shuts_anyone_out(browser: Browser, server: Server, scheme: str, width: int) -> None:
    for page in opened(browser, server, color_scheme=scheme, viewport={"width": width, "height": 800}):
        record = page.request.post(f"{server.url}/api/v1/ask", data={"question": QUESTION}).json()["record"]
        page.request.post(f"{server.url}/api/v1/ask", data={"question": "阿哌沙班的禁忌是什么？"})
        page.goto(f"{server.url}/admin")
        second = page.get_by_role("table").get_by_role("link").first.get_attribute("href")
        paths = ["", "/rollback", "/collect", "/collect?keep=0", "/log", "/gaps", "/answers", f"/answers/{record}", "/figures", "/people"]
        for path in [*(f"/admin{path}" for path in paths), f"{second}", "/admin/releases/nope"]:
            page.goto(server.url + path)
            fits(page, path)
        page.goto(f"{server.url}/admin/answers/{record}")
        page.get_by_role("button", name="重放").click()
        expect(page.get_by_role("status")).to_contain_text("与记录相同")
        fits(page, "replayed")


@pytest.fixture
def fresh(folder: Path, tmp_path: Path) -> Iterator[Server]:
    """A server without accounts, on the same releases."""
    (tmp_path / "index").symlink_to(folder / "index")
    server = Server(tmp_path)
    yield server
    server.stop()


def test_accounts_from_the_first_one_on(browser: Browser, fresh: Server) -> None:
    for page in opened(browser, fresh, viewport={"width": 390, "height": 800}):
        page.goto(f"{fresh.url}/admin/people")
        page.get_by_label("名称").fill("chief")
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_label("缘由").fill("首次设置")
        page.get_by_role("button", name="新增").click()
        page.wait_for_timeout(2500)  # so long it may be believed that there are none
        page.goto(f"{fresh.url}/admin/people")
        expect(page.get_by_role("heading", level=1)).to_have_text("登录")
        page.get_by_label("账户名称").fill("chief")
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_role("button", name="登录").click()
        page.wait_for_url("**/admin/people")
        page.get_by_label("名称").fill("li")
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_label("缘由").fill("新同事入科")
        page.get_by_role("button", name="新增").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("账户 li")
        fits(page, "/admin/people/li")
        form = page.get_by_role("form", name="新建密钥")
        form.get_by_label("提问").check()
        form.get_by_label("缘由").fill("HIS 接口")
        form.get_by_role("button", name="新建密钥").click()
        expect(page.locator(".secret")).to_contain_text("qz_")
        fits(page, "key")
        secret = page.locator(".secret").inner_text()
        answer = page.request.post(
            f"{fresh.url}/api/v1/ask", data={"question": QUESTION}, headers={"Authorization": f"Bearer {secret}", "Cookie": ""}
        )
        assert answer.status == 200
        page.get_by_role("link", name="账户 li").click()
        expect(page.get_by_text(secret)).to_have_count(0)
        stop = page.get_by_role("form", name="停用", exact=True)
        stop.get_by_label("缘由").fill("离科")
        stop.get_by_role("button", name="停用").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("已停用")
        expect(page.locator("#acts ~ table, section:has(#acts) table")).to_contain_text("停用账户")
        fits(page, "/admin/people/li, disabled")
