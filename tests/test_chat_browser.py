"""What stands under an answer, as a person uses it in Chromium: copying, files, thumbs, what was asked before."""

import pytest
from playwright.sync_api import Page
from test_browser import browser, expect, page, put, server

__all__ = ["browser", "page", "server"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

COPIED = """非布司他 · 适应症
痛风患者高尿酸血症的长期治疗。[1]
不推荐用于无临床症状的高尿酸血症。[2]
不用于治疗痛风急性发作本身的疼痛和炎症。[3]
"""


def clipboard(page: Page, kind: str) -> str:
    read = "kind => navigator.clipboard.read().then(([item]) => item.getType(kind)).then((blob) => blob.text())"
    return str(page.evaluate(read, kind)).replace("\r\n", "\n")


def test_an_answer_is_copied_with_its_sources_before_and_after_it_is_reopened(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    put(page, "非布司他能治疗什么病？")
    copy = page.get_by_role("button", name="复制（含来源）")
    expect(copy).to_have_count(1)
    copy.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("已复制", exact=True)).to_be_visible()
    first = clipboard(page, "text/plain")
    assert first.startswith(COPIED)
    assert "[2] 非布司他 · 适应症 · 启真示例知识库 · 启真项目 · 2026-11-22 · 未经临床审核\n" in first
    assert first.endswith("仅供专业人员参考，不能替代诊疗决策。")
    assert "<strong>来源</strong>" in clipboard(page, "text/html")
    page.wait_for_url("**/thread/**")
    page.reload()
    expect(copy).to_be_visible()
    page.evaluate("navigator.clipboard.writeText('x')")
    copy.click()
    expect(page.get_by_text("已复制", exact=True)).to_be_visible()
    assert clipboard(page, "text/plain") == first


def test_without_the_newer_clipboard_the_older_copies(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    put(page, "非布司他能治疗什么病？")
    page.evaluate("delete window.ClipboardItem")
    page.get_by_role("button", name="复制（含来源）").click()
    expect(page.get_by_text("已复制", exact=True)).to_be_visible()
    assert str(page.evaluate("navigator.clipboard.readText()")).replace("\r\n", "\n").startswith(COPIED)
