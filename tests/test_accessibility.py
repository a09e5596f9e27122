"""Every state of the chat as axe-core sees it, and by keyboard alone: one browser for all of it."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from test_browser import Server, browser, expect, page, put, server

__all__ = ["browser", "page", "server"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
BAD = ("serious", "critical")


def faults(page: Page) -> list[str]:
    page.wait_for_timeout(400)  # what slides in is of half a colour
    found = Axe().run(page).response["violations"]
    named = [f"{rule['id']}: {node['html'][:120]}" for rule in found if rule["impact"] in BAD for node in rule["nodes"]]
    return named + [f"not Chinese: {text}" for text in foreign(page)]


# What a person reads, or a screen reader says: texts and names of what is visible, but for the words of documents.
SPOKEN = """() => {
  const told = []
  for (const element of document.querySelectorAll('[aria-label], [title], img[alt], [placeholder]')) {
    if (!element.checkVisibility()) continue
    for (const name of ['aria-label', 'title', 'alt', 'placeholder']) told.push(element.getAttribute(name) || '')
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const around = walker.currentNode.parentElement
    const passed = around.closest('[aria-label], script, style, .qz-source, .qz-card')
    if (around.checkVisibility() && !passed) told.push(walker.currentNode.textContent)
  }
  return told
}"""
NAMES = {"qizhen", "mini", "Word", "PDF", "Ctrl", "Enter", "Shift", "Esc", "UTC"}
RECORD = re.compile("[0-9A-Z]{4}(?:-[0-9A-Z]{4})+")


def foreign(page: Page) -> list[str]:
    """What is said in other words than Chinese ones."""
    return sorted({text for text in page.evaluate(SPOKEN) if set(re.findall("[A-Za-z]{3,}", RECORD.sub("", text))) - NAMES})


def test_axe_finds_nothing_serious_in_any_state_of_the_chat(page: Page) -> None:
    page.locator("#command-查药").wait_for()
    found = {"home": faults(page)}
    put(page, "非布司他能治疗什么病？")
    page.locator("button[data-cite='1']").click()
    expect(page.locator(".qz-source mark")).to_be_visible()
    found["source"] = faults(page)
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    found["dark"] = faults(page)
    page.evaluate("document.documentElement.classList.replace('dark', 'light')")
    page.get_by_role("button", name="关闭原文").click()
    page.locator("#search-chats-button").click()
    found["search"] = faults(page)
    page.keyboard.press("Escape")
    page.locator("#chat-settings-open-modal").click()
    found["settings"] = faults(page)
    page.keyboard.press("Escape")
    page.locator("#command-查药").click()
    put(page, "氯丙嗪")
    expect(page.locator(".qz-card")).to_be_visible()
    found["card"] = faults(page)
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    found["card in the dark"] = faults(page)
    page.evaluate("document.documentElement.classList.replace('dark', 'light')")
    page.set_viewport_size({"width": 390, "height": 844})
    found["phone"] = faults(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("button[data-cite='1']").click()
    expect(page.locator(".qz-source mark")).to_be_visible()
    found["source on a phone"] = faults(page)
    assert [f"{state}: {fault}" for state, told in found.items() for fault in told] == []
    count = "[document.documentElement.lang, ...['main', 'h1'].map((name) => document.querySelectorAll(name).length)]"
    assert page.evaluate(count) == ["zh-CN", 1, 1]


def test_a_conversation_to_print_is_without_fault(page: Page, server: Server) -> None:
    put(page, "非布司他能治疗什么病？")
    word = page.get_by_role("link", name="Word").get_attribute("href") or ""
    page.goto(server.url + word.removesuffix(".docx"))
    expect(page.get_by_role("heading", level=1)).to_have_text("非布司他能治疗什么病？")
    assert faults(page) == []
    page.emulate_media(color_scheme="dark")
    assert faults(page) == []


def focused(page: Page) -> str:
    told = "(e => (e.getAttribute('aria-label') || e.textContent || e.id).trim())(document.activeElement)"
    return str(page.evaluate(told))


def walk_to(page: Page, name: str, key: str = "Tab") -> None:
    passed = []
    for _ in range(60):
        page.keyboard.press(key)
        passed.append(focused(page))
        if passed[-1].startswith(name):
            return
    raise AssertionError(f"{name} is not reached: {passed}")


def test_by_keyboard_alone_a_question_is_asked_its_source_opened_and_closed_and_the_answer_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#command-查药").wait_for()
    page.locator("#chat-input").focus()
    page.keyboard.insert_text("非布司他能治疗什么病？")
    page.keyboard.press("Enter")
    expect(page.locator("button[data-cite='1']")).to_be_visible()
    walk_to(page, "打开引用 1", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".qz-source mark")).to_be_visible()
    walk_to(page, "关闭原文")
    page.keyboard.press("Enter")
    expect(page.locator(".qz-source")).to_have_count(0)
    walk_to(page, "复制（含来源）", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("已复制", exact=True)).to_be_visible()
