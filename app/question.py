"""What is asked about what: a question resolved against a release and the conversation before it."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.patient import patient_age
from indexer.documents import Document
from indexer.errors import QuestionError
from indexer.names import Mention
from indexer.query import Query, read_query
from indexer.release import Release
from indexer.sections import Population
from indexer.terms import fold, terms, tidy

LONGEST_QUESTION = 2000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_MYSELF = re.compile(r"我自己|本人|我(能|可以)")
_FOLLOWING = re.compile(r"呢[?。!]*$|^那")
_MAY_TAKE = re.compile(r"(能|可以?|可否)(不能|不可以)?(吃|用|服)|(吃|用|服)(吗|么|行)")
_PRONOUN = re.compile(r"它|这个?药|该药|此药|这种药|这个?病|该病|此病|这种病|上述|上面|前面|刚才")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation: `role` is user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A held drug or disease that a question is about; several documents may bear the name. `form` is the dosage form named."""

    name: str
    kind: str
    documents: tuple[int, ...]
    form: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question resolved.

    `subjects` are what it names (or takes from the conversation); `other` is a name found only inside a longer one that is not
    held; `unknown` is what it seems to be about where nothing of it is held. `age` is the patient's in months, where it is told;
    `told` are patient groups told earlier in the conversation.
    """

    text: str
    query: Query
    subjects: tuple[Subject, ...]
    sections: tuple[str, ...]
    other: Mention | None
    unknown: str
    age: float | None = None
    told: tuple[Population, ...] = ()

    def of_kind(self, kind: str) -> tuple[Subject, ...]:
        """Subjects that are drugs, or diseases."""
        return tuple(subject for subject in self.subjects if subject.kind == kind)


def check_text(text: str) -> str:
    """The question without white space around it. Raises QuestionError for one that cannot be asked."""
    stripped = text.strip()
    if not any(c.isalnum() for c in stripped):
        raise QuestionError(f"问题是空的：`{stripped[:20]}`", "写出要问的药品或疾病，例如：非布司他的禁忌是什么？")
    if (length := max(len(stripped), len(tidy(stripped)))) > LONGEST_QUESTION:
        raise QuestionError(f"问题有 `{length}` 字，最长 {LONGEST_QUESTION} 字", "只写要问的内容，资料请放进知识库")
    if control := _CONTROL.search(stripped):
        raise QuestionError(f"问题的第 `{control.start() + 1}` 个字是控制字符 `U+{ord(control[0]):04X}`", "删去该字符，或重新输入")
    return stripped


def read_question(release: Release, text: str, history: Sequence[Turn] = ()) -> Question:
    """Resolve a question; what it leaves open comes from the conversation: its subject, what is asked of it, the patient."""
    question = _resolve(release, check_text(text))
    turns = [turn.content[:LONGEST_QUESTION] for turn in history if turn.role == "user" and any(c.isalnum() for c in turn.content)]
    told = [_resolve(release, turn) for turn in turns]
    earlier = next((asked for asked in reversed(told) if asked.subjects or asked.other or _names(asked)), None)
    if earlier is not None:
        question = _follow(release, question, earlier)
    if question.age is not None or question.query.populations or _MYSELF.search(question.query.folded):
        return question
    age = next((asked.age for asked in reversed(told) if asked.age is not None), None)
    return replace(question, age=age, told=tuple(dict.fromkeys(group for asked in told for group in asked.query.populations)))


def _names(question: Question) -> str:
    """What an earlier question was about where nothing of it is held."""
    return question.unknown or ("" if question.sections else max(_content(question.query.residue), key=len, default=""))


def _follow(release: Release, question: Question, earlier: Question) -> Question:
    """Join a question to the one before it: "它的禁忌呢", "那儿童呢", "泼尼松龙呢", "能和华法林一起吃吗"."""
    folded = question.query.folded
    points_back = bool(_PRONOUN.search(folded) or _FOLLOWING.search(folded))
    if question.other is not None:
        return question
    if question.subjects:
        kinds = {subject.kind for subject in question.subjects}
        together = "药物相互作用" in question.sections and len(question.subjects) == 1
        drugs = earlier.of_kind("drug")
        if drugs and ((together and kinds == {"drug"}) or (kinds == {"disease"} and _MAY_TAKE.search(folded))):
            return replace(question, subjects=(*drugs, *(s for s in question.subjects if s not in drugs)))
        if points_back and not question.sections and earlier.sections and kinds <= kinds_of(release, earlier.sections):
            return replace(question, sections=earlier.sections)
        return question
    together = question.sections == ("药物相互作用",)
    open_ended = points_back or together or not _content(question.query.pointed)
    asks = question.sections or question.query.populations or question.age is not None or points_back
    return _carry_over(release, question, earlier) if open_ended and asks else question


def _carry_over(release: Release, question: Question, earlier: Question) -> Question:
    """Take the subjects of an earlier question, and what it asked for where this one does not say."""
    headings = _headings(release, [position for subject in earlier.subjects for position in subject.documents])
    query = read_query(question.text, release.names, release.guide, headings)
    kinds = {subject.kind for subject in earlier.subjects}
    fitting = [cue.name for cue in query.cues if cue.title or not kinds or kinds_of(release, [cue.name]) & kinds]
    return replace(
        question,
        query=query,
        subjects=earlier.subjects,
        other=earlier.other,
        unknown="" if earlier.subjects or earlier.other else _names(earlier),
        sections=tuple(dict.fromkeys(fitting)) or question.sections or earlier.sections,
    )


def _resolve(release: Release, text: str) -> Question:
    query = read_query(text, release.names, release.guide)
    named = [position for mention in query.held for position in mention.documents]
    if named:
        query = read_query(text, release.names, release.guide, _headings(release, named))
    subjects: dict[tuple[int, ...], Subject] = {}
    for mention in query.held:
        name = query.folded[mention.start : mention.end]
        subjects.setdefault(mention.documents, Subject(name, mention.kind, mention.documents, mention.form))
    sections = tuple(dict.fromkeys(cue.name for cue in query.cues))
    drug_held = any(subject.kind == "drug" for subject in subjects.values())
    others = (m for m in query.mentions if m.is_other and not (drug_held and m.kind == "disease"))
    other = next(others, None) or _joined(query, sections)
    unknown = "" if other else _unknown(release, query, tuple(subjects.values()), sections)
    return Question(text, query, tuple(subjects.values()), sections, other, unknown, patient_age(text))


def _joined(query: Query, sections: Sequence[str]) -> Mention | None:
    """Two drugs' names without anything between them: a product of both, unless the question is about taking them together."""
    for first, second in itertools.pairwise(query.mentions):
        if first.end == second.start and first.kind == second.kind == "drug" and "药物相互作用" not in sections:
            documents = tuple(dict.fromkeys((*first.documents, *second.documents)))
            return replace(first, end=second.end, documents=documents, whole=query.folded[first.start : second.end])
    return None


