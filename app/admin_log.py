"""The admin page of the record: who did what to the knowledge base and when, and whether the record is as it was written."""

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from app.admin_page import PageNumber, admin_page, admin_router, part_of
from app.admin_release import told
from app.release_words import ACTIONS
from app.service import Serving
from indexer.record import read_log, verify_log

_ON_A_PAGE = 100
router = admin_router()


@router.get("/log", response_class=HTMLResponse)
def log(request: Request, service: Serving, number: PageNumber = 1, action: Annotated[str, Query(max_length=20)] = "") -> HTMLResponse:
    """The acts, the newest first, those of one kind where one is asked for."""
    index = service.shelf.index
    entries = [entry for entry in read_log(index) if action in ("", entry.action)]
    part = part_of(told(entries), number, _ON_A_PAGE)
    return admin_page(
        request, "admin_log.html", "/admin/log", part=part, report=verify_log(index), actions=ACTIONS, action=action, count=len(entries)
    )
