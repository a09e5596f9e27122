"""How cost grows with a knowledge base: built, opened, searched, and built again with 1 % changed, at 1,000 to
1,000,000 passages, each in a process of its own.

python tests/benchmarks/scale.py [--data DIR] [--sizes 1000,10000,100000,1000000] [--plot FILE.svg]

The passages are those of DIR/volume (100,000 paragraphs of papers), and for more than there are, their sentences in another order. The
questions are pieces of 8 to 25 characters of them. Recall is that of the ten nearest by vectors, against all vectors compared one by one.
"""

import argparse
import gzip
import json
import math
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from finetune.plots import line_plot
from indexer.build import build_release
from indexer.embedder import shipped_embedder
from indexer.measure import percentile
from indexer.release import open_release, release_folder
from indexer.search import search

SEARCHES, COMPARED = 300, 100


def texts_of(data: Path, count: int) -> Iterator[str]:
    """`count` paragraphs, no two alike."""
    dice = random.Random(7)
    with gzip.open(data / "volume" / "kb.jsonl.gz", "rt", encoding="utf-8") as file:
        found = ["".join(section["text"] for section in json.loads(line)["sections"])[:300] for line in file]
    for number in range(count):
        text = found[number % len(found)]
        if number >= len(found):
            sentences = re.findall(r"[^。；]+[。；]?", text) + re.findall(r"[^。；]+[。；]?", dice.choice(found))
            dice.shuffle(sentences)
            text = "".join(sentences)[:300]
        yield text


def measure_one(data: Path, count: int, index: Path) -> dict[str, Any]:
    """Build one size in this process; open and search it in others."""
    kb, questions = write_knowledge(data, count, index)
    started = time.perf_counter()
    built = build_release(index, [kb], embedder=shipped_embedder())
    seconds = time.perf_counter() - started
    peak = most_memory()
    (index / "questions.json").write_text(json.dumps(questions), "utf-8")
    opened = time.perf_counter()
    run("--first", str(index))
    cold = time.perf_counter() - opened
    searched = json.loads(run("--search", str(index)))
    disk = sum(path.stat().st_size for path in release_folder(index, built.release).rglob("*") if path.is_file())
    change_some(kb)
    again = json.loads(run("--again", str(index)))
    return {
        "passages": built.passages,
        "build": round(built.passages / seconds),
        "seconds": round(seconds, 1),
        "again": round(again, 2),
        "peak": round(peak),
        "cold": round(cold, 2),
        "disk": round(disk / 1e6),
        **searched,
    }


def most_memory() -> float:
    """The most megabytes this process has held. getrusage would tell those of the process that started it."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def run(*words: str) -> str:
    """The last line of this benchmark run in a process of its own."""
    command = [sys.executable, __file__, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip("\n").rpartition("\n")[2]


def write_knowledge(data: Path, count: int, folder: Path) -> tuple[Path, list[str]]:
    """A file of `count` texts, and pieces of some as questions."""
    kb, dice = folder / "kb.jsonl", random.Random(11)
    questions = []
    with kb.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts_of(data, count)):
            row = {"id": f"text/{number}", "kind": "text", "title": f"第{number}段", "sections": [{"title": "正文", "text": text}]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if len(text) > 40 and dice.random() < 3 * SEARCHES / count:
                at = dice.randrange(len(text) - 30)
                questions.append(text[at : at + dice.randint(8, 25)])
    return kb, questions


def change_some(kb: Path) -> None:
    """Another text in every hundredth document of a file."""
    lines = kb.read_text("utf-8").splitlines()
    for at in range(7, len(lines), 100):
        row = json.loads(lines[at])
        row["sections"][0]["text"] = row["sections"][0]["text"][:290] + "此处有改动。"
        lines[at] = json.dumps(row, ensure_ascii=False)
    kb.write_text("\n".join(lines) + "\n", "utf-8")


def build_again(index: Path) -> float:
    """How many seconds the changes take."""
    started = time.perf_counter()
    build_release(index, [index / "kb.jsonl"], embedder=shipped_embedder())
    return time.perf_counter() - started


def measure_search(index: Path) -> dict[str, Any]:
    """Time and memory of searches one behind the other, then the recall of their vectors."""
    questions = json.loads((index / "questions.json").read_text("utf-8"))
    release = open_release(index)
    release.prepare()
    times, right = [], 0
    for question in questions[:SEARCHES]:
        at = time.perf_counter()
        search(release, question, 10)
        times.append((time.perf_counter() - at) * 1000)
    memory = most_memory()
    vectors = release.vectors.vectors(np.arange(release.manifest.passages))
    for question in questions[:COMPARED]:
        vector = release.embedder.embed_question(question)
        nearest = np.argsort(-(vectors @ vector))[:10]
        right += len(set(map(int, nearest)) & {position for position, _ in release.vectors.search(vector, 10)})
    recall = right / (10 * min(COMPARED, len(questions)))
    return {
        "p50": round(percentile(times, 0.5), 2),
        "p99": round(percentile(times, 0.99), 2),
        "held": round(memory),
        "recall": round(recall, 4),
    }


def main() -> None:
    """Print a line a size, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--again", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first:
        search(open_release(options.first), "高血压病人能吃什么", 10)
    elif options.search:
        sys.stdout.write(json.dumps(measure_search(options.search)) + "\n")
    elif options.again:
        sys.stdout.write(f"{build_again(options.again)}\n")
    elif options.one:
        with tempfile.TemporaryDirectory() as index:
            sys.stdout.write(json.dumps(measure_one(options.data, options.one, Path(index))) + "\n")
    else:
        compare(options.data, [int(size) for size in options.sizes.split(",")], options.plot)


def compare(data: Path, sizes: list[int], plot: Path | None) -> None:
    """A line a size."""
    names = ("passages", "build", "seconds", "again", "peak", "cold", "p50", "p99", "held", "recall", "disk")
    sys.stdout.write(
        " passages  a second   seconds  1 % changed s  peak MB  first answer s   p50 ms   p99 ms  held MB  recall@10  disk MB\n"
    )
    widths = (9, 9, 9, 14, 8, 15, 8, 8, 8, 10, 8)
    rows = []
    for size in sizes:
        rows.append(json.loads(run("--data", str(data), "--one", str(size))))
        cells = (f"{rows[-1][name]:>{width}}" for name, width in zip(names, widths, strict=True))
        sys.stdout.write(" ".join(cells) + "\n")
        sys.stdout.flush()
    if plot:
        draw(plot, rows)


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Search times over the number of passages, in powers of ten."""
    curves = {name: [(math.log10(row["passages"]), row[key]) for row in rows] for name, key in (("p50", "p50"), ("p99", "p99"))}
    line_plot(path, "查找一次的时间", "片段数（10 的几次方）", "毫秒", curves)


if __name__ == "__main__":
    main()
