"""What chat and HTTP interface share: the releases, the generators, the desks, the records and the figures."""

import asyncio
import datetime
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError

from app.answer_record import Asking, record_of
from app.answer_store import AnswerStore
from app.answerer import Answerer
from app.answering import Answer, Found, Said, ask_by_sentence
from app.build_job import BuildJob
from app.database import cause_of
from app.desk import Desk
from app.doorkeeper import Doorkeeper
from app.figures import Figures
from app.forgetting import Keeping
from app.generators import Generator, QuotingGenerator
from app.group_commit import GroupCommit
from app.idempotency import Repeats
from app.problems import Problem
from app.question import Turn, check_text
from app.release_checks import ReleaseChecks
from app.shelf import ReleaseShelf
from indexer.release import Release

MOST_BYTES = 1_000_000  # of a request's body
MOST_TURNS = 200
_DAY = 86_400.0  # seconds
NOT_RECORDED = "这条回答没有存入记录，以后不能按编号查到；需要留存的请复制。"
Step = Found | Said | Answer
_log = logging.getLogger("qizhen.requests")


@dataclass(frozen=True, slots=True)
class Told:
    """A whole answer, and the id that it is recorded under, "" where it is not."""

    answer: Answer
    record: str


def _no_sessions() -> int:
    return 0


