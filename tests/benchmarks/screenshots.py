"""Takes the pictures of the chat in app/screenshots anew, of the shipped knowledge base: python tests/benchmarks/screenshots.py

Every picture must stay small; look at them before they are committed.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from test_browser import CHROMIUM, FLAGS, Server, open_page, put  # noqa: E402

FOLDER = ROOT / "app" / "screenshots"
MOST_BYTES = 150_000
_COLOURS = 128


def keep(page: Page, name: str) -> None:
    """Write what the page shows, in few colours: text and lines need no more."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(800)  # what slides in is in place
    target = FOLDER / f"{name}.png"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(_COLOURS).save(target, optimize=True)
    size = target.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{target} 有 {size} 字节，超过 {MOST_BYTES}")
    sys.stderr.write(f"{target} {size}\n")


def take(page: Page) -> None:
    """Walk through what is shown."""
    page.locator("#command-查药").wait_for()
    put(page, "非布司他能治疗什么病？")
    page.locator("button[data-cite='2']").click()
    expect(page.locator(".qz-source mark")).to_be_visible()
    keep(page, "chat")
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    keep(page, "chat-dark")
    page.evaluate("document.documentElement.classList.replace('dark', 'light')")
    page.get_by_role("button", name="关闭原文").click()
    page.locator("#command-查药").click()
    put(page, "氯丙嗪")
    expect(page.locator(".qz-card h3")).to_have_text("氯丙嗪")
    keep(page, "drug-card")
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#new-chat-button").first.click()
    if page.locator("#confirm").count():
        page.locator("#confirm").click()
    page.locator("#command-查药").wait_for()
    put(page, "氨氯地平的禁忌有哪些？")
    expect(page.locator("button[data-cite='1']")).to_be_visible()
    keep(page, "chat-phone")


def main() -> None:
    """Serve, look, write."""
    server = Server(Path(tempfile.mkdtemp()))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for page in open_page(browser, server):
                take(page)
            browser.close()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
