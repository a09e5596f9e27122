"""Search on question sets, ours and its peers' in one run: quality, build rate and time of a question.

usage: python tests/benchmarks/search_quality.py [--data FOLDER] [--e5 FOLDER] [--sets NAMES] [--questions 1500] [--all] [--shares]

FOLDER holds consult/, titles/ and diseases/, each with kb.jsonl and questions.jsonl in the interchange format, and drug_labels/kb.jsonl.
Eight sections of the labels are asked about as people do, and the section itself must be found; `golden` are the golden questions of
kb_data that need no turn before them. A hit is one of the best documents (or the section) among the first. Only that half of the questions
of consult and titles is asked that the shipped encoders were not trained on, but with --all. Peers are BM25 by rank_bm25, bm25s and
SQLite over bigrams, and with --e5 (a folder with multilingual-e5-small) that encoder alone, in LangChain's FAISS, in milvus-lite, and
fused with BM25; labels and kb_data are given to them by sections, with title and heading. They need `pip install -e '.[benchmarks]'`.
--shares prints ours by how much keywords count.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import search_peers as peers

from app.questions_file import read_questions
from finetune.pairs import is_held_out
from indexer.build import build_release
from indexer.documents import Document, Section
from indexer.embedder import ACCURATE, FAST, open_embedder
from indexer.measure import discounted_gain, mean, percentile
from indexer.readers import read_documents
from indexer.release import Release, open_release
from indexer.search import search

SHARES = (1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.0)
SETS = ("consult", "titles", "diseases", "drug_labels", "golden")
SPLIT = {"consult", "titles"}
PASSAGES = 40
# What people ask of a section of a label.
ASKED = {
    "功能主治": "治什么病",
    "用法用量": "怎么吃",
    "禁忌": "什么人不能用",
    "不良反应": "有什么副作用",
    "注意事项": "用的时候要注意什么",
    "相互作用": "能和别的药一起吃吗",
    "成分": "里面有哪些药",
    "贮藏": "怎么保存",
}
SHIPPED = Path(__file__).parents[2] / "kb_data"
Ask = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Task:
    """Texts to search, as files for us and as (what is found, text) for the peers, and questions with the grades of what answers them.

    What is found is a document's id or, with `by_section`, that and a section's title.
    """

    knowledge: Path
    texts: Sequence[tuple[str, str]]
    questions: Sequence[tuple[str, Mapping[str, int]]]
    by_section: bool = False


@dataclass(frozen=True, slots=True)
class System:
    """A system ready to be asked, and how many texts a second it took to make it so."""

    name: str
    ask: Ask
    rate: float


def task(name: str, data: Path, most: int, every: bool) -> Task | None:
    """One of the sets, if its files are here."""
    folder = SHIPPED if name == "golden" else data / name
    if not folder.is_dir():
        return None
    knowledge = folder if name == "golden" else folder / "kb.jsonl"
    documents = read_documents([knowledge])
    if name == "drug_labels":
        keyed = [(f"{d.id} {s.title}", f"{d.title} {s.title} {d.body(s)}") for d in documents for s in d.sections]
        asked = [(f"{d.title}{ASKED[s.title]}", _answering(d, s)) for d in documents for s in d.sections if s.title in ASKED]
        return Task(knowledge, keyed, sorted(asked, key=lambda pair: hashlib.sha256(pair[0].encode()).digest())[:most], by_section=True)
    if name == "golden":
        keyed = [(d.id, f"{d.title} {s.title} {d.body(s)}") for d in documents for s in d.sections]
        asked = [(q.question, q.documents) for q in read_questions(folder / "questions" / "dev.jsonl") if q.documents and not q.history]
        return Task(knowledge, keyed, asked[:most])
    keyed = [(d.id, " ".join([d.title, *(d.body(section) for section in d.sections)])) for d in documents]
    asked = [(q.question, q.documents) for q in read_questions(folder / "questions.jsonl") if q.documents]
    return Task(knowledge, keyed, [pair for pair in asked if every or name not in SPLIT or is_held_out(pair[0])][:most])


def _answering(label: Document, asked: Section) -> dict[str, int]:
    """The section that is asked about, and the one that lists the same."""
    titles = {asked.title, "主治疾病" if asked.title == "功能主治" else asked.title}
    return {f"{label.id} {section.title}": 1 for section in label.sections if section.title in titles}


def ours(work: Task, index: Path) -> Iterator[System]:
    """Our releases with both encoders."""
    for name in (FAST, ACCURATE):
        started = time.perf_counter()
        build_release(index / name, [work.knowledge], embedder=open_embedder(name))
        rate = len(work.texts) / (time.perf_counter() - started)
        release = open_release(index / name)
        yield System(f"ours, {name}", partial(found_by_us, release, work.by_section), rate)


def shared_out(work: Task, index: Path) -> Iterator[System]:
    """Our release with each encoder, by what keywords count."""
    for name in (FAST, ACCURATE):
        build_release(index / name, [work.knowledge], embedder=open_embedder(name))
        release = open_release(index / name)
        chosen = release.embedder.keyword_share
        for share in SHARES:
            release.embedder.keyword_share = share
            marked = " <- default" if share == chosen else ""
            yield System(f"{name}, keywords {share:.1f}{marked}", partial(found_by_us, release, work.by_section), 0)
        release.embedder.keyword_share = chosen


def found_by_us(release: Release, by_section: bool, question: str) -> list[str]:
    """The ten best documents or sections, each by the best of its passages."""
    hits = search(release, question, PASSAGES)
    return list(dict.fromkeys(f"{hit.document.id} {hit.section}" if by_section else hit.document.id for hit in hits))[: peers.TEN]


def others(keyed: Sequence[tuple[str, str]], e5: Path | None, folder: Path) -> Iterator[System]:
    """The peers, each made when its turn comes. Where several texts are one document, as many are found as ours has passages."""
    keys, texts = [key for key, _ in keyed], [text for _, text in keyed]
    most = peers.TEN if len(set(keys)) == len(keys) else PASSAGES

    def made(name: str, make: Callable[[], peers.Search], before: float = 0) -> System:
        started = time.perf_counter()
        find = make()
        rate = len(texts) / (time.perf_counter() - started + before)
        return System(name, lambda question: list(dict.fromkeys(keys[place] for place in find(question)))[: peers.TEN], rate)

    yield made("rank_bm25", lambda: peers.rank_bm25(texts, most))
    yield made("bm25s", lambda: peers.bm25s(texts, most))
    yield made("SQLite FTS5", lambda: peers.sqlite_fts5(texts, folder / "fts.sqlite", most))
    if e5:
        encoder = peers.E5(e5)
        started = time.perf_counter()
        vectors = encoder.texts(texts)
        took = time.perf_counter() - started
        yield made("e5-small", lambda: encoder.search(vectors, most), took)
        yield made("e5-small, LangChain FAISS", lambda: peers.langchain_faiss(encoder, texts, vectors, most), took)
        yield made("e5-small, milvus-lite", lambda: peers.milvus_lite(encoder, vectors, folder / "milvus.db", most), took)
        deep = lambda: peers.fused(peers.bm25s(texts, peers.DEEP), encoder.search(vectors, peers.DEEP), most)  # noqa: E731
        yield made("e5-small + bm25s by rank", deep, took)


def figures(ask: Ask, questions: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """Mean hit@1, hit@5, hit@10, nDCG@10; median and 99th percentile of milliseconds."""
    rows, times = [], []
    for question, grades in questions:
        started = time.perf_counter()
        found = list(ask(question))
        times.append((time.perf_counter() - started) * 1000)
        best = {name for name, grade in grades.items() if grade >= min(2, max(grades.values()))}
        rows.append([*(bool(best & set(found[:many])) for many in (1, 5, 10)), discounted_gain(found, grades, 10)])
    quality = "".join(f" {mean(column):8.3f}" for column in zip(*rows, strict=True))
    return f"{quality} {percentile(times, 0.5):9.1f} {percentile(times, 0.99):8.1f}"


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--e5", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--shares", action="store_true")
    options = parser.parse_args()
    for name in options.sets.split(","):
        work = task(name, options.data, options.questions, options.all)
        if work is None:
            sys.stdout.write(f"{options.data / name} is not here; skipped\n")
            continue
        sys.stdout.write(f"\n{name}: {len(work.texts)} texts, {len(work.questions)} questions\n")
        sys.stdout.write(f"{'':34} texts/s    hit@1    hit@5   hit@10  nDCG@10    p50 ms   p99 ms\n")
        with tempfile.TemporaryDirectory() as at:
            place = Path(at)
            both = chain(ours(work, place), others(work.texts, options.e5, place))
            for system in shared_out(work, place) if options.shares else both:
                sys.stdout.write(f"  {system.name:30} {system.rate:9.0f} {figures(system.ask, work.questions)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
