"""A knowledge base to instruction data: built beside, then put in place; the same bytes whatever the number of processes."""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from finetune.asking import SHIPPED, load_asking
from finetune.distractors import look_alike_documents, look_alike_facts, nearest_facts
from finetune.facts import Knowledge, Shares, knowledge_digest, read_knowledge
from finetune.making import Limits, Maker
from finetune.ordered_work import in_order
from finetune.samples import SAMPLES
from finetune.texts import TEXTS, text_lines
from finetune.unknown_names import unknown_names

FORMAT = 1
MANIFEST = "manifest.json"
# Shares proposed by the research on retrieval-style tuning (RAFT, R-Tuning): mostly recall and reading, a seventh of refusals.
MIX: Mapping[str, float] = {"closed": 0.40, "cited": 0.35, "refusal": 0.15, "contrast": 0.05, "dialogue": 0.05}
_FACTS_AT_ONCE = 32
_UNKNOWN_NAMES = 3000
_BUILDING = ".building"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What to build and how much of it. `per_section` is the mean number of samples of a section, by the document's kind.

    `mix` gives the shares of the kinds; they are scaled to sum to 1. Contrasts are made only where a drug has a look-alike, and
    dialogues only where a document has another field, so their part comes out smaller.
    """

    kb: tuple[Path, ...]
    out: Path
    texts: bool = False
    mix: Mapping[str, float] = field(default_factory=lambda: dict(MIX))
    per_section: Mapping[str, float] = field(default_factory=lambda: {"drug": 12.0, "disease": 12.0})
    shares: Shares = field(default_factory=Shares)
    limits: Limits = field(default_factory=Limits)
    seed: int = 7
    workers: int = 2


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a build wrote. `repeated` are samples left out because the same conversation had been written."""

    samples: int
    kinds: Mapping[str, int]
    splits: Mapping[str, int]
    texts: int
    documents: int
    sections: int
    repeated: int
    seconds: float


@dataclass(frozen=True)
class _MakeShard:
    """Samples of a run of facts, as (digest, kind, split, line)."""

    maker: Maker
    wanted: Mapping[str, Mapping[str, float]]

    def __call__(self, numbers: Sequence[int]) -> list[tuple[int, str, str, bytes]]:
        made: list[tuple[int, str, str, bytes]] = []
        for number in numbers:
            fact = self.maker.knowledge.facts[number]
            for sample in self.maker.samples(fact, self.wanted.get(self.maker.knowledge.document(fact).kind, {})):
                digest, line = sample.as_line()
                made.append((int(digest[:16], 16), sample.kind, sample.split, line))
        return made


def build_data(settings: BuildSettings, progress: Progress = lambda _stage, _done, _all: None) -> DataReport:
    """Write samples.jsonl, manifest.json and, if asked, texts.jsonl to the folder. Raises KnowledgeBaseError for faulty documents."""
    started = time.perf_counter()
    maker = make_ready(settings, progress)
    building = settings.out / _BUILDING
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        with (building / SAMPLES).open("wb") as file:
            tally = _Tally(file)
            for done, shard in _shards(maker, settings):
                tally.write(shard)
                progress("样本", done, len(maker.knowledge.facts))
        texts = _write_texts(building / TEXTS, maker.knowledge, settings.seed) if settings.texts else 0
        report = DataReport(
            sum(tally.kinds.values()),
            dict(sorted(tally.kinds.items())),
            dict(sorted(tally.splits.items())),
            texts,
            len(maker.knowledge.documents),
            len(maker.knowledge.facts),
            tally.repeated,
            round(time.perf_counter() - started, 1),
        )
        _write_manifest(building, settings, maker.knowledge, report)
        for file_made in sorted(building.iterdir()):
            file_made.replace(settings.out / file_made.name)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return report


def make_ready(settings: BuildSettings, progress: Progress = lambda _stage, _done, _all: None) -> Maker:
    """Read the knowledge base and find what is easily mistaken in it."""
    progress("读取知识库", 0, 0)
    knowledge, guide, names = read_knowledge(settings.kb, settings.shares)
    progress("寻找易混内容", 0, 0)
    near = nearest_facts(knowledge)
    alike = look_alike_facts(knowledge, look_alike_documents(knowledge, names, settings.kb))
    titles = {kind: [d.title for d in knowledge.documents if d.kind == kind] for kind in ("drug", "disease")}
    unknown = {kind: unknown_names(kind, held, guide, names, _UNKNOWN_NAMES, settings.seed) for kind, held in titles.items()}
    return Maker(knowledge, load_asking(), near, alike, unknown, settings.limits, settings.shares, settings.seed)


class _Tally:
    """The file of samples as it grows, and what is in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen: set[int] = set()
        self.kinds: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.repeated = 0

    def write(self, made: Iterable[tuple[int, str, str, bytes]]) -> None:
        """Append samples; one whose conversation stands there already is left out."""
        for digest, kind, split, line in made:
            if digest in self._seen:
                self.repeated += 1
                continue
            self._seen.add(digest)
            self.kinds[kind] += 1
            self.splits[split] += 1
            self._file.write(line)


def _shards(maker: Maker, settings: BuildSettings) -> Iterator[tuple[int, list[tuple[int, str, str, bytes]]]]:
    whole = sum(settings.mix.values())
    shares = {kind: share / whole for kind, share in settings.mix.items()}
    wanted = {document: {kind: share * count for kind, share in shares.items()} for document, count in settings.per_section.items()}
    count = len(maker.knowledge.facts)
    jobs = [range(start, min(start + _FACTS_AT_ONCE, count)) for start in range(0, count, _FACTS_AT_ONCE)]
    for numbers, shard in zip(jobs, in_order(_MakeShard(maker, wanted), jobs, settings.workers), strict=True):
        yield numbers.stop, shard


def _write_texts(path: Path, knowledge: Knowledge, seed: int) -> int:
    count = 0
    with path.open("wb") as file:
        for line in text_lines(knowledge, seed):
            file.write(line)
            count += 1
    return count


def _write_manifest(folder: Path, settings: BuildSettings, knowledge: Knowledge, report: DataReport) -> None:
    files = {path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)} for path in sorted(folder.iterdir())}
    how: dict[str, Any] = {
        "mix": dict(settings.mix),
        "per_section": dict(settings.per_section),
        "shares": asdict(settings.shares),
        "limits": asdict(settings.limits),
        "seed": settings.seed,
        "questions_toml": file_digest(SHIPPED),
        "version": version("qizhen"),
    }
    kb = {"documents": len(knowledge.documents), "digest": knowledge_digest(knowledge)}
    counts = {name: value for name, value in asdict(report).items() if name != "seconds"}
    manifest = {"format": FORMAT, "made": how, "kb": kb, "counts": counts, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", "utf-8")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
