"""What a build or a plan starts from: the documents read, each beside what the published release holds of it.

A file of JSON Lines that is given again is mostly the same lines, so a release keeps 16 bytes of digest for each document's line. Lines
that it knows are not parsed again; on any doubt (a fault, a duplicate id, an encoding) everything is read as if there were no digests.
"""

import datetime
import gzip
import hashlib
import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from indexer.changes import says_the_same
from indexer.document_store import DocumentStore
from indexer.documents import Document
from indexer.errors import Fault
from indexer.lookalikes import LookAlike, read_look_alikes
from indexer.readers import read_knowledge
from indexer.release import DOCUMENTS, LINES, Manifest

State = Literal["same", "dated", "changed", "added"]
NO_LINE = bytes(16)
_LONGEST_LINE = 64_000_000
_MOST_BYTES = 4_000_000_000
_WORTH_RECALLING = 0.5  # share of lines known, below which the whole file is read at once


class Before:
    """The published release as the next one is compared with it and takes over from it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.store = DocumentStore(folder / DOCUMENTS)
        self.places = self.store.places()
        self.positions = {document_id: position for position, (document_id, _, _) in enumerate(self.places)}
        self.digests = self.store.digests()

    def lines(self) -> dict[bytes, int]:
        """Document position by digest of the line it was read from."""
        path = self.folder / LINES
        data = path.read_bytes() if LINES in self.manifest.files and path.is_file() else b""
        known = {data[at : at + 16]: at // 16 for at in range(0, len(data), 16)}
        known.pop(NO_LINE, None)
        return known


@dataclass(frozen=True, slots=True)
class Expired:
    """A document past the last day it holds: it leaves with the next release."""

    document: str
    title: str
    expires: str


@dataclass(frozen=True, slots=True)
class Item:
    """A document of the next release.

    `held` is its position in the published release where that holds the same text, or -1; `document` is None where nothing at all has
    changed. `line` is the digest of the line of JSON it was read from.
    """

    id: str
    digest: str
    state: State
    document: Document | None
    held: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Intake:
    """All that was read. `faults` is why the documents that are not among the items were left out."""

    items: tuple[Item, ...]
    faults: tuple[Fault, ...]
    expired: tuple[Expired, ...]
    look_alikes: tuple[LookAlike, ...]


def take_in(knowledge: Sequence[Path], before: Before | None, *, recall: bool, today: datetime.date | None = None) -> Intake:
    """Read the documents under the given paths. With `recall`, lines that the published release knows are taken from there."""
    today = today or datetime.datetime.now().astimezone().date()
    pairs, wrong = read_look_alikes(knowledge)
    found = _recalled(knowledge, before) if before and recall else None
    faults: tuple[Fault, ...] = ()
    if found is None:
        reading = read_knowledge(knowledge)
        unique = {document.id: document for document in reversed(reading.documents)}
        lines = _lines_by_id(knowledge)
        found = [(document, lines.get(document.id, NO_LINE)) for document in reversed(unique.values())]
        faults = reading.faults
    ends = before.store.expiring() if before else {}
    items: list[Item] = []
    expired: list[Expired] = []
    for document, line in found:
        gone = _expired(document, before, ends, today)
        if gone:
            expired.append(gone)
        else:
            items.append(_item(document, line, before))
    return Intake(tuple(items), (*faults, *wrong), tuple(expired), tuple(pairs))


def _expired(document: Document | int, before: Before | None, ends: Mapping[str, str], today: datetime.date) -> Expired | None:
    if isinstance(document, Document):
        document_id, title, expires = document.id, document.title, document.source.expires
    elif before:
        document_id = before.places[document][0]
        expires = ends.get(document_id, "")
        title = before.store.document(document).title if expires else ""
    return Expired(document_id, title, expires) if expires and expires < today.isoformat() else None


def _item(document: Document | int, line: bytes, before: Before | None) -> Item:
    if isinstance(document, int):
        if before is None:
            raise ValueError("a line recalled from no release")
        return Item(before.places[document][0], before.digests[document], "same", None, document, line)
    held = before.positions.get(document.id, -1) if before else -1
    if before is None or held < 0:
        return Item(document.id, document.digest, "added", document, -1, line)
    if before.digests[held] == document.digest:
        return Item(document.id, document.digest, "same", document, held, line)
    if says_the_same(before.store.document(held), document):
        return Item(document.id, document.digest, "dated", document, held, line)
    return Item(document.id, document.digest, "changed", document, -1, line)


@cache
def _reader_digest() -> bytes:
    """What the reader was when lines were digested: another reader may make another document of the same line."""
    return code_digest("readers.py", "documents.py")


def code_digest(*files: str) -> bytes:
    """SHA-256 of source files of this package."""
    return hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in files)).digest()


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16, key=_reader_digest()).digest()


def _is_json_lines(path: Path) -> bool:
    return path.name.lower().endswith((".jsonl", ".jsonl.gz")) and path.is_file()


def _raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file. Raises ValueError for more than a reader may be given."""
    total = 0
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            total += len(line)
            if len(line) >= _LONGEST_LINE or total > _MOST_BYTES:
                raise ValueError(f"{path}: longer than is recalled")
            yield line


