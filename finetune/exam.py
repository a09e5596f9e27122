"""Questions with what a right answer holds, from every form of file they come in.

.jsonl                  {"id", "question", "documents", "section", "terms", ...} a line, as `qizhen measure` reads them
.csv                    the original drug table: 药品, 药品适应症, 医学专家标注的适应病症 (items parted by |), instruction
.jsonl, .jsonl.gz       canonical samples ("messages" in their first line): the bare questions among them
"""

import csv
import hashlib
import html
import io
import json
import random
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.question import Turn
from app.questions_file import read_questions
from app.weights import file_digest
from finetune.asking import load_asking
from finetune.json_files import open_lines
from indexer.errors import QizhenError, QuestionError
from indexer.terms import bare, fold

Templates = Literal["held-out", "dev", "seen", "all"]
# Of which split each choice of unseen forms asks.
_UNSEEN: Mapping[str, str] = {"held-out": "test", "dev": "dev"}
Terms = tuple[tuple[str, ...], ...]
Place = tuple[str, str]  # document id, name of the section

_DRUG, _LABEL, _ITEMS, _INSTRUCTION = "药品", "药品适应症", "医学专家标注的适应病症", "instruction"
_INDICATIONS = "适应症"
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,200}>")
_BREAK = re.compile(r"</p>|<br\s*/?>", re.IGNORECASE)
# Samples that show their evidence are no closed-book questions.
_SHOWS_EVIDENCE = "<资料>"
_CLOSED_BOOK = ("closed", "refusal")
_ASKED_KINDS = ("drug/", "disease/")  # that questions.toml has templates for


@dataclass(frozen=True, slots=True)
class ExamQuestion:
    """A question and what is known of its answer.

    `documents` and `section` say where the answer stands, `terms` hold the accepted forms of every expected item, `reference` is the
    text of a right answer; each may be empty. `refuse`: it must not be answered; `clarify`: it should be asked back. `group` is its
    row in tables.
    """

    id: str
    question: str
    history: tuple[Turn, ...] = ()
    documents: tuple[str, ...] = ()
    section: str = ""
    terms: Terms = ()
    reference: str = ""
    refuse: bool = False
    clarify: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True)
class Exam:
    """A file of questions. `digest` is the SHA-256 of the file; `documents` are rows of a knowledge base that the file itself holds."""

    name: str
    path: Path
    digest: str
    questions: tuple[ExamQuestion, ...]
    documents: tuple[Mapping[str, Any], ...] = ()


def read_exam(path: Path, templates: Templates = "held-out", name: str = "") -> Exam:
    """Read a file of questions in whichever of its forms, called by its own name or another. `templates` chooses among samples.

    Raises QuestionError.
    """
    try:
        digest = file_digest(path)
    except OSError as error:
        raise QuestionError(f"问题文件 `{path}` 读不出来：{error}", "检查路径") from error
    documents: tuple[Mapping[str, Any], ...] = ()
    if path.suffix.lower() == ".csv":
        questions, documents = _table(path, path.read_bytes())
    elif "messages" in _first_row(path):
        questions = list(_samples(path, templates))
    else:
        questions = [_plain(asked) for asked in read_questions(path)]
    return Exam(name or path.name, path, digest, tuple(questions), documents)


def is_scorable(question: ExamQuestion) -> bool:
    """Whether anything is known of the right answer."""
    return bool(question.terms or question.reference or question.refuse or question.clarify)


def plain_text(text: str) -> str:
    """Text without HTML tags and entities: labels of the original table hold them."""
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", text))).replace("\xa0", " ").strip()


def expected_terms(exams: Iterable[Exam], canonical: Callable[[str], str]) -> dict[Place, Terms]:
    """What experts expect of a section, from all questions about one section of one document; `canonical` names a section."""
    held: dict[Place, dict[str, tuple[str, ...]]] = {}
    for exam in exams:
        for question in exam.questions:
            if question.terms and question.section and len(question.documents) == 1:
                place = (question.documents[0], canonical(question.section))
                held.setdefault(place, {}).update({bare(forms[0]): forms for forms in question.terms})
    return {place: tuple(items.values()) for place, items in held.items()}


def with_terms(exam: Exam, known: Mapping[Place, Terms], canonical: Callable[[str], str]) -> Exam:
    """The exam; its questions without expected items get those that are known of the section that answers them."""

    def given(question: ExamQuestion) -> ExamQuestion:
        if question.terms or question.refuse or len(question.documents) != 1:
            return question
        return replace(question, terms=known.get((question.documents[0], canonical(question.section)), ()))

    return replace(exam, questions=tuple(map(given, exam.questions)))


def few_of(exam: Exam, limit: int, seed: int) -> Exam:
    """At most `limit` questions (0: all), the same ones for a seed wherever they stand in the file."""
    if not limit or len(exam.questions) <= limit:
        return exam
    chosen = sorted(exam.questions, key=lambda question: hashlib.sha256(f"{seed}\0{question.id}".encode()).digest())[:limit]
    kept = {question.id for question in chosen}
    return replace(exam, questions=tuple(question for question in exam.questions if question.id in kept))


def _plain(asked: Any) -> ExamQuestion:
    return ExamQuestion(
        id=asked.id,
        question=asked.question,
        history=asked.history,
        documents=tuple(asked.documents),
        section=asked.section,
        terms=asked.terms,
        reference=asked.span,
        refuse=asked.refuse,
        clarify=asked.clarify,
        group=asked.category or asked.section,
    )


