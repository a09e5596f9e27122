"""What a build or a plan starts from: the documents read, each beside what the published release holds of it.

A file of JSON Lines that is given again is mostly the same lines, so a release keeps 16 bytes of digest for each document's line. Lines
that it knows are not parsed again; on any doubt (a duplicate id, an encoding) everything is read as if there were no digests.
"""

import datetime
import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from indexer.document_store import DocumentStore
from indexer.documents import Document
from indexer.errors import Fault
from indexer.lookalikes import LookAlike, read_look_alikes
from indexer.readers import read_knowledge
from indexer.release import DOCUMENTS, LINES, Manifest

State = Literal["same", "dated", "changed", "added"]
NO_LINE = bytes(16)
_READER_FILES = ("readers.py", "documents.py", "source_fields.py")  # what a line of JSON goes through
_LONGEST_LINE = 64_000_000
_MOST_BYTES = 4_000_000_000
_Found = tuple[Document | int, bytes]


class Before:
    """The published release as the next one is compared with it and takes over from it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.store = DocumentStore(folder / DOCUMENTS)
        self.places, self.digests = self.store.places_and_digests()
        self.positions = {document_id: position for position, (document_id, _, _) in enumerate(self.places)}

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


class Item(NamedTuple):
    """A document of the next release.

    `held` is its position in the published release where its passages can be taken over from there, or -1; `document` is None where
    nothing at all has changed. `line` is the digest of the line of JSON it was read from.
    """

    id: str
    digest: str
    state: State
    document: Document | None
    held: int
    line: bytes

    @property
    def is_kept(self) -> bool:
        """Whether it is taken over whole."""
        return self.held >= 0 and self.state == "same"


@dataclass(frozen=True, slots=True)
class Intake:
    """All that was read. `faults` is why the documents that are not among the items were left out, `warnings` what to look at in those
    that are.
    """

    items: tuple[Item, ...]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    expired: tuple[Expired, ...]
    look_alikes: tuple[LookAlike, ...]


def take_in(knowledge: Sequence[Path], before: Before | None, *, recall: bool, today: datetime.date | None = None) -> Intake:
    """Read the documents under the given paths. With `recall`, lines that the published release knows are taken from there."""
    today = today or datetime.datetime.now().astimezone().date()
    pairs, wrong = read_look_alikes(knowledge)
    read = _read(knowledge, before.lines() if before and recall else {}, before)
    ends = before.store.expiring() if before else {}
    items: list[Item] = []
    expired: list[Expired] = []
    for document, line in read.found:
        gone = _expired(document, before, ends, today) if ends or isinstance(document, Document) else None
        if gone:
            expired.append(gone)
        elif isinstance(document, Document):
            items.append(_item(document, line, before, recall))
        elif before:
            items.append(Item(before.places[document][0], before.digests[document], "same", None, document, line))
    return Intake(tuple(items), (*read.faults, *wrong), read.warnings, tuple(expired), tuple(pairs))


def _expired(document: Document | int, before: Before | None, ends: Mapping[str, str], today: datetime.date) -> Expired | None:
    if isinstance(document, Document):
        document_id, title, expires = document.id, document.title, document.source.expires
    elif before:
        document_id = before.places[document][0]
        expires = ends.get(document_id, "")
        title = before.store.document(document).title if expires else ""
    return Expired(document_id, title, expires) if expires and expires < today.isoformat() else None


def _item(document: Document, line: bytes, before: Before | None, recall: bool) -> Item:
    known = before.positions.get(document.id, -1) if before else -1
    if before is None or known < 0:
        return Item(document.id, document.digest, "added", document, -1, line)
    held = known if recall else -1
    if before.digests[known] == document.digest:
        return Item(document.id, document.digest, "same", document, held, line)
    if before.store.says(known, document):
        return Item(document.id, document.digest, "dated", document, held, line)
    return Item(document.id, document.digest, "changed", document, -1, line)


@cache
def _reader_digest() -> bytes:
    """What the reader was when lines were digested: another reader may make another document of the same line."""
    return code_digest(*_READER_FILES)


def code_digest(*files: str) -> bytes:
    """SHA-256 of source files of this package."""
    return hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in files)).digest()


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


@dataclass(frozen=True, slots=True)
class _Read:
    """Documents, or their positions in the published release, each with the digest of its line."""

    found: tuple[_Found, ...]
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def _read(knowledge: Sequence[Path], known: Mapping[bytes, int], before: Before | None) -> _Read:
    parts = []
    for path in knowledge:
        part = _read_lines(path, known) if _is_json_lines(path) else _read_plainly([path])
        if part is None:
            return _read_plainly(knowledge)
        parts.append(part)
    found = tuple(entry for part in parts for entry in part.found)
    ids = {document.id if isinstance(document, Document) else before and before.places[document][0] for document, _ in found}
    if len(ids) != len(found):
        return _read_plainly(knowledge)  # which tells where the other one of an id stands
    faults = tuple(fault for part in parts for fault in part.faults)
    return _Read(found, faults, tuple(warning for part in parts for warning in part.warnings))


def _read_plainly(paths: Sequence[Path]) -> _Read:
    reading = read_knowledge(paths)
    return _Read(tuple((document, NO_LINE) for document in reading.documents), reading.faults, reading.warnings)


def _read_lines(path: Path, known: Mapping[bytes, int]) -> _Read | None:
    """As `_read`, for a file of JSON Lines; None where there is any doubt which line a document came from.

    The reader is given a copy in which the known lines are empty: what is digested is what is read, though the file be written meanwhile.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="qizhen-") as folder:
            copy = Path(folder) / "lines.jsonl"
            lines = _copied(path, copy, known)
            reading = read_knowledge([copy])
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    faulty = {fault.line for fault in reading.faults}
    fresh = [at for at, digest in lines if digest not in known and at not in faulty]
    if len(fresh) != len(reading.documents) or any(str(copy) in fault.message for fault in reading.faults):
        return None
    documents = dict(zip(fresh, reading.documents, strict=True))
    found = tuple((documents[at] if at in documents else known[digest], digest) for at, digest in lines if at not in faulty)
    here = [tuple(replace(told, path=str(path)) for told in some) for some in (reading.faults, reading.warnings)]
    return _Read(found, here[0], here[1])


def _copied(path: Path, copy: Path, known: Mapping[bytes, int]) -> list[tuple[int, bytes]]:
    """Copy a file but for its known lines; number (from 1) and digest of every line with text. Raises ValueError for what is not UTF-8."""
    lines = []
    written = 0
    keyed = hashlib.blake2b(digest_size=16, key=_reader_digest())
    with copy.open("wb") as file:
        for number, line in enumerate(_raw_lines(path), 1):
            digested = keyed.copy()
            digested.update(line)
            digest = digested.digest()
            if digest in known:
                lines.append((number, digest))
                continue
            file.write(b"\n" * (number - 1 - written))
            file.write(line)
            written = number
            if line.decode("utf-8-sig").strip():
                lines.append((number, digest))
    return lines
