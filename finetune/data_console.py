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

from finetune.dataset import MIX, BuildSettings, Progress, build_data
from finetune.facts import Shares
from finetune.making import Limits
from indexer.errors import QizhenError

app = typer.Typer(help="指令数据：由知识库生成、核对、统计。", no_args_is_help=True, add_completion=False, rich_markup_mode=None)
Json = Annotated[bool, typer.Option("--json", help="只在标准输出打印一个 JSON 对象。")]
_MIX_TEXT = ",".join(f"{kind}={share:g}" for kind, share in MIX.items())


@app.command("build")
def build_command(
    kb: Annotated[list[Path], typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")],
    out: Annotated[Path, typer.Option(help="写到哪个文件夹。", metavar="DIR")],
    texts: Annotated[bool, typer.Option("--texts", help="另写 texts.jsonl：纯文本，供继续预训练。")] = False,
    mix: Annotated[str, typer.Option(help="各类样本的份额。", metavar="KIND=SHARE,…")] = _MIX_TEXT,
    per_section: Annotated[str, typer.Option(help="每个章节平均多少条样本。", metavar="N 或 drug=N,disease=N")] = "12",
    dev: Annotated[float, typer.Option(min=0, max=0.5, help="留作开发集的药品和疾病的份额。")] = 0.05,
    test: Annotated[float, typer.Option(min=0, max=0.5, help="留作测试集的药品和疾病的份额。")] = 0.05,
    longest_answer: Annotated[int, typer.Option(min=20, help="一个回答最多多少字；更长的章节取开头的整句。")] = Limits().answer,
    longest_evidence: Annotated[int, typer.Option(min=100, help="一份资料最多多少字。")] = Limits().evidence,
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
        per_section=_numbers("--per-section", per_section, ("drug", "disease")),
        shares=Shares(dev, test),
        limits=Limits(longest_answer, longest_evidence),
        seed=seed,
        workers=workers or os.cpu_count() or 1,
    )
    with _progress_bar() as progress:
        report = build_data(settings, progress)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
        return
    kinds = "，".join(f"{kind} {count}" for kind, count in report.kinds.items())
    sys.stdout.write(f"{out}：{report.samples} 条样本（{kinds}），{report.texts} 段纯文本，{report.seconds} 秒\n")


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


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda stage, done, whole: bar.update(task, description=stage, completed=done, total=whole or None)
