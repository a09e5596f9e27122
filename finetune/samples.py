"""One sample of instruction data, and the file of them: samples.jsonl, an object a line."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from finetune.json_files import open_lines

SAMPLES = "samples.jsonl"
SampleKind = Literal["closed", "cited", "refusal", "contrast", "dialogue", "question"]
KINDS: tuple[SampleKind, ...] = get_args(SampleKind)
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a document that an answer is made of; `digest` is the SHA-256 of the document's whole text."""

    document: str
    start: int
    end: int
    digest: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation whose last turn is the one to learn, with all it was made from.

    `messages` are (role, content); `places` are the spans that every answer of it is made of, in their order; `shown` are the other
    documents whose texts stand in a question; `file` and `line` say where a question-answer pair was read.
    """

    kind: SampleKind
    split: str
    entity: str
    field: str
    template: str
    messages: tuple[tuple[str, str], ...]
    places: tuple[Place, ...] = ()
    shown: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def question(self) -> str:
        """What the last turn answers, with the evidence beside it where there is some."""
        return self.messages[-2][1]

    @property
    def answer(self) -> str:
        """The turn to learn."""
        return self.messages[-1][1]

    def as_line(self) -> tuple[str, bytes]:
        """The digest of the conversation, and the whole sample as one line of the file."""
        turns = [{"role": role, "content": content} for role, content in self.messages]
        digest = messages_digest(turns)
        row = {
            "id": f"s-{digest[:16]}",
            "kind": self.kind,
            "split": self.split,
            "entity": self.entity,
            "field": self.field,
            "template": self.template,
            "messages": turns,
            "provenance": {
                "release": "",
                "documents": [{"id": p.document, "start": p.start, "end": p.end, "digest": p.digest} for p in self.places],
                "shown": self.shown,
                "file": self.file,
                "line": self.line,
            },
            "digest": digest,
        }
        return digest, (json.dumps(row, ensure_ascii=False) + "\n").encode()


def messages_digest(turns: Sequence[Mapping[str, str]]) -> str:
    """SHA-256 of a conversation as canonical JSON (sorted keys, no white space), as 64 hexadecimal digits."""
    canonical = json.dumps(turns, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def sample_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and rows of a samples file, .jsonl or .jsonl.gz. Raises ValueError where a line is no JSON."""
    with open_lines(path) as lines:
        for number, line in enumerate(lines, 1):
            yield number, json.loads(line)


def sample_of(row: Mapping[str, Any]) -> Sample:
    """A row of the file as a sample. Raises KeyError or TypeError where it lacks something."""
    provenance = row["provenance"]
    return Sample(
        row["kind"],
        row["split"],
        row["entity"],
        row["field"],
        row["template"],
        tuple((turn["role"], turn["content"]) for turn in row["messages"]),
        tuple(Place(p["id"], p["start"], p["end"], p["digest"]) for p in provenance["documents"]),
        tuple(provenance.get("shown", ())),
        provenance.get("file", ""),
        provenance.get("line", 0),
    )
