"""Instruction data at the size of the original project: 180,000 drug, 298,000 disease and 560,000 patient samples.

usage: python tests/benchmarks/instruction_data.py [--data FOLDER] [--workers N] [--share X]

FOLDER holds drug_labels/, diseases/, consult/ and pairs/. The questions of patients there are 19,000; they are joined to one another's
sentences until there are 560,000, and every thirtieth is written twice with other punctuation. Then the near-duplicates found are compared
with those of min-hashing. Peers: none of the tools read for notes/finetune.md builds its data from a knowledge base.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from finetune.data_checking import check_data
from finetune.dataset import SAMPLES, BuildSettings, build_data
from finetune.facts import Shares, read_knowledge
from finetune.near_duplicates import ALIKE, gram_hashes, near_duplicates

DRUGS, DISEASES, QUESTIONS = 180_000, 298_000, 560_000
LONGEST, MOST_MEMORY = 180, 1.5


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def patient_pairs(data: Path, count: int) -> Iterator[tuple[str, str]]:
    """Questions with answers: as they are, in their long form, then joined to other patients' words."""
    held = [(row["question"], row.get("long", row["question"]), row["passage"]) for row in rows(data / "pairs" / "answers.jsonl")]
    answers = {row["id"]: row["sections"][0]["text"] for row in rows(data / "consult" / "kb.jsonl")}
    held += [(row["question"], row["question"], answers[row["documents"][0]]) for row in rows(data / "consult" / "questions.jsonl")]
    others = [text for row in rows(data / "pairs" / "paraphrases.jsonl") for text in (row["a"], row["b"])]
    dice = random.Random(11)
    for number in range(count):
        short, long, answer = held[number % len(held)]
        turn = number // len(held)
        plain = short if turn == 0 else long if turn == 1 and long != short else ""
        question = plain or f"{dice.choice(others)}，{dice.choice(others)}，{short}"
        yield question, answer
        if number % 30 == 0:
            yield f"{question.rstrip('？?。')}。。", answer


def write_pairs(path: Path, data: Path, count: int) -> None:
    """A file of that many patients' questions."""
    with path.open("w", encoding="utf-8") as file:
        for question, answer in islice(patient_pairs(data, count), count):
            file.write(json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n")


class Memory:
    """Gigabytes held at most by this process and all it started, looked at twice a second while the block runs."""

    def __enter__(self) -> "Memory":
        self.most = 0.0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._done.wait(0.5):
            processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            self.most = max(self.most, sum(map(held, processes)))


def held(process: int | None) -> float:
    """Gigabytes of memory that a process holds; nothing where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text("utf-8")
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024**2 if found else 0.0


def processor_seconds() -> float:
    """Seconds that processors have spent on this process and on those it started and that have ended."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def per_section(kb: tuple[Path, ...], share: float) -> dict[str, float]:
    """Samples a section that come to the original's number of drug and disease samples."""
    knowledge, _, _ = read_knowledge(kb, Shares())
    kinds = [knowledge.document(fact).kind for fact in knowledge.facts]
    return {"drug": share * DRUGS / kinds.count("drug"), "disease": share * DISEASES / kinds.count("disease")}


def min_hashed(grams: np.ndarray, counts: np.ndarray, bands: int = 12, rows_each: int = 4) -> np.ndarray:
    """Near-duplicates by min-hashing: of each text, whether it shares a band with an earlier one that it is like."""
    starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    dice = np.random.default_rng(5)
    signature = np.empty((len(counts), bands * rows_each), dtype=np.uint32)
    for column in range(bands * rows_each):
        factor, offset = dice.integers(1, 2**32, 2, dtype=np.uint64)
        hashed = ((grams.astype(np.uint64) * (factor | np.uint64(1)) + offset) >> np.uint64(13)).astype(np.uint32)
        signature[:, column] = np.minimum.reduceat(hashed, starts)
    repeated = np.zeros(len(counts), dtype=bool)
    for band in range(bands):
        part = np.ascontiguousarray(signature[:, band * rows_each : (band + 1) * rows_each])
        _, first, group = np.unique(part.view(f"V{4 * rows_each}").ravel(), return_index=True, return_inverse=True)
        leader = first[group]
        alike = (signature == signature[leader]).mean(axis=1) >= ALIKE
        repeated |= alike & (leader < np.arange(len(counts)))
    return repeated


def compare_near_duplicates(texts: list[str]) -> None:
    """Seconds and findings of both ways on the same questions."""
    grams, counts = gram_hashes(texts)
    started = time.perf_counter()
    exact = near_duplicates(grams, counts)
    middle = time.perf_counter()
    hashed = min_hashed(grams, counts)
    ended = time.perf_counter()
    sys.stdout.write(
        f"near-duplicates among {len(texts)} questions: exact {exact.sum()} in {middle - started:.1f} s; min-hashing (48 hashes, 12 bands) "
        f"{hashed.sum()} in {ended - middle:.1f} s, of which {(hashed & exact).sum()} the same\n"
    )


def main() -> None:
    """Print everything in one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--share", type=float, default=1.0, help="of the original's size")
    options = parser.parse_args()
    if not (options.data / "drug_labels").is_dir():
        sys.stdout.write(f"{options.data} is not here; nothing measured\n")
        return
    kb = tuple(options.data / name / "kb.jsonl" for name in ("drug_labels", "diseases"))
    with tempfile.TemporaryDirectory() as folder:
        questions = Path(folder) / "pairs.jsonl"
        write_pairs(questions, options.data, int(options.share * QUESTIONS * 1.035))
        wanted = per_section(kb, options.share)
        settings = BuildSettings(
            kb=kb,
            out=Path(folder) / "data",
            per_section=wanted,
            workers=options.workers,
            question_files=(questions,),
            against=(options.data / "drug_indications" / "questions.jsonl",),
        )
        spent = processor_seconds()
        with Memory() as memory:
            report = build_data(settings)
        spent = processor_seconds() - spent
        size = (settings.out / SAMPLES).stat().st_size / 1e9
        sys.stdout.write(
            f"{report.samples} samples in {report.seconds} s ({report.samples / report.seconds:.0f} a second; goal {LONGEST} s), "
            f"{spent:.0f} s of processor time, {options.workers} processes, {size:.2f} GB\n"
            f"memory of all processes at most {memory.most:.2f} GB (goal {MOST_MEMORY})\n"
            f"kinds {report.kinds}\nsplits {report.splits}\nleft out {report.left_out}, repeated {report.repeated}\n"
            f"contaminated, apart {report.apart}, flagged {report.flagged}\n"
        )
        started = time.perf_counter()
        checked = check_data(settings.out, kb)
        seconds = time.perf_counter() - started
        sys.stdout.write(f"checked {checked.samples} samples, {checked.spans} spans in {seconds:.0f} s: {len(checked.faults)} faults\n")
        sys.stdout.writelines(f"  {fault}\n" for fault in checked.faults[:10])
        compare_near_duplicates([row["question"] for row in islice(rows(questions), 100_000)])


if __name__ == "__main__":
    main()