def _table(path: Path, data: bytes) -> tuple[list[ExamQuestion], tuple[Mapping[str, Any], ...]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("gb18030")
        except UnicodeDecodeError as error:
            raise QuestionError(f"问题文件 `{path}` 读不出来：{error}", "编码应为 UTF-8 或 GB18030") from error
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    absent = [name for name in (_DRUG, _LABEL, _ITEMS) if not rows or name not in rows[0]]
    if absent:
        raise QuestionError(f"问题文件 `{path}` 缺少列 `{'、'.join(absent)}`", f"药品表的列：{_DRUG},{_LABEL},{_ITEMS},{_INSTRUCTION}")
    questions, documents = [], []
    for number, row in enumerate(rows):
        drug, label = (row[_DRUG] or "").strip(), plain_text(row[_LABEL] or "")
        items = tuple((item.strip(),) for item in re.split(r"[|｜]", row[_ITEMS] or "") if item.strip())
        if not drug or not items:
            raise QuestionError(f"问题文件 `{path}` 第 `{number + 2}` 行没有{_ITEMS if drug else _DRUG}", "补上这一格，或删去这一行")
        where = f"table/{path.stem}/{number:03d}"
        question = (row.get(_INSTRUCTION) or "").strip() or f"{drug}的适应病症"
        questions.append(ExamQuestion(f"t{number:03d}", question, (), (where,), _INDICATIONS, items, group=_INDICATIONS))
        documents.append({"id": where, "kind": "drug", "title": drug, "sections": [{"title": _INDICATIONS, "text": label or drug}]})
    return questions, tuple(documents)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not empty, with their numbers; .gz is unpacked. Raises QuestionError."""
    try:
        with open_lines(path) as lines:
            yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise QuestionError(f"问题文件 `{path}` 读不出来：{error}", "文件应为 UTF-8 编码的 JSON Lines，可用 gzip 压缩") from error


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in text_lines(path):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise QuestionError(f"问题文件 `{path}` 第 `{number}` 行不是 JSON：{error}", "改正这一行后重试") from error


def _first_row(path: Path) -> Mapping[str, Any]:
    try:
        row: Any = next((row for _, row in _rows(path)), {})
    except QizhenError:
        return {}  # told by the reader that follows, with its line
    return row if isinstance(row, dict) else {}


@dataclass(frozen=True, slots=True)
class _Taught:
    """What the train rows of a file of samples teach: entities, templates, and for every field of an entity one row about it."""

    entities: Set[str]
    templates: Set[str]
    facts: Mapping[tuple[str, str], Mapping[str, Any]]


def _taught(path: Path) -> _Taught:
    entities: set[str] = set()
    templates: set[str] = set()
    facts: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in (row for _, row in _rows(path) if row.get("split") == "train"):
        entities.add(fold(row.get("entity", "")))
        templates.add(row.get("template", ""))
        if row.get("kind") == "closed" and row["template"].startswith(_ASKED_KINDS):
            facts.setdefault((row["entity"], row["field"]), row)
    return _Taught(entities, templates, facts)


def _samples(path: Path, templates: Templates) -> Iterator[ExamQuestion]:
    """The bare questions of a file of samples; of unseen forms, what was taught is asked in every one of its split."""
    taught, split = _taught(path), _UNSEEN.get(templates, "")
    if split:
        yield from (question for row in taught.facts.values() for question in _in_unseen_forms(row, taught, split))
    for number, row in _rows(path):
        try:
            turns = [Turn(turn["role"], turn["content"]) for turn in row["messages"]]
            entity_seen, seen = fold(row["entity"]) in taught.entities, row["template"] in taught.templates
            chosen = templates == "all" or (row["split"] == split and not seen if split else seen)
            again = split and row["kind"] == "closed" and (row["entity"], row["field"]) in taught.facts
            if chosen and not again and row["kind"] in _CLOSED_BOOK and _SHOWS_EVIDENCE not in turns[-2].content:
                yield _sample(row, turns, entity_seen, seen)
        except (KeyError, TypeError, IndexError) as error:
            raise QuestionError(f"样本文件 `{path}` 第 `{number}` 行不是样本：{error!r}", "用 qizhen-finetune data check 查看") from error


def _in_unseen_forms(row: Mapping[str, Any], taught: _Taught, split: str) -> Iterator[ExamQuestion]:
    """A fact that was taught, asked by its name in every held-out template of a split; the slots are filled alike on every run."""
    asking, entity, field = load_asking(), row["entity"], row["field"]
    for template in asking.form(row["template"].split("/")[0], field).held_out:
        if template.id in taught.templates or template.split != split:
            continue
        dice = random.Random(f"{entity}/{field}/{template.id}")  # noqa: S311 - a seeded draw
        question = asking.fill(template, entity, field, dice)
        turns = [Turn("user", question), Turn("assistant", row["messages"][-1]["content"])]
        yield _sample({**row, "id": f"{entity}/{template.id}"}, turns, entity_seen=True, template_seen=False)


def _sample(row: Mapping[str, Any], turns: Sequence[Turn], entity_seen: bool, template_seen: bool) -> ExamQuestion:
    refuse = row["kind"] == "refusal"
    cell = f"{'已学' if entity_seen else '未学'}对象·{'已学' if template_seen else '未学'}问法"
    return ExamQuestion(
        id=row["id"],
        question=turns[-2].content,
        history=tuple(turns[:-2]),
        documents=() if refuse else tuple(dict.fromkeys(d["id"] for d in row["provenance"].get("documents", ()))),
        section="" if refuse else row["field"],
        reference="" if refuse else turns[-1].content,
        refuse=refuse,
        group=f"应拒绝·{cell}" if refuse else cell,
    )
