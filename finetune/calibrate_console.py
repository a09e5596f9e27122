"""`qizhen-finetune calibrate`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finetune.asking_model import open_model
from finetune.calibrate import calibrate, write_calibration
from finetune.evaluate_console import progress_bars
from finetune.exam import few_of, read_exam


def calibrate_command(
    questions: Annotated[list[Path], typer.Option(help="样本文件，问其中开发集的问法，可多次给出。", metavar="FILE")],
    base: Annotated[Path, typer.Option(help="模型文件夹（Hugging Face 格式）。", metavar="DIR")],
    adapter: Annotated[Path | None, typer.Option(help="PEFT 适配器文件夹。", metavar="DIR")] = None,
    refuse: Annotated[float, typer.Option(min=0.5, max=1, help="应拒答的题至少拒答多少份额。")] = 0.975,
    limit: Annotated[int, typer.Option(min=0, help="每个文件最多问几题；0 为全部。")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="一批几题。")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="输出一个 JSON 对象。")] = False,
) -> None:
    """求闭卷回答的拒答线：回答的开头没有这么大把握就不答；写进模型的清单 qizhen.json。"""
    exams = [read_exam(path, "dev") for path in questions]
    asked = [question for exam in exams for question in few_of(exam, limit, 7).questions]
    with progress_bars() as report:
        found = calibrate(open_model(base, adapter, batch), asked, refuse, report)
    write_calibration(adapter or base, found)
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), ensure_ascii=False) + "\n")
        return
    sys.stdout.write(
        f"拒答线 {found.below:.2f}（前 {found.tokens} 个词元的对数似然）：答对的 {found.right} 题保留 {found.kept:.1%}，"
        f"应拒答的 {found.unknown} 题拒答 {found.refused:.1%}（此前 {found.refused_before:.1%}）\n"
    )
