"""The pictures that the documents show."""

import re
from pathlib import Path

APP = Path(__file__).parent.parent / "app"


def test_every_picture_is_shown_and_none_is_large() -> None:
    shown = set(re.findall(r"\]\(screenshots/([^)]+)\)", (APP / "README.md").read_text("utf-8")))
    pictures = {path.name: path.stat().st_size for path in (APP / "screenshots").glob("*.png")}
    assert shown <= set(pictures)
    assert {"chat.png", "chat-dark.png", "chat-phone.png", "drug-card.png"} <= shown
    assert [name for name, size in pictures.items() if size > 150_000] == []
