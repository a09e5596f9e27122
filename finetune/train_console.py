"""`qizhen-finetune train`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from finetune.recipe import read_recipe
from indexer.errors import QizhenError


def train_command(
    recipe: Annotated[Path, typer.Argument(help="配方（YAML），或 finetune/recipes 里的名字。", metavar="RECIPE")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="改动，如 adapter.rank=16 out=var/adapter。", metavar="[KEY=VALUE]...")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="只检查、统计和估算，不训练，不写文件。")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="从上一个完整的检查点接着训练。")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="输出一个 JSON 对象。")] = False,
) -> None:
    """按配方训练：从零预训练、继续预训练或指令微调；全参数或 LoRA。

    多张 GPU：accelerate launch --multi_gpu --num_processes N --module finetune train RECIPE。
    没有 GPU 时的多个进程：torchrun --standalone --nproc-per-node N -m finetune train RECIPE。
    """
    if dry and resume:
        raise QizhenError("--dry-run 与 --resume 不能同时给出", "去掉其中一个")
    chosen = read_recipe(recipe, changes or [])
    if dry:
        from finetune.dry_run import as_text, dry_run

        found = dry_run(chosen)
        sys.stdout.write(json.dumps(found.as_json(), ensure_ascii=False) + "\n" if as_json else as_text(found, chosen))
        return
    from finetune.train import train

    trained = train(chosen, resume=resume)
    if trained.told_here:
        told = json.dumps({"out": str(trained.out), **trained.figures}, ensure_ascii=False) if as_json else str(trained.out)
        sys.stdout.write(told + "\n")
