"""BM25 over folded terms, in tantivy. A passage is matched with its document's and section's titles in front.

A passage is known by its document's key and its number within the document, not by its position in the release: so a new release takes
over everything but the documents whose words changed.
"""

import errno
import functools
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError
from indexer.folding import term_lines

_WRITER_BYTES = 200_000_000
_SMALL_WRITER_BYTES = 50_000_000
_TERMS, _NUMBER, _KEY = "terms", "passage", "document"
_KEYS_AT_ONCE = 1000
_ROWS_AT_ONCE = 256


def inverse_frequency(frequency: int, passages: int) -> float:
    """BM25's weight of a term that so many of all passages hold (Robertson and Zaragoza 2009, section 3.1)."""
    return math.log1p((passages - frequency + 0.5) / (frequency + 0.5))


def document_key(document_id: str) -> int:
    """What the keyword index calls a document: 64 bits of its id's digest. A build refuses two ids of one key."""
    return int.from_bytes(hashlib.blake2b(document_id.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Places:
    """Where a release keeps the passages of each document. By document position: key, first passage position, number of passages."""

    keys: NDArray[np.uint64]
    first: NDArray[np.int64]
    counts: NDArray[np.int64]

    @functools.cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.keys, kind="stable")

    def passages(self, keys: Sequence[int], numbers: Sequence[int]) -> list[int]:
        """Passage positions of (key, number within the document) pairs. Raises KeyError for one that the release does not hold."""
        wanted = np.array(keys, dtype=np.uint64)
        at = self._order[np.minimum(np.searchsorted(self.keys, wanted, sorter=self._order), len(self.keys) - 1)]
        within = np.array(numbers, dtype=np.int64)
        if (self.keys[at] != wanted).any() or (within >= self.counts[at]).any():
            raise KeyError("a passage of no document")
        return [int(position) for position in self.first[at] + within]


def places_of(documents: Sequence[tuple[str, int, int]]) -> Places:
    """The places of (document id, first passage position, number of passages) in the order of document positions."""
    keys = np.array([document_key(document_id) for document_id, _, _ in documents], dtype=np.uint64)
    rest = np.array([(first, count) for _, first, count in documents], dtype=np.int64).reshape(-1, 2)
    return Places(keys, rest[:, 0], rest[:, 1])


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field(_TERMS, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field(_NUMBER, fast=True)
    builder.add_unsigned_field(_KEY, indexed=True, fast=True)
    return builder.build()


def write_keyword_index(folder: Path, passages: Iterable[tuple[int, int, str]]) -> None:
    """Index (document key, number within the document, text) rows into an empty folder.

    One writer thread, so that equal input gives equal segments and the order of ties does not vary. Raises OSError where the
    disk fails.
    """
    folder.mkdir(parents=True)
    try:
        _write(tantivy.Index(_schema(), path=str(folder)), _WRITER_BYTES, (), passages)
    except ValueError as error:  # tantivy gives every fault of the disk as a ValueError without its number
        raise OSError(errno.EIO, f"{folder}: {error}") from error


def update_keyword_index(folder: Path, gone: Sequence[int], passages: Iterable[tuple[int, int, str]]) -> None:
    """Take the documents of the keys `gone` out of an index and put rows in, in one commit. Raises OSError where the disk fails."""
    try:
        _write(tantivy.Index.open(str(folder)), _SMALL_WRITER_BYTES, gone, passages)
    except ValueError as error:
        raise OSError(errno.EIO, f"{folder}: {error}") from error


def _write(index: Any, memory: int, gone: Sequence[int], passages: Iterable[tuple[int, int, str]]) -> None:
    writer = index.writer(heap_size=memory, num_threads=1)
    for start in range(0, len(gone), _KEYS_AT_ONCE):
        writer.delete_documents_by_query(tantivy.Query.term_set_query(index.schema, _KEY, list(gone[start : start + _KEYS_AT_ONCE])))
    rest = iter(passages)
    while rows := list(islice(rest, _ROWS_AT_ONCE)):
        for (key, number, _), line in zip(rows, term_lines([text for _, _, text in rows]), strict=True):
            entry = tantivy.Document()
            entry.add_text(_TERMS, line)
            entry.add_unsigned(_NUMBER, number)
            entry.add_unsigned(_KEY, key)
            writer.add_document(entry)
    writer.commit()
    writer.wait_merging_threads()


def deleted_passages(folder: Path) -> int:
    """How many passages were taken out of an index and still weigh in its term frequencies. Raises IndexDamagedError."""
    try:
        segments = json.loads((folder / "meta.json").read_text("utf-8"))["segments"]
        return sum((segment["deletes"] or {}).get("num_deleted_docs", 0) for segment in segments)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> IndexDamagedError:
    return IndexDamagedError(
        f"关键词索引 `{folder}` 打不开：{error}", "运行 qizhen index verify 查看损坏处，再用 qizhen index build --fresh 重建"
    )


class KeywordIndex:
    """A keyword index opened for reading; it may be used from several threads. Without `places` it counts and does not search."""

    def __init__(self, folder: Path, places: Places | None = None) -> None:
        self._folder, self._places = folder, places or places_of(())
        self._deleted = deleted_passages(folder)
        try:
            if not os.access(folder, os.W_OK):  # tantivy makes a lock file to open an index: a copy stands in for a read-only one
                self._copy = tempfile.TemporaryDirectory(prefix="qizhen-")
                folder = Path(shutil.copytree(folder, Path(self._copy.name) / "keyword"))
            self._index = tantivy.Index.open(str(folder))
            self._schema = self._index.schema
            self._searcher = self._index.searcher()
        except (ValueError, OSError) as error:
            raise _damaged(folder, error) from error
        self.passages = int(self._searcher.num_docs)
        self._document_frequency = functools.lru_cache(maxsize=65536)(self._count_living if self._deleted else self._count)

    def search(self, wanted: Mapping[str, float], limit: int, documents: Sequence[int] = ()) -> list[tuple[int, float]]:
        """(passage position, score), best first, ties by position; only of the given document positions, if any are.

        A score is the sum of the BM25 scores of the `wanted` terms, each times its weight (above 0) there.
        """
        if not wanted:
            return []
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, self._weighed(term, wanted[term])) for term in sorted(wanted)])
        if documents:
            keys = [int(key) for key in self._places.keys[list(documents)]]
            allowed = tantivy.Query.term_set_query(self._schema, _KEY, keys)
            must = tantivy.Occur.Must
            query = tantivy.Query.boolean_query([(must, query), (must, tantivy.Query.const_score_query(allowed, 0.0))])
        hits = self._searcher.search(query, limit, count=False).hits
        addresses = [address for _, address in hits]
        values = [self._searcher.fast_field_values(name, addresses) for name in (_KEY, _NUMBER)]
        try:
            positions = self._places.passages(*values) if hits else []
        except KeyError as error:
            raise _damaged(self._folder, error) from error
        scored = [(position, float(score)) for position, (score, _) in zip(positions, hits, strict=True)]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))

    def _weighed(self, term: str, weight: float) -> Any:
        """A term's query, times its weight. Where passages were taken out, tantivy's own weight still counts them: it is put right, so that
        a release ranks as one that was built whole. Only the mean length of a passage stays that of all: with 1.4 % taken out of the
        shipped documents it moved scores by 0.1 %, which swapped equals in 5 of 470 questions and changed no answer.
        """
        query = tantivy.Query.term_query(self._schema, _TERMS, term, "freq")
        if self._deleted:
            told = inverse_frequency(self._count(term), self.passages + self._deleted)
            weight *= inverse_frequency(self.document_frequency(term), self.passages) / told
        return query if weight == 1 else tantivy.Query.boost_query(query, weight)

    def holds(self, keys: Sequence[int]) -> int:
        """How many passages the documents of these keys have in the index."""
        blocks = (list(keys[start : start + _KEYS_AT_ONCE]) for start in range(0, len(keys), _KEYS_AT_ONCE))
        queries = (tantivy.Query.term_set_query(self._schema, _KEY, block) for block in blocks)
        return sum(int(self._searcher.search(query, 1, count=True).count) for query in queries)

    def document_frequency(self, term: str) -> int:
        """How many passages hold the term."""
        return self._document_frequency(term)

    def _count(self, term: str) -> int:
        return int(self._searcher.doc_freq(_TERMS, term))

    def _count_living(self, term: str) -> int:
        """As `_count`, without the passages that were taken out, which tantivy's own figure still holds."""
        return int(self._searcher.search(tantivy.Query.term_query(self._schema, _TERMS, term, "freq"), 1, count=True).count)
