"""A knowledge base to instruction data: built beside, then put in place; the same bytes whatever the number of processes."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.weights import file_digest
from finetune.asking import SHIPPED, load_asking
from finetune.decontaminate import APART, REPORT, Against, read_against
from finetune.distractors import look_alike_documents, look_alike_facts, nearest_facts
from finetune.facts import Knowledge, Shares, knowledge_digest, read_knowledge
from finetune.making import Limits, Maker
from finetune.ordered_work import in_order
from finetune.patient_questions import PairRules, PairSamples, read_pairs
from finetune.question_files import Columns
from finetune.sample_file import Made, SampleFile, make
from finetune.samples import SAMPLES
from finetune.texts import TEXTS, text_lines
from finetune.unknown_names import unknown_names
from indexer.names import NameIndex
from indexer.sections import SectionGuide

FORMAT = 1
MANIFEST = "manifest.json"
# Shares proposed by the research on retrieval-style tuning (RAFT, R-Tuning): mostly recall and reading, a seventh of refusals.
MIX: Mapping[str, float] = {"closed": 0.40, "cited": 0.35, "refusal": 0.15, "contrast": 0.05, "dialogue": 0.05}
_FACTS_AT_ONCE = 32
_UNKNOWN_NAMES = 20_000
_BUILDING, _PAIRS = ".building", "pairs"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What to build and how much of it. `per_section` is the mean number of samples of a section, by the document's kind.

    `fields` are those that are taught (empty: all); a small model knows few of them by heart.

    `mix` gives the shares of the kinds; they are scaled to sum to 1. Contrasts are made only where a drug has a look-alike, and
    dialogues only where a document has another field, so their part comes out smaller.
    """

    kb: tuple[Path, ...]
    out: Path
    texts: bool = False
    mix: Mapping[str, float] = field(default_factory=lambda: dict(MIX))
    per_section: Mapping[str, float] = field(default_factory=lambda: {"drug": 12.0, "disease": 12.0})
    fields: frozenset[str] = frozenset()
    shares: Shares = field(default_factory=Shares)
    limits: Limits = field(default_factory=Limits)
    seed: int = 7
    workers: int = 2
    question_files: tuple[Path, ...] = ()
    columns: Columns = field(default_factory=Columns)
    skip_faulty: bool = False
    against: tuple[Path, ...] = ()
    entities_apart: bool = False


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a build wrote. `repeated` are samples left out because the same conversation had been written, `left_out` question-answer
    pairs by the reason for it, `faulty` lines of their files that were skipped; `apart` and `flagged` are contaminated samples.
    """

    samples: int
    kinds: Mapping[str, int]
    splits: Mapping[str, int]
    texts: int
    documents: int
    sections: int
    repeated: int
    left_out: Mapping[str, int]
    faulty: int
    apart: Mapping[str, int]
    flagged: Mapping[str, int]
    seconds: float


@dataclass(frozen=True)
class _MakeShard:
    """Samples of a run of facts."""

    maker: Maker
    wanted: Mapping[str, Mapping[str, float]]
    fields: frozenset[str]
    against: Against

    def __call__(self, numbers: Sequence[int]) -> list[Made]:
        made: list[Made] = []
        for number in numbers:
            fact = self.maker.knowledge.facts[number]
            if not self.fields or fact.field in self.fields:
                wanted = self.wanted.get(self.maker.knowledge.document(fact).kind, {})
                made += [make(sample, self.against) for sample in self.maker.samples(fact, wanted)]
        return made


def build_data(settings: BuildSettings, progress: Progress = lambda _stage, _done, _all: None) -> DataReport:
    """Write samples.jsonl, manifest.json and what else is asked for to the folder, all of it or nothing.

    Raises KnowledgeBaseError for faulty documents and QizhenError for faulty questions, each with every fault of every file.
    """
    building = settings.out / _BUILDING
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        report = _build(settings, building, progress)
        for made in sorted(building.iterdir()):
            made.replace(settings.out / made.name)
        for stale in {TEXTS, APART, REPORT} - set(_files_of(settings)):
            (settings.out / stale).unlink(missing_ok=True)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return report


def _files_of(settings: BuildSettings) -> list[str]:
    return [SAMPLES, *([TEXTS] if settings.texts else []), *([APART, REPORT] if settings.against else [])]


def _build(settings: BuildSettings, building: Path, progress: Progress) -> DataReport:
    started = time.perf_counter()
    progress("读取知识库", 0, 0)
    knowledge, guide, names = read_knowledge(settings.kb, settings.shares)
    against, contamination = read_against(settings.against, names, [entity.name for entity in knowledge.entities])
    pairs = _read_pairs(settings, knowledge, names, against, building / _PAIRS, progress)
    progress("寻找易混内容", 0, 0)
    maker = make_ready(settings, knowledge, guide, names)
    with SampleFile(building, contamination, settings.entities_apart) as file:
        for done, made in _shards(maker, settings, against):
            file.write(made)
            progress("样本", done, len(knowledge.facts))
        for made in pairs:
            file.write(made)
    (building / _PAIRS).unlink()
    if settings.against:
        (building / REPORT).write_text(contamination.as_json(), "utf-8")
    report = DataReport(
        samples=file.kinds.total(),
        kinds=dict(sorted(file.kinds.items())),
        splits=dict(sorted(file.splits.items())),
        texts=_write_texts(building / TEXTS, knowledge, settings.seed) if settings.texts else 0,
        documents=len(knowledge.documents),
        sections=len(knowledge.facts),
        repeated=file.repeated,
        left_out=dict(sorted(pairs.left_out.items())),
        faulty=len(pairs.faults),
        apart=dict(sorted(contamination.apart.items())),
        flagged=dict(sorted(contamination.flagged.items())),
        seconds=round(time.perf_counter() - started, 1),
    )
    _write_manifest(building, settings, knowledge, report)
    return report


def make_ready(settings: BuildSettings, knowledge: Knowledge, guide: SectionGuide, names: NameIndex) -> Maker:
    """Find what is easily mistaken in a knowledge base, and what it does not hold."""
    near = nearest_facts(knowledge)
    alike = look_alike_facts(knowledge, look_alike_documents(knowledge, names, settings.kb))
    unknown = {kind: unknown_names(kind, knowledge.documents, guide, names, _UNKNOWN_NAMES, settings.seed) for kind in ("drug", "disease")}
    return Maker(knowledge, load_asking(), near, alike, unknown, settings.limits, settings.shares, settings.seed)


def _read_pairs(
    settings: BuildSettings, knowledge: Knowledge, names: NameIndex, against: Against, beside: Path, progress: Progress
) -> PairSamples:
    answers = {document.id: document.body(document.sections[0]) for document in knowledge.documents}
    bearers = {name: knowledge.entities[held[0]] for name, held in names.bearers().items()}
    rules = PairRules(settings.columns, answers, bearers, settings.shares, against)
    return read_pairs(
        settings.question_files, rules, beside, settings.workers, settings.skip_faulty, lambda read: progress("问答文件", read, 0)
    )


def _shards(maker: Maker, settings: BuildSettings, against: Against) -> Iterator[tuple[int, list[Made]]]:
    whole = sum(settings.mix.values())
    wanted = {
        document: {kind: share / whole * count for kind, share in settings.mix.items()} for document, count in settings.per_section.items()
    }
    count = len(maker.knowledge.facts)
    jobs = [range(start, min(start + _FACTS_AT_ONCE, count)) for start in range(0, count, _FACTS_AT_ONCE)]
    for numbers, made in zip(jobs, in_order(_MakeShard(maker, wanted, settings.fields, against), jobs, settings.workers), strict=True):
        yield numbers.stop, made


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
        "fields": sorted(settings.fields),
        "shares": asdict(settings.shares),
        "limits": asdict(settings.limits),
        "seed": settings.seed,
        "question_files": {path.name: file_digest(path) for path in settings.question_files},
        "against": {path.name: file_digest(path) for path in settings.against if path.is_file()},
        "questions_toml": file_digest(SHIPPED),
        "version": version("qizhen"),
    }
    kb = {"documents": len(knowledge.documents), "digest": knowledge_digest(knowledge)}
    counts = {name: value for name, value in asdict(report).items() if name != "seconds"}
    manifest = {"format": FORMAT, "made": how, "kb": kb, "counts": counts, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", "utf-8")
