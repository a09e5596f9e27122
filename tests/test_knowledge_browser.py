"""A new text on its way in Chromium: uploaded, planned, built with progress, published, asked for; and the pages to axe."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from test_admin_browser import drug, expect_answer
from test_browser import Server, browser
from test_drug_browser import opened

from indexer.build import build_release

__all__ = ["browser"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NEW = "口服，起始一次20mg，一日1次。"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "a.jsonl").write_text(json.dumps(drug("别嘌醇", "口服，一次50mg，一日2次。"), ensure_ascii=False), "utf-8")
    build_release(tmp_path / "index", [tmp_path / "kb"])
    server = Server(tmp_path)
    yield server
    server.stop()


def accessible(page: Page) -> None:
    found = [(fault["id"], fault["nodes"][0]["html"]) for fault in Axe().run(page).response["violations"]]
    assert found == []


def test_a_text_on_its_way(browser: Browser, server: Server, tmp_path: Path) -> None:
    good, bad = tmp_path / "院内.jsonl", tmp_path / "坏.jsonl"
    good.write_text(json.dumps(drug("非布司他", NEW), ensure_ascii=False), "utf-8")
    bad.write_text('{"id": "x"}', "utf-8")
    for page in opened(browser, server, java_script_enabled=True):
        page.goto(f"{server.url}/admin/knowledge")
        page.locator("#file").set_input_files([good, bad])
        page.get_by_label("缘由").fill("院内制剂")
        page.get_by_role("button", name="上传").click()
        expect(page.get_by_role("table")).to_contain_text("院内.jsonl")
        accessible(page)
        page.get_by_role("link", name="预览").click()
        expect(page.get_by_text("新增 1 · 修改 0 · 删除 0 · 拒收 2")).to_be_visible()
        expect(page.get_by_text("坏.jsonl:1")).to_have_count(2)
        accessible(page)
        page.get_by_role("checkbox").check()
        page.get_by_label("缘由").fill("收入院内制剂")
        page.get_by_role("button", name="建立").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("已建好")
        accessible(page)
        page.get_by_role("link", name="看改变，然后发布或放弃").click()
        page.get_by_label("缘由").first.fill("核对无误")
        page.get_by_role("button", name="发布这一版").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("发布中")
        expect_answer(page, server, "20mg")
        page.goto(f"{server.url}/admin/documents?q=非布")
        page.get_by_role("link", name="非布司他").click()
        expect(page.get_by_text(NEW)).to_be_visible()
        accessible(page)
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(f"{server.url}/admin/knowledge")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
