"""`qizhen-finetune train`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from finetune.recipe import read_recipe


def train_command(
    recipe: Annotated[Path, typer.Argument(help="配方（YAML），或 finetune/recipes 里的名字。", metavar="RECIPE")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="改动，如 adapter.rank=16 out=var/adapter。", metavar="[KEY=VALUE]...")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="从上一个完整的检查点接着训练。")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON。")] = False,
) -> None:
    """按配方训练：从零预训练、继续预训练或指令微调；全参数或 LoRA。"""
    from finetune.train import train

    trained = train(read_recipe(recipe, changes or []), resume=resume)
    told = json.dumps({"out": str(trained.out), **trained.figures}, ensure_ascii=False) if as_json else str(trained.out)
    sys.stdout.write(told + "\n")
