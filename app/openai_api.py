"""The same answers for programs that speak OpenAI's chat interface. Sampling settings are taken and change nothing.

The text is Markdown with numbered marks and a list of sources, so that any front end shows them; the answer as the other interface has it
stands in the field `qizhen` of the reply, when streamed of the last piece. System messages are not read: nothing may loosen the checks.
"""

import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app import api_examples as examples
from app.access import Who, require
from app.answer_record import Asking
from app.answering import Found, Said
from app.api import EVENTS, JSON, STREAM_HEADERS
from app.contract import recorded_json
from app.generators import QuotingGenerator
from app.layout import leading
from app.message_text import MessageWriter, whole_text, without_sources
from app.problems import Problem, problem_of
from app.question import Turn
from app.service import JSON_BODY, MOST_TURNS, Serving, Told, accepts

OWNER = "qizhen"
_PREFIX = "qizhen-"  # model qizhen-quoting is the generator quoting

router = APIRouter(prefix="/v1")


class Part(BaseModel):
    """A piece of a message; only text is read."""

    model_config = ConfigDict(extra="allow")
    type: str
    text: str = ""


class ChatMessage(BaseModel):
    """A message; a role other than user and assistant is not read."""

    model_config = ConfigDict(extra="allow")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """What the message says."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class ChatAsked(BaseModel):
    """A chat; the last message must be the user's, and is the question."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [examples.CHAT]})
    model: str = Field(default="", max_length=100)
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_TURNS)
    stream: bool = False


@router.get(
    "/models", dependencies=[require("ask"), accepts(JSON)], responses=examples.responses(examples.MODELS), summary="可用的回答方式"
)
async def list_models(service: Serving) -> JSONResponse:
    """每种回答方式是一个模型，默认的在前。"""
    models = [
        {"id": _PREFIX + name, "object": "model", "created": 0, "owned_by": OWNER, "name": label} for name, label in _offered(service)
    ]
    return JSONResponse({"object": "list", "data": models})


def _offered(service: Serving) -> list[tuple[str, str]]:
    return list(service.offered().items())


@router.post(
    "/chat/completions",
    dependencies=[require("ask"), accepts(JSON, EVENTS), JSON_BODY],
    responses=examples.responses(examples.COMPLETION, examples.CHUNKS),
    summary="提问（OpenAI 兼容）",
)
async def complete(asked: ChatAsked, service: Serving, who: Who) -> Response:
    """最后一条消息是问题，之前的是对话。stream 为 true 时逐句发送；引用在正文里用 [1] 标出，也在 qizhen 字段里。"""
    turns = tuple(Turn(m.role, without_sources(m.text)) for m in asked.messages if m.role in ("user", "assistant"))
    if not turns or turns[-1].role != "user":
        raise Problem(422, "messages 的最后一条应是用户的问题。", faults=[("/messages", "最后一条应是 user")])
    name = _generator(asked.model)
    chosen = service.chosen(name)
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": _PREFIX + chosen}
    asking = Asking(turns[-1].content, turns[:-1], chosen, who.name, "openai", who.key)
    if not asked.stream:
        return JSONResponse(_whole(head, await service.answer(asking)))
    steps = service.steps(asking)
    first = await anext(steps)
    pieces = _pieces(first, steps, at_once=chosen == QuotingGenerator.name)
    return StreamingResponse(_chunks(head, pieces), media_type=EVENTS, headers=STREAM_HEADERS)


def _generator(model: str) -> str:
    """The generator that a model's name stands for; `qizhen` and none stand for the default."""
    return "" if model in ("", OWNER) else model.removeprefix(_PREFIX)


def _whole(head: dict[str, Any], told: Told) -> dict[str, Any]:
    message = {"role": "assistant", "content": whole_text(told.answer)}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}  # nothing is counted by tokens here
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage, "qizhen": recorded_json(told.answer, told.record)}


async def _pieces(
    first: Found | Said | Told, steps: AsyncGenerator[Found | Said | Told], *, at_once: bool
) -> AsyncIterator[tuple[str, Told | None]]:
    """The text as it is spoken, the answer with its last piece. `at_once`: wait for it, and tell warnings before the sentences."""
    writer = MessageWriter()
    async with aclosing(steps):
        said: list[Said] = []
        if isinstance(first, Found) and not at_once:
            yield writer.lead(first.notices), None
        async for step in steps:
            if isinstance(step, Said) and at_once:
                said.append(step)
            elif isinstance(step, Said):
                yield writer.sentence(step), None
            elif isinstance(step, Told):
                if at_once:
                    yield writer.lead(leading(step.answer.notices)[0]), None
                for one in said:
                    yield writer.sentence(one), None
                yield writer.rest(step.answer), step


async def _chunks(head: dict[str, Any], pieces: AsyncIterator[tuple[str, Told | None]]) -> AsyncIterator[str]:
    yield _chunk(head, {"role": "assistant", "content": ""})
    try:
        async for text, told in pieces:
            if text:
                yield _chunk(head, {"content": text})
            if told is not None:
                yield _chunk(head, {}, "stop", {"qizhen": recorded_json(told.answer, told.record)})
    except Exception as error:  # noqa: BLE001 - the status is sent already; the client must be told all the same
        problem = problem_of(error)
        yield f"data: {json.dumps({'error': {'message': problem.detail, 'type': 'server_error', 'code': None}}, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


def _chunk(head: dict[str, Any], delta: dict[str, str], ended: str | None = None, more: dict[str, Any] | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": ended, "logprobs": None}
    content = {**head, "object": "chat.completion.chunk", "choices": [choice], **(more or {})}
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
