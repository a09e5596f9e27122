"""Ask files of questions in up to four ways, mark every answer, and write what was measured with all that it takes to measure it again.

OUT/answers.jsonl    one line a question and column, with the places of the hits
OUT/choices.jsonl    one line a multiple-choice question
OUT/figures.json     figures by exam, group and column, and the comparison with an earlier run
OUT/manifest.json    digests of files, aliases, template, model; matcher, release, decoding, seed
OUT/report.md        the same for people (finetune/report.py)
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.adapter_manifest import template_of
from app.generators import Generator
from app.measuring import share
from app.open_generator import open_generator
from app.settings import SHIPPED_KNOWLEDGE, model_settings
from app.standards import MATCHER_VERSION, SHIPPED_ALIASES, load_term_aliases
from app.weights import file_digest, weights_digest
from finetune.asking_model import AskModel, Progress, open_model
from finetune.choices import ChoiceExam, Chosen, choose, is_choices, read_choices
from finetune.columns import (
    CHAIN,
    CHANCE,
    CLOSED,
    COLUMNS,
    RETRIEVAL,
    SOURCE,
    Column,
    chain_column,
    chance_column,
    closed_column,
    grounds_of,
    retrieval_column,
    source_column,
)
from finetune.exam import Exam, Templates, expected_terms, few_of, is_scorable, read_exam, with_terms
from finetune.figures import Marked, compare, grouped
from finetune.json_files import write_json
from finetune.marking import mark
from finetune.report import write_report
from indexer.build import build_release
from indexer.errors import QizhenError
from indexer.release import Release, open_release
from indexer.sections import SectionGuide
from indexer.terms import fold

# So many questions are asked together and one by one, to tell whether a batch changes answers.
_STEADY = 4
ANSWERS, CHOICES, FIGURES, MANIFEST = "answers.jsonl", "choices.jsonl", "figures.json", "manifest.json"


class EvaluationError(QizhenError):
    """An evaluation that cannot be run as asked; lists everything that stands in its way."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What to ask, of what, how.

    `terms` are files read for their expected items alone. `knowledge` is built into an index that is thrown away; `index` is one that
    is there; with neither, the documents of the exams themselves, or the shipped knowledge base where they have none. No `columns`:
    all that can be asked. `only_scored`: leave out answerable questions without expected items. `limit`: questions of each file, 0 for
    all. `most_tokens`: the longest closed-book answer.
    """

    questions: tuple[Path, ...]
    terms: tuple[Path, ...] = ()
    knowledge: tuple[Path, ...] = ()
    index: Path | None = None
    base: Path | None = None
    adapter: Path | None = None
    generator: str = "quoting"
    columns: tuple[str, ...] = ()
    against: Path | None = None
    templates: Templates = "held-out"
    only_scored: bool = False
    limit: int = 0
    most_tokens: int = 512
    batch: int = 16
    seed: int = 7

    @property
    def asked_columns(self) -> tuple[str, ...]:
        """The columns in their order; a closed book needs a model."""
        wanted = self.columns or tuple(column for column in COLUMNS if column != CHANCE and (column != CLOSED or self.base))
        return tuple(column for column in COLUMNS if column in wanted)


@dataclass(frozen=True, slots=True)
class _Ready:
    """Everything read and opened."""

    exams: tuple[Exam, ...]
    choices: tuple[ChoiceExam, ...]
    terms: tuple[Exam, ...]
    saved: tuple[dict[str, Any], ...]
    generator: Generator | None
    model: AskModel | None


def evaluate(evaluation: Evaluation, out: Path, progress: Progress) -> dict[str, Any]:
    """Run an evaluation, write `out`, and return its figures. Raises EvaluationError with every fault before anything is asked."""
    ready = _prepare(evaluation)
    with _knowledge(evaluation, ready.exams, progress) as release:
        exams = _completed(ready, evaluation, release.guide)
        marked = [mark for exam in exams for mark in _asked(exam, _columns(evaluation, ready, release), release, progress)]
        chosen = {exam.name: choose(ready.model, exam.choices, progress) for exam in ready.choices if ready.model}
        manifest = _manifest(evaluation, ready, release, exams)
    rows = [one.row for one in marked]
    result = {
        "exams": grouped(rows),
        "choices": {name: choice_figures(taken) for name, taken in chosen.items()},
        "against": compare(rows, ready.saved, evaluation.seed),
    }
    out.mkdir(parents=True, exist_ok=True)
    _write_lines(out / ANSWERS, rows)
    _write_lines(out / CHOICES, [_choice_row(name, one) for name, taken in chosen.items() for one in taken])
    write_json(out / FIGURES, result)
    write_json(out / MANIFEST, manifest)
    write_report(out, rows, result, manifest)
    return result


def _prepare(evaluation: Evaluation) -> _Ready:
    """Read and open what is named, cheap things first; the model is loaded only where nothing else is wrong."""
    faults = _misuse(evaluation)
    told: list[QizhenError] = []

    def tried(make: Any, *given: Any) -> Any:
        try:
            return make(*given)
        except QizhenError as error:
            told.append(error)
            return None

    named = list(zip(evaluation.questions, _names(evaluation.questions), strict=True))
    choices = [tried(read_choices, path, name) for path, name in named if is_choices(path)]
    exams = [tried(read_exam, path, evaluation.templates, name) for path, name in named if not is_choices(path)]
    terms = [tried(read_exam, path) for path in evaluation.terms]
    saved = tried(read_answers, evaluation.against) if evaluation.against else []
    if evaluation.base and evaluation.adapter:
        tried(template_of, evaluation.base, evaluation.adapter)
    faults += [
        f"{exam.path}: 没有一题写明该怎样回答（terms、span、refuse）"
        for exam in exams
        if exam and not any(map(is_scorable, exam.questions))
    ]
    generator = None
    if CHAIN in evaluation.asked_columns and not faults and not told:
        generator = tried(_generator, evaluation)
    faults += [f"{error.fault}（{error.hint}）" for error in told]
    if faults:
        listed = "\n".join(faults)
        raise EvaluationError(
            f"评测有 `{len(faults)}` 处不能进行：\n{listed}", "改正以上各处后重试；用法见 qizhen-finetune evaluate --help"
        )
    asks_model = evaluation.base and (CLOSED in evaluation.asked_columns or choices)
    model = open_model(evaluation.base, evaluation.adapter, evaluation.batch) if asks_model and evaluation.base else None
    return _Ready(tuple(exams), tuple(choices), tuple(terms), tuple(saved), generator, model)


def _names(paths: Sequence[Path]) -> list[str]:
    """What the files are called in tables: with their folder where two share a name."""
    names = [path.name for path in paths]
    return [f"{path.resolve().parent.name}/{path.name}" if names.count(path.name) > 1 else path.name for path in paths]


def _misuse(evaluation: Evaluation) -> list[str]:
    base = evaluation.base
    names = [path.resolve() for path in evaluation.questions]
    choices = any(is_choices(path) for path in evaluation.questions)
    unknown = [column for column in evaluation.columns if column not in COLUMNS]
    return [
        *(["没有问题文件：用 --questions 给出"] if not names else []),
        *(f"问题文件 `{name}` 给了不止一次" for name in sorted({name for name in names if names.count(name) > 1})),
        *(f"没有 `{column}` 这一列；可用：{'、'.join(COLUMNS)}" for column in unknown),
        *(["`closed` 列要有模型：用 --base 给出"] if CLOSED in evaluation.columns and not base else []),
        *(["选择题要有模型来答：用 --base 给出"] if choices and not base else []),
        *(["回答方式 `local` 要有模型：用 --base 给出"] if evaluation.generator == "local" and not base else []),
        *([f"适配器 `{evaluation.adapter}` 没有配它的模型：用 --base 给出"] if evaluation.adapter and not base else []),
        *([f"`{base}` 里没有模型（config.json）"] if base and not (base / "config.json").is_file() else []),
        *(["--kb 和 --index 不能同时给出"] if evaluation.knowledge and evaluation.index else []),
    ]


def _generator(evaluation: Evaluation) -> Generator:
    settings = model_settings()
    if evaluation.generator == "local":
        settings = replace(settings, local_model=str(evaluation.base), local_adapter=str(evaluation.adapter or ""))
    return open_generator(evaluation.generator, settings)


@contextmanager
def _knowledge(evaluation: Evaluation, exams: Sequence[Exam], progress: Progress) -> Iterator[Release]:
    """The release to ask, closed again at the end."""
    with tempfile.TemporaryDirectory() as folder:
        index = evaluation.index
        if index is None:
            index, own = Path(folder) / "index", [document for exam in exams for document in exam.documents]
            paths = [*evaluation.knowledge]
            if own:
                paths.append(Path(folder) / "exams.jsonl")
                _write_lines(paths[-1], own)
            build_release(index, paths or [SHIPPED_KNOWLEDGE], progress=progress)
        release = open_release(index)
        try:
            yield release
        finally:
            release.close()


def _completed(ready: _Ready, evaluation: Evaluation, guide: SectionGuide) -> list[Exam]:
    """The exams with what is expected of their sections, as many questions of each as are wanted."""

    def canonical(title: str) -> str:
        return next((section.name for section in guide.sections if fold(title) in section.titles), title)

    known = expected_terms([*ready.terms, *ready.exams], canonical)
    exams = [with_terms(exam, known, canonical) for exam in ready.exams]
    if evaluation.only_scored:
        exams = [replace(exam, questions=tuple(q for q in exam.questions if q.terms or q.refuse)) for exam in exams]
    return [few_of(exam, evaluation.limit, evaluation.seed) for exam in exams]


def _columns(evaluation: Evaluation, ready: _Ready, release: Release) -> dict[str, Column]:
    columns = {CHANCE: chance_column(release), SOURCE: source_column(release), RETRIEVAL: retrieval_column(release)}
    if ready.model:
        columns[CLOSED] = closed_column(release, ready.model, evaluation.most_tokens)
    if ready.generator:
        columns[CHAIN] = chain_column(release, ready.generator)
    return {name: columns[name] for name in evaluation.asked_columns}


def _asked(exam: Exam, columns: dict[str, Column], release: Release, progress: Progress) -> Iterator[Marked]:
    aliases = load_term_aliases()
    for name, column in columns.items():
        for question, said in zip(exam.questions, column(exam.questions, progress), strict=True):
            if said is not None:
                grounds = "" if question.refuse else grounds_of(release, question, said)
                marks = mark(said.text, question.terms, aliases, grounds, question.reference)
                yield Marked(exam.name, name, question, said, marks)


def choice_figures(taken: Sequence[Chosen]) -> dict[str, Any]:
    """Exact matches by type of question and in all: as written, as likeliest; and how many answers held no letter."""
    types = {
        "": list(taken),
        **{kind: [one for one in taken if one.choice.type == kind] for kind in dict.fromkeys(o.choice.type for o in taken)},
    }
    return {
        kind: {
            "questions": len(ones),
            "written": share(sum(one.written == one.choice.answer for one in ones), len(ones)),
            "likeliest": share(sum(one.likeliest == one.choice.answer for one in ones), len(ones)),
            "unreadable": share(sum(not one.written for one in ones), len(ones)),
        }
        for kind, ones in types.items()
    }


def read_answers(run: Path) -> list[dict[str, Any]]:
    """The answers of an earlier run. Raises EvaluationError where there are none."""
    path = run / ANSWERS
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
        for row in rows:
            _ = row["exam"], row["column"], row["id"], row["question"], row["expected"], row["standards"], row["named"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"`{run}` 里没有可比的评测结果（{ANSWERS}）：{error!r}", "用 --against 给出 evaluate 的 --out 文件夹"
        ) from error
    return rows


def _choice_row(name: str, one: Chosen) -> dict[str, Any]:
    choice = one.choice
    return {
        "exam": name,
        "id": choice.id,
        "type": choice.type,
        "question": choice.question,
        "answer": choice.answer,
        "said": one.said,
        "written": one.written,
        "likeliest": one.likeliest,
    }


def _manifest(evaluation: Evaluation, ready: _Ready, release: Release, exams: Sequence[Exam]) -> dict[str, Any]:
    files = {exam.name: exam.digest for exam in (*exams, *ready.terms)} | {exam.name: exam.digest for exam in ready.choices}
    return {
        "files": {name: {"sha256": digest} for name, digest in files.items()},
        "columns": list(evaluation.asked_columns),
        "templates": evaluation.templates,
        "only_scored": evaluation.only_scored,
        "limit": evaluation.limit,
        "seed": evaluation.seed,
        "matcher": {"version": MATCHER_VERSION, "aliases": file_digest(SHIPPED_ALIASES)},
        "release": {"id": release.id, "documents": release.manifest.documents, "content": release.manifest.content_digest},
        "generator": evaluation.generator if CHAIN in evaluation.asked_columns else "",
        "model": _model_row(evaluation, ready.model, exams) if ready.model else None,
    }


def _model_row(evaluation: Evaluation, model: AskModel, exams: Sequence[Exam]) -> dict[str, Any]:
    few = [[("user", question.question)] for exam in exams for question in exam.questions[:_STEADY]][:_STEADY]
    return {
        "base": {"name": evaluation.base.name if evaluation.base else "", "digest": _weights(evaluation.base)},
        "adapter": {"name": evaluation.adapter.name, "digest": _weights(evaluation.adapter)} if evaluation.adapter else None,
        "template": {"name": model.template, "digest": model.template_digest},
        "decoding": {"greedy": True, "most_tokens": evaluation.most_tokens, "batch": evaluation.batch, "padding": "left"},
        "same_in_batches": model.is_steady(few),
        "device": model.device,
        "dtype": model.dtype,
    }


def _weights(folder: Path | None) -> str:
    return weights_digest(folder) if folder else ""


def _write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
