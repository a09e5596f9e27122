"""What stands under an answer, as a person uses it in Chromium: copying, files, thumbs, what was asked before."""

import sqlite3
from pathlib import Path

import docx
import pytest
from openai_server import OpenAIServer
from playwright.sync_api import Browser, Page
from test_browser import Server, browser, expect, open_page, page, put, server
from test_hospital_files import label_pdf, locked_pdf

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


def attach(page: Page, name: str, data: bytes) -> None:
    page.locator("#command-查药").wait_for()  # the conversation has begun
    page.locator("#upload-button-input").set_input_files({"name": name, "mimeType": "application/pdf", "buffer": data})


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


def test_a_conversation_is_taken_away_as_word_and_pdf(page: Page) -> None:
    put(page, "非布司他能治疗什么病？")
    with page.expect_download() as taken:
        page.get_by_role("link", name="Word").click()
    assert taken.value.suggested_filename == "非布司他能治疗什么病.docx"
    word = docx.Document(taken.value.path())
    texts = [paragraph.text for paragraph in word.paragraphs]
    assert "不推荐用于无临床症状的高尿酸血症。[2]" in texts
    assert any(text.endswith("“不推荐用于无临床症状的高尿酸血症。”") for text in texts)
    with page.expect_download() as taken:
        page.get_by_role("link", name="PDF").click()
    assert taken.value.suggested_filename == "非布司他能治疗什么病.pdf"


def test_what_was_asked_is_found_by_its_text_and_reopened_with_its_release(page: Page, server: Server) -> None:
    put(page, "氨氯地平的禁忌有哪些？")
    expect(page.locator("button[data-cite='1']")).to_be_visible()
    page.goto(server.url)
    page.locator("#search-chats-button").click()
    page.get_by_role("combobox").last.fill("氨氯地平的禁忌")
    page.get_by_role("option").first.click()
    page.wait_for_url("**/thread/**")
    page.locator('a[href*="#cite-1"]').click()
    expect(page.locator(".qz-source dl")).to_contain_text("知识库版本")
    expect(page.get_by_role("button", name="复制（含来源）")).to_be_visible()


def test_a_thumb_and_its_comment_come_back(page: Page) -> None:
    put(page, "氨氯地平的禁忌有哪些？")
    page.locator(".negative-feedback-off").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("太短")
    page.locator("#submit-feedback").click()
    expect(page.locator(".negative-feedback-on")).to_be_visible()
    page.wait_for_url("**/thread/**")
    page.reload()
    expect(page.locator(".negative-feedback-on")).to_be_visible()


def test_a_drug_is_looked_up_by_command_also_after_reopening(page: Page) -> None:
    page.locator("#command-查药").click()
    put(page, "氯丙那林")
    expect(page.get_by_text("知识库中没有收录“氯丙那林”。")).to_be_visible()
    page.locator(".qz-candidates button").filter(has_text="氯丙嗪").first.click()
    card = page.locator(".qz-card")
    expect(card.locator("h3")).to_have_text("氯丙嗪")
    expect(card.locator(".qz-warned")).to_contain_text("勿与“异丙嗪”混淆")
    expect(card.locator("summary").first).to_have_text("适应症")
    page.wait_for_url("**/thread/**")
    page.reload()
    expect(card.locator("h3")).to_have_text("氯丙嗪")
    page.click("#chat-input")
    page.keyboard.type("/")
    page.get_by_text("按药名查看说明书").click()
    page.keyboard.insert_text("非布司他")
    page.locator("#chat-submit:enabled").click()
    expect(card.nth(1).locator("h3")).to_have_text("非布司他")
    card.nth(1).get_by_role("button", name="打开原文：非布司他 禁忌").click()
    expect(page.locator("#side-view-title")).to_have_text("非布司他 · 禁忌")
    assert page.evaluate("[...document.querySelectorAll('*')].filter((e) => e.scrollLeft).length") == 0
    put(page, "它的适应症呢？")
    expect(page.get_by_text("痛风患者高尿酸血症的长期治疗。").last).to_be_visible()


def test_a_document_is_asked_about_until_it_is_removed(page: Page, server: Server) -> None:
    attach(page, "新药说明书.pdf", label_pdf())
    put(page, "测试地平片的禁忌是什么？")
    expect(page.get_by_text("已读取“新药说明书.pdf”")).to_be_visible()
    expect(page.get_by_text("仅依据您上传的文件“新药说明书.pdf”，没有查知识库").first).to_be_visible()
    expect(page.get_by_text("第 2 页").first).to_be_visible()
    page.locator("button[data-cite='1']").click()
    expect(page.locator(".qz-source mark")).to_contain_text("孕妇禁用")
    put(page, "氨氯地平的禁忌有哪些？")
    expect(page.get_by_text("您上传的文件无法回答这个问题").first).to_be_visible()
    page.get_by_role("button", name="移除文件，改用知识库").click()
    expect(page.get_by_text("已移除上传的文件")).to_be_visible()
    put(page, "氨氯地平有什么禁忌？")
    expect(page.get_by_text("氨氯地平 · 禁忌").first).to_be_visible()
    page.locator("button[data-cite='1']").first.click()
    expect(page.get_by_text("无法打开原文").first).to_be_visible()
    with sqlite3.connect(server.folder / "state" / "chat.sqlite") as database:
        kept = str(database.execute("SELECT metadata FROM threads").fetchall())
    assert "测试地平" not in kept
    assert list((server.folder / "state" / "chainlit" / ".files").rglob("index")) == []


def test_a_file_that_cannot_be_read_is_told(page: Page) -> None:
    attach(page, "锁.pdf", locked_pdf())
    put(page, "禁忌是什么？")
    expect(page.get_by_text("附件没有读成")).to_contain_text("密码")


def test_what_can_be_asked_next_is_asked_by_a_button(page: Page) -> None:
    put(page, "非布司他能治疗什么病？")
    page.get_by_label("接着问").get_by_role("button", name="禁忌").click()
    expect(page.get_by_text("正在使用硫唑嘌呤或巯嘌呤的患者禁用。").first).to_be_visible()


def test_another_generator_answers_again_by_a_button(browser: Browser, tmp_path: Path) -> None:
    with OpenAIServer(["非布司他：痛风患者高尿酸血症的长期治疗。[1]\n"]) as model:
        server = Server(tmp_path, QIZHEN_CHAT_URL=model.url, QIZHEN_CHAT_MODEL="mini")
        try:
            for page in open_page(browser, server):
                put(page, "非布司他能治疗什么病？")
                page.get_by_role("button", name="换用“模型服务 mini”再答").click()
                expect(page.get_by_text("换用“模型服务 mini”再答：非布司他能治疗什么病？")).to_be_visible()
                expect(page.get_by_text("部分语句由语言模型转述").first).to_be_visible()
                expect(page.get_by_role("button", name="换用“原文摘录”再答")).to_be_visible()
        finally:
            server.stop()
