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


# An item of a list, and what it is about: - 阿莫西林:用于……, 1. 羟考酮.
_ITEM = re.compile(r"^(?:[-*•][ \t]+|\d{1,2}[.、)][ \t]*)([^:：\n]{2,40})(?=[:：]|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list that an answer showed: what it is about, and the held drugs of that name, if any."""

    name: str
    drugs: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What has been established so far.

    `subjects` is what it is about now, `named` everything it was about, the latest last; `sections` and `groups` are what was asked
    of them; `lost` is a question about something that is not held; `asked` and `said` are the last words of either side; `listed` is
    the list of drugs that an answer showed last.
    """

    subjects: tuple[Subject, ...] = ()
    named: tuple[Subject, ...] = ()
    sections: tuple[str, ...] = ()
    groups: tuple[Population, ...] = ()
    patient: Patient = NOBODY
    lost: Question | None = None
    asked: str = ""
    said: str = ""
    listed: tuple[Item, ...] = ()

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
        listed = listed_in(release, answer) if all(subject.kind == "disease" for subject in headed) else ()
        told = replace(self, said=answer, listed=listed or self.listed, lost=lost, sections=self.sections or _headings(release, answer))
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


def listed_in(release: Release, answer: str) -> tuple[Item, ...]:
    """The items of the list of drugs in an answer, by its lines; where it has none, the drugs it names.

    An item counts though its drug is not held, and a drug that an item only speaks of does not: 第三个 is what stands third.
    """
    lines = [found[1] for found in _ITEM.finditer(answer)]
    items = tuple(Item(_BRACKETED.sub("", fold(line)).strip(), _drugs(release, line)) for line in lines)
    if items and sum(bool(item.drugs) for item in items) >= len(items) / 2:  # no signs or causes that speak of a drug here and there
        return items
    named = _drugs(release, answer)
    return tuple(Item(drug.name, (drug,)) for drug in named) if len(named) > 1 else ()


def _drugs(release: Release, said: str) -> tuple[Subject, ...]:
    return tuple(subject for subject in offered(release, said) if subject.kind == "drug")


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
