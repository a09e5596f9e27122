"""An answer as it leaves the chat, copied or in a file: sentences with their marks, sources with the words that were cited."""

from dataclasses import dataclass
from html import escape
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.answering import Answer
from app.citations import Citation
from app.layout import RECORDED_AS, groups, leading

SOURCES = "来源"
RELEASE = "知识库版本 {release}"


@dataclass(frozen=True, slots=True)
class SheetSentence:
    """A sentence and the numbers of its citations."""

    text: str
    citations: tuple[int, ...]

    @property
    def marked(self) -> str:
        """The sentence with its marks behind it."""
        return self.text.replace("\n", " ") + "".join(f"[{number}]" for number in self.citations)


@dataclass(frozen=True, slots=True)
class SheetGroup:
    """Sentences under the heading of the place that they are from."""

    heading: str
    sentences: tuple[SheetSentence, ...]


@dataclass(frozen=True, slots=True)
class SheetSource:
    """A citation for people: title, section, page, publisher, date, state of review in one line, and the words that were cited."""

    number: int
    label: str
    quote: str


@dataclass(frozen=True, slots=True)
class AnswerSheet:
    """What is written of one answer. `first` are the notices before the sentences, `last` those behind them, the disclaimer at the end.

    `record` is the id that the answer is recorded under, "" for none.
    """

    question: str
    first: tuple[str, ...]
    groups: tuple[SheetGroup, ...]
    last: tuple[str, ...]
    choices: tuple[str, ...]
    sources: tuple[SheetSource, ...]
    release: str
    record: str

    @property
    def origin(self) -> str:
        """The release, and the record where there is one."""
        return " · ".join([RELEASE.format(release=self.release), *([RECORDED_AS.format(record=self.record)] if self.record else [])])


_SHEET = TypeAdapter(AnswerSheet)


def sheet_of(answer: Answer, record: str) -> AnswerSheet:
    """What is written of an answer."""
    first, last = leading(answer.notices)
    found = groups(answer.sentences, answer.citations)
    return AnswerSheet(
        question=answer.question,
        first=tuple(first),
        groups=tuple(
            SheetGroup(f"{group.title} · {group.section}", tuple(SheetSentence(s.text, s.citations) for s in group.sentences))
            for group in found
        ),
        last=tuple(last),
        choices=tuple(candidate.title for candidate in answer.candidates),
        sources=tuple(SheetSource(citation.number, _label(citation), citation.quote) for citation in answer.citations),
        release=answer.release,
        record=record,
    )


def _label(citation: Citation) -> str:
    unit = citation.unit
    source = unit.document.source
    page = f"第 {unit.page} 页" if unit.page else ""
    publisher = source.publisher if source.publisher != source.title else ""
    parts = (unit.document.title, unit.section.title, page, source.title, publisher, source.revised, source.review)
    return " · ".join(part for part in parts if part)


def sheet_json(sheet: AnswerSheet) -> dict[str, Any]:
    """A sheet as values that JSON holds."""
    values: dict[str, Any] = _SHEET.dump_python(sheet, mode="json")
    return values


def read_sheet(values: object) -> AnswerSheet | None:
    """The sheet of such values; None for what is none, since they have been where others write."""
    try:
        return _SHEET.validate_python(values)
    except ValidationError:
        return None


def plain_text(sheet: AnswerSheet) -> str:
    """An answer as plain text."""
    lines = [*sheet.first, *([""] if sheet.first else [])]
    for group in sheet.groups:
        lines += [group.heading, *(sentence.marked for sentence in group.sentences), ""]
    lines += [*sheet.last[:-1], *(f"{number}. {choice}" for number, choice in enumerate(sheet.choices, 1))]
    if sheet.sources:
        lines += ["", SOURCES, *(f"[{source.number}] {source.label}" for source in sheet.sources)]
    return "\n".join([*lines, "", sheet.origin, *sheet.last[-1:]]).strip()


def html_text(sheet: AnswerSheet) -> str:
    """An answer as HTML, for what takes more than plain text."""
    pieces = [f"<p><strong>{escape(notice)}</strong></p>" for notice in sheet.first]
    for group in sheet.groups:
        items = "".join(f"<li>{escape(sentence.marked)}</li>" for sentence in group.sentences)
        pieces.append(f"<p><strong>{escape(group.heading)}</strong></p><ul>{items}</ul>")
    pieces += [f"<p>{escape(notice)}</p>" for notice in sheet.last[:-1]]
    if sheet.choices:
        pieces.append(f"<ol>{''.join(f'<li>{escape(choice)}</li>' for choice in sheet.choices)}</ol>")
    if sheet.sources:
        listed = "<br>".join(f"[{source.number}] {escape(source.label)}" for source in sheet.sources)
        pieces.append(f"<p><strong>{SOURCES}</strong><br>{listed}</p>")
    return "".join([*pieces, f"<p>{'<br>'.join(escape(line) for line in (sheet.origin, *sheet.last[-1:]))}</p>"])
