"""The admin pages of one release: what differs from another, what was left out, and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.access import Who
from app.admin_form import Sent
from app.admin_page import PageNumber, Part, admin_page, admin_router, part_of
from app.admin_releases import row_of
from app.problems import Problem
from app.release_acts import StaleError, collect_seen, discard_seen, publish_seen, rollback_seen
from app.release_words import ACTIONS, counted, details_told
from app.service import Serving
from indexer.changes import CHANGES, Change, DocumentChange
from indexer.collecting import KEPT, going
from indexer.comparing import Comparison, compare_releases
from indexer.errors import IndexFolderError, IndexMissingError
from indexer.record import Entry, read_log
from indexer.release import Manifest, current_id, list_releases, published_id, read_manifest, release_ids

_ON_A_PAGE = 30
_COMPARED = 4  # comparisons kept: releases never change, and comparing two of 100,000 documents takes seconds
_ORDER: tuple[Change, ...] = ("changed", "removed", "added", "dated")
Kind = Annotated[Literal["", "changed", "removed", "added", "dated"], Query()]
Other = Annotated[str, Query(max_length=80)]
Keep = Annotated[int, Query(ge=0, le=1000)]

router = admin_router()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a release was built without, as the record has it: faults with their places, not all of them where there are many."""

    faults: int
    first: tuple[str, ...]
    expired: tuple[Mapping[str, Any], ...]
    warnings: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A comparison as a page shows it: `counts` documents of each kind, and one page of those that are asked for."""

    old: str
    new: str
    line: str
    counts: tuple[tuple[Change, str, int], ...]
    kind: str
    part: Part[DocumentChange]


@router.get("/releases/{release_id}", response_class=HTMLResponse)
def release(
    request: Request, service: Serving, release_id: str, against: Other = "", kind: Kind = "", number: PageNumber = 1
) -> HTMLResponse:
    """One release, beside the one before it or another."""
    index = service.shelf.index
    manifest = manifest_of(index, release_id)
    published = published_id(index)
    entries = [entry for entry in read_log(index) if entry.release == release_id]
    others = [other for other in list_releases(index)[::-1] if other.id != release_id]
    before = before_of(index, manifest)
    other = against or before
    compared, fault = None, ""
    try:
        compared = shown_changes(index, other, release_id, kind, number) if other else None
    except IndexFolderError as error:  # the release can be looked at and published all the same
        fault = error.fault
    return admin_page(
        request,
        "admin_release.html",
        "/admin",
        row=row_of(manifest, published),
        manifest=manifest,
        published=published,
        before=before,
        shown=compared,
        fault=fault,
        others=others,
        left_out=left_out(manifest, entries),
        entries_told=told(entries),
        can_go=release_id != published and (not published or release_id in going(index, 0)),
        running=service.checks.is_running(index, release_id),
        checked=service.checks.latest(index, release_id),
    )


@router.post("/releases/{release_id}/verify")
def verify(service: Serving, release_id: str) -> Response:
    """Check a release; the page of the release shows what is found."""
    index = service.shelf.index
    service.checks.start(index, manifest_of(index, release_id).id)
    return RedirectResponse(f"{address_of(release_id)}#check", 303)


@router.post("/releases/{release_id}/publish")
def publish(request: Request, service: Serving, who: Who, release_id: str, sent: Sent) -> Response:
    """Publish a release that was looked at."""
    index = service.shelf.index
    manifest_of(index, release_id)
    try:
        publish_seen(index, release_id, seen=sent.one("published"), user=who.name, why=sent.why)
    except StaleError as stale:
        return refused(request, stale, address_of(release_id))
    return RedirectResponse(f"{address_of(release_id)}#acts", 303)


@router.post("/releases/{release_id}/discard")
def discard(service: Serving, who: Who, release_id: str, sent: Sent) -> Response:
    """Remove a release that is not wanted."""
    if not discard_seen(service.shelf.index, release_id, user=who.name, why=sent.why):
        raise Problem(409, f"版本 `{release_id[:80]}` 正有人在看（可能是打开着的引用），没有放弃。请稍后再试。")
    return RedirectResponse("/admin", 303)


@router.get("/rollback", response_class=HTMLResponse)
def rollback_form(request: Request, service: Serving, number: PageNumber = 1, kind: Kind = "") -> HTMLResponse:
    """What rolling back would change for those who ask."""
    index = service.shelf.index
    manifest = manifest_of(index, current_id(index))
    before = before_of(index, manifest)
    shown = shown_changes(index, manifest.id, before, kind, number) if before else None
    return admin_page(request, "admin_rollback.html", "/admin", manifest=manifest, shown=shown)


@router.post("/rollback/confirmed")
def rollback(request: Request, service: Serving, who: Who, sent: Sent) -> Response:
    """Publish the release before the published one again."""
    try:
        back = rollback_seen(service.shelf.index, seen=sent.one("published"), user=who.name, why=sent.why)
    except StaleError as stale:
        return refused(request, stale, "/admin/rollback")
    except IndexMissingError:
        raise Problem(409, "上一个版本已被清除，或者没有上一版，无法回退。可以在版本页发布别的版本。") from None
    return RedirectResponse(f"{address_of(back)}#acts", 303)


@router.get("/collect", response_class=HTMLResponse)
def collect_form(request: Request, service: Serving, keep: Keep = KEPT, stayed: Annotated[bool, Query()] = False) -> HTMLResponse:
    """Which releases collecting would remove."""
    index = service.shelf.index
    published = published_id(index)
    ids = set(going(index, keep)) if published else set()
    rows = [row_of(manifest, published) for manifest in list_releases(index)]
    return admin_page(
        request,
        "admin_collect.html",
        "/admin",
        keep=keep,
        going=[row for row in rows if row.manifest.id in ids],
        unread=sorted(ids - {row.manifest.id for row in rows}),
        staying=[row for row in rows if row.manifest.id not in ids],
        stayed=stayed,
        entries_told=told([entry for entry in read_log(index) if entry.action == "collect"])[:_ON_A_PAGE],
    )


@router.post("/collect/confirmed")
def collect(request: Request, service: Serving, who: Who, sent: Sent) -> Response:
    """Remove the releases that were shown; those that somebody reads stay."""
    kept = sent.one("keep")
    keep = int(kept) if kept.isascii() and kept.isdigit() and len(kept) < 5 else KEPT
    address = f"/admin/collect?keep={keep}"
    try:
        done = collect_seen(service.shelf.index, keep, seen=sent.all("going"), user=who.name, why=sent.why)
    except StaleError as stale:
        return refused(request, stale, address)
    return RedirectResponse(address + ("&stayed=1" if done and done.in_use else ""), 303)


def manifest_of(index: Path, release_id: str) -> Manifest:
    """The manifest of a release that an address names. Raises Problem 404 or IndexDamagedError."""
    try:
        return read_manifest(index, release_id)
    except IndexMissingError as error:
        raise Problem(404, f"没有版本 `{release_id[:80]}`，可能已被清除。请从版本列表里选。") from error


def before_of(index: Path, manifest: Manifest) -> str:
    """The release that a release was built after; "" where it was the first, or the other has been collected."""
    return manifest.parent if manifest.parent in release_ids(index) else ""


def address_of(release_id: str) -> str:
    """The address of a release's page."""
    return f"/admin/releases/{quote(release_id, safe='')}"


