"""What the routes of the HTTP interface share: the releases, the generators, the desks and the figures."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from app.answering import Answer, Found, Said, ask, ask_by_sentence
from app.desk import Desk
from app.figures import Figures
from app.generators import Generator, QuotingGenerator
from app.problems import Problem
from app.question import Turn, check_text
from app.shelf import ReleaseShelf

MOST_BYTES = 1_000_000  # of a request's body
MOST_TURNS = 200
_log = logging.getLogger("qizhen.requests")


@dataclass(frozen=True)
class Service:
    """One process's interface. `offered` are the generators to choose from, the default first: name to label.

    Quick work and language models have desks of their own, so that a slow model keeps nobody from quotes or look-ups.
    """

    shelf: ReleaseShelf
    generator: Callable[[str], Generator]
    offered: Callable[[], Mapping[str, str]]
    log_questions: bool = False
    figures: Figures = field(default_factory=Figures)
    quick: Desk = field(default_factory=lambda: Desk(most=128, threads=4))
    models: Desk = field(default_factory=lambda: Desk(most=32, threads=32))
    sound_releases: set[str] = field(default_factory=set)

    async def answer(self, question: str, history: Sequence[Turn], name: str) -> Answer:
        """A whole answer. Raises Problem, QuestionError, or what opening a release or generator raises."""
        chosen, text = self.chosen(name), check_text(question)
        answer = await self._desk(chosen).do(lambda: ask(self.shelf.current(), text, history, self.generator(chosen)))
        self._told(answer)
        return answer

    async def steps(self, question: str, history: Sequence[Turn], name: str) -> AsyncIterator[Found | Said | Answer]:
        """As `answer`, told as it goes. The errors come with the first step, but for those of the program itself."""
        chosen, text = self.chosen(name), check_text(question)

        def started() -> Iterator[Found | Said | Answer]:
            yield from ask_by_sentence(self.shelf.current(), text, history, self.generator(chosen))

        async for step in self._desk(chosen).follow(started()):
            if isinstance(step, Answer):
                self._told(step)
            yield step

    def chosen(self, name: str) -> str:
        """The generator of that name, the default for none. Raises Problem 422 for one that is not on offer."""
        offered = list(self.offered())
        if name and name not in offered:
            raise Problem(422, f"没有回答方式 `{name[:40]}`，可用：{'、'.join(offered)}。")
        return name or offered[0]

    def _desk(self, chosen: str) -> Desk:
        return self.quick if chosen == QuotingGenerator.name else self.models

    def _told(self, answer: Answer) -> None:
        self.figures.answered(answer)
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
