"""`qizhen-finetune merge`."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from finetune.merge import Form, check_output, merge, peak_estimate
from finetune.merge_plan import DTYPES, MergePlan, PlannedTensor, plan_merge
from indexer.errors import QizhenError

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_DONE = {"replace": "替换", "linear": "加 LoRA", "embedding": "加 LoRA", "dora": "加 DoRA", "dora_embedding": "加 DoRA"}


def merge_command(
    base: Annotated[Path, typer.Option(help="基座模型的文件夹（Hugging Face 格式）。", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="写到哪个文件夹；已有的不覆盖。", metavar="DIR")],
    adapter: Annotated[
        list[Path] | None, typer.Option(help="适配器的文件夹，可多次给出，依次合并；不写则只转换格式。", metavar="DIR")
    ] = None,
    form: Annotated[str, typer.Option(help="hf（safetensors）或 pth（Meta 原格式，只用于 LLaMA）。", metavar="FORM")] = "hf",
    dtype: Annotated[str, typer.Option(help=f"{'、'.join(DTYPES)}；不写则与基座相同。", metavar="DTYPE")] = "",
    shard_size: Annotated[str, typer.Option(help="每个分片最大多少，如 2GB、500MB。", metavar="SIZE")] = "2GB",
    untie: Annotated[bool, typer.Option("--untie", help="让共用的词向量和 lm_head 分开。")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="只列出每个张量会怎样，不写任何文件。")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="输出一个 JSON 对象。")] = False,
) -> None:
    """把一个或几个适配器依次合并进基座模型，逐个张量读写。"""
    if form not in ("hf", "pth"):
        raise QizhenError(f"没有输出格式 `{form}`", "hf 或 pth")
    if dtype and dtype not in DTYPES:
        raise QizhenError(f"没有数值类型 `{dtype}`", "、".join(DTYPES))
    chosen: Form = "pth" if form == "pth" else "hf"
    most = size_in_bytes(shard_size)
    made = plan_merge(base, adapter or [], dtype=dtype, untie=untie)
    if plan:
        check_output(made, out, chosen)
        sys.stdout.write(json.dumps(_plan_as_json(made), ensure_ascii=False) + "\n" if as_json else _plan_as_text(made))
        return
    with _progress() as progress:
        task = progress.add_task("合并", total=made.size, name="")
        report = merge(
            made, out, form=chosen, shard_bytes=most, progress=lambda count, name: progress.update(task, advance=count, name=name)
        )
    found = asdict(report)
    text = (
        f"{report.out}\n摘要 {report.digest}\n{report.tensors} 个张量，{report.seconds:.1f} 秒，内存峰值 {report.peak_megabytes:.0f} MB\n"
    )
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n" if as_json else text)


def size_in_bytes(text: str) -> int:
    """What `2GB` says: 2,000,000,000 bytes. Raises QizhenError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B)?", text.strip().upper())
    count = int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if count < 1:
        raise QizhenError(f"分片大小 `{text}` 读不懂", "如 2GB、500MB")
    return count


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}"),
        console=Console(stderr=True),
    )


def _story(tensor: PlannedTensor, names: list[str]) -> str:
    told = [f"{_DONE[step.kind]}（{names[step.adapter]}）" for step in tensor.steps]
    if not told:
        return "原样复制" if tensor.copied else "只换类型"
    return "，".join(told)


def _plan_as_text(plan: MergePlan) -> str:
    names = [adapter.name for adapter in plan.adapters]
    width = max(len(tensor.name) for tensor in plan.tensors)
    lines = []
    for tensor in plan.tensors:
        shape = "×".join(map(str, tensor.shape))
        lines.append(f"{tensor.name:<{width}}  {tensor.dtype:<4} {shape:>13} {tensor.entry.size / 1e6:9.2f} MB  {_story(tensor, names)}")
    changed = sum(bool(tensor.steps) for tensor in plan.tensors)
    lines += [f"不写：{tensor.name}（{'与词向量相同' if plan.tied else '由模型自己计算'}）" for tensor in plan.base.dropped]
    lines += [f"不用：{tensor.name}（{adapter.name} 里的副本）" for adapter in plan.adapters for tensor in adapter.copies]
    lines += [
        f"共 {len(plan.tensors)} 个张量 {plan.size / 1e9:.2f} GB，其中 {changed} 个有改动；适配器的每个张量都恰好用到一次",
        f"估计内存峰值 {peak_estimate(plan) / 1e6:.0f} MB；没有写任何文件",
    ]
    return "\n".join(lines) + "\n"


def _plan_as_json(plan: MergePlan) -> dict[str, object]:
    names = [adapter.name for adapter in plan.adapters]
    tensors = [
        {
            "name": tensor.name,
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "bytes": tensor.entry.size,
            "steps": [{"adapter": names[step.adapter], "kind": step.kind, "scaling": step.scaling} for step in tensor.steps],
        }
        for tensor in plan.tensors
    ]
    return {"tensors": tensors, "bytes": plan.size, "peak_bytes": peak_estimate(plan), "dropped": [t.name for t in plan.base.dropped]}
