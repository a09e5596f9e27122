"""Documents and passages of a release, in SQLite."""

import errno
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from indexer.documents import Document, Section, Source
from indexer.errors import IndexDamagedError
from indexer.names import NamedDocument
from indexer.passages import Passage

_SCHEMA = """
CREATE TABLE documents (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, title TEXT NOT NULL,
    aliases TEXT NOT NULL, source TEXT NOT NULL, text TEXT NOT NULL, sections TEXT NOT NULL, pages TEXT NOT NULL, digest TEXT NOT NULL,
    first_passage INTEGER NOT NULL, passages INTEGER NOT NULL);
CREATE TABLE passages (position INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (position),
    section INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL);
"""
_CACHED_DOCUMENTS = 4096
_DISK_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


def write_documents(path: Path, documents: Iterable[tuple[Document, Sequence[Passage]]]) -> None:
    """Store documents with their passages; positions count up from 0 in the given order. Raises OSError where the disk fails."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;" + _SCHEMA)
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


def _row(position: int, document: Document, first: int, passages: Sequence[Passage]) -> tuple[object, ...]:
    return (
        position,
        document.id,
        document.kind,
        document.title,
        json.dumps(document.aliases, ensure_ascii=False),
        json.dumps(asdict(document.source), ensure_ascii=False),
        document.text,
        json.dumps([[s.title, s.start, s.end] for s in document.sections], ensure_ascii=False),
        json.dumps(document.pages),
        document.digest,
        first,
        len(passages),
    )


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

    def digests(self) -> dict[str, tuple[str, int, int]]:
        """Document id to (digest, first passage position, number of passages)."""
        rows = self._rows("SELECT id, digest, first_passage, passages FROM documents")
        return {document: (digest, first, count) for document, digest, first, count in rows}

    def position(self, document_id: str) -> int | None:
        """The position of the document with this id."""
        found = self._rows("SELECT position FROM documents WHERE id = ?", document_id)
        return int(found[0][0]) if found else None

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
        origin, starts = Source(**json.loads(source)), tuple(json.loads(pages))
        document = Document(document_id, kind, title, tuple(json.loads(aliases)), text, placed, origin, starts)
        if document.digest != digest:  # a text altered on disk must not be quoted
            raise self._damaged(f"文档 `{document_id}` 的内容与其摘要不符")
        return document

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