def _no_settings(_generator: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Service:
    """One process's answers. `offered` are the generators to choose from, the default first: name to label.

    Quick work and language models have desks of their own, so that a slow model keeps nobody from quotes or look-ups. `settings` says what
    a generator's text depends on; without `records` nothing is recorded. What is in `keeping` is kept for `keep_days` (0: for ever).
    `conversations` writes what the chat keeps, `sessions` counts the conversations that are open. The `answerer` finds quotes beside it.
    """

    shelf: ReleaseShelf
    generator: Callable[[str], Generator]
    offered: Callable[[], Mapping[str, str]]
    log_questions: bool = False
    records: AnswerStore | None = None
    repeats: Repeats | None = None
    keeping: Keeping | None = None
    conversations: GroupCommit | None = None
    keep_days: int = 0
    doorkeeper: Doorkeeper | None = None
    over_https: bool = False
    answerer: Answerer | None = None
    uploads: Path | None = None
    builds: BuildJob | None = None
    settings: Callable[[str], Mapping[str, str]] = _no_settings
    sessions: Callable[[], int] = _no_sessions
    figures: Figures = field(default_factory=Figures)
    quick: Desk = field(default_factory=lambda: Desk(most=1024, threads=4))
    models: Desk = field(default_factory=lambda: Desk(most=32, threads=32))
    sound_releases: set[str] = field(default_factory=set)
    checks: ReleaseChecks = field(default_factory=ReleaseChecks)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the server runs: what must be forgotten is, at the start and daily; at the end nothing stays unwritten."""
        stopping = asyncio.Event()
        forgetting = asyncio.create_task(self._forget(stopping))
        answering = asyncio.create_task(self.answerer.run()) if self.answerer else None
        if self.doorkeeper:
            await self.doorkeeper.sign_ins.prepare()
        yield
        if answering:
            answering.cancel()
            await asyncio.wait([answering])
        stopping.set()
        await forgetting
        if self.records:
            await self.records.finish()
        if self.conversations:
            await self.conversations.finish()

    async def _forget(self, stopping: asyncio.Event) -> None:
        while self.keeping and self.keep_days and not stopping.is_set():
            before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=self.keep_days)
            try:
                await self.keeping.forget_before(before, "qizhen serve")
            except (SQLAlchemyError, OSError) as error:
                _log.error("%s", json.dumps({"event": "retention failed", "cause": cause_of(error)}, ensure_ascii=False))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _DAY)

    async def answer(self, asking: Asking) -> Told:
        """A whole answer. Raises Problem, QuestionError, or what opening a release or generator raises."""
        async with aclosing(self.steps(asking)) as steps:
            return await anext(step async for step in steps if isinstance(step, Told))

    async def steps(self, asking: Asking, release: Release | None = None) -> AsyncGenerator[Found | Said | Told]:
        """As `answer`, told as it goes; the whole answer comes last, and is recorded by then. The errors come with the first step, but
        for those of the program itself. With a `release` of somebody's own, it is answered from that and not recorded.
        """
        chosen, text = self.chosen(asking.generator), check_text(asking.question)
        quoting = chosen == QuotingGenerator.name
        settings = self.settings(chosen) if quoting else {}  # a model's are digests of its files

        def started() -> Iterator[Step]:
            nonlocal settings
            generator = self.generator(chosen)
            settings = settings or self.settings(chosen)
            yield from ask_by_sentence(release or self.shelf.current(), text, asking.history, generator)

        steps = self._quotes(text, asking.history, release, started()) if quoting else self.models.follow(started())
        async with aclosing(steps):  # type: ignore[type-var]
            async for step in steps:
                if isinstance(step, Answer):
                    yield Told(step, "") if release else await self._told(replace(asking, question=text), step, chosen, settings)
                else:
                    yield step

    async def _quotes(self, text: str, history: Sequence[Turn], release: Release | None, here: Iterator[Step]) -> AsyncGenerator[Step]:
        """Quotes come together: waking a thread for each takes longer than finding it. They are found `here` where nobody else does."""
        quoted = None
        if self.answerer and release is None:
            with self.quick.place():
                quoted = await self.answerer.quoted(text, history)
        if quoted is None:
            quoted = await self.quick.do(lambda: list(here))
        for step in quoted:
            yield step

    def chosen(self, name: str) -> str:
        """The generator of that name, the default for none. Raises Problem 422 for one that is not on offer."""
        offered = list(self.offered())
        if name and name not in offered:
            raise Problem(422, f"没有回答方式 `{name[:40]}`，可用：{'、'.join(offered)}。")
        return name or offered[0]

    def desk_of(self, chosen: str) -> Desk:
        """Where a generator works."""
        return self.quick if chosen == QuotingGenerator.name else self.models

    async def _told(self, asking: Asking, answer: Answer, chosen: str, settings: Mapping[str, str]) -> Told:
        self.figures.answered(answer)
        self._log(answer)
        if self.records is None:
            return Told(answer, "")
        record = record_of(asking, answer, chosen, settings, datetime.datetime.now(datetime.UTC))
        if await self.records.keep(record):
            return Told(answer, record.id)
        self.figures.not_recorded()
        return Told(replace(answer, notices=(*answer.notices[:-1], NOT_RECORDED, *answer.notices[-1:])), "")

    def _log(self, answer: Answer) -> None:
        about = {"event": "answer", "status": answer.status, "generator": answer.generator, "release": answer.release}
        question = {"question": answer.question} if self.log_questions else {}
        _log.info("%s", json.dumps({**about, "milliseconds": answer.milliseconds, **question}, ensure_ascii=False))


def service_of(request: Request) -> Service:
    """The service that a request is for."""
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(service_of)]


def accepts(*offered: str) -> Any:
    """A dependency that raises Problem 406 where a client wants none of the media types on offer."""

    def check(request: Request) -> str:
        return preferred(request.headers.get("accept", ""), offered)

    return Depends(check)


def preferred(accept: str, offered: Sequence[str]) -> str:
    """The media type that an Accept header likes best; the first on offer where it likes several as much. Raises Problem 406."""
    wanted = [_media_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    liked = {media: _liking(media, wanted) for media in offered}
    best = max(offered, key=lambda media: liked[media])
    if liked[best] <= 0:
        raise Problem(406, f"给不出 `{accept[:80]}`，可以给：{'、'.join(offered)}。")
    return best


def _liking(media: str, wanted: Sequence[tuple[str, float]]) -> float:
    """0 to 1, by the most exact range that fits."""
    for fitting in (media, media.split("/", maxsplit=1)[0] + "/*", "*/*"):
        found = [quality for media_range, quality in wanted if media_range == fitting]
        if found:
            return max(found)
    return 0.0


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((value for key, _, value in (p.partition("=") for p in parameters) if key == "q"), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


def _is_json(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem(415, f"请求体的格式是 `{media[:40] or '没有写明'}`，应为 application/json。", headers={"Accept": "application/json"})


JSON_BODY = Depends(_is_json)
