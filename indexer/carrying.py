"""Parts of a release taken over from the published one: rows, vectors, keyword segments."""

import errno
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.document_store import write_documents

_ROWS_AT_ONCE = 65536


@dataclass(frozen=True, slots=True)
class Row:
    """Where a document of the new release comes from. `is_new`: its own row is number `row` of the fresh file, else of the published one;
    `words_new` and `words` say the same of its passages. `first` and `count` are its passages in the new release.
    """

    is_new: bool
    row: int
    words_new: bool
    words: int
    first: int
    count: int


def assemble_documents(path: Path, published: Path, fresh: Path, rows: Iterable[Row]) -> None:
    """Lay documents and passages of two files into a new one, whatever columns they have. Raises OSError where the disk fails."""
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
            "CREATE TEMP TABLE place (position INTEGER PRIMARY KEY, is_new INT, line INT, words_new INT, words INT, first INT, n INT)"
        )
        places = ((at, r.is_new, r.row, r.words_new, r.words, r.first, r.count) for at, r in enumerate(rows))
        connection.executemany("INSERT INTO place VALUES (?,?,?,?,?,?,?)", places)
        for source in ("old", "new"):
            connection.execute(_documents_from(connection, source))
            for table in _tables(connection):
                connection.execute(_rows_from(connection, source, table))
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
        raise OSError(errno.ENOSPC if full else errno.EIO, f"{path}: {error}") from error
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> list[str]:
    """The tables that hold rows of documents, passages among them."""
    found = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> 'documents'")
    return [str(name) for (name,) in found]


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in connection.execute(f"PRAGMA main.table_info({table})")]


def _documents_from(connection: sqlite3.Connection, source: str) -> str:
    moved = {"position": "place.position", "first_passage": "place.first", "passages": "place.n"}
    columns = _columns(connection, "documents")
    values = ", ".join(moved.get(column, f'd."{column}"') for column in columns)
    return (
        f"INSERT INTO main.documents SELECT {values} FROM place CROSS JOIN {source}.documents d ON d.position = place.line"
        f" WHERE place.is_new = {int(source == 'new')} ORDER BY place.position"
    )


def _rows_from(connection: sqlite3.Connection, source: str, table: str) -> str:
    """Rows of a table that name their document; those of passages lie together, from the document's first one on."""
    moved = {"document": "place.position"}
    if table == "passages":
        moved["position"] = "p.position - d.first_passage + place.first"
        join = f"CROSS JOIN {source}.passages p ON p.position BETWEEN d.first_passage AND d.first_passage + d.passages - 1"
    else:
        join = f'CROSS JOIN {source}."{table}" p ON p.document = d.position'
    values = ", ".join(moved.get(column, f'p."{column}"') for column in _columns(connection, table))
    return (
        f'INSERT INTO main."{table}" SELECT {values} FROM place CROSS JOIN {source}.documents d ON d.position = place.words {join}'
        f" WHERE place.words_new = {int(source == 'new')} ORDER BY place.position"
    )


def carried_blocks(
    rows: Sequence[Row],
    held: "NDArray[np.float32] | Blocks",
    held_first: Sequence[int],
    fresh: "NDArray[np.float32] | Blocks",
    fresh_first: Sequence[int],
) -> Iterator[NDArray[np.float32]]:
    """Vectors in the order of the new release, neighbours together, not more than 65,536 at once.

    `held_first` and `fresh_first` are the first passages of the documents in either file.
    """
    run: list[int] = []  # [is fresh, first, count]
    for row in rows:
        first = fresh_first[row.words] if row.words_new else held_first[row.words]
        if run and run[0] == row.words_new and run[1] + run[2] == first and run[2] + row.count <= _ROWS_AT_ONCE:
            run[2] += row.count
            continue
        if run:
            yield (fresh if run[0] else held)[run[1] : run[1] + run[2]]
        run = [int(row.words_new), first, row.count]
    if run:
        yield (fresh if run[0] else held)[run[1] : run[1] + run[2]]


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
