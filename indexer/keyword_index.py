"""BM25 over folded terms, in tantivy. A passage is matched with its document's and section's titles in front."""

import errno
import functools
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import tantivy

from indexer.errors import IndexDamagedError
from indexer.terms import fold, terms

_WRITER_BYTES = 200_000_000
_TERMS, _PASSAGE, _DOCUMENT = "terms", "passage", "document"


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field(_TERMS, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field(_PASSAGE, stored=True, fast=True)
    builder.add_unsigned_field(_DOCUMENT, indexed=True, fast=True)
    return builder.build()


def write_keyword_index(folder: Path, passages: Iterable[tuple[int, int, str]]) -> None:
    """Index (passage position, document position, text) rows into an empty folder.

    One writer thread, so that equal input gives equal segments and the order of ties does not vary. Raises OSError where the
    disk fails.
    """
    folder.mkdir(parents=True)
    try:
        index = tantivy.Index(_schema(), path=str(folder))
        writer = index.writer(heap_size=_WRITER_BYTES, num_threads=1)
        for passage, document, text in passages:
            entry = tantivy.Document()
            entry.add_text(_TERMS, " ".join(terms(fold(text))))
            entry.add_unsigned(_PASSAGE, passage)
            entry.add_unsigned(_DOCUMENT, document)
            writer.add_document(entry)
        writer.commit()
        writer.wait_merging_threads()
    except ValueError as error:  # tantivy gives every fault of the disk as a ValueError without its number
        raise OSError(errno.EIO, f"{folder}: {error}") from error


class KeywordIndex:
    """A keyword index opened for reading; it may be used from several threads."""

    def __init__(self, folder: Path) -> None:
        try:
            if not os.access(folder, os.W_OK):  # tantivy makes a lock file to open an index: a copy stands in for a read-only one
                self._copy = tempfile.TemporaryDirectory(prefix="qizhen-")
                folder = Path(shutil.copytree(folder, Path(self._copy.name) / "keyword"))
            self._index = tantivy.Index.open(str(folder))
            self._schema = self._index.schema
            self._searcher = self._index.searcher()
        except (ValueError, OSError) as error:
            raise IndexDamagedError(
                f"关键词索引 `{folder}` 打不开：{error}", "运行 qizhen index verify 查看损坏处，再用 qizhen index build --fresh 重建"
            ) from error
        self.passages = self._searcher.num_docs
        self._document_frequency = functools.lru_cache(maxsize=65536)(self._count)

    def search(self, query_terms: Sequence[str], limit: int, documents: Sequence[int] = ()) -> list[tuple[int, float]]:
        """(passage position, BM25 score), best first, ties by position; only of the given documents, if any are."""
        if not query_terms:
            return []
        should = tantivy.Occur.Should
        clauses = [(should, tantivy.Query.term_query(self._schema, _TERMS, term, "freq")) for term in query_terms]
        query = tantivy.Query.boolean_query(clauses)
        if documents:
            allowed = tantivy.Query.term_set_query(self._schema, _DOCUMENT, list(documents))
            must = tantivy.Occur.Must
            query = tantivy.Query.boolean_query([(must, query), (must, tantivy.Query.const_score_query(allowed, 0.0))])
        hits = self._searcher.search(query, limit, count=False).hits
        scored = [(int(self._searcher.doc(address).to_dict()[_PASSAGE][0]), float(score)) for score, address in hits]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))

    def document_frequency(self, term: str) -> int:
        """How many passages hold the term."""
        return self._document_frequency(term)

    def _count(self, term: str) -> int:
        return int(self._searcher.doc_freq(_TERMS, term))
