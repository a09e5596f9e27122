"""What a re-index costs: the formulary from its first to its second date, and 100,000 documents with 100 changed.

python tests/benchmarks/releases.py [--data DIR] [--only formulary|volume]

The true numbers of added, changed and removed documents are counted from the files here, without the project's readers.
"""

import argparse
import gc
import gzip
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from indexer.build import build_release
from indexer.release import open_release, release_folder, verify_release
from indexer.search import search

CHANGED = 100


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file that have text; the formulary holds three without."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [row for row in map(json.loads, file) if row["sections"]]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def truth(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> tuple[int, int, int, int]:
    """(added, changed, of these with only another source, removed), by comparing rows."""
    before, after = ({row["id"]: row for row in rows} for rows in (old, new))
    both = before.keys() & after.keys()
    changed = [name for name in both if before[name] != after[name]]
    dated = [name for name in changed if {**before[name], "source": 0} == {**after[name], "source": 0}]
    return len(after.keys() - both), len(changed), len(dated), len(before.keys() - both)


def compare(folder: Path, old: list[dict[str, Any]], new: list[dict[str, Any]], name: str) -> None:
    """Build both states and print what the second cost."""
    index = folder / name
    older, newer = write(folder / "old.jsonl", old), write(folder / "new.jsonl", new)
    gc.freeze()  # the rows held here for counting are no part of a build
    began = time.process_time()
    first = build_release(index, [older])
    whole = time.process_time() - began
    began = time.process_time()
    second = build_release(index, [newer])
    part = time.process_time() - began
    counted = (second.added, second.changed, second.dated, second.removed)
    size = sum(path.stat().st_size for path in release_folder(index, second.release).rglob("*") if path.is_file())
    say(f"{name}: {first.documents} documents, {first.passages} passages, {size / 1e6:.0f} MB a release")
    say(f"  full build {first.seconds:.2f} s; second {second.seconds:.2f} s = {100 * second.seconds / first.seconds:.1f} %")
    say(f"  of the processor, whatever else runs: {whole:.2f} s and {part:.2f} s = {100 * part / whole:.1f} %")
    say(f"  added, changed, of these only the source, removed: {counted}; counted from the files: {truth(old, new)}")
    started = time.perf_counter()
    say(f"  verify: {verify_release(index) or 'sound'}, {time.perf_counter() - started:.2f} s")
    started = time.perf_counter()
    release = open_release(index)
    hits = search(release, new[0]["title"], 3)
    say(f"  opened and first search {time.perf_counter() - started:.2f} s, found {hits[0].document.id}")
    say(f"  peak memory of this process so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


def main() -> None:
    """Run both, or one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=["formulary", "volume"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qizhen-releases-") as temporary:
        folder = Path(temporary)
        if chosen.only != "volume":
            files = (chosen.data / "formulary" / name for name in ("20241226.jsonl", "20250127.jsonl"))
            compare(folder, *map(rows_of, files), "formulary")
        if chosen.only != "formulary":
            old = rows_of(chosen.data / "volume" / "kb.jsonl.gz")
            new = [dict(row) for row in old]
            for row in new[:: len(new) // CHANGED][:CHANGED]:
                row["sections"] = [{**section, "text": section["text"] + "此句为修订时所加。"} for section in row["sections"]]
            compare(folder, old, new, "volume")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
