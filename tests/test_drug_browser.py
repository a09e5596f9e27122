"""The drug pages as a pharmacist uses them, in Chromium: by keyboard, without a script, on a phone, on paper."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from test_browser import PATIENCE, Server, browser, open_page, server

__all__ = ["browser", "server"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
CHECKED = "/drugs/interactions?drug=drug/warfarin&drug=drug/aspirin&drug=drug/amoxicillin&drug=drug/amoxicillin-clavulanate-potassium"
PAGES = ("/drugs", "/drugs?q=氯丙那林", "/drugs?q=zzzz", "/drugs/drug/chlorpromazine", "/drugs/interactions", CHECKED, "/drugs/nope")


def opened(browser: Browser, server: Server, **settings: object) -> Iterator[Page]:
    """A page that must speak to no other address and complain of nothing."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "locale": "zh-CN", **settings})  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    wrong: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(server.url) else wrong.append(request.url))
    page.on("console", lambda message: None if "status of 4" in message.text else wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    assert wrong == []
    context.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    yield from opened(browser, server)


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))


def test_a_drug_is_looked_up_and_checked_by_keyboard_alone(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/drugs")
    field = page.get_by_role("combobox", name="药名")
    expect(field).to_be_focused()
    page.keyboard.type("lbq")
    listed = page.get_by_role("listbox", name="候选药品").get_by_role("option")
    expect(listed).to_have_count(3)
    expect(listed.nth(1)).to_contain_text("名称易混，并列显示")
    expect(page.get_by_role("status")).to_have_text("3 种药品")
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowUp")
    expect(listed.nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(listed.nth(0)).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", str(listed.nth(0).get_attribute("id")))
    page.keyboard.press("Escape")
    expect(field).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowDown")
    expect(listed.nth(0)).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/drugs/drug/chlorpromazine")
    expect(page.get_by_role("heading", level=1)).to_have_text("氯丙嗪")
    expect(page.get_by_role("complementary", name="易混药名")).to_contain_text("勿与“异丙嗪”混淆")
    page.go_back()
    expect(page).to_have_url(f"{server.url}/drugs?q=lbq")
    expect(page.get_by_role("link", name="异丙嗪").first).to_be_visible()
    page.go_forward()
    page.keyboard.press("Tab")
    assert focused(page) == "跳到正文"
    while focused(page) != "与其他药核对相互作用":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/drugs/interactions?drug=drug/chlorpromazine")
    expect(page.get_by_role("combobox", name="添加药品")).to_be_focused()
    page.keyboard.type("amtl")
    expect(page.get_by_role("option")).to_have_count(1)  # what fewer letters had found is gone
    expect(page.get_by_role("option", name="阿米替林")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/drugs/interactions?drug=drug/chlorpromazine&drug=drug/amitriptyline")
    expect(page.get_by_role("region", name="氯丙嗪 与 阿米替林")).to_contain_text("未经临床审核")
    page.get_by_role("link", name="移去 氯丙嗪").click()
    page.wait_for_url("**/drugs/interactions?drug=drug/amitriptyline")


def test_enter_without_a_choice_asks_for_the_list(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/drugs")
    page.keyboard.type("氯丙那林")
    page.keyboard.press("Enter")
    page.wait_for_url("**/drugs?q=*")
    expect(page.get_by_role("heading", level=2)).to_have_text("没有收录“氯丙那林”。名称相近的有 3 种，请看清是哪一种：")


def test_everything_works_without_a_script(browser: Browser, server: Server) -> None:
    for page in opened(browser, server, java_script_enabled=False):
        page.goto(f"{server.url}/drugs")
        page.get_by_label("药名").fill("huafalin")
        page.get_by_role("button", name="查找").click()
        page.get_by_role("link", name="华法林").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("华法林")
        expect(page.get_by_role("button", name="打印")).to_have_count(0)
        page.get_by_role("link", name="与其他药核对相互作用").click()
        page.get_by_label("添加药品").fill("阿司匹林")
        page.get_by_role("button", name="添加").click()
        expect(page.get_by_role("region", name="华法林 与 阿司匹林")).to_contain_text("合用出血风险明显增加")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anyone_out(browser: Browser, server: Server, scheme: str) -> None:
    for page in opened(browser, server, color_scheme=scheme, viewport={"width": 360, "height": 740}):
        for path in PAGES:
            page.goto(server.url + path)
            if path == "/drugs":
                page.keyboard.type("lbq")
                page.get_by_role("option").first.wait_for()
                page.keyboard.press("ArrowDown")
            violations = Axe().run(page).response["violations"]
            assert [(path, found["id"], found["nodes"][0]["html"]) for found in violations] == []
            assert page.evaluate("document.documentElement.scrollWidth") == 360, path


def test_paper_shows_the_texts_and_nothing_to_press(page: Page, server: Server) -> None:
    page.emulate_media(media="print")
    for path in ("/drugs/drug/chlorpromazine", CHECKED):
        page.goto(server.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_text("未经临床审核").first).to_be_visible()
        expect(page.get_by_text("知识库版本").first).to_be_visible()
        for gone in (page.get_by_role("button"), page.get_by_role("navigation"), page.get_by_role("textbox")):
            expect(gone).to_have_count(0)
    page.goto(f"{server.url}/drugs/drug/chlorpromazine")
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_chat_leads_to_the_drug_pages(browser: Browser, server: Server) -> None:
    for page in open_page(browser, server):
        page.get_by_role("link", name="药品页").click()
        page.wait_for_url("**/drugs")
        page.get_by_role("link", name="问答").click()
        page.wait_for_selector("#chat-input")