def _lines_by_id(knowledge: Sequence[Path]) -> dict[str, bytes]:
    """Line digest by document id, of the files given by name; what cannot be read there is left to the reader to report."""
    found: dict[str, bytes] = {}
    for path in filter(_is_json_lines, knowledge):
        try:
            for line in _raw_lines(path):
                row = json.loads(line) if line.strip() else None
                if isinstance(row, dict) and isinstance(row.get("id"), str):
                    document_id = row["id"].strip()
                    found[document_id] = NO_LINE if document_id in found else _digest(line)
        except (OSError, EOFError, ValueError, RecursionError, zlib.error):
            continue
    return found


def _recalled(knowledge: Sequence[Path], before: Before) -> list[tuple[Document | int, bytes]] | None:
    """Documents, or their positions in the published release, each with its line; None where there is any doubt."""
    known = before.lines() if any(map(_is_json_lines, knowledge)) else {}
    if not known:
        return None
    found: list[tuple[Document | int, bytes]] = []
    try:
        for path in knowledge:
            part = _recalled_file(path, known) if _is_json_lines(path) else _read_plainly(path)
            if part is None:
                return None
            found += part
    except (OSError, EOFError, ValueError, RecursionError, KeyError, TypeError, AttributeError, zlib.error):
        return None
    ids = {document.id if isinstance(document, Document) else before.places[document][0] for document, _ in found}
    return found if len(ids) == len(found) else None


def _read_plainly(path: Path) -> list[tuple[Document | int, bytes]] | None:
    reading = read_knowledge([path])
    return None if reading.faults else [(document, NO_LINE) for document in reading.documents]


def _recalled_file(path: Path, known: Mapping[bytes, int]) -> list[tuple[Document | int, bytes]] | None:
    """The lines that are known as positions; the others are laid into a file of their own, which the reader reads."""
    rows: list[tuple[int, bytes]] = []
    fresh: list[bytes] = []
    for line in _raw_lines(path):
        if not line.strip():
            continue
        digest = _digest(line)
        rows.append((known.get(digest, -1), digest))
        if digest not in known:
            fresh.append(line)
    if len(fresh) > len(rows) * (1 - _WORTH_RECALLING):
        return None
    read = iter(_read_lines(fresh) if fresh else ())
    found: list[tuple[Document | int, bytes]] = [(next(read) if held < 0 else held, digest) for held, digest in rows]
    return found if next(read, None) is None else None


def _read_lines(lines: Sequence[bytes]) -> list[Document]:
    """The documents of some lines. Raises ValueError unless they are as many, in order, without a fault."""
    ids = [json.loads(line.decode("utf-8"))["id"].strip() for line in lines]
    with tempfile.TemporaryDirectory(prefix="qizhen-") as folder:
        path = Path(folder) / "lines.jsonl"
        path.write_bytes(b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines))
        reading = read_knowledge([path])
    if reading.faults or [document.id for document in reading.documents] != ids:
        raise ValueError("lines that need the whole reading")
    return list(reading.documents)
