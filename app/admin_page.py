"""The frame of every admin page: its navigation, which shows only what this site has, and lists a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse
from fastapi.routing import iter_route_contexts

from app.access import require
from app.rendering import PageRoute, page
from indexer.changes import CHANGES

Item = TypeVar("Item")
PageNumber = Annotated[int, Query(ge=1, le=100_000, alias="page")]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the navigation."""

    label: str
    href: str


ENTRIES = (
    Entry("版本", "/admin"),
    Entry("资料", "/admin/knowledge"),
    Entry("文档", "/admin/documents"),
    Entry("缺口", "/admin/gaps"),
    Entry("回答", "/admin/answers"),
    Entry("账户", "/admin/people"),
    Entry("数字", "/admin/figures"),
    Entry("记录", "/admin/log"),
)


@dataclass(frozen=True, slots=True)
class Part(Generic[Item]):
    """One page of a list; `number` counts from 1, `more` says whether another follows."""

    items: tuple[Item, ...]
    number: int
    more: bool


def admin_router() -> APIRouter:
    """A router for pages under /admin: its faults are pages, and every route of it takes an admin."""
    return APIRouter(prefix="/admin", route_class=PageRoute, dependencies=[require("admin")], include_in_schema=False)


def admin_page(request: Request, template: str, here: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of app/pages/templates that extends admin.html; `here` is the address of the navigation's entry that it belongs to."""
    frame = {"here": here, "entries": entries_of(request.app), "turned": lambda number: turned(request, number)}
    return page(template, status, **frame, words_of_changes=CHANGES, **values)


def entries_of(site: FastAPI) -> tuple[Entry, ...]:
    """The entries that lead somewhere."""
    paths = {route.path for route in iter_route_contexts(site.routes)}
    return tuple(entry for entry in ENTRIES if entry.href in paths)


def part_of(items: Sequence[Item], number: int, most: int) -> Part[Item]:
    """The page of that number, of a list that is all at hand."""
    start = (number - 1) * most
    return Part(tuple(items[start : start + most]), number, len(items) > start + most)


def turned(request: Request, number: int) -> str:
    """The address of another page of the list that a request asked for."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "page"]
    return "?" + urlencode([*kept, ("page", str(number))])
