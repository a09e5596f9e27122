"""Lists a page at a time. A cursor stands for a place in one list only: another question's, or another release's, is refused."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.problems import Problem

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list; `next` is the cursor behind them, empty at the end."""

    items: tuple[Item, ...]
    next: str


def place(cursor: str, *about: str) -> int:
    """How many items stand before the page that a cursor opens; `about` says which list it is. Raises Problem 422."""
    if not cursor:
        return 0
    try:
        digest, _, offset = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
        if digest == _digest(about) and offset.isascii() and offset.isdigit() and len(offset) < 10:
            return int(offset)
    except ValueError:
        pass
    raise Problem(422, f"cursor `{cursor[:40]}` 不属于这个列表，请从头翻起。")


def page(found: Sequence[Item], offset: int, limit: int, *about: str) -> Page[Item]:
    """The page at `offset` of what was found, which must reach one item beyond the page if there is one."""
    end = offset + limit
    cursor = base64.urlsafe_b64encode(f"{_digest(about)}:{end}".encode()).decode() if len(found) > end else ""
    return Page(tuple(found[offset:end]), cursor)


def _digest(about: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(about).encode()).hexdigest()[:12]
