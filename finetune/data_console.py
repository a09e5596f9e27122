"""The `qizhen-finetune data` commands."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finetune.asking import ANY_FIELD, load_asking
from finetune.data_checking import check_data
from finetune.data_statistics import statistics
from finetune.dataset import MIX, BuildSettings, Progress, build_data
from finetune.exports import FORMS, export
from finetune.facts import Shares
from finetune.making import Limits
from finetune.question_files import Columns
from indexer.errors import QizhenError

app = typer.Typer(help="指令数据：由知识库生成、核对、统计。", no_args_is_help=True, add_completion=False, rich_markup_mode=None)
Json = Annotated[bool, typer.Option("--json", help="只在标准输出打印一个 JSON 对象。")]
_MOST_TOLD = 20
_STATISTICS = {
    "samples": "样本",
    "kinds": "类别",
    "splits": "划分",
    "entities": "各划分的药品和疾病数",
    "fields": "字段",
    "templates": "问法",
    "question_characters": "提问字数（每档 100 字）",
    "answer_characters": "回答字数（每档 100 字）",
    "longest": "最长的一条（字）",
    "repeated_questions": "重复的提问",
    "repeated_answers": "重复的回答",
    "contradicted": "同一提问有不同回答",
    "refusals": "拒答的份额",
}
_MIX_TEXT = ",".join(f"{kind}={share:g}" for kind, share in MIX.items())


@app.command("build")
def build_command(
    kb: Annotated[list[Path], typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")],
    out: Annotated[Path, typer.Option(help="写到哪个文件夹。", metavar="DIR")],
    questions_file: Annotated[
        list[Path] | None, typer.Option("--questions-file", help="问答文件（.jsonl .csv），可多次给出。", metavar="FILE")
    ] = None,
    columns: Annotated[str, typer.Option(help="问答文件里问题和回答各叫什么。", metavar="question=列名,answer=列名")] = "",
    skip_faulty: Annotated[bool, typer.Option("--skip-faulty", help="略过问答文件里有错的行。")] = False,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="评测题目或评测知识库；泄题的样本另放一个文件。", metavar="FILE")
    ] = None,
    entities_apart: Annotated[bool, typer.Option("--entities-apart", help="评测涉及的药品和疾病的样本也另放，不只是标记。")] = False,
    texts: Annotated[bool, typer.Option("--texts", help="另写 texts.jsonl：纯文本，供继续预训练。")] = False,
    mix: Annotated[str, typer.Option(help="各类样本的份额。", metavar="KIND=SHARE,…")] = _MIX_TEXT,
    fields: Annotated[str, typer.Option(help="只教这些字段；不写就教全部。", metavar="FIELD,…")] = "",
    per_section: Annotated[str, typer.Option(help="每个章节平均多少条样本。", metavar="N 或 drug=N,disease=N")] = "12",
    dev: Annotated[float, typer.Option(min=0, max=0.5, help="留作开发集的药品和疾病的份额。")] = 0.05,
    test: Annotated[float, typer.Option(min=0, max=0.5, help="留作测试集的药品和疾病的份额。")] = 0.05,
    longest_answer: Annotated[
        int, typer.Option(min=20, help="一个回答最多多少字；更长的章节取开头的整句，其余由追问接着答。")
    ] = Limits().answer,
    longest_evidence: Annotated[int, typer.Option(min=0, help="一份资料最多多少字；0 为全是不带资料的问题。")] = Limits().evidence,
    seed: Annotated[int, typer.Option()] = 7,
    workers: Annotated[int, typer.Option(min=0, help="进程数；0 为处理器数。结果与进程数无关。")] = 0,
    as_json: Json = False,
) -> None:
    """由知识库生成指令数据（samples.jsonl）。回答都是知识库原文。"""
    settings = BuildSettings(
        kb=tuple(kb),
        out=out,
        texts=texts,
        mix={kind: share for kind, share in _numbers("--mix", mix, [*MIX]).items() if kind in MIX},
        fields=_fields(fields),
        per_section=_numbers("--per-section", per_section, ("drug", "disease")),
        shares=Shares(dev, test),
        limits=Limits(longest_answer, longest_evidence),
        seed=seed,
        workers=workers or os.cpu_count() or 1,
        question_files=tuple(questions_file or ()),
        columns=_columns(columns),
        skip_faulty=skip_faulty,
        against=tuple(against or ()),
        entities_apart=entities_apart,
    )
    with _progress_bar() as progress:
        report = build_data(settings, progress)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
        return
    kinds = "，".join(f"{kind} {count}" for kind, count in report.kinds.items())
    sys.stdout.write(f"{out}：{report.samples} 条样本（{kinds}），{report.texts} 段纯文本，{report.seconds} 秒\n")


@app.command("check")
def check_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    kb: Annotated[list[Path] | None, typer.Option("--kb", help="生成时用的文档；给出后逐条核对出处原文。", metavar="PATH")] = None,
    as_json: Json = False,
) -> None:
    """重新核对数据文件夹的每一项承诺：摘要、出处、划分、留出的问法、编号。有错时退出码为 2。"""
    report = check_data(folder, kb or [])
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
    else:
        spans = f"，{report.spans} 处出处与原文一致" if kb else "，出处原文未核对（没有给出 --kb）"
        sys.stdout.write(f"{report.samples} 条样本{'' if report.faults else spans}，{len(report.faults)} 处错误\n")
    if report.faults:
        listed = "\n".join(report.faults[:_MOST_TOLD])
        more = f"\n……另有 {len(report.faults) - _MOST_TOLD} 处" if len(report.faults) > _MOST_TOLD else ""
        raise QizhenError(f"`{folder}` 有 `{len(report.faults)}` 处错误：\n{listed}{more}", "重新运行 qizhen-finetune data build")


@app.command("stats")
def stats_command(folder: Annotated[Path, typer.Argument(metavar="DIR")], as_json: Json = False) -> None:
    """统计样本：类别、划分、字段、问法、长度、重复、拒答份额。"""
    counted = asdict(statistics(folder))
    if as_json:
        sys.stdout.write(json.dumps(counted, ensure_ascii=False) + "\n")
        return
    for name, label in _STATISTICS.items():
        value = counted[name]
        if isinstance(value, dict):
            value = "，".join(f"{key} {count}" for key, count in value.items())
        sys.stdout.write(f"{label}：{value}\n")


@app.command("export")
def export_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    form: Annotated[str, typer.Option(help="、".join(FORMS), metavar="FORM")],
    out: Annotated[Path | None, typer.Option(help="写到哪个文件夹；默认为 DIR/FORM。", metavar="DIR")] = None,
    as_json: Json = False,
) -> None:
    """换成其他训练工具的格式，并写 dataset_info.json。"""
    written = out or folder / form
    counts = export(folder, form, written)
    if as_json:
        sys.stdout.write(json.dumps({"folder": str(written), "files": counts}, ensure_ascii=False) + "\n")
        return
    sys.stdout.writelines(f"{written / name}：{count} 条\n" for name, count in counts.items())


def _numbers(option: str, text: str, known: Sequence[str]) -> dict[str, float]:
    """Read `a=1,b=2`, or one number for all. Raises QizhenError for unknown names and for what is no number above or at 0."""
    try:
        if "=" not in text:
            values = dict.fromkeys(known, float(text))
        else:
            values = {name.strip(): float(number) for name, number in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise QizhenError(f"{option} 读不懂 `{text}`", f"例如 {option} {','.join(f'{name}=1' for name in known)}") from error
    unknown = [name for name in values if name not in known]
    if unknown or min(values.values()) < 0 or not sum(values.values()):
        raise QizhenError(f"{option} 读不懂 `{text}`", f"可用的名称：{'、'.join(known)}；数值不小于 0，且不全为 0")
    return values


def _fields(text: str) -> frozenset[str]:
    """Read `a,b`. Raises QizhenError for a field that no question of questions.toml asks for."""
    fields = frozenset(name.strip() for name in text.split(",") if name.strip())
    known = {field for _, field in load_asking().forms}
    if unknown := sorted(fields - known):
        raise QizhenError(f"--fields: 没有字段 `{'、'.join(unknown)}`", f"可用的字段：{'、'.join(sorted(known - {ANY_FIELD}))}")
    return fields


def _columns(text: str) -> Columns:
    named = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if set(named) - {"question", "answer"} or (text and not named):
        raise QizhenError(f"--columns 读不懂 `{text}`", "例如 --columns question=提问,answer=回复")
    return Columns(**named)


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda stage, done, whole: bar.update(task, description=stage, completed=done, total=whole or None)
