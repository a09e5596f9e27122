"""Every kind of row that the chat writes comes back; Chainlit swallows the errors of rows that do not fit."""

import asyncio
import uuid

import pytest
from chainlit.context import context_var
from chainlit.element import CustomElement
from chainlit.step import StepDict
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import User

from app.history import ChatHistory, open_history


class Context:
    """What Chainlit's writing decorator looks at: a session past its first interaction."""

    class session:  # noqa: N801
        has_first_interaction = True
        thread_id = ""
        thread_queues: dict[str, object] = {}  # noqa: RUF012


@pytest.fixture
async def history(database: str) -> ChatHistory:
    token = context_var.set(Context())  # type: ignore[arg-type]
    history = await open_history(database)
    yield history
    await history.close()
    context_var.reset(token)


async def thread_of(history: ChatHistory, name: str = "非布司他的禁忌") -> tuple[str, str]:
    user = await history.create_user(User(identifier="local", metadata={"角色": "医生"}))
    thread = str(uuid.uuid4())
    await history.update_thread(thread, name=name, user_id=user.id, metadata={"a": [1]}, tags=["甲"])
    return user.id, thread


def step(thread: str, kind: str, output: str, created: str) -> StepDict:
    return StepDict(
        id=str(uuid.uuid4()), threadId=thread, type=kind, name="x", output=output, input="", streaming=False, createdAt=created,
        metadata={"k": {"v": 1}}, tags=["t"], command="查药", modes={"m": 1}, defaultOpen=True, autoCollapse=False, showInput="json",
        generation={"provider": "p"}, language="zh", start=created, end=created, isError=False, waitForAnswer=False, icon="i",
    )  # fmt: skip


async def test_a_thread_comes_back_with_its_steps_elements_and_feedback(history: ChatHistory) -> None:
    user, thread = await thread_of(history)
    asked, answered = (
        step(thread, "user_message", "问", "2026-11-22T01:00:00Z"),
        step(thread, "assistant_message", "答", "2026-11-22T01:00:01Z"),
    )
    await history.create_step(asked)
    await history.create_step(answered)
    element = CustomElement(
        name="Sources", display="inline", props={"rows": [{"label": "来源", "citations": [{"number": 1}]}]}, thread_id=thread
    )
    element.for_id = answered["id"]
    await history.create_element(element)
    await history.upsert_feedback(Feedback(forId=answered["id"], value=1, comment="好"))
    got = await history.get_thread(thread)
    assert got is not None
    assert (got["name"], got["userId"], got["metadata"], got["tags"]) == ("非布司他的禁忌", user, {"a": [1]}, ["甲"])
    assert [(s["type"], s["output"], s["metadata"], s["generation"]) for s in got["steps"]] == [
        ("user_message", "问", {"k": {"v": 1}}, {"provider": "p"}),
        ("assistant_message", "答", {"k": {"v": 1}}, {"provider": "p"}),
    ]
    assert got["steps"][1]["feedback"]["comment"] == "好"
    assert got["elements"][0]["props"] == {"rows": [{"label": "来源", "citations": [{"number": 1}]}]}
    assert got["elements"][0]["forId"] == answered["id"]


async def test_every_column_that_is_written_has_a_place(history: ChatHistory, caplog: pytest.LogCaptureFixture) -> None:
    _, thread = await thread_of(history)
    row = step(thread, "run", "x", "2026-11-22T01:00:00Z")
    await history.create_step(row)
    await history.update_step({**row, "output": "y", "parentId": row["id"]})
    assert "conversation not kept" not in caplog.text
    await history.create_step({**row, "novelty": "秘密"})  # what a later Chainlit may add
    assert "conversation not kept: " in caplog.text
    assert "novelty" in caplog.text
    assert "秘密" not in caplog.text


async def test_many_at_once_lose_no_row(history: ChatHistory, caplog: pytest.LogCaptureFixture) -> None:
    _, thread = await thread_of(history)
    element = CustomElement(name="Sources", display="inline", props={"rows": []}, thread_id=str(uuid.uuid4()))
    element.for_id = "x"
    rows = [step(thread, "assistant_message", f"答{number}", "2026-11-22T01:00:00Z") for number in range(100)]
    await asyncio.gather(*(history.create_step(row) for row in rows), history.create_element(element))
    got = await history.get_thread(thread)
    assert got is not None
    assert {one["output"] for one in got["steps"]} == {f"答{number}" for number in range(100)}
    assert await history.get_thread(element.thread_id) is not None
    assert "conversation not kept" not in caplog.text


async def test_the_list_is_paged_searched_and_newest_first(history: ChatHistory) -> None:
    user = ""
    for number in range(5):
        user, thread = await thread_of(history, f"第{number}个")
        await history.create_step(step(thread, "user_message", f"内容{number}", f"2026-11-22T01:00:0{number}Z"))
    first = await history.list_threads(Pagination(first=3), ThreadFilter(userId=user))
    assert [thread["name"] for thread in first.data] == ["第4个", "第3个", "第2个"]
    assert first.pageInfo.hasNextPage
    rest = await history.list_threads(Pagination(first=3, cursor=first.pageInfo.endCursor), ThreadFilter(userId=user))
    assert [thread["name"] for thread in rest.data] == ["第1个", "第0个"]
    assert not rest.pageInfo.hasNextPage
    found = await history.list_threads(Pagination(first=3), ThreadFilter(userId=user, search="内容1"))
    assert [thread["name"] for thread in found.data] == ["第1个"]
    assert (await history.list_threads(Pagination(first=3), ThreadFilter(userId="other"))).data == []


async def test_a_thread_is_named_once_and_keeps_what_it_has(history: ChatHistory) -> None:
    user = await history.create_user(User(identifier="li", metadata={}))
    thread = str(uuid.uuid4())
    await history.create_step(step(thread, "user_message", "问", "2026-11-22T01:00:00Z"))
    await history.update_thread(thread, name="问", user_id=user.id, tags=["甲"])
    created = (await history.get_thread(thread))["createdAt"]
    await history.update_thread(thread, metadata={"chat_settings": {"generator": "local"}})
    await history.update_thread(thread)
    await history.update_thread(thread, name="改了")
    got = await history.get_thread(thread)
    assert got is not None
    assert (got["name"], got["userId"], got["userIdentifier"], got["tags"]) == ("改了", user.id, "li", ["甲"])
    assert (got["metadata"], got["createdAt"]) == ({"chat_settings": {"generator": "local"}}, created)
    assert await history.get_thread_author(thread) == "li"


async def test_a_thread_id_that_is_no_uuid_reaches_no_sql(history: ChatHistory) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        await history.update_thread("x' OR '1'='1", name="x")
