"""The whole way from a question to a cited answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.citations import Citation, Unit, cite
from app.claims import check_claim
from app.evidence import gather
from app.finding import Clarification, Evidence
from app.following import read_question
from app.generators import GENERATORS, Generator, QuotingGenerator
from app.lookalike import confusion_notices
from app.question import Question, Turn
from app.safety import DISCLAIMER, EMERGENCY, REFUSAL, is_emergency, review_notices
from indexer.documents import Document
from indexer.release import Release
from indexer.terms import fold, tidy

Status = Literal["answered", "refused", "clarify"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A checked sentence; `citations` are the numbers of the citations it rests on."""

    text: str
    citations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document offered instead of an answer.

    `about` tells it apart from its neighbours (class, dosage form); `question` asks the same of it.
    """

    document: str
    title: str
    about: str
    question: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown. A refused or clarifying answer has no sentences; its first notices say why."""

    question: str
    status: Status
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    notices: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    release: str
    generator: str
    milliseconds: float


def ask(release: Release, question: str, history: Sequence[Turn] = (), generator: Generator | None = None) -> Answer:
    """Answer a question from one release. Raises QuestionError for a question that cannot be asked."""
    started = time.perf_counter()
    generator = generator or GENERATORS[QuotingGenerator.name]
    resolved = read_question(release, question, history)
    finding = gather(release, resolved)
    notices = [EMERGENCY] if is_emergency(question, release.guide.words.emergency) else []
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    status: Status = "refused"
    if isinstance(finding, Evidence):
        sentences, citations = _checked(release, generator, resolved.text, finding.units)
        notices += finding.notices
        if sentences:
            status = "answered"
            notices += _confusions(release, resolved)
            notices += review_notices(citation.unit for citation in citations)
        else:
            notices.append(f"{REFUSAL}找到的内容没有通过核对。")
    elif isinstance(finding, Clarification):
        status, candidates = "clarify", _candidates(release, finding.candidates, resolved.text, finding.name)
        notices.append(finding.prompt)
    else:
        candidates = _candidates(release, finding.near, resolved.text, finding.name)
        notices.append(REFUSAL + finding.reason)
    notices.append(DISCLAIMER)
    spent = (time.perf_counter() - started) * 1000
    shown = tuple(dict.fromkeys(notices))
    return Answer(resolved.text, status, sentences, citations, shown, candidates, release.id, generator.name, round(spent, 2))


def _confusions(release: Release, question: Question) -> list[str]:
    """What the drugs that the question itself names are not to be mistaken for."""
    named = {mention.documents for mention in question.query.held}
    return confusion_notices(release, [drug.documents for drug in question.of_kind("drug") if drug.documents in named])


def _checked(
    release: Release, generator: Generator, question: str, units: Sequence[Unit]
) -> tuple[tuple[Sentence, ...], tuple[Citation, ...]]:
    """The generator's sentences that its evidence supports, with citations numbered in the order they are first used."""
    sentences: list[Sentence] = []
    numbered: dict[int, Citation] = {}
    for draft in generator.draft(question, units):
        cited = [units[number] for number in draft.units]
        titles = " ".join(unit.document.title for unit in cited)
        if not cited or any(check_claim(draft.text, unit.text, title=titles).verdict != "supported" for unit in cited):
            continue
        for number, unit in zip(draft.units, cited, strict=True):
            numbered.setdefault(number, cite(len(numbered) + 1, release.id, unit))
        sentences.append(Sentence(draft.text, tuple(numbered[number].number for number in draft.units)))
    return tuple(sentences), tuple(numbered.values())


def _candidates(release: Release, positions: Sequence[int], question: str, name: str) -> tuple[Candidate, ...]:
    documents = [release.store.document(position) for position in positions]
    unique = {fold(document.title): document for document in reversed(documents)}
    offered = (candidate_of(release, document) for document in reversed(unique.values()))
    return tuple(replace(candidate, question=_renamed(question, name, candidate.title)) for candidate in offered)


def _renamed(question: str, name: str, title: str) -> str:
    """The question asked of another name; just that name where the first does not stand in the question."""
    at = fold(question).find(name) if name else -1
    plain = tidy(question)
    return plain[:at] + title + plain[at + len(name) :] if at >= 0 else title


def candidate_of(release: Release, document: Document) -> Candidate:
    """A document as something to choose, with its class or dosage form in a few words."""
    for name in ("药物类别", "规格与剂型", "概述", "就诊科室"):
        for section in release.guide.find(document, name)[:1]:
            return Candidate(document.id, document.title, document.body(section).split("\n")[0].removeprefix("- ")[:40])
    return Candidate(document.id, document.title, "")
