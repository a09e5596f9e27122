"""An answer made again: from its record alone as it was shown, or by asking again what it was asked, of the same release."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.answer_record import AnswerRecord, Span, spans
from app.answering import Answer, ask
from app.citations import Unit, cite
from app.generators import Generator
from indexer.errors import IndexDamagedError, IndexMissingError, RecordError
from indexer.release import Release


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of an answer that came out otherwise; `before` and `now` are its lines, worded for people."""

    part: str
    before: tuple[str, ...]
    now: tuple[str, ...]


def released(record: AnswerRecord, get: Callable[[str], Release]) -> Release:
    """The release that an answer is from. Raises RecordError where it was collected."""
    try:
        return get(record.release)
    except IndexMissingError:
        raise RecordError(
            f"回答 `{record.id}` 所依据的版本 `{record.release}` 已经清除，不能重放",
            f"当时的文字和引用位置仍在：qizhen answers show {record.id}；要更久能重放，qizhen index collect 时用 --keep 多留几版",
        ) from None


def replay(record: AnswerRecord, release: Release, generator: Generator) -> tuple[Difference, ...]:
    """Ask again what was asked, with the same history; what came out otherwise, nothing where all is the same."""
    return differences(record, ask(release, record.question, record.history, generator))


def differences(record: AnswerRecord, answer: Answer) -> tuple[Difference, ...]:
    """What of an answer is not as it is recorded."""
    compared = (
        ("结果", (record.status,), (answer.status,)),
        ("句子", _said(record), _said(answer)),
        ("引用", _places(record.citations), _places(spans(answer))),
        ("提示", record.notices, answer.notices),
        ("候选", tuple(c.title for c in record.candidates), tuple(c.title for c in answer.candidates)),
    )
    return tuple(Difference(part, before, now) for part, before, now in compared if before != now)


def answer_of(record: AnswerRecord, release: Release) -> Answer:
    """The answer as it was shown. Raises IndexDamagedError where a cited place is not in the release."""
    return Answer(
        question=record.read_as,
        status=record.status,
        sentences=record.sentences,
        citations=tuple(cite(span.number, release.id, _unit(release, span)) for span in record.citations),
        notices=record.notices,
        candidates=record.candidates,
        release=record.release,
        generator=record.generator,
        milliseconds=record.milliseconds,
        verdicts=record.verdicts,
    )


def _unit(release: Release, span: Span) -> Unit:
    document = release.document(span.document)
    section = document.section_at(span.start, span.end) if document else None
    if document is None or section is None:
        raise IndexDamagedError(f"版本 `{release.id}` 里没有 `{span.document}` {span.start}-{span.end}", "运行 qizhen index verify")
    return Unit(document, section, span.start, span.end)


def _said(answer: AnswerRecord | Answer) -> tuple[str, ...]:
    return tuple(sentence.text + "".join(f"[{number}]" for number in sentence.citations) for sentence in answer.sentences)


def _places(cited: Iterable[Span]) -> tuple[str, ...]:
    return tuple(f"[{span.number}] {span.document} {span.start}-{span.end}" for span in cited)
