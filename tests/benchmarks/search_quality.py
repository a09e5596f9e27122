"""Search on question sets, ours and its peers' in one run: quality, build rate and time of a question.

usage: python tests/benchmarks/search_quality.py [--data FOLDER] [--e5 FOLDER] [--questions 1500] [--all] [--shares]

FOLDER holds consult/, titles/ and diseases/, each with kb.jsonl and questions.jsonl in the interchange format. A hit is one of the best
documents among the first. Only the half of the questions of consult and titles that the shipped encoders were not trained on is asked, but
with --all. Peers are BM25 by rank_bm25, bm25s and SQLite over bigrams, and with --e5 (a folder with multilingual-e5-small) that encoder
alone, in LangChain's FAISS, in milvus-lite, and fused with BM25. They need `pip install -e '.[benchmarks]'`. --shares prints ours by
how much keywords count.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import search_peers as peers

from app.questions_file import AskedQuestion, read_questions
from finetune.pairs import is_held_out
from indexer.build import build_release
from indexer.embedder import ACCURATE, FAST, open_embedder
from indexer.measure import discounted_gain, mean, percentile
from indexer.readers import read_documents
from indexer.release import Release, open_release
from indexer.search import search

SHARES = (1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.0)
SPLIT = {"consult", "titles"}
PASSAGES = 40
Ask = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class System:
    """A system ready to be asked, and how many texts a second it took to make it so."""

    name: str
    ask: Ask
    rate: float


def ours(folder: Path, texts: int, index: Path) -> Iterator[System]:
    """Our releases with both encoders."""
    for name in (FAST, ACCURATE):
        started = time.perf_counter()
        build_release(index / name, [folder / "kb.jsonl"], embedder=open_embedder(name))
        rate = texts / (time.perf_counter() - started)
        release = open_release(index / name)
        yield System(f"ours, {name}", partial(found_by_us, release), rate)


def shared_out(folder: Path, index: Path) -> Iterator[System]:
    """Our release with each encoder, by what keywords count."""
    for name in (FAST, ACCURATE):
        build_release(index / name, [folder / "kb.jsonl"], embedder=open_embedder(name))
        release = open_release(index / name)
        chosen = release.embedder.keyword_share
        for share in SHARES:
            release.embedder.keyword_share = share
            yield System(f"{name}, keywords {share:.1f}" + (" <- default" if share == chosen else ""), partial(found_by_us, release), 0)
        release.embedder.keyword_share = chosen


def found_by_us(release: Release, question: str) -> list[str]:
    """The ten best documents, each by the best of its passages."""
    return list(dict.fromkeys(hit.document.id for hit in search(release, question, PASSAGES)))[:10]


def others(ids: Sequence[str], texts: Sequence[str], e5: Path | None, folder: Path) -> Iterator[System]:
    """The peers, each made when its turn comes."""

    def made(name: str, make: Callable[[], peers.Search], before: float = 0) -> System:
        started = time.perf_counter()
        find = make()
        rate = len(texts) / (time.perf_counter() - started + before)
        return System(name, lambda question: [ids[place] for place in find(question)], rate)

    yield made("rank_bm25", lambda: peers.rank_bm25(texts))
    yield made("bm25s", lambda: peers.bm25s(texts))
    yield made("SQLite FTS5", lambda: peers.sqlite_fts5(texts, folder / "fts.sqlite"))
    if e5:
        encoder = peers.E5(e5)
        started = time.perf_counter()
        vectors = encoder.texts(texts)
        took = time.perf_counter() - started
        yield made("e5-small", lambda: encoder.search(vectors), took)
        yield made("e5-small, LangChain FAISS", lambda: peers.langchain_faiss(encoder, texts, vectors), took)
        yield made("e5-small, milvus-lite", lambda: peers.milvus_lite(encoder, vectors, folder / "milvus.db"), took)
        deep = lambda: peers.fused(peers.bm25s(texts, peers.DEEP), encoder.search(vectors, peers.DEEP))  # noqa: E731
        yield made("e5-small + bm25s by rank", deep, took)


def figures(ask: Ask, questions: Sequence[AskedQuestion]) -> str:
    """Mean hit@1, hit@10, nDCG@10; median and 99th percentile of milliseconds."""
    rows, times = [], []
    for asked in questions:
        started = time.perf_counter()
        found = list(ask(asked.question))
        times.append((time.perf_counter() - started) * 1000)
        grades = asked.documents
        best = {name for name, grade in grades.items() if grade >= min(2, max(grades.values()))}
        rows.append([bool(best & set(found[:1])), bool(best & set(found)), discounted_gain(found, grades, 10)])
    one, ten, gain = (mean(column) for column in zip(*rows, strict=True))
    return f"{one:8.3f} {ten:8.3f} {gain:8.3f} {percentile(times, 0.5):9.1f} {percentile(times, 0.99):8.1f}"


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--e5", type=Path)
    parser.add_argument("--sets", default="consult,titles,diseases")
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--shares", action="store_true")
    options = parser.parse_args()
    for name in options.sets.split(","):
        folder = options.data / name
        if not folder.is_dir():
            sys.stdout.write(f"{folder} is not here; skipped\n")
            continue
        asked = [q for q in read_questions(folder / "questions.jsonl") if q.documents]
        questions = [q for q in asked if options.all or name not in SPLIT or is_held_out(q.question)][: options.questions]
        documents = read_documents([folder / "kb.jsonl"])
        texts = [" ".join([d.title, *(d.body(section) for section in d.sections)]) for d in documents]
        sys.stdout.write(f"\n{name}: {len(texts)} texts, {len(questions)} questions\n")
        sys.stdout.write(f"{'':34} texts/s    hit@1   hit@10  nDCG@10    p50 ms   p99 ms\n")
        with tempfile.TemporaryDirectory() as at:
            place = Path(at)
            both = chain(ours(folder, len(texts), place), others([d.id for d in documents], texts, options.e5, place))
            for system in shared_out(folder, place) if options.shares else both:
                sys.stdout.write(f"  {system.name:30} {system.rate:9.0f} {figures(system.ask, questions)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
