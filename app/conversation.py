"""What a conversation has established: subjects, what is asked of them, the patient. Folded over its turns."""

import re
from dataclasses import dataclass, replace

from app.patient import NOBODY, Patient
from app.question import NAMELESS, Question, content_runs
from app.safety import REFUSAL
from app.selection import INTERACTION
from app.subject import Subject, unique_subjects
from indexer.query import Query
from indexer.release import Release
from indexer.sections import Population
from indexer.terms import fold

# How answers head what they quote: 华法林（禁忌）：, **华法林钠片 · 禁忌**.
_HEADED = re.compile(r"^([^（）：\n]+)（([^（）]+)）：|^\*\*([^*\n]+) · ([^*\n]+)\*\*", re.MULTILINE)
_BRACKETED = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What has been established so far.

    `subjects` is what it is about now, `named` everything it was about, the latest last; `sections` and `groups` are what was asked
    of them; `lost` is a question about something that is not held; `asked` and `said` are the last words of either side; `listed` are
    the drugs that an answer listed last.
    """

    subjects: tuple[Subject, ...] = ()
    named: tuple[Subject, ...] = ()
    sections: tuple[str, ...] = ()
    groups: tuple[Population, ...] = ()
    patient: Patient = NOBODY
    lost: Question | None = None
    asked: str = ""
    said: str = ""
    listed: tuple[Subject, ...] = ()

    def drugs(self) -> tuple[Subject, ...]:
        """The drugs it is about now."""
        return tuple(subject for subject in self.subjects if subject.kind == "drug")

    def after(self, question: Question) -> "Conversation":
        """What is established once a question has been asked."""
        told = replace(self, patient=question.patient, asked=question.text, said="")
        if question.other is not None or names_unheld(question):
            return replace(told, lost=question, sections=question.sections or self.sections)
        if not question.subjects:
            return told
        rest = tuple(s for s in self.named if s not in question.subjects)
        together = tuple(s for s in question.beside if s in self.subjects)[:1] if INTERACTION in question.sections else ()
        drugs = question.of_kind("drug")
        stands = drugs if drugs and not question.asks_disease else question.subjects
        return replace(
            told,
            subjects=unique_subjects((*together, *stands)),
            named=(*rest, *question.subjects),
            sections=question.sections or (self.sections if question.subjects == self.subjects else ()),
            groups=question.groups,
            lost=None,
        )

    def heard(self, release: Release, answer: str) -> "Conversation":
        """What is established once an answer was given. It ends a question about something not held where it speaks of the subjects
        after all, or took the question for none about a drug or disease.
        """
        named = {position for subject in self.subjects for position in subject.documents}
        headed = _headed(release, answer)
        about_them = self.lost is not None and any(named & set(subject.documents) for subject in offered(release, answer))
        astray = REFUSAL in answer and "没有收录" not in answer
        lost = None if about_them or astray or headed else self.lost
        drugs = tuple(subject for subject in offered(release, answer) if subject.kind == "drug")
        listed = drugs if len(drugs) > 1 and all(subject.kind == "disease" for subject in headed) else self.listed
        told = replace(self, said=answer, listed=listed, lost=lost, sections=self.sections or _headings(release, answer))
        if len(headed) != 1 or set(headed[0].documents) & named:
            return told
        return replace(told, subjects=headed, named=unique_subjects((*self.named, *headed)), sections=_headings(release, answer))


def _headed(release: Release, answer: str) -> tuple[Subject, ...]:
    """The drugs and diseases from whose texts an answer is, as its headings name them."""
    titles = (found[1] or found[3] for found in _HEADED.finditer(answer))
    first = (subject for title in titles for subject in offered(release, title.replace("\\", ""))[:1])
    return unique_subjects([replace(subject, form="") for subject in first])


def _headings(release: Release, answer: str) -> tuple[str, ...]:
    """The sections that an answer is from, as its headings name them."""
    named = (release.guide.named(found[2] or found[4]) for found in _HEADED.finditer(answer))
    return tuple(dict.fromkeys(section.name for section in named if section))


def offered(release: Release, said: str) -> tuple[Subject, ...]:
    """The drugs and diseases that an answer names, in its order."""
    folded = _BRACKETED.sub("", fold(said))
    found = [mention for mention in release.names.mentions(folded) if not mention.is_other]
    return unique_subjects([Subject(m.surface, m.kind, m.documents, m.form) for m in found])


def names_unheld(question: Question) -> str:
    """What a question was about where nothing of it is held: what its sections are asked of, or a bare name."""
    if question.subjects or question.other:
        return ""
    if question.unknown:
        return "" if NAMELESS.fullmatch(question.unknown) else question.unknown
    return "" if question.sections or question.own.is_told else _bare_name(question.query)


def _bare_name(query: Query) -> str:
    runs = content_runs(query.residue)
    return runs[0] if len(runs) == 1 else ""
