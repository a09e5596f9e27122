"""The admin pages of the published release's documents: found by name, read with their sections and sources."""

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from app.addresses import page_of
from app.admin_page import PageNumber, Part, admin_page, admin_router
from app.lookalike import confusable_with
from app.problems import Problem
from app.safety import is_expired
from app.service import Serving

_ON_A_PAGE = 50
_KINDS = {"drug": "药品", "disease": "疾病", "text": "资料"}
Typed = Annotated[str, Query(max_length=200)]

router = admin_router()


@router.get("/documents", response_class=HTMLResponse)
def documents(request: Request, service: Serving, q: Typed = "", number: PageNumber = 1) -> HTMLResponse:
    """Documents whose title, alias or id holds what is typed; all of them for nothing."""
    release = service.shelf.current()
    found = release.store.find(q.strip(), _ON_A_PAGE + 1, (number - 1) * _ON_A_PAGE)
    rows = [release.store.document(position) for position in found[:_ON_A_PAGE]]
    part = Part(tuple(rows), number, len(found) > _ON_A_PAGE)
    return admin_page(request, "admin_documents.html", "/admin/documents", release=release, q=q, part=part, kinds=_KINDS)


@router.get("/documents/{document_id:path}", response_class=HTMLResponse)
def document(request: Request, service: Serving, document_id: str) -> HTMLResponse:
    """One document, as it was read."""
    release = service.shelf.current()
    position = release.store.position(document_id)
    if position is None:
        raise Problem(404, f"发布中的版本里没有编号 `{document_id[:80]}` 的文档，可能已在新版本中移除。")
    shown = release.store.document(position)
    drug = shown.kind == "drug"
    return admin_page(
        request,
        "admin_document.html",
        "/admin/documents",
        release=release,
        document=shown,
        kinds=_KINDS,
        passages=len(release.store.passages_of(position)),
        look_alikes=confusable_with(release, [position]) if drug else [],
        page=page_of(shown) if drug else "",
        expired=is_expired(shown.source),
    )
