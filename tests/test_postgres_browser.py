"""A day on PostgreSQL: sign in, ask, rate, find the conversation again, sign out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from postgres_server import new_database
from test_browser import PATIENCE, Server, browser, put

__all__ = ["browser"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PASSWORD = "临床密码一二三四五六"


def test_a_clinicians_day(browser: Browser, postgresql_url: str, tmp_path: Path) -> None:
    settings = {"QIZHEN_DATABASE": new_database(postgresql_url)}
    qizhen = str(Path(sys.executable).parent / "qizhen")
    add = [qizhen, "users", "add", "li", "--password-stdin", "--state", "state"]
    subprocess.run(add, cwd=tmp_path, input=PASSWORD, text=True, check=True, env={**os.environ, **settings}, capture_output=True)
    server = Server(tmp_path, **settings)
    page = browser.new_page(locale="zh-CN")
    page.set_default_timeout(PATIENCE)
    try:
        page.goto(server.url + "/")
        page.fill("#name", "li")
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_selector("#chat-input")
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
        assert not list((tmp_path / "state").glob("*.sqlite"))
    finally:
        page.close()
        server.stop()
