"""A question with an Idempotency-Key: asked once, however often the request is sent."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.access import Person
from app.answer_record import Asking
from app.answering import Answer, Found, Said
from app.layout import leading
from app.problems import Problem
from app.replay import answer_of, released
from app.service import Service, Told


async def once(service: Service, who: Person, key: str, body: str, asking: Asking) -> AsyncGenerator[Found | Said | Told]:
    """The steps of an answer; those of the recorded one where this request was answered before.

    Raises Problem 422 for a key that was used for another request, 409 while the first is being answered, 410 where its answer is gone.
    """
    if service.repeats is None:
        raise Problem(503, "没有数据库，不能用 Idempotency-Key；请不带它再发一次。")
    repeat = await service.repeats.begin(who.name, key, body)
    if repeat.outcome == "other_request":
        raise Problem(422, f"Idempotency-Key `{key[:40]}` 已用于另一个请求，新的问题请换一个新的键。")
    if repeat.outcome == "under_way":
        raise Problem(409, f"Idempotency-Key `{key[:40]}` 的请求正在回答，请稍候再试。", headers={"Retry-After": "2"})
    if repeat.outcome == "answered":
        for step in steps_of(await _recorded(service, repeat.record)):
            yield step
        return
    record = ""
    try:
        async with aclosing(service.steps(asking)) as steps:
            async for new in steps:
                record = new.record if isinstance(new, Told) else record
                if record:
                    await service.repeats.end(who.name, key, record)
                yield new
    finally:
        if not record:
            await service.repeats.end(who.name, key, "")


async def _recorded(service: Service, answer_id: str) -> Told:
    """An answer as it was given. Raises Problem 410 where it, or the release that it cites, is there no more."""
    found = await service.records.find(answer_id) if service.records else None
    if found is None:
        raise Problem(410, f"回答 `{answer_id}` 已被清除，请换一个 Idempotency-Key 再问。")
    record = found
    return Told(await service.quick.do(lambda: answer_of(record, released(record, service.shelf.get))), answer_id)


def steps_of(told: Told) -> list[Found | Said | Told]:
    """The steps in which an answer that is there already is told."""
    answer = told.answer
    return [Found(0.0, len(answer.citations), tuple(leading(answer.notices)[0])), *_said(answer), told]


def _said(answer: Answer) -> list[Said]:
    """Its sentences, each with the citations that it is the first to use."""
    said, used = [], 0
    for sentence in answer.sentences:
        last = max([used, *sentence.citations])
        said.append(Said(sentence, answer.citations[used:last]))
        used = last
    return said
