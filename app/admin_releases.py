"""The admin pages of releases: which there are, what made them, what differs between them, and which is published."""

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.admin_page import PageNumber, admin_page, admin_router, part_of
from app.service import Serving
from indexer.collecting import shown_size
from indexer.release import Manifest, list_releases, published_id, release_ids

_ON_A_PAGE = 50
router = admin_router()


@dataclass(frozen=True, slots=True)
class Row:
    """A release in the list."""

    manifest: Manifest
    published: bool
    size: str


@router.get("", response_class=HTMLResponse)
def releases(request: Request, service: Serving, number: PageNumber = 1) -> HTMLResponse:
    """All releases, the newest first."""
    index = service.shelf.index
    published = published_id(index)
    manifests = list_releases(index)[::-1]
    part = part_of([row_of(manifest, published) for manifest in manifests], number, _ON_A_PAGE)
    unread = sorted(set(release_ids(index)) - {manifest.id for manifest in manifests})
    return admin_page(request, "admin_releases.html", "/admin", part=part, published=published, count=len(manifests), unread=unread)


def row_of(manifest: Manifest, published: str) -> Row:
    """A release as the list has it."""
    return Row(manifest, manifest.id == published, shown_size(sum(file.bytes for file in manifest.files.values())))
