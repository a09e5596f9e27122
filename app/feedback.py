"""Thumbs and comments under the answers of the chat.

The chat's page sends them to Chainlit's own addresses, where anybody could write over anybody's. These routes stand before those: only the
owner of a conversation is heard, and what is said is kept with the recorded answer too.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.access import Who, require
from app.problems import Problem
from app.service import JSON_BODY, Service, Serving

LONGEST_COMMENT = 2000  # characters
GONE = "找不到这条回答，评价没有保存；请刷新页面后再试。"
_OWNED = (
    'SELECT f."id", s."id" AS "step", s."threadId" AS "thread" FROM steps s JOIN threads t ON t."id" = s."threadId" '
    'LEFT JOIN users u ON u."id" = t."userId" LEFT JOIN feedbacks f ON f."forId" = s."id" '
    'WHERE (t."userIdentifier" = :person OR u."identifier" = :person)'
)
# A thumb is under the run of an answer, the answer is a message of it; a message without a run stands for itself.
_MESSAGES = 'SELECT "id" FROM steps WHERE "id" = :step OR "parentId" = :step'
_INSERT = 'INSERT INTO feedbacks ("id", "forId", "threadId", "value", "comment") VALUES (:id, :step, :thread, :value, :comment)'
_UPDATE = 'UPDATE feedbacks SET "value" = :value, "comment" = :comment WHERE "forId" = :step'

router = APIRouter(prefix="/feedback", include_in_schema=False)


class Thumb(BaseModel):
    """What Chainlit's page sends for a thumb: 1 is up, 0 is down. The rest of it is not believed."""

    model_config = ConfigDict(extra="ignore")
    forId: str = Field(max_length=100)  # noqa: N815 - Chainlit's names
    value: Literal[0, 1]
    comment: str | None = Field(default=None, max_length=LONGEST_COMMENT)


class Given(BaseModel):
    """The body of PUT /feedback."""

    model_config = ConfigDict(extra="ignore")
    feedback: Thumb


class TakenBack(BaseModel):
    """The body of DELETE /feedback."""

    model_config = ConfigDict(extra="ignore")
    feedbackId: str = Field(max_length=100)  # noqa: N815 - Chainlit's names


@router.put("", dependencies=[require("ask"), JSON_BODY])
async def give(given: Given, service: Serving, who: Who) -> JSONResponse:
    """Keep a thumb and its comment, once for an answer."""
    thumb, comment = given.feedback, printable(given.feedback.comment or "")
    async with _threads(service).begin() as connection:
        owned = await _owned(connection, 's."id" = :id', who.name, thumb.forId)
        values = {"step": owned["step"], "value": thumb.value, "comment": comment}
        feedback_id = owned["id"] or str(uuid.uuid4())
        if owned["id"]:
            await connection.execute(text(_UPDATE), values)
        else:
            await connection.execute(text(_INSERT), {**values, "id": feedback_id, "thread": owned["thread"]})
        messages = await _messages(connection, owned)
    await _rate(service, who.name, messages, 1 if thumb.value else -1, comment)
    return JSONResponse({"success": True, "feedbackId": str(feedback_id)})


@router.delete("", dependencies=[require("ask"), JSON_BODY])
async def take_back(taken: TakenBack, service: Serving, who: Who) -> JSONResponse:
    """Take a thumb back."""
    async with _threads(service).begin() as connection:
        owned = await _owned(connection, 'f."id" = :id', who.name, taken.feedbackId)
        await connection.execute(text('DELETE FROM feedbacks WHERE "forId" = :step'), {"step": owned["step"]})
        messages = await _messages(connection, owned)
    await _rate(service, who.name, messages, 0, "")
    return JSONResponse({"success": True})


def printable(comment: str) -> str:
    """A comment without what no database and no page takes."""
    return "".join(character for character in comment if character.isprintable() or character == "\n").strip()


async def _owned(connection: AsyncConnection, which: str, person: str, told: str) -> dict[str, Any]:
    """An answer in somebody's own conversation. Raises Problem 404, for others' as for none."""
    found = (await connection.execute(text(f"{_OWNED} AND {which}"), {"person": person, "id": told})).mappings().first()
    if found is None:
        raise Problem(404, GONE)
    return dict(found)


async def _messages(connection: AsyncConnection, owned: Mapping[str, Any]) -> list[str]:
    return [str(step) for step in (await connection.execute(text(_MESSAGES), {"step": owned["step"]})).scalars()]


async def _rate(service: Service, person: str, messages: Sequence[str], rating: int, comment: str) -> None:
    if service.records is not None and await service.records.rate_steps(messages, person, rating, comment):
        service.figures.rated(rating)


def _threads(service: Service) -> AsyncEngine:
    if service.keeping is None:
        raise Problem(404, GONE)
    return service.keeping.threads
