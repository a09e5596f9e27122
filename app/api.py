"""The HTTP interface of our own: questions, passages, drugs, documents, releases. Answers have the keys of `qizhen ask --json`."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app import api_examples as examples
from app.access import Who, require
from app.answer_record import Asking
from app.answering import Found, Said
from app.contract import card_json, document_json, found_json, hit_json, manifest_json, recorded_json, said_json
from app.drug_card import look_up
from app.idempotency import LONGEST_KEY
from app.once import once
from app.paging import page, place
from app.problems import Problem, problem_json, problem_of
from app.question import LONGEST_QUESTION, Turn, check_text
from app.searching import search_asked
from app.service import JSON_BODY, MOST_TURNS, Serving, Told, accepts, preferred
from indexer.documents import Document
from indexer.errors import IndexMissingError
from indexer.release import current_id, list_releases

JSON, EVENTS = "application/json", "text/event-stream"
STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_LONGEST_TURN = 20_000  # characters
_MOST_FOUND = 1000

router = APIRouter(prefix="/api/v1")


class Message(BaseModel):
    """An earlier message of the conversation."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant"]
    content: str = Field(max_length=_LONGEST_TURN)


class Asked(BaseModel):
    """A question. `id` comes back with the answer; `generator` is one of those that GET /v1/models lists."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.QUESTION]})
    question: str = Field(min_length=1, max_length=LONGEST_QUESTION)
    history: list[Message] = Field(default=[], max_length=MOST_TURNS)
    generator: str = Field(default="", max_length=40)
    id: str = Field(default="", max_length=200)


Cursor = Annotated[str, Query(max_length=200, description="上一页的 next；空表示从头开始")]
Limit = Annotated[int, Query(ge=1, le=100, description="一页最多几项")]


@router.post(
    "/ask", dependencies=[require("ask"), JSON_BODY], responses=examples.responses(examples.ANSWER, examples.EVENTS), summary="提问"
)
async def ask_question(
    asked: Asked,
    request: Request,
    service: Serving,
    who: Who,
    key: Annotated[str, Header(alias="Idempotency-Key", max_length=LONGEST_KEY, pattern=r"^[\x21-\x7e]*$")] = "",
) -> Response:
    """回答一个问题。Accept 为 text/event-stream 时，逐句发送已核对的句子：found、sentence……、answer；出错时是 error。

    record 是这条回答的记录编号；没有存入记录时为空，notices 里会说明。带 Idempotency-Key 再发一次同样的请求，得到的是同一条回答。
    """
    media = preferred(request.headers.get("accept", ""), (JSON, EVENTS))
    history = tuple(Turn(message.role, message.content) for message in asked.history)
    asking = Asking(asked.question, history, asked.generator, who.name, "api", who.key)
    steps = once(service, who, key, asked.model_dump_json(), asking) if key else service.steps(asking)
    if media == JSON:
        told = await anext(step async for step in steps if isinstance(step, Told))
        await steps.aclose()
        return JSONResponse(recorded_json(told.answer, told.record, asked.id))
    first = await anext(steps)  # what is wrong with the question is told by the status
    return StreamingResponse(_events(first, steps, asked.id), media_type=EVENTS, headers=STREAM_HEADERS)


async def _events(first: Found | Said | Told, steps: AsyncGenerator[Found | Said | Told], question_id: str) -> AsyncIterator[str]:
    async with aclosing(steps):
        yield _event(first, question_id)
        try:
            async for step in steps:
                yield _event(step, question_id)
        except Exception as error:  # noqa: BLE001 - the status is sent already; the client must be told all the same
            problem = problem_of(error)
            yield event("error", problem_json(problem.status_code, problem.detail))


def _event(step: Found | Said | Told, question_id: str) -> str:
    if isinstance(step, Found):
        return event("found", found_json(step))
    if isinstance(step, Said):
        return event("sentence", said_json(step))
    return event("answer", recorded_json(step.answer, step.record, question_id))


def event(name: str, content: Any) -> str:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n"


@router.get("/search", dependencies=[require("documents"), accepts(JSON)], responses=examples.responses(examples.FOUND), summary="查找片段")
async def search_passages(
    service: Serving,
    question: Annotated[str, Query(min_length=1, max_length=LONGEST_QUESTION, examples=["痛风急性发作"])],
    limit: Limit = 10,
    cursor: Cursor = "",
    explain: Annotated[bool, Query(description="给出分数的组成")] = False,
) -> JSONResponse:
    """找出与问题最相关的片段，最相关的在前。"""
    text = check_text(question)

    def work() -> dict[str, Any]:
        started = time.perf_counter()
        release = service.shelf.current()
        about = ("search", release.id, text)
        offset = place(cursor, *about)
        if offset > _MOST_FOUND:
            raise Problem(422, f"最多翻到第 `{_MOST_FOUND}` 个片段，请把问题写得更具体。")
        found = page(search_asked(release, text, (), offset + limit + 1), offset, limit, *about)
        hits = [hit_json(hit, explained=explain) for hit in found.items]
        return {"id": "", "hits": hits, "milliseconds": round((time.perf_counter() - started) * 1000, 2), "next": found.next}

    return JSONResponse(await service.quick.do(work))


@router.get("/drugs", dependencies=[require("drugs"), accepts(JSON)], responses=examples.responses(examples.CARD), summary="查药")
async def find_drug(
    service: Serving,
    name: Annotated[str, Query(min_length=1, max_length=LONGEST_QUESTION, examples=["拜阿司匹林"])],
    section: Annotated[str, Query(max_length=100, description="只要这一节")] = "",
) -> JSONResponse:
    """按通用名、商品名或英文名查药；没有收录时 status 是 unknown，有几种时是 ambiguous。"""
    text = check_text(name)
    return JSONResponse(await service.quick.do(lambda: card_json(look_up(service.shelf.current(), text, section))))


@router.get(
    "/documents/{document_id:path}",
    dependencies=[require("documents"), accepts(JSON)],
    responses=examples.responses(examples.DOCUMENT),
    summary="一篇文档",
)
async def read_document(
    document_id: str, service: Serving, release: Annotated[str, Query(max_length=80, description="版本号；空为发布中的版本")] = ""
) -> JSONResponse:
    """文档的全文、章节位置和来源；引用的 start、end 是全文中的位置。"""

    def work() -> tuple[Document | None, str]:
        if not release:
            current = service.shelf.current()
            return current.document(document_id), current.id
        try:
            return service.shelf.get(release).document(document_id), release
        except IndexMissingError as error:
            raise Problem(404, f"没有版本 `{release}`。") from error

    document, release_id = await service.quick.do(work)
    if document is None:
        raise Problem(404, f"版本 `{release_id}` 里没有文档 `{document_id[:80]}`。")
    return JSONResponse(document_json(document, release_id))


@router.get(
    "/releases", dependencies=[require("releases"), accepts(JSON)], responses=examples.responses(examples.RELEASES), summary="知识库的版本"
)
async def show_releases(service: Serving, limit: Limit = 20, cursor: Cursor = "") -> JSONResponse:
    """知识库的版本，旧的在前，标明发布中的一个。"""

    def work() -> dict[str, Any]:
        published = current_id(service.shelf.index)
        found = page(list_releases(service.shelf.index), place(cursor, "releases"), limit, "releases")
        return {"current": published, "releases": [manifest_json(m, published) for m in found.items], "next": found.next}

    return JSONResponse(await service.quick.do(work))


@router.get("/openapi.json", dependencies=[require("ask")], include_in_schema=False)
async def describe(request: Request) -> JSONResponse:
    """接口的 OpenAPI 描述。"""
    return JSONResponse(request.app.openapi())
