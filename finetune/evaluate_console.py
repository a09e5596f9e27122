"""`qizhen-finetune evaluate`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from finetune.columns import COLUMNS
from finetune.evaluate import Evaluation, EvaluationError, evaluate
from finetune.exam import Templates

_TABLE_WIDTH = 160


def evaluate_command(
    questions: Annotated[list[Path], typer.Option(help="问题、药品表、样本或选择题的文件，可多次给出。", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="结果写到哪个文件夹。", metavar="DIR")],
    terms: Annotated[list[Path] | None, typer.Option(help="只取其中应答项（terms）的问题文件，可多次给出。", metavar="FILE")] = None,
    kb: Annotated[list[Path] | None, typer.Option("--kb", help="文档文件或文件夹，可多次给出；临时建索引。", metavar="PATH")] = None,
    index: Annotated[Path | None, typer.Option(help="已有的索引文件夹。", metavar="DIR")] = None,
    base: Annotated[Path | None, typer.Option(help="模型文件夹（Hugging Face 格式）。", metavar="DIR")] = None,
    adapter: Annotated[Path | None, typer.Option(help="PEFT 适配器文件夹。", metavar="DIR")] = None,
    generator: Annotated[str, typer.Option(help="全链的回答方式：quoting、chat、local。")] = "quoting",
    columns: Annotated[str, typer.Option(help=f"要哪几列：{','.join(COLUMNS)}；不写就是能答的各列。")] = "",
    against: Annotated[Path | None, typer.Option(help="与哪一次的结果成对比较。", metavar="DIR")] = None,
    templates: Annotated[str, typer.Option(help=f"样本文件里问哪些问法：{'、'.join(get_args(Templates))}。")] = "held-out",
    only_scored: Annotated[bool, typer.Option("--only-scored", help="只问有应答项的题和应拒答的题。")] = False,
    limit: Annotated[int, typer.Option(min=0, help="每个文件最多问几题；0 为全部。")] = 0,
    most_tokens: Annotated[int, typer.Option(min=1, help="闭卷答案最长几个词元。")] = 512,
    batch: Annotated[int, typer.Option(min=1, help="闭卷一批几题。")] = 16,
    seed: Annotated[int, typer.Option()] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="输出一个 JSON 对象。")] = False,
) -> None:
    """四列并排的评测：原文、仅检索、闭卷、全链；三条标准、精确、拒答、矛盾、区间。"""
    if templates not in get_args(Templates):
        raise EvaluationError(f"没有 `{templates}` 这种问法的选择", f"可用：{'、'.join(get_args(Templates))}")
    evaluation = Evaluation(
        questions=tuple(questions),
        terms=tuple(terms or ()),
        knowledge=tuple(kb or ()),
        index=index,
        base=base,
        adapter=adapter,
        generator=generator,
        columns=tuple(column.strip() for column in columns.split(",") if column.strip()),
        against=against,
        templates=cast("Templates", templates),
        only_scored=only_scored,
        limit=limit,
        most_tokens=most_tokens,
        batch=batch,
        seed=seed,
    )
    with progress_bars() as report:
        result = evaluate(evaluation, out, report)
    if as_json:
        sys.stdout.write(json.dumps({"out": str(out), **result}, ensure_ascii=False) + "\n")
        return
    told = Console(width=_TABLE_WIDTH, markup=False)
    for table in (_table(result), _choices(result)):
        if table.row_count:
            told.print(table)
    sys.stdout.write(f"{out / 'report.md'}\n")


@contextmanager
def progress_bars() -> Iterator[Any]:
    """A bar on standard error for every step that is reported."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done, total=total)

        yield report


def _table(result: dict[str, Any]) -> Table:
    table = Table("文件", "列", "题", "标准一", "标准二", "标准三", "项召回", "精确", "应拒而拒", "应拒而答", "误拒", "矛盾", box=None)
    for exam, groups in result["exams"].items():
        for column, got in groups[""].items():
            shares = [got[f"standard_{n}"] for n in (1, 2, 3)]
            shares += [
                got["item_recall"],
                got["precision"],
                got["refused"]["refuse"],
                got["made_up"],
                got["refused"]["answer"],
                got["contradicted"],
            ]
            table.add_row(exam, column, str(got["questions"]), *map(_percent, shares))
    return table


def _choices(result: dict[str, Any]) -> Table:
    table = Table("选择题", "题型", "题", "生成后取字母", "按似然", "读不出字母", box=None)
    for exam, kinds in result["choices"].items():
        for kind, got in kinds.items():
            table.add_row(
                exam, kind or "全部", str(got["questions"]), *(_percent(got[key]) for key in ("written", "likeliest", "unreadable"))
            )
    return table


def _percent(share: dict[str, Any]) -> str:
    return "-" if share["share"] is None else f"{100 * share['share']:.1f}"
