"""The admin pages of recorded answers, and of what the knowledge base lacks as they show it."""

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.access import Who
from app.admin_page import PageNumber, Part, admin_page, admin_router, part_of
from app.answer_record import AnswerRecord, read_id
from app.answer_store import Wanted
from app.answer_words import GAPS, RATING, STATUS, VERDICTS, WAYS
from app.answering import Status
from app.answers_api import records_of, replayed, visible
from app.citations import Citation
from app.gaps import gaps
from app.replay import Difference, answer_of, released
from app.service import Service, Serving
from indexer.errors import QizhenError

_ON_A_PAGE = 50
_MOST_GAPS = 2000
_SPANS = (1, 7, 30, 90)  # days on offer
Days = Annotated[int, Query(ge=1, le=3660)]
# A field of a form that was left empty is sent all the same.
Chosen = Annotated[Literal["", "answered", "refused", "clarify"], Query(alias="status")]
Rated = Annotated[Literal["", "-1", "0", "1"], Query(alias="rating")]
_STATUS_OF: dict[str, Status] = {"answered": "answered", "refused": "refused", "clarify": "clarify"}

router = admin_router()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The cited places of an answer with their words; where they cannot be read any more, why."""

    citations: tuple[Citation, ...]
    missing: str


@router.get("/gaps", response_class=HTMLResponse)
async def show_gaps(
    request: Request,
    service: Serving,
    days: Days = 7,
    kind: Annotated[Literal["", "not_held", "not_mentioned", "other"], Query()] = "",
    number: PageNumber = 1,
) -> HTMLResponse:
    """What was refused, asked back or disliked, by what it was about, the most frequent first."""
    found = await gaps(records_of(service), _ago(days), _MOST_GAPS)
    counts = Counter(gap.kind for gap in found)
    part = part_of([gap for gap in found if kind in ("", gap.kind)], number, _ON_A_PAGE)
    return admin_page(request, "admin_gaps.html", "/admin/gaps", part=part, counts=counts, kinds=GAPS, kind=kind, days=days, spans=_SPANS)


@router.get("/answers", response_model=None)
async def list_answers(
    request: Request,
    service: Serving,
    status: Chosen = "",
    rating: Rated = "",
    days: Days = 7,
    person: Annotated[str, Query(max_length=200)] = "",
    wanted_id: Annotated[str, Query(max_length=40, alias="id")] = "",
    number: PageNumber = 1,
) -> Response:
    """The recorded answers, the newest first; with an id straight to that one."""
    if wanted_id.strip():
        return RedirectResponse(f"/admin/answers/{quote(read_id(wanted_id) or wanted_id, safe='')}", 303)
    wanted = Wanted(_STATUS_OF.get(status), int(rating) if rating else None, _ago(days), person.strip())
    offset = (number - 1) * _ON_A_PAGE
    found = await records_of(service).list(wanted, offset, _ON_A_PAGE + 1)
    part = Part(tuple(found[:_ON_A_PAGE]), number, len(found) > _ON_A_PAGE)
    chosen = {"status": status, "rating": rating, "days": days, "person": person}
    return admin_page(
        request, "admin_answers.html", "/admin/answers", part=part, chosen=chosen, spans=_SPANS, words=STATUS, ratings=RATING, ways=WAYS
    )


@router.get("/answers/{answer_id}", response_class=HTMLResponse)
async def show_answer(request: Request, service: Serving, who: Who, answer_id: str) -> HTMLResponse:
    """One answer: who asked what and when, what was said, and the words it rests on."""
    return await _answer_page(request, service, await visible(service, answer_id, who), None)


@router.post("/answers/{answer_id}/replay", response_class=HTMLResponse)
async def replay_answer(request: Request, service: Serving, who: Who, answer_id: str) -> HTMLResponse:
    """The same, and what comes out otherwise when it is asked again. Nothing is changed by that."""
    record = await visible(service, answer_id, who)
    return await _answer_page(request, service, record, await replayed(service, record))


async def _answer_page(request: Request, service: Service, record: AnswerRecord, found: Sequence[Difference] | None) -> HTMLResponse:
    """The page of an answer; `found` is what a replay came to, None where there was none."""
    evidence = await service.quick.do(lambda: evidence_of(record, service))
    verdicts = [(VERDICTS.get(verdict, verdict), count) for verdict, count in Counter(record.verdicts).items()]
    return admin_page(
        request,
        "admin_answer.html",
        "/admin/answers",
        record=record,
        evidence=evidence,
        verdicts=verdicts,
        found=found,
        words=STATUS,
        ratings=RATING,
        ways=WAYS,
    )


def evidence_of(record: AnswerRecord, service: Service) -> Evidence:
    """The words that an answer cites, as they stand in the release that it is from."""
    try:
        return Evidence(answer_of(record, released(record, service.shelf.get)).citations, "")
    except QizhenError as error:
        return Evidence((), error.fault)


def _ago(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
