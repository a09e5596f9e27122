"""What search systems of our time do with exact terms and vectors: each is given texts once and asked for the nearest of a question."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# The places of the best texts for a question, best first; ten of them unless more are asked for.
Search = Callable[[str], list[int]]
TEN, DEEP, RANK_CONSTANT = 10, 100, 60  # reciprocal rank fusion, Cormack et al. 2009


def bigrams(text: str) -> list[str]:
    """Lower-case words of Latin letters and digits, and pairs of neighbouring Chinese characters."""
    found, word = [], ""
    characters = text.lower()
    for at, character in enumerate(characters):
        if character.isascii() and character.isalnum():
            word += character
            continue
        found += [word] if word else []
        word = ""
        if character.isalnum() and at + 1 < len(characters) and characters[at + 1].isalnum() and not characters[at + 1].isascii():
            found.append(characters[at : at + 2])
    return found + ([word] if word else [])


def rank_bm25(texts: Sequence[str], most: int = TEN) -> Search:
    """rank_bm25 over bigrams."""
    from rank_bm25 import BM25Okapi

    index = BM25Okapi([bigrams(text) or ["-"] for text in texts])
    return lambda question: _best(index.get_scores(bigrams(question)), most)


def bm25s(texts: Sequence[str], most: int = TEN) -> Search:
    """bm25s (Lù 2024) over bigrams."""
    import bm25s as library

    index = library.BM25()
    index.index([bigrams(text) or ["-"] for text in texts], show_progress=False)
    known = index.vocab_dict

    def search(question: str) -> list[int]:
        terms = [term for term in bigrams(question) if term in known]
        if not terms:
            return []
        found, scores = index.retrieve([terms], k=min(most, len(texts)), show_progress=False)
        return [int(place) for place, score in zip(found[0], scores[0], strict=True) if score > 0]

    return search


def sqlite_fts5(texts: Sequence[str], path: Path, most: int = TEN) -> Search:
    """SQLite's full-text index over bigrams, ranked by its bm25()."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE VIRTUAL TABLE texts USING fts5(terms, content='', tokenize=\"unicode61 categories 'L* N* Co'\")")
    rows = ((place + 1, " ".join(bigrams(text))) for place, text in enumerate(texts))
    connection.executemany("INSERT INTO texts (rowid, terms) VALUES (?, ?)", rows)
    connection.commit()
    query = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY bm25(texts) LIMIT ?"

    def search(question: str) -> list[int]:
        terms = " OR ".join(f'"{term}"' for term in dict.fromkeys(bigrams(question)))
        return [int(row[0]) - 1 for row in connection.execute(query, (terms, most))] if terms else []

    return search


@dataclass
class E5:
    """multilingual-e5-small in sentence-transformers, as its authors say it is used."""

    folder: Path

    def __post_init__(self) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(self.folder), device="cpu", local_files_only=True)

    def texts(self, texts: Sequence[str]) -> Any:
        """(texts, 384)."""
        return self.model.encode([f"passage: {text}" for text in texts], normalize_embeddings=True, show_progress_bar=False)

    def question(self, question: str) -> Any:
        """(384,)."""
        return self.model.encode(f"query: {question}", normalize_embeddings=True, show_progress_bar=False)

    def search(self, vectors: Any, most: int = TEN) -> Search:
        """Exact search by numpy."""
        return lambda question: _best(vectors @ self.question(question), most)


def langchain_faiss(encoder: E5, texts: Sequence[str], vectors: Any, most: int = TEN) -> Search:
    """LangChain-community's FAISS store over vectors made before."""
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import Embeddings

    class Wrapped(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return encoder.texts(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return encoder.question(text).tolist()

    places = [{"place": place} for place in range(len(texts))]
    store = FAISS.from_embeddings(list(zip(texts, vectors.tolist(), strict=True)), Wrapped(), metadatas=places)
    return lambda question: [document.metadata["place"] for document in store.similarity_search(question, k=most)]


def milvus_lite(encoder: E5, vectors: Any, path: Path, most: int = TEN) -> Search:
    """milvus-lite in a file of its own."""
    from pymilvus import MilvusClient

    client = MilvusClient(str(path))
    client.create_collection("texts", dimension=vectors.shape[1], metric_type="IP", auto_id=False)
    rows = [{"id": place, "vector": vector} for place, vector in enumerate(vectors.tolist())]
    for start in range(0, len(rows), 1_000):
        client.insert("texts", rows[start : start + 1_000])
    return lambda question: [int(hit["id"]) for hit in client.search("texts", data=[encoder.question(question).tolist()], limit=most)[0]]


def fused(one: Search, other: Search, most: int = TEN) -> Search:
    """By reciprocal rank of the first hundred of both."""

    def search(question: str) -> list[int]:
        scores: dict[int, float] = {}
        for found in (one(question), other(question)):
            for rank, place in enumerate(found, 1):
                scores[place] = scores.get(place, 0) + 1 / (RANK_CONSTANT + rank)
        return sorted(scores, key=lambda place: -scores[place])[:most]

    return search


def _best(scores: Any, most: int) -> list[int]:
    return [int(place) for place in np.argsort(-np.asarray(scores), kind="stable")[:most]]
