"""What is kept of every answer: enough to show it again, to make it again from the same release, and to say whose it was."""

import datetime
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from app.answering import Answer, Candidate, Sentence, Status
from app.database import TABLES
from app.question import Turn

Way = Literal["chat", "api", "openai"]

# Crockford's: no letter that can be taken for a digit, or for another letter, when it is read out.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans("OILU", "011V")
_GROUPS, _GROUP = 3, 4  # 60 bits: nobody guesses one, and ten million of them hardly ever meet

ANSWERS = Table(
    "answers",
    TABLES,
    Column("id", String(14), primary_key=True),
    Column("at", String(24), nullable=False),
    Column("person", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("way", String(8), nullable=False),
    Column("thread", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("history", Text, nullable=False),
    Column("read_as", Text, nullable=False),
    Column("chosen", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("generator", Text, nullable=False),
    Column("status", String(8), nullable=False),
    Column("sentences", Text, nullable=False),
    Column("citations", Text, nullable=False),
    Column("notices", Text, nullable=False),
    Column("candidates", Text, nullable=False),
    Column("verdicts", Text, nullable=False),
    Column("milliseconds", Float, nullable=False),
    Column("rating", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Index("answers_by_time", "at", "id"),
    Index("answers_by_person", "person", "at"),
    Index("answers_by_step", "step"),
)
_JSON = ("history", "settings", "sentences", "citations", "notices", "candidates", "verdicts")
_PLAIN = tuple(column.name for column in ANSWERS.columns if column.name not in _JSON)


@dataclass(frozen=True, slots=True)
class Asking:
    """A question on its way, and whose it is.

    `generator` is "" for the default; `key` the id of the API key, `thread` and `step` the conversation and the message of the chat
    that the answer will be, each "" where there is none.
    """

    question: str
    history: tuple[Turn, ...]
    generator: str
    person: str
    way: Way
    key: str = ""
    thread: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A citation: its number in the answer, and the place in the release that the answer is from."""

    number: int
    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer as it was shown.

    `at` is UTC, ISO 8601 with milliseconds. `question` is as it was asked, `read_as` as it was understood. `chosen` is the generator
    that was asked, `generator` the one whose sentences were shown; `settings` what else the text depends on (app/answer_settings.py).
    `rating` is 1, -1, or 0 for none.
    """

    id: str
    at: str
    person: str
    key: str
    way: Way
    thread: str
    step: str
    question: str
    history: tuple[Turn, ...]
    read_as: str
    chosen: str
    settings: Mapping[str, str]
    release: str
    generator: str
    status: Status
    sentences: tuple[Sentence, ...]
    citations: tuple[Span, ...]
    notices: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    verdicts: tuple[str, ...]
    milliseconds: float
    rating: int = 0
    comment: str = field(default="", repr=False)


def record_of(asking: Asking, answer: Answer, chosen: str, settings: Mapping[str, str], moment: datetime.datetime) -> AnswerRecord:
    """A new record, with an id of its own."""
    return AnswerRecord(
        id=new_id(),
        at=stamp(moment),
        person=asking.person,
        key=asking.key,
        way=asking.way,
        thread=asking.thread,
        step=asking.step,
        question=asking.question,
        history=asking.history,
        read_as=answer.question,
        chosen=chosen,
        settings=settings,
        release=answer.release,
        generator=answer.generator,
        status=answer.status,
        sentences=answer.sentences,
        citations=spans(answer),
        notices=answer.notices,
        candidates=answer.candidates,
        verdicts=answer.verdicts,
        milliseconds=answer.milliseconds,
    )


def spans(answer: Answer) -> tuple[Span, ...]:
    """An answer's citations as places."""
    return tuple(Span(c.number, c.unit.document.id, c.unit.start, c.unit.end) for c in answer.citations)


def stamp(moment: datetime.datetime) -> str:
    """A moment as it is kept: in order as text, the same in every database."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """An id that is short enough to be read out, and long enough not to be guessed: 7K3M-9QXT-2FHD."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def read_id(told: str) -> str:
    """An id as people type it, in its own spelling; "" for what cannot be one."""
    letters = "".join(told.split()).replace("-", "").upper().translate(_MISREAD)
    if len(letters) != _GROUPS * _GROUP or any(letter not in _LETTERS for letter in letters):
        return ""
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def row_of(record: AnswerRecord) -> dict[str, Any]:
    """A record as a row of ANSWERS."""
    lists: dict[str, Mapping[str, Any] | Sequence[Any]] = {
        "history": [{"role": turn.role, "content": turn.content} for turn in record.history],
        "settings": dict(record.settings),
        "sentences": [{"text": sentence.text, "citations": sentence.citations} for sentence in record.sentences],
        "citations": [{"number": s.number, "document": s.document, "start": s.start, "end": s.end} for s in record.citations],
        "notices": record.notices,
        "candidates": [asdict(candidate) for candidate in record.candidates],
        "verdicts": record.verdicts,
    }
    plain = {name: getattr(record, name) for name in _PLAIN}
    return {**plain, **{name: _json_text(value) for name, value in lists.items()}}


def record_from(row: Mapping[str, Any]) -> AnswerRecord:
    """The record of a row."""
    plain: dict[str, Any] = {**row, **{name: json.loads(row[name]) for name in _JSON}}
    return AnswerRecord(
        **{
            **plain,
            "history": tuple(Turn(**turn) for turn in plain["history"]),
            "sentences": tuple(Sentence(entry["text"], tuple(entry["citations"])) for entry in plain["sentences"]),
            "citations": tuple(Span(**span) for span in plain["citations"]),
            "notices": tuple(plain["notices"]),
            "candidates": tuple(Candidate(**candidate) for candidate in plain["candidates"]),
            "verdicts": tuple(plain["verdicts"]),
        }
    )


def _json_text(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON that every database takes: half a character, which a client may send in a history, stays as its escape."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
