"""How long the drug pages take at 10,000 drugs: type-ahead in every way of typing, and ten drugs against each other.

python tests/benchmarks/drug_names.py [--drugs 10000] [--queries 3000]
"""

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from app.drug_names import drug_names, prepare, suggest
from app.generators import QuotingGenerator
from app.service import Service
from app.shelf import ReleaseShelf
from app.site import create_site
from indexer.build import build_release
from indexer.release import Release
from indexer.sounds import sound

ROOT = Path(__file__).parent.parent.parent
FORMS = "片 胶囊 颗粒 注射液 口服溶液 乳膏 滴眼液 缓释片 分散片 软膏".split()


def main() -> None:
    """Build, ask, print."""
    options = argparse.ArgumentParser()
    options.add_argument("--drugs", type=int, default=10_000)
    options.add_argument("--queries", type=int, default=3000)
    asked = options.parse_args()
    pick = random.Random(8)
    with tempfile.TemporaryDirectory() as folder:
        shelf = ReleaseShelf(_index(Path(folder), asked.drugs, pick))
        release = shelf.current()
        began = time.perf_counter()
        names = drug_names(release)
        sys.stdout.write(f"{len(names)} drugs, names sorted in {time.perf_counter() - began:.1f} s\n")
        queries = [_typed(release, pick) for _ in range(asked.queries)]
        prepare(release)
        _report("suggest", [_timed(suggest, release, query) for query in queries])
        service = Service(shelf, lambda _: QuotingGenerator(), lambda: {"quoting": "原文摘录"})
        client = TestClient(create_site(service), client=("127.0.0.1", 50_000))

        def get(path: str, **parameters: object) -> None:
            client.get(path, params=parameters).raise_for_status()

        _report("GET /drugs/suggest", [_timed(lambda q: get("/drugs/suggest", q=q), query) for query in queries])
        ids = [release.store.document(position).id for position in range(release.store.documents)]
        tens = [pick.sample(ids, 10) for _ in range(20)]
        _report("GET /drugs/interactions of ten", [_timed(lambda ten: get("/drugs/interactions", drug=ten), ten) for ten in tens])
        _report("GET /drugs/{id}", [_timed(lambda name: get(f"/drugs/{name}"), name) for name in pick.sample(ids, 200)])
        sys.stdout.write(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB\n")


def _index(folder: Path, drugs: int, pick: random.Random) -> Path:
    """The shipped drugs again and again, each under a name made of two others' halves and a dosage form."""
    shipped = folder / "shipped"
    build_release(shipped, [ROOT / "kb_data"])
    store = ReleaseShelf(shipped).current().store
    held = [document for document in store.all() if document.kind == "drug"]
    rows, taken = [], set()
    while len(rows) < drugs:
        body, first, last = pick.choices(held, k=3)
        title = first.title[: pick.randint(2, 3)] + last.title[-pick.randint(2, 3) :] + pick.choice(FORMS)
        if title not in taken:
            taken.add(title)
            sections = [{"title": s.title, "text": body.body(s)} for s in body.sections]
            aliases = [f"{alias}{len(rows) % 97}" for alias in body.aliases[:4]]
            rows.append({"id": f"drug/{len(rows)}", "kind": "drug", "title": title, "aliases": aliases, "sections": sections})
    (folder / "kb.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    build_release(folder / "index", [folder / "kb.jsonl"])
    return folder / "index"


def _typed(release: Release, pick: random.Random) -> str:
    """A beginning of a name, of its initials or of its pinyin, or the name with one character wrong."""
    title = drug_names(release).title(pick.randrange(release.store.documents))
    told = sound(title)
    way = pick.randrange(4)
    if way == 3:
        at = pick.randrange(1, len(title))
        return title[:at] + pick.choice("络呋啉菲沙") + title[at + 1 :]
    whole = (title, "".join(part[0] for part in told), "".join(told))[way]
    return whole[: pick.randint(1, len(whole))]


def _timed(work: Callable[..., object], *values: object) -> float:
    began = time.perf_counter()
    work(*values)
    return (time.perf_counter() - began) * 1000


def _report(what: str, milliseconds: list[float]) -> None:
    cuts = statistics.quantiles(milliseconds, n=100)
    figures = f"p50 {cuts[49]:7.1f}  p95 {cuts[94]:7.1f}  p99 {cuts[98]:7.1f}  max {max(milliseconds):7.1f} ms"
    sys.stdout.write(f"{what:32} {figures}  ({len(milliseconds)})\n")


if __name__ == "__main__":
    main()
