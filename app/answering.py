"""The whole way from a question to a cited answer."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.checking import Gate
from app.citations import Citation, Unit, cite
from app.evidence import gather
from app.finding import Clarification, Evidence, Finding
from app.following import read_question
from app.generators import Draft, Generator, QuotingGenerator
from app.instructions import without_instructions
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
    """What is shown. A refused or clarifying answer has no sentences; its first notices say why.

    `verdicts` are the checker's, one for each sentence that the generator proposed; they are counted, never shown.
    """

    question: str
    status: Status
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    notices: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    release: str
    generator: str
    milliseconds: float
    verdicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What is known before the first sentence: `units` pieces of evidence, found in `milliseconds`."""

    milliseconds: float
    units: int
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A checked sentence, and the citations that it is the first to use."""

    sentence: Sentence
    citations: tuple[Citation, ...]


def ask(release: Release, question: str, history: Sequence[Turn] = (), generator: Generator | None = None) -> Answer:
    """Answer a question from one release. Raises QuestionError for a question that cannot be asked."""
    return next(step for step in ask_by_sentence(release, question, history, generator) if isinstance(step, Answer))


def ask_by_sentence(
    release: Release, question: str, history: Sequence[Turn] = (), generator: Generator | None = None
) -> Iterator[Found | Said | Answer]:
    """As `ask`, told as it goes: what was found, every sentence once it is checked, the whole answer at the end."""
    started = time.perf_counter()
    generator = generator or QuotingGenerator()
    resolved = read_question(release, question, history)
    finding = gather(release, resolved)
    first = [EMERGENCY] if is_emergency(question, release.guide.words.emergency) else []
    units, withheld = without_instructions(finding.units) if isinstance(finding, Evidence) else ([], [])
    yield Found(_since(started), len(units), tuple(first))
    said: list[Said] = []
    spoken_by, told, verdicts = generator.name, [], []
    if isinstance(finding, Evidence):
        gate = Gate(units)
        for one in _numbered(release, units, gate.checked(generator, resolved.text)):
            said.append(one)
            yield one
        verdicts = gate.verdicts
        spoken_by = QuotingGenerator.name if gate.fell_back else generator.name
        told = [*gate.notices, *finding.notices, *withheld, *(_confusions(release, resolved) if said else [])]
    status, last, candidates = _outcome(release, resolved.text, finding, said)
    yield Answer(
        question=resolved.text,
        status=status,
        sentences=tuple(one.sentence for one in said),
        citations=tuple(citation for one in said for citation in one.citations),
        notices=tuple(dict.fromkeys([*first, *told, *last, DISCLAIMER])),
        candidates=candidates,
        release=release.id,
        generator=spoken_by,
        milliseconds=_since(started),
        verdicts=tuple(verdicts),
    )


def _confusions(release: Release, question: Question) -> list[str]:
    """What the drugs that the question itself names are not to be mistaken for."""
    named = {mention.documents for mention in question.query.held}
    return confusion_notices(release, [drug.documents for drug in question.of_kind("drug") if drug.documents in named])


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


def _numbered(release: Release, units: Sequence[Unit], passed: Iterable[Draft]) -> Iterator[Said]:
    """Checked drafts as sentences, with citations numbered in the order they are first used."""
    numbered: dict[int, Citation] = {}
    for draft in passed:
        new = [number for number in draft.units if number not in numbered]
        for number in new:
            numbered[number] = cite(len(numbered) + 1, release.id, units[number])
        sentence = Sentence(draft.text, tuple(numbered[number].number for number in draft.units))
        yield Said(sentence, tuple(numbered[number] for number in new))


def _outcome(release: Release, question: str, finding: Finding, said: Sequence[Said]) -> tuple[Status, list[str], tuple[Candidate, ...]]:
    """The status of an answer, the notices that go with it, and what is offered instead of one."""
    if isinstance(finding, Evidence):
        if not said:
            return "refused", [f"{REFUSAL}找到的内容没有通过核对。"], ()
        return "answered", review_notices(citation.unit for one in said for citation in one.citations), ()
    if isinstance(finding, Clarification):
        return "clarify", [finding.prompt], _candidates(release, finding.candidates, question, finding.name)
    return "refused", [REFUSAL + finding.reason], _candidates(release, finding.near, question, finding.name)


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
