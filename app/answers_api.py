"""The recorded answers over HTTP: one's own, and for admins all of them."""

import datetime
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app import api_examples as examples
from app.access import Person, Who, require
from app.answer_record import AnswerRecord, read_id
from app.answer_store import AnswerStore, Wanted
from app.answering import Status
from app.api import JSON, Cursor, Limit
from app.contract import record_json, replay_json, summary_json
from app.feedback import LONGEST_COMMENT, printable
from app.paging import page, place
from app.problems import Problem
from app.replay import Difference, released, replay
from app.service import JSON_BODY, Service, Serving, accepts
from indexer.errors import RecordError

router = APIRouter(prefix="/api/v1/answers")


class Rating(BaseModel):
    """A rating of an answer: 1 for good, -1 for bad, 0 takes it back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.RATING]})
    rating: Literal[-1, 0, 1]
    comment: str = Field(default="", max_length=LONGEST_COMMENT)


@router.get("", dependencies=[require("admin"), accepts(JSON)], responses=examples.responses(examples.ANSWERS), summary="回答的记录")
async def list_answers(
    service: Serving,
    status: Annotated[Status | None, Query(description="只要这一种结果")] = None,
    rating: Annotated[Literal["-1", "0", "1"] | None, Query(description="只要这种评价；0 是没有评价的")] = None,
    since: Annotated[AwareDatetime | None, Query(description="不早于这个时刻，带时区")] = None,
    limit: Limit = 20,
    cursor: Cursor = "",
) -> JSONResponse:
    """记录的回答，新的在前。"""
    about = ("answers", status or "", rating or "", since.astimezone(datetime.UTC).isoformat() if since else "")
    offset = place(cursor, *about)
    found = await records_of(service).list(Wanted(status, int(rating) if rating else None, since), offset, limit + 1)
    shown: list[AnswerRecord | None] = [None] * offset + list(found)
    listed = page(shown, offset, limit, *about)
    return JSONResponse({"answers": [summary_json(record) for record in listed.items if record], "next": listed.next})


@router.get(
    "/{answer_id}", dependencies=[require("ask"), accepts(JSON)], responses=examples.responses(examples.RECORD), summary="一条回答的记录"
)
async def read_answer(answer_id: str, service: Serving, who: Who) -> JSONResponse:
    """自己的回答，管理员可看所有人的；引用是版本中的位置。"""
    return JSONResponse(record_json(await visible(service, answer_id, who)))


@router.post(
    "/{answer_id}/rating", dependencies=[require("ask"), JSON_BODY], responses=examples.responses(examples.RATED), summary="评价一条回答"
)
async def rate_answer(answer_id: str, rated: Rating, service: Serving, who: Who) -> JSONResponse:
    """只能评价自己的回答；再评一次就改成新的。"""
    record = await visible(service, answer_id, who)
    if record.person != who.name:
        raise Problem(403, f"回答 `{record.id}` 不是您问的，只有提问的人可以评价。")
    comment = printable(rated.comment)
    if (record.rating, record.comment) != (rated.rating, comment):
        await records_of(service).rate(record.id, rated.rating, comment)
        service.figures.rated(rated.rating)
    return JSONResponse({"record": record.id, "rating": rated.rating, "comment": comment})


@router.post(
    "/{answer_id}/replay",
    dependencies=[require("admin"), accepts(JSON)],
    responses=examples.responses(examples.REPLAY),
    summary="重放一条回答",
)
async def replay_answer(answer_id: str, service: Serving, who: Who) -> JSONResponse:
    """用当时的版本、对话和回答方式再答一次，与记录比较。"""
    record = await visible(service, answer_id, who)
    return JSONResponse(replay_json(record, await replayed(service, record)))


async def replayed(service: Service, record: AnswerRecord) -> Sequence[Difference]:
    """What comes out otherwise when an answer is asked for again. Raises Problem 410 where its release was collected."""

    def again() -> Sequence[Difference]:
        try:
            release = released(record, service.shelf.get)
        except RecordError as error:
            raise Problem(410, f"{error.fault}。{error.hint}。") from None
        return replay(record, release, service.generator(service.chosen(record.chosen)))

    return await service.desk_of(record.chosen).do(again)


async def visible(service: Service, told: str, who: Person) -> AnswerRecord:
    """One's own answer, or for an admin anybody's; that somebody else has it is told to nobody."""
    answer_id = read_id(told)
    record = await records_of(service).find(answer_id) if answer_id else None
    if record is None or (record.person != who.name and not who.may("admin")):
        raise Problem(404, f"没有编号是 `{told[:40]}` 的回答；编号写在回答末尾，例如 7K3M-9QXT-2FHD。")
    return record


def records_of(service: Service) -> AnswerStore:
    """The records of a service. Raises Problem 503 where it keeps none."""
    if service.records is None:
        raise Problem(503, "这个服务没有数据库，不记录回答。")
    return service.records