def refused(request: Request, stale: StaleError, back: str) -> HTMLResponse:
    """A page that says why nothing was done."""
    return admin_page(request, "admin_refused.html", "/admin", 409, stale=stale, actions=ACTIONS, back=back)


@lru_cache(_COMPARED)
def _compared(index: Path, old: str, new: str) -> Comparison:
    return compare_releases(index, old, new)


def shown_changes(index: Path, old: str, new: str, kind: str, number: int) -> Shown:
    """One page of what changed from one release to another. Raises Problem 404 or the errors of `compare_releases`."""
    manifest_of(index, old)
    compared = _compared(index, old, new)
    changes = [change for wanted in _ORDER if kind in ("", wanted) for change in compared.of(wanted)]
    counts = tuple((each, CHANGES[each], len(compared.of(each))) for each in _ORDER)
    return Shown(old, new, counted(compared.counts), counts, kind, part_of(changes, number, _ON_A_PAGE))


def left_out(manifest: Manifest, entries: Sequence[Entry]) -> LeftOut:
    """What a release was built without; of a release that the record does not know, only how much."""
    details = next((entry.details for entry in entries if entry.action == "build"), {})
    faults = details.get("left_out", {})
    first = faults.get("first", ()) if isinstance(faults, Mapping) else ()
    expired = [gone for gone in details.get("expired_documents", ()) if isinstance(gone, Mapping)]
    warnings = details.get("warnings", 0)
    return LeftOut(manifest.rejected, tuple(map(str, first)), tuple(expired), warnings if isinstance(warnings, int) else 0)


def told(entries: Sequence[Entry]) -> list[tuple[Entry, str, str]]:
    """Entries of the record, the newest first, with their words."""
    return [(entry, ACTIONS.get(entry.action, entry.action), details_told(entry)) for entry in reversed(entries)]
