"""Samples that give an evaluation away: told apart by question, by a stretch of it, and by what they are about."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.weights import file_digest
from finetune.question_files import QUESTION_NAMES
from finetune.samples import Sample
from indexer.errors import Fault, KnowledgeBaseError, QizhenError
from indexer.names import NameIndex
from indexer.readers import read_documents
from indexer.terms import bare, fold

REPORT, APART = "contamination.json", "contaminated.jsonl"
# Characters in a row, without white space and punctuation: what language models are customarily decontaminated by (13-grams of words in
# English; for Chinese questions, of which few are longer than 40 characters, as many characters).
OVERLAP = 13
_ENTITY_NAMES = ("药品", "疾病", "drug", "disease", "entity")
_MOST_EXAMPLES = 20
_OPENING, _CLOSING = "<问题>", "</问题>"


@dataclass(frozen=True)
class Against:
    """What evaluations ask: bare questions, their 13-character stretches, and the names of our entities that they are about."""

    questions: frozenset[str] = frozenset()
    stretches: frozenset[str] = frozenset()
    entities: frozenset[str] = frozenset()

    def why(self, sample: Sample) -> str:
        """`question`, `overlap`, `entity`, or "" for a clean sample; the first that holds."""
        if not self.questions:
            return "entity" if sample.entity in self.entities else ""
        asked = [bare(asked_in(content)) for role, content in sample.messages if role == "user"]
        if any(question in self.questions for question in asked):
            return "question"
        if any(question[i : i + OVERLAP] in self.stretches for question in asked for i in range(len(question) - OVERLAP + 1)):
            return "overlap"
        return "entity" if sample.entity in self.entities else ""


@dataclass
class Contamination:
    """What was found, for contamination.json. `apart` went to contaminated.jsonl, `flagged` stayed among the samples."""

    against: list[dict[str, Any]] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    apart: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def note(self, why: str, apart: bool, sample_id: str, kind: str, question: str) -> None:
        """Count a sample, and keep the first ones as examples."""
        (self.apart if apart else self.flagged)[why] += 1
        shown = self.examples.setdefault(why, [])
        if len(shown) < _MOST_EXAMPLES:
            shown.append({"id": sample_id, "kind": kind, "question": question})

    def as_json(self) -> str:
        """The report."""
        report = {
            "against": self.against,
            "apart": dict(sorted(self.apart.items())),
            "flagged": dict(sorted(self.flagged.items())),
            "entities": self.entities,
            "examples": dict(sorted(self.examples.items())),
        }
        return json.dumps(report, ensure_ascii=False, indent=1) + "\n"


def asked_in(content: str) -> str:
    """The question of a user's turn, with or without evidence before it."""
    head, opening, rest = content.rpartition(_OPENING)
    return rest.removesuffix(_CLOSING) if opening and head else content


def read_against(paths: Sequence[Path], names: NameIndex, entity_of: Sequence[str]) -> tuple[Against, Contamination]:
    """Evaluation sets: questions files (.jsonl, .csv) and documents. `entity_of` are our entities by position of a document.

    Raises QizhenError for a path that is neither, with all faults of all files.
    """
    questions: set[str] = set()
    about: set[str] = set()
    told = Contamination()
    faults: list[Fault] = []
    for path in paths:
        rows = list(_rows(path, faults))
        asked = [text for row in rows for text in _questions(row)]
        named = [name for row in rows for name in _names(row)]
        held = {position for name in named for position in names.exact(name)}
        held |= {position for text in asked for mention in names.mentions(fold(text)) for position in mention.documents}
        questions |= {bare(text) for text in asked}
        about |= {entity_of[position] for position in held}
        digest = file_digest(path) if path.is_file() else ""
        told.against.append({"file": path.name, "sha256": digest, "questions": len(asked), "names": len(named)})
    if faults:
        listed = "\n".join(map(str, faults))
        raise QizhenError(f"--against 的文件有 `{len(faults)}` 处错误：\n{listed}", "给出题目文件（.jsonl .csv）或知识库文档")
    told.entities = sorted(about)
    stretches = {question[i : i + OVERLAP] for question in questions for i in range(len(question) - OVERLAP + 1)}
    return Against(frozenset(questions), frozenset(stretches), frozenset(about)), told


def _rows(path: Path, faults: list[Fault]) -> Iterable[Mapping[str, Any]]:
    """Rows of a questions file, or documents as rows."""
    try:
        if path.is_file() and path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows: list[Any] = list(csv.DictReader(file))
        elif path.is_file() and path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
        else:
            rows = []
        if any(isinstance(row, dict) and any(name in row for name in QUESTION_NAMES) for row in rows):
            return [row for row in rows if isinstance(row, dict)]
        return [{"title": document.title, "aliases": document.aliases} for document in read_documents([path])]
    except KnowledgeBaseError as error:
        faults.extend(error.faults)
    except (OSError, ValueError) as error:
        faults.append(Fault(str(path), 0, "", f"读不出来：{error}"))
    return []


def _questions(row: Mapping[str, Any]) -> list[str]:
    found = [row[name] for name in QUESTION_NAMES if isinstance(row.get(name), str)][:1]
    history = row.get("history") or []
    return found + [turn["content"] for turn in history if isinstance(turn, dict) and turn.get("role") == "user"]


def _names(row: Mapping[str, Any]) -> list[str]:
    titled = [row["title"], *row.get("aliases", ())] if "title" in row and "question" not in row else []
    return titled + [row[name] for name in _ENTITY_NAMES if isinstance(row.get(name), str)]
