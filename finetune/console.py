"""The `qizhen-finetune` command."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from finetune.data_console import app as data_app
from finetune.embedder import EmbedderRecipe, TrainingFiles, train_from_files
from finetune.evaluate_console import evaluate_command
from finetune.intents import LAY, IntentRecipe, train_intents
from finetune.merge_console import merge_command
from finetune.name_models import NameRecipe, train_name_models
from finetune.tokenizer_console import app as tokenizer_app
from finetune.train_console import train_command
from indexer.errors import QizhenError

_RECIPE = EmbedderRecipe()
app = typer.Typer(
    help="启真的训练：指令数据、分词器、训练、合并、评测、编码器。",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")
app.add_typer(tokenizer_app, name="tokenizer")
app.command("train")(train_command)
app.command("merge")(merge_command)
app.command("evaluate")(evaluate_command)


@app.command("embedder")
def embedder_command(
    out: Annotated[Path, typer.Option(help="写到哪个文件夹。", metavar="DIR")],
    kb: Annotated[list[Path] | None, typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")] = None,
    pairs: Annotated[list[Path] | None, typer.Option(help="问答或同义句的 JSON Lines，可多次给出。", metavar="FILE")] = None,
    sets: Annotated[
        list[Path] | None, typer.Option(help="检索集（含 kb.jsonl 和 questions.jsonl 的文件夹），可多次给出。", metavar="DIR")
    ] = None,
    texts: Annotated[list[Path] | None, typer.Option(help="只为扩大词面的文档，可多次给出。", metavar="PATH")] = None,
    teacher: Annotated[Path | None, typer.Option(help="教师编码器（Hugging Face 格式的文件夹）。", metavar="DIR")] = None,
    split: Annotated[bool, typer.Option("--split", help="检索集的一半问题不参加训练，只用来评测。")] = False,
    epochs: Annotated[int, typer.Option(min=1)] = _RECIPE.epochs,
    rows: Annotated[int, typer.Option(min=256, help="最多有多少个词片。")] = _RECIPE.grams,
    seed: Annotated[int, typer.Option()] = _RECIPE.seed,
) -> None:
    """训练内置的静态编码器（n 元字向量表）。"""
    files = TrainingFiles(kb or [], pairs or [], sets or [], texts or [])
    train_from_files(files, out, EmbedderRecipe(grams=rows, epochs=epochs, seed=seed), teacher, split)
    sys.stdout.write(f"{out}\n")


@app.command("names")
def names_command(
    kb: Annotated[list[Path], typer.Option("--kb", help="取名称和原文的文档文件或文件夹，可多次给出。", metavar="PATH")],
    out: Annotated[Path, typer.Option(help="写到哪个文件夹。", metavar="DIR")],
    texts: Annotated[
        list[Path] | None, typer.Option("--texts", help="人们怎么说话：JSON Lines，其中的文字都读，可多次给出。", metavar="FILE")
    ] = None,
    seed: Annotated[int, typer.Option()] = 7,
) -> None:
    """训练内置的名称模型：名称旁边的字是不是名称的一部分，一段话像不像药名或病名。"""
    made = train_name_models(kb, texts or [], out, NameRecipe(seed=seed))
    for part, told in made["models"].items():
        sys.stdout.write(f"{part}  {told['kept apart']}\n")
    sys.stdout.write(f"{out}\n")


@app.command("intents")
def intents_command(
    out: Annotated[Path, typer.Option(help="写到哪个文件夹。", metavar="DIR")],
    questions: Annotated[
        Path, typer.Option(help="标明章节的问题，每行：drug 或 disease、章节、问题，用制表符隔开。", metavar="FILE")
    ] = LAY,
    seed: Annotated[int, typer.Option()] = 7,
) -> None:
    """训练内置的问法模型：没有提示词的问题问的是哪个章节，或不是资料能答的。"""
    made = train_intents(questions, out, IntentRecipe(seed=seed))
    for kind, told in made["kinds"].items():
        sys.stdout.write(f"{kind}  {told['kept apart']}\n")
    sys.stdout.write(f"{out}\n")


def main() -> None:
    """Run the command; faults of the user's become a message and exit code 2."""
    try:
        app()
    except QizhenError as error:
        sys.stderr.write(f"错误：{error}\n")
        sys.exit(2)