def _unknown(release: Release, query: Query, subjects: Sequence[Subject], sections: Sequence[str]) -> str:
    """What the question is about where it asks for sections that none of its subjects could have, or has no subject."""
    if not sections:
        return ""
    asked = kinds_of(release, sections)
    if any(subject.kind in asked for subject in subjects):
        return ""
    return max(_content(query.pointed) or _content(query.residue), key=len, default="")


def _content(runs: Sequence[str]) -> list[str]:
    """Runs that say something: a lone Chinese character does not."""
    return [run for run in runs if len(run) > 1]


def kinds_of(release: Release, sections: Iterable[str]) -> set[str]:
    """The kinds of documents that have one of these sections; a heading that no canonical section means may be any document's."""
    kinds: set[str] = set()
    for name in sections:
        canonical = release.guide.named(name)
        kinds |= set(canonical.kinds) if canonical else {"drug", "disease", "text"}
    return kinds


def _headings(release: Release, positions: Sequence[int]) -> list[str]:
    documents: list[Document] = [release.store.document(position) for position in positions]
    return sorted({fold(section.title) for document in documents for section in document.sections})


def content_terms(query: Query) -> list[str]:
    """Terms of what the question says beyond names, cues and question words."""
    return sorted({term for run in query.residue for term in terms(run)})
