"""Documents and passages of a release, in SQLite."""

import errno
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from indexer.documents import Document, Kind, Section, Source
from indexer.errors import IndexDamagedError
from indexer.names import NamedDocument
from indexer.passages import Passage

# SQLite reads a row up to the last column that is asked for, so the long ones come last.
_SCHEMA = """
CREATE TABLE documents (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, title TEXT NOT NULL,
    aliases TEXT NOT NULL, digest TEXT NOT NULL, first_passage INTEGER NOT NULL, passages INTEGER NOT NULL, source TEXT NOT NULL,
    sections TEXT NOT NULL, pages TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE passages (position INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (position),
    section INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL);
"""
_CACHED_DOCUMENTS = 4096
_PAGE_BYTES = 16_384  # half the time of SQLite's own 4,096 for laying 100,000 documents
_json = json.JSONEncoder(ensure_ascii=False).encode
_DISK_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


def write_documents(path: Path, documents: Iterable[tuple[Document, Sequence[Passage]]]) -> None:
    """Store documents with their passages; positions count up from 0 in the given order. Raises OSError where the disk fails."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(f"PRAGMA page_size = {_PAGE_BYTES}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {_SCHEMA}")
        first = 0
        for position, (document, passages) in enumerate(documents):
            connection.execute("INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", _row(position, document, first, passages))
            rows = ((first + i, position, p.section, p.start, p.end) for i, p in enumerate(passages))
            connection.executemany("INSERT INTO passages VALUES (?,?,?,?,?)", rows)
            first += len(passages)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:  # SQLite's own words for a full or failing disk
        raise OSError(errno.ENOSPC if error.sqlite_errorcode in _DISK_FULL else errno.EIO, f"{path}: {error}") from error
    finally:
        connection.close()


def _stands_in_its_section(document: Document, passage: Passage) -> bool:
    if not passage.text or passage.section >= len(document.sections):
        return False
    section = document.sections[passage.section]
    return section.start <= passage.start < passage.end <= section.end


def _row(position: int, document: Document, first: int, passages: Sequence[Passage]) -> tuple[object, ...]:
    kind, title, aliases, text, sections, pages = _said(document)
    source = _source_json(document.source)
    return position, document.id, kind, title, aliases, document.digest, first, len(passages), source, sections, pages, text


# Many documents come from one source.
@lru_cache(maxsize=1024)
def _source_json(source: Source) -> str:
    return _json(source.values())


@lru_cache(maxsize=1024)
def _source_of(written: str) -> Source:
    return Source(**json.loads(written))


def _said(document: Document) -> tuple[str, str, str, str, str, str]:
    """Kind, title, aliases, text, sections and pages as they are stored."""
    sections = _json([[s.title, s.start, s.end] for s in document.sections])
    return document.kind, document.title, _json(document.aliases), document.text, sections, _json(document.pages)


class DocumentStore:
    """Documents and passages opened for reading; it may be used from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)
            self.documents = self._count("documents")
            self.passages = self._count("passages")
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        self.document = lru_cache(maxsize=_CACHED_DOCUMENTS)(self._document)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def names(self) -> Iterator[NamedDocument]:
        """Kind, title and aliases of every document."""
        for position, kind, title, aliases in self._rows("SELECT position, kind, title, aliases FROM documents ORDER BY position"):
            yield NamedDocument(position, kind, title, tuple(json.loads(aliases)))

    def of_kind(self, kind: Kind) -> tuple[int, ...]:
        """Positions of the documents of a kind, in order."""
        return tuple(position for (position,) in self._rows("SELECT position FROM documents WHERE kind = ? ORDER BY position", kind))

    def places(self) -> list[tuple[str, int, int]]:
        """(document id, first passage position, number of passages) of every document, in order."""
        return self._rows("SELECT id, first_passage, passages FROM documents ORDER BY position")

    def places_and_digests(self) -> tuple[list[tuple[str, int, int]], list[str]]:
        """As `places`; and the digest of every document."""
        rows = self._rows("SELECT id, first_passage, passages, digest FROM documents ORDER BY position")
        return [row[:3] for row in rows], [row[3] for row in rows]

    def expiring(self) -> dict[str, str]:
        """Document id to the last day it holds, of those that have one."""
        return dict(self._rows("SELECT id, json_extract(source, '$.expires') AS expires FROM documents WHERE expires <> ''"))

    def position(self, document_id: str) -> int | None:
        """The position of the document with this id."""
        found = self._rows("SELECT position FROM documents WHERE id = ?", document_id)
        return int(found[0][0]) if found else None

    def find(self, part: str, limit: int, offset: int = 0) -> list[int]:
        """Positions of the documents whose title, aliases or id hold this text, as it is written there; in order."""
        like = "%" + "".join(f"\\{c}" if c in "%_\\" else c for c in part) + "%"
        rows = self._rows(
            "SELECT position FROM documents WHERE title LIKE ?1 ESCAPE '\\' OR aliases LIKE ?1 ESCAPE '\\' OR id LIKE ?1 ESCAPE '\\'"
            " ORDER BY position LIMIT ?2 OFFSET ?3",
            *(like, limit, offset),
        )
        return [position for (position,) in rows]

    def says(self, position: int, document: Document) -> bool:
        """Whether the document at a position holds the same text under the same names; the sources may differ."""
        held = self._rows("SELECT kind, title, aliases, text, sections, pages FROM documents WHERE position = ?", position)
        return held == [_said(document)]

    def passage(self, position: int) -> tuple[int, Passage]:
        """(document position, passage)."""
        rows = self._rows('SELECT document, section, start, "end" FROM passages WHERE position = ?', position)
        if not rows:
            raise self._damaged(f"没有第 {position} 个片段")
        document, section, start, end = rows[0]
        return document, Passage(section, start, end, self.document(document).text[start:end])

    def passages_of(self, position: int) -> list[tuple[int, Passage]]:
        """(passage position, passage) of one document, in order."""
        text = self.document(position).text
        rows = self._rows(
            'SELECT p.position, p.section, p.start, p."end" FROM documents d JOIN passages p'
            " ON p.position BETWEEN d.first_passage AND d.first_passage + d.passages - 1 AND p.document = d.position"
            " WHERE d.position = ? ORDER BY p.position",
            position,
        )
        return [(number, Passage(section, start, end, text[start:end])) for number, section, start, end in rows]

    def read_back(self, positions: Iterable[int]) -> Iterator[tuple[Document, list[Passage], list[str]]]:
        """Documents as they lie in the file, their passages, and what is wrong with these. Raises IndexDamagedError for a document that is
        not as its digest says.
        """
        for position in positions:
            document = self._document(position)
            first, count = self._rows("SELECT first_passage, passages FROM documents WHERE position = ?", position)[0]
            rows = self._rows(
                'SELECT section, start, "end" FROM passages WHERE position >= ? AND position < ? AND document = ? ORDER BY position',
                *(first, first + count, position),
            )
            passages = [Passage(section, start, end, document.text[start:end]) for section, start, end in rows]
            wrong = [] if len(rows) == count else [f"文档 `{document.id}` 有 {len(rows)} 个片段，应为 {count} 个"]
            wrong += [
                f"文档 `{document.id}` 的片段 {first + at} 不在其章节之内"
                for at, passage in enumerate(passages)
                if not _stands_in_its_section(document, passage)
            ]
            yield document, passages, wrong

    def all(self) -> Iterator[Document]:
        """Every document, in order, each read from the file."""
        for position in range(self.documents):
            yield self._document(position)

    def _document(self, position: int) -> Document:
        rows = self._rows(
            "SELECT id, kind, title, aliases, text, sections, source, pages, digest FROM documents WHERE position = ?", position
        )
        if not rows:
            raise self._damaged(f"没有第 {position} 篇文档")
        document_id, kind, title, aliases, text, sections, source, pages, digest = rows[0]
        placed = tuple(Section(*section) for section in json.loads(sections))
        origin, starts = _source_of(source), tuple(json.loads(pages))
        document = Document(document_id, kind, title, tuple(json.loads(aliases)), text, placed, origin, starts)
        if document.digest != digest:  # a text altered on disk must not be quoted
            raise self._damaged(f"文档 `{document_id}` 的内容与其摘要不符")
        return document

    def passages_by_document(self) -> int:
        """How many passages the documents say they have, which must be how many there are."""
        return int(self._rows("SELECT COALESCE(SUM(passages), 0) FROM documents")[0][0])

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: object) -> IndexDamagedError:
        return IndexDamagedError(
            f"文档库 `{self._path}` 损坏：{error}", "运行 qizhen index verify 查看损坏处，再用 qizhen index build --fresh 重建"
        )
