"""Parts of a release taken over from the published one: rows, vectors, keyword segments."""

import errno
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.document_store import write_documents

_ROWS_AT_ONCE = 65536


@dataclass(frozen=True, slots=True)
class Run:
    """Documents of the new release that lie one behind the other where they come from, and so do their passages.

    The `documents` from `at` on have their rows from `row` on in the fresh file where `is_new`, else in the published one. Their
    `passages`, from `first` on in the new release, are those from `start` on of the documents from `words` on, which lie in the fresh
    file where `words_new`, else in the published one.
    """

    is_new: bool
    words_new: bool
    at: int
    row: int
    words: int
    documents: int
    start: int
    first: int
    passages: int


def runs_of(kept: NDArray[np.bool_], held: NDArray[np.int64], held_counts: NDArray[np.int64], fresh_counts: NDArray[np.int64]) -> list[Run]:
    """The runs of documents that are `kept` whole or lie in the fresh file, in order; those with `held` from 0 on have their passages from
    that position of the published release. The counts are the passages of the documents there, and of those in the fresh file.
    """
    words_new, fresh = held < 0, np.cumsum(~kept) - 1
    row, words = np.where(kept, held, fresh), np.where(words_new, fresh, held)
    count, start = (np.zeros(len(kept), dtype=np.int64) for _ in range(2))
    for chosen, counts in ((words_new, fresh_counts), (~words_new, held_counts)):
        count[chosen], start[chosen] = counts[words[chosen]], (np.cumsum(counts) - counts)[words[chosen]]
    begins = np.ones(len(kept), dtype=bool)
    begins[1:] = (words_new[1:] != words_new[:-1]) | (kept[1:] != kept[:-1]) | (row[1:] != row[:-1] + 1)
    begins[1:] |= (words[1:] != words[:-1] + 1) | (start[1:] != start[:-1] + count[:-1])
    at, first = np.flatnonzero(begins), np.cumsum(count) - count
    documents = np.diff(np.append(at, len(kept)))
    passages = np.add.reduceat(count, at) if len(at) else count
    columns = (~kept[at], words_new[at], at, row[at], words[at], documents, start[at], first[at], passages)
    return [Run(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def assemble_documents(path: Path, published: Path, fresh: Path, runs: Iterable[Run]) -> None:
    """Lay documents and passages of two files into a new one. Raises OSError where the disk fails."""
    write_documents(path, ())
    connection = sqlite3.connect(f"file:{path}", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("ATTACH ? AS old", (f"file:{published}?mode=ro&immutable=1",))
        connection.execute("ATTACH ? AS new", (f"file:{fresh}?mode=ro&immutable=1",))
        connection.execute("BEGIN")
        connection.execute(
            'CREATE TEMP TABLE run (is_new, words_new, "at" INTEGER PRIMARY KEY, "row", words, documents, start, first, passages)'
        )
        connection.executemany("INSERT INTO run VALUES (?,?,?,?,?,?,?,?,?)", map(astuple, runs))
        for rows_from, words_from in (("old", "old"), ("new", "old"), ("new", "new")):
            connection.execute(_documents_from(connection, rows_from, words_from))
        for words_from in ("old", "new"):
            connection.execute(_passages_from(connection, words_from))
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
        raise OSError(errno.ENOSPC if full else errno.EIO, f"{path}: {error}") from error
    finally:
        connection.close()


def _columns(connection: sqlite3.Connection, table: str, moved: dict[str, str]) -> str:
    """What the columns of a table are laid as: those of `moved` so, the others (of `t`) as they are."""
    names = (str(row[1]) for row in connection.execute(f"PRAGMA main.table_info({table})"))
    return ", ".join(moved.get(name, f't."{name}"') for name in names)


def _documents_from(connection: sqlite3.Connection, rows_from: str, words_from: str) -> str:
    together = rows_from == words_from
    of = "t" if together else "w"
    moved = {
        "position": 't.position - run."row" + run."at"',
        "first_passage": f"{of}.first_passage - run.start + run.first",
        "passages": f"{of}.passages",
    }
    words = "" if together else f'CROSS JOIN {words_from}.documents w ON w.position = t.position - run."row" + run.words'
    return (
        f"INSERT INTO main.documents SELECT {_columns(connection, 'documents', moved)} FROM run CROSS JOIN {rows_from}.documents t"
        f' ON t.position BETWEEN run."row" AND run."row" + run.documents - 1 {words}'
        f" WHERE run.is_new = {int(rows_from == 'new')} AND run.words_new = {int(words_from == 'new')}"
    )


def _passages_from(connection: sqlite3.Connection, words_from: str) -> str:
    moved = {"position": "t.position - run.start + run.first", "document": 't.document - run.words + run."at"'}
    return (
        f"INSERT INTO main.passages SELECT {_columns(connection, 'passages', moved)} FROM run CROSS JOIN {words_from}.passages t"
        f" ON t.position BETWEEN run.start AND run.start + run.passages - 1 WHERE run.words_new = {int(words_from == 'new')}"
    )


def carried_blocks(
    runs: Iterable[Run], held: "NDArray[np.float32] | Blocks", fresh: "NDArray[np.float32] | Blocks"
) -> Iterator[NDArray[np.float32]]:
    """Vectors in the order of the new release, neighbours together, not more than 65,536 at once."""
    for run in runs:
        end = run.start + run.passages
        for start in range(run.start, end, _ROWS_AT_ONCE):
            yield (fresh if run.words_new else held)[start : min(end, start + _ROWS_AT_ONCE)]


def carried_passages(runs: Iterable[Run]) -> NDArray[np.int64]:
    """(passages,): the position of each passage of the new release in the published one, or -1 where its words are new."""
    parts = [np.arange(run.start, run.start + run.passages) if not run.words_new else np.full(run.passages, -1) for run in runs]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


class Blocks:
    """Vectors that lie in files of equal length, read a slice at a time."""

    def __init__(self, files: Sequence[Path], dimensions: int, per_file: int, total: int) -> None:
        self._files, self._dimensions, self._per_file, self._total = files, dimensions, per_file, total

    def __len__(self) -> int:
        return self._total

    def __getitem__(self, wanted: slice) -> NDArray[np.float32]:
        """(stop - start, dimensions): the vectors of a slice without a step."""
        parts = []
        at = wanted.start
        while at < wanted.stop:
            number, within = divmod(at, self._per_file)
            count = min(self._per_file - within, wanted.stop - at)
            floats = count * self._dimensions
            part = np.fromfile(self._files[number], dtype="<f4", count=floats, offset=within * self._dimensions * 4)
            parts.append(part.reshape(count, self._dimensions))
            at += count
        return np.concatenate(parts) if parts else np.zeros((0, self._dimensions), dtype=np.float32)


def copy_keyword_index(source: Path, target: Path) -> None:
    """A copy of its own: a damaged file of one release must not damage another. Raises OSError."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.lock"), copy_function=shutil.copyfile)
