"""`qizhen answers …`: the recorded answers, for whoever runs the server."""

import asyncio
import datetime
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from sqlalchemy.engine import make_url

from app.answer_record import AnswerRecord, read_id
from app.answer_store import AnswerStore, Wanted
from app.answer_words import RATING, STATUS, WAYS
from app.contract import record_json, replay_json, summary_json
from app.database import create_tables, open_database
from app.forgetting import Keeping
from app.index_console import AsJson, Index, print_json
from app.open_generator import open_generator
from app.replay import Difference, released, replay
from app.settings import DEFAULT_INDEX, DEFAULT_STATE, database_url, history_url, model_settings
from indexer.errors import RecordError
from indexer.record import local_user
from indexer.release import open_release

DIFFERENT = 1
Result = TypeVar("Result")

answers_app = typer.Typer(
    help="回答的记录：列出、查看、重放、清除。",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

State = Annotated[Path, typer.Option("--state", help="对话记录等的文件夹。", metavar="DIR")]
AnswerId = Annotated[str, typer.Argument(help="记录编号，大小写和连字符不计。", metavar="ID")]


class StatusOption(StrEnum):
    """What an answer can come to."""

    answered = "answered"
    refused = "refused"
    clarify = "clarify"


@answers_app.command("list")
def answers_list(
    status: Annotated[StatusOption | None, typer.Option(help="只看这一种结果。")] = None,
    rating: Annotated[int | None, typer.Option(min=-1, max=1, help="只看评价：1 赞，-1 踩，0 没有评价。")] = None,
    days: Annotated[int | None, typer.Option(min=0, help="只看最近几天。")] = None,
    user: Annotated[str, typer.Option(help="只看这个人的。", metavar="NAME")] = "",
    limit: Annotated[int, typer.Option(min=1, help="最多几条。")] = 50,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """列出记录的回答，新的在前。"""
    since = None if days is None else datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    wanted = Wanted(status.value if status else None, rating, since, user)
    found = _with_store(state, lambda store: store.list(wanted, 0, limit))
    for record in found:
        if as_json:
            print_json(summary_json(record))
        else:
            told = " ".join(part for part in (STATUS[record.status], RATING[record.rating]) if part)
            sys.stdout.write(f"{record.id}  {record.at[:16]}  {record.person}  {told}  {' '.join(record.question.split())[:60]}\n")
    if not found and not as_json:
        sys.stdout.write("没有符合条件的记录\n")


@answers_app.command("show")
def answers_show(answer_id: AnswerId, state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """查看一条回答：谁在何时问了什么，当时怎样回答，依据哪些原文。"""
    record = _found(answer_id, state)
    if as_json:
        print_json(record_json(record))
        return
    sys.stdout.write(f"{record.id}  {record.at}  {record.person}  {WAYS[record.way]}\n")
    sys.stdout.write(f"版本 {record.release}  回答方式 {record.generator}  {record.milliseconds:g} 毫秒\n")
    sys.stdout.writelines(f"{'问' if turn.role == 'user' else '答'}（之前）：{turn.content}\n" for turn in record.history)
    sys.stdout.write(f"问：{record.question}\n结果：{STATUS[record.status]}\n")
    sys.stdout.writelines(f"  {one.text}{''.join(f'[{number}]' for number in one.citations)}\n" for one in record.sentences)
    sys.stdout.writelines(f"  [{span.number}] {span.document} {span.start}-{span.end}\n" for span in record.citations)
    sys.stdout.writelines(f"  {notice}\n" for notice in record.notices)
    sys.stdout.writelines(f"  候选：{candidate.title}\n" for candidate in record.candidates)
    if record.rating:
        sys.stdout.write(f"评价：{RATING[record.rating]}{f'，{record.comment}' if record.comment else ''}\n")


@answers_app.command("replay")
def answers_replay(answer_id: AnswerId, state: State = DEFAULT_STATE, index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """用当时的知识库版本、对话和回答方式再答一次，与记录比较。结束码：0 相同，1 不同。"""
    record = _found(answer_id, state)
    release = released(record, lambda release_id: open_release(index, release_id, reranker=record.settings.get("reranker", "")))
    differences = replay(record, release, open_generator(record.chosen, model_settings()))
    if as_json:
        print_json(replay_json(record, differences))
    else:
        sys.stdout.write(f"{record.id}  版本 {record.release}：{'不同' if differences else '相同'}\n")
        sys.stdout.writelines(line for difference in differences for line in _told(difference))
    if differences:
        raise typer.Exit(DIFFERENT)


def _told(difference: Difference) -> list[str]:
    """What went and what came, line by line."""
    gone = [f"  - {line}\n" for line in difference.before if line not in difference.now]
    new = [f"  + {line}\n" for line in difference.now if line not in difference.before]
    return [f"{difference.part}\n", *(gone + new or ["  顺序不同\n"])]


@answers_app.command("purge")
def answers_purge(
    user: Annotated[str, typer.Option(help="清除这个人的全部回答、对话和评价。", metavar="NAME")] = "",
    older_than: Annotated[int | None, typer.Option("--older-than", min=0, help="清除早于这些天的回答和对话。", metavar="DAYS")] = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """清除个人数据，不能恢复；只记下何时清除了多少，不记是谁的。"""
    if bool(user) == (older_than is not None):
        raise RecordError(
            f"--user `{user}` 和 --older-than `{older_than}` 应给出一个，且只给一个", "例如：qizhen answers purge --older-than 365"
        )

    async def purge() -> tuple[int, int]:
        answers, threads = open_database(_existing(database_url(state))), open_database(history_url(state))
        try:
            await create_tables(answers)
            keeping = Keeping(answers, threads)
            if user:
                gone = await keeping.forget_person(user, local_user())
            else:
                moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=older_than or 0)
                gone = await keeping.forget_before(moment, local_user())
            return gone.answers, gone.threads
        finally:
            await answers.dispose()
            await threads.dispose()

    answers, threads = asyncio.run(purge())
    if as_json:
        print_json({"answers": answers, "threads": threads})
    else:
        sys.stdout.write(f"已清除 {answers} 条回答、{threads} 段对话\n")


def _found(told: str, state: Path) -> AnswerRecord:
    answer_id = read_id(told)
    if not answer_id:
        raise RecordError(f"`{told[:40]}` 不是记录编号", "编号写在回答末尾，例如 7K3M-9QXT-2FHD；或用 qizhen answers list 查")
    record = _with_store(state, lambda store: store.find(answer_id))
    if record is None:
        raise RecordError(f"没有编号是 `{answer_id}` 的回答", "用 qizhen answers list 查；它可能已到保存期限被清除，或在另一个 --state 里")
    return record


def _with_store(state: Path, work: Callable[[AnswerStore], Awaitable[Result]]) -> Result:
    async def worked() -> Result:
        engine = open_database(_existing(database_url(state)))
        try:
            await create_tables(engine)
            return await work(AnswerStore(engine))
        finally:
            await engine.dispose()

    return asyncio.run(worked())


def _existing(url: str) -> str:
    """The address again. Raises RecordError where it is a file that is not there, which opening would make."""
    path = make_url(url).database or ""
    if url.startswith("sqlite") and not Path(path).is_file():
        raise RecordError(f"`{path}` 不在：还没有记录过回答", "用 --state 写 qizhen serve 所用的文件夹")
    return url
