"""How cost grows with a knowledge base: built, opened and searched at 1,000 to 1,000,000 passages, each in a process of its own.

python tests/benchmarks/scale.py [--data DIR] [--sizes 1000,10000,100000,1000000] [--plot FILE.svg]

The passages are those of DIR/volume (100,000 paragraphs of papers), and for more than there are, their sentences in another order. The
questions are pieces of 8 to 25 characters of them. Recall is that of the ten nearest by vectors, against all vectors compared one by one.
"""

import argparse
import gzip
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

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
    """Build, open and search one size, in this process."""
    import numpy as np

    from indexer.build import build_release
    from indexer.release import open_release, release_folder
    from indexer.search import search

    kb = index / "kb.jsonl"
    dice = random.Random(11)
    questions = []
    with kb.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts_of(data, count)):
            row = {"id": f"text/{number}", "kind": "text", "title": f"第{number}段", "sections": [{"title": "正文", "text": text}]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if len(text) > 40 and dice.random() < 3 * SEARCHES / count:
                at = dice.randrange(len(text) - 30)
                questions.append(text[at : at + dice.randint(8, 25)])
    started = time.perf_counter()
    built = build_release(index, [kb])
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    opened = time.perf_counter()
    command = [sys.executable, __file__, "--first", questions[0], "--data", str(index)]
    subprocess.run(command, check=True, capture_output=True)
    cold = time.perf_counter() - opened
    release = open_release(index)
    release.prepare()
    times, right = [], 0
    for question in questions[:SEARCHES]:
        at = time.perf_counter()
        search(release, question, 10)
        times.append((time.perf_counter() - at) * 1000)
    vectors = release.vectors.vectors(np.arange(built.passages))
    for question in questions[:COMPARED]:
        vector = release.embedder.embed_question(question)
        nearest = np.argsort(-(vectors @ vector))[:10]
        right += len(set(map(int, nearest)) & {position for position, _ in release.vectors.search(vector, 10)})
    times.sort()
    disk = sum(path.stat().st_size for path in release_folder(index, built.release).rglob("*") if path.is_file())
    return {
        "passages": built.passages,
        "build": round(built.passages / seconds),
        "seconds": round(seconds, 1),
        "peak": round(peak),
        "cold": round(cold, 2),
        "p50": round(times[len(times) // 2], 2),
        "p99": round(times[int(len(times) * 0.99)], 2),
        "recall": round(right / (10 * min(COMPARED, len(questions))), 4),
        "disk": round(disk / 1e6),
    }


def first_answer(index: Path, question: str) -> None:
    """What a new process does until its first passages are found, and how much memory it holds then."""
    from indexer.release import open_release
    from indexer.search import search

    search(open_release(index), question, 10)


def main() -> None:
    """Print a line a size, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first:
        first_answer(options.data, options.first)
        return
    if options.one:
        with tempfile.TemporaryDirectory() as index:
            sys.stdout.write(json.dumps(measure_one(options.data, options.one, Path(index))) + "\n")
        return
    rows = []
    sys.stdout.write(" passages  a second   seconds  peak MB  first answer s  search p50 ms  p99 ms  recall@10  disk MB\n")
    for size in map(int, options.sizes.split(",")):
        command = [sys.executable, __file__, "--data", str(options.data), "--one", str(size)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows.append(row)
        sys.stdout.write(
            "{passages:>9}  {build:>8}  {seconds:>8}  {peak:>7}  {cold:>14}  {p50:>13}  {p99:>6}  {recall:>9}  {disk:>7}\n".format(**row)
        )
        sys.stdout.flush()
    if options.plot:
        draw(options.plot, rows)


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Search times over the number of passages, in powers of ten."""
    import math

    from finetune.plots import line_plot

    curves = {name: [(math.log10(row["passages"]), row[key]) for row in rows] for name, key in (("p50", "p50"), ("p99", "p99"))}
    line_plot(path, "查找一次的时间", "片段数（10 的几次方）", "毫秒", curves)


if __name__ == "__main__":
    main()
