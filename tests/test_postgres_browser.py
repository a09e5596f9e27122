"""A clinician's, a pharmacist's and an admin's day on PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from postgres_server import new_database
from test_browser import PATIENCE, Server, browser, put

__all__ = ["browser"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PASSWORD = "临床密码一二三四五六"
ROLES = {"li": "clinician", "wang": "pharmacist", "zhang": "admin"}


def qizhen(folder: Path, settings: dict[str, str], *words: str) -> None:
    command = [str(Path(sys.executable).parent / "qizhen"), *words, "--password-stdin", "--state", "state"]
    subprocess.run(command, cwd=folder, input=PASSWORD, text=True, check=True, env={**os.environ, **settings}, capture_output=True)


@pytest.fixture(scope="module")
def server(postgresql_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on an empty database, with an account of each role."""
    folder, settings = tmp_path_factory.mktemp("postgres"), {"QIZHEN_DATABASE": new_database(postgresql_url)}
    for name, role in ROLES.items():
        qizhen(folder, settings, "users", "add", name, "--role", role)
    server = Server(folder, **settings)
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(locale="zh-CN")
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


def sign_in(page: Page, server: Server, name: str, path: str) -> None:
    page.goto(server.url + path)
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")


def test_a_clinicians_day(page: Page, server: Server) -> None:
    sign_in(page, server, "li", "/")
    page.wait_for_selector("#chat-input")
    expect(page.get_by_role("link", name="药品页")).to_be_visible()
    expect(page.get_by_role("link", name="管理")).to_be_hidden()
    put(page, "非布司他的禁忌是什么？")
    expect(page.get_by_text("正在使用硫唑嘌呤或巯嘌呤的患者禁用。")).to_be_visible()
    page.locator(".positive-feedback-off").last.click()
    page.locator("#submit-feedback").click()
    expect(page.locator(".positive-feedback-on")).to_be_visible()
    server.stop()
    server.start()
    page.goto(server.url + "/")
    page.get_by_role("link", name="非布司他的禁忌是什么？").click()
    expect(page.get_by_text("正在使用硫唑嘌呤或巯嘌呤的患者禁用。")).to_be_visible()
    expect(page.locator(".positive-feedback-on")).to_be_visible()
    assert not list((server.folder / "state").glob("*.sqlite"))


def test_a_pharmacists_day(page: Page, server: Server) -> None:
    sign_in(page, server, "wang", "/drugs?q=lbq")
    page.get_by_role("link", name="氯丙嗪").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("氯丙嗪")
    page.goto(f"{server.url}/drugs/interactions?drug=drug/aspirin&drug=drug/warfarin")
    expect(page.get_by_text("华法林").first).to_be_visible()
    assert page.request.get(f"{server.url}/api/v1/releases").status == 200
    page.goto(f"{server.url}/admin")
    expect(page.get_by_text("您的角色没有权限")).to_be_visible()
    page.goto(f"{server.url}/drugs")
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("登录")


def test_an_admins_day(page: Page, server: Server) -> None:
    sign_in(page, server, "zhang", "/")
    page.get_by_role("link", name="管理").click()
    expect(page.get_by_role("table")).to_contain_text("发布中")
    told = page.request.post(f"{server.url}/api/v1/ask", data={"question": "阿哌沙班的禁忌是什么？"}).json()
    assert told["status"] == "refused"
    page.goto(f"{server.url}/admin/gaps")
    expect(page.get_by_text("阿哌沙班").first).to_be_visible()
    page.goto(f"{server.url}/admin/answers")
    expect(page.get_by_text("阿哌沙班").first).to_be_visible()
    page.goto(f"{server.url}/admin/figures")
    expect(page.locator("svg").first).to_be_visible()
    page.goto(f"{server.url}/admin/people")
    page.get_by_role("link", name="li", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("li")
