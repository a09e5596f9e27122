"""Retrieval on question sets: keywords alone, vectors alone, and the two fused at several shares.

usage: python tests/benchmarks/search_quality.py [--data FOLDER] [--questions 1500] [--all]

FOLDER holds consult/ and titles/, each with kb.jsonl and questions.jsonl in the interchange format. A hit is one of the best documents
among the first. Only the half of the questions that the shipped encoder has not been trained on is asked, but with --all. Peers, measured
on the first 1,500 questions of both halves: BM25 on bigrams, multilingual-e5-small, the two fused by rank.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from app.questions_file import AskedQuestion, read_questions
from finetune.pairs import is_held_out
from indexer import search as search_module
from indexer.build import build_release
from indexer.measure import discounted_gain, mean, percentile
from indexer.release import Release, open_release

PEERS = {
    "consult": {"BM25": (0.299, 0.491, 0.389), "e5-small": (0.372, 0.589, 0.472), "BM25 + e5-small": (0.389, 0.619, 0.495)},
    "titles": {"BM25": (0.839, 0.971, 0.783), "e5-small": (0.927, 0.997, 0.895), "BM25 + e5-small": (0.920, 0.993, 0.877)},
}
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.0)


def figures(release: Release, questions: list[AskedQuestion]) -> tuple[float, float, float, float]:
    """Mean hit@1, hit@10, nDCG@10, and the 99th percentile of milliseconds."""
    rows, times = [], []
    for asked in questions:
        started = time.perf_counter()
        found = [hit.document.id for hit in search_module.search(release, asked.question, 10)]
        times.append((time.perf_counter() - started) * 1000)
        best = {name for name, grade in asked.documents.items() if grade >= min(2, max(asked.documents.values()))}
        rows.append([bool(best & set(found[:1])), bool(best & set(found)), discounted_gain(found, asked.documents, 10)])
    return (*(mean(column) for column in zip(*rows, strict=True)), percentile(times, 0.99))


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    for name, peers in PEERS.items():
        folder = options.data / name
        if not folder.is_dir():
            sys.stdout.write(f"{folder} is not here; skipped\n")
            continue
        asked = [q for q in read_questions(folder / "questions.jsonl") if options.all or is_held_out(q.question)]
        questions = asked[: options.questions]
        with tempfile.TemporaryDirectory() as index:
            built = build_release(Path(index), [folder / "kb.jsonl"])
            release = open_release(Path(index))
            sys.stdout.write(f"\n{name}: {built.passages} passages, {len(questions)} questions   hit@1     hit@10     nDCG@10  p99 ms\n")
            chosen = search_module._KEYWORD_SHARE
            for share in SHARES:
                search_module._KEYWORD_SHARE = share
                one, ten, gain, slowest = figures(release, questions)
                mark = " <- default" if share == chosen else ""
                row = f"{one:.3f}     {ten:.3f}      {gain:.3f}    {slowest:.1f}{mark}"
                sys.stdout.write(f"  keywords {share:.1f} + vectors {1 - share:.1f}      {row}\n")
            search_module._KEYWORD_SHARE = chosen
            for peer, (one, ten, gain) in peers.items():
                sys.stdout.write(f"  {peer:<28}  {one:.3f}     {ten:.3f}      {gain:.3f}\n")


if __name__ == "__main__":
    main()
