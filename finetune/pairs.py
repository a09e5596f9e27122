"""Pairs of texts that belong together, by where they come from: what encoders are trained on, and the questions they are measured on."""

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from finetune.asking import load_asking
from finetune.json_files import open_lines
from indexer.documents import Document, Section
from indexer.errors import QizhenError
from indexer.readers import read_documents
from indexer.sections import SectionGuide, guide_text, load_guide

Pair = tuple[str, str]

_STRETCH = 300  # characters of a section in one pair, as in a passage
_SHORTEST = 8
_ALIAS_SHARE = 0.3
_CROPPED = 100
# Sections whose texts alone, without the name, should lead to it.
_DESCRIBING = ("适应症", "临床表现")
_SENTENCE_END = re.compile(r"(?<=[。；！？])")
_PAIR_HINT = '每行一个 {"question","passage"} 或 {"a","b","same"}'
_SET_HINT = '文件夹里要有 kb.jsonl 和 questions.jsonl，问题每行一个 {"question","documents"}'
_RELEVANT = 2  # the grade from which a document answers a question


@dataclass(frozen=True, slots=True)
class PairSource:
    """Pairs of one kind; negatives for a pair are taken from its own kind. `repeats` is how often an epoch goes through them."""

    name: str
    pairs: tuple[Pair, ...]
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Questions kept from training, with the texts among which their answers are to be found; `grades` by text number, above 0."""

    name: str
    questions: tuple[str, ...]
    grades: tuple[Mapping[int, int], ...]
    texts: tuple[str, ...]


def is_held_out(question: str) -> bool:
    """Half of all questions, by their text: the same half whatever stands beside them."""
    return hashlib.sha256(question.encode()).digest()[5] < 128


def read_pairs(path: Path) -> Iterator[Pair]:
    """Pairs of texts of one meaning from JSON Lines: {"question","passage"} or {"a","b","same"} a line. Raises QizhenError."""
    for row in _rows(path, _PAIR_HINT, lambda row: "question" in row if "passage" in row else {"a", "b"} <= row.keys()):
        if "passage" in row:
            yield row["question"], row["passage"]
            if row.get("long"):
                yield row["long"], row["passage"]
        elif row.get("same"):
            yield row["a"], row["b"]


def _rows(path: Path, hint: str, fits: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file. Raises QizhenError with every line that is none or does not fit."""
    rows, wrong = [], []
    try:
        with open_lines(path) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if isinstance(row, dict) and fits(row):
                    rows.append(row)
                else:
                    wrong.append(f"{path}:{number}")
    except (OSError, ValueError) as error:
        raise QizhenError(f"`{path}` 读不出来：{error}", hint) from error
    if wrong:
        listed = "、".join(wrong[:5])
        raise QizhenError(f"`{path}` 有 {len(wrong)} 行不合格式：{listed}", hint)
    return rows


def pairs_of(document: Document, dice: random.Random) -> Iterator[Pair]:
    """A document's own pairs: questions about its sections to their texts, what tells it to its title, aliases to title."""
    for section in document.sections:
        body = document.body(section)
        if len(body) < _SHORTEST:
            continue
        name = dice.choice(document.aliases) if document.aliases and dice.random() < _ALIAS_SHARE else document.title
        for start in range(0, min(len(body), 3 * _STRETCH), _STRETCH):
            asked = _asked(document, section, name, dice)
            yield asked, f"{document.title} {section.title} {body[start : start + _STRETCH]}"
        if _canonical(document, section) in _DESCRIBING:
            yield body[:_STRETCH], document.title
    for alias in document.aliases:
        yield alias, document.title


def _asked(document: Document, section: Section, name: str, dice: random.Random) -> str:
    """Name and heading, or a question in people's words."""
    if document.kind == "text" or dice.random() < 0.3:
        return f"{name}{section.title}"
    asking = load_asking()
    form = asking.form(document.kind, _canonical(document, section) or section.title)
    return asking.roughen(asking.fill(dice.choice(form.ask), name, section.title, dice), name, dice)


def _canonical(document: Document, section: Section) -> str:
    guide = _guide()
    return next((s.name for s in guide.sections if document.kind in s.kinds and section.title in s.titles), "")


@cache
def _guide() -> SectionGuide:
    return load_guide(guide_text())


def crops_of(document: Document, dice: random.Random) -> Iterator[Pair]:
    """A sentence of each section to the text around it (the inverse cloze task, Lee et al. 2019)."""
    for section in document.sections:
        sentences = [part for part in _SENTENCE_END.split(document.body(section)) if len(part) > _SHORTEST]
        if len(sentences) > 2:
            taken = dice.randrange(len(sentences))
            rest = "".join(sentences[:taken] + sentences[taken + 1 :])
            yield sentences[taken][:_CROPPED], rest[:_STRETCH]


def read_set(folder: Path, split: bool) -> tuple[PairSource, HeldOut]:
    """A retrieval set: `kb.jsonl` and `questions.jsonl`, questions with `documents` or `grades`.

    With `split` half of its questions are held out of the pairs; otherwise all train, and the held out ones are only looked at.
    """
    documents = read_documents([folder / "kb.jsonl"])
    place = {document.id: number for number, document in enumerate(documents)}
    texts = tuple(" ".join(document.body(section) for section in document.sections) for document in documents)
    pairs: list[Pair] = []
    questions, grades = [], []
    for row in _rows(folder / "questions.jsonl", _SET_HINT, lambda row: "question" in row and ("grades" in row or "documents" in row)):
        given = row.get("grades") or dict.fromkeys(row["documents"], 1)
        graded = {place[name]: int(grade) for name, grade in given.items() if name in place and grade > 0}
        if is_held_out(row["question"]):
            questions.append(row["question"])
            grades.append(graded)
        if not (split and is_held_out(row["question"])):
            least = min(_RELEVANT, max(graded.values(), default=0))
            pairs += [(row["question"], texts[number]) for number, grade in graded.items() if grade >= least]
    return PairSource(folder.name, tuple(pairs)), HeldOut(folder.name, tuple(questions), tuple(grades), texts)


def usable(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs of which both sides say something, once each, in order."""
    return tuple(dict.fromkeys((a, b) for a, b in pairs if any(map(str.isalnum, a)) and any(map(str.isalnum, b))))


def pairs_digest(sources: Sequence[PairSource]) -> str:
    """SHA-256 of all pairs, in order."""
    return hashlib.sha256(json.dumps([[s.name, s.pairs] for s in sources], ensure_ascii=False).encode()).hexdigest()
