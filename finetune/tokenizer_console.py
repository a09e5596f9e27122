"""`qizhen-finetune tokenizer`: train, extend and compare vocabularies."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.tokenizer import MODEL_FILE
from finetune.asking import load_asking
from finetune.resizing import check_model, resize_model
from finetune.token_differences import Way, compare, cutter
from finetune.vocabulary import PieceRecipe, extend_pieces, load_pieces, old_pieces_of_new, texts_of, train_pieces
from indexer.errors import QizhenError
from indexer.readers import read_documents

_DEFAULT = PieceRecipe()

app = typer.Typer(help="分词器：训练、扩充、比较。", no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    pass


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Option(help="写到哪个文件夹。", metavar="DIR")],
    kb: Annotated[list[Path] | None, typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")] = None,
    texts: Annotated[
        list[Path] | None, typer.Option(help='另加的文本：JSON Lines，每行 {"text": ...}，可多次给出。', metavar="FILE")
    ] = None,
    asking: Annotated[bool, typer.Option("--asking", help="问法也算在内；知识库里没有“什么”“？”，不算就只能按字节拼写。")] = False,
    pieces: Annotated[int, typer.Option(help="词片数，含 3 个特殊符号与 256 个字节。", metavar="N")] = _DEFAULT.pieces,
    coverage: Annotated[float, typer.Option(help="有自己词片的字符占全部字符的比例，其余按字节拼写。")] = _DEFAULT.coverage,
    longest: Annotated[int, typer.Option(min=1, help="一个词片最多几个字。")] = _DEFAULT.longest,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON。")] = False,
) -> None:
    """在知识库的文本上训练一个词片模型。"""
    lines = [*_lines(kb, texts), *(load_asking().words() if asking else [])]
    made = train_pieces(lines, out, PieceRecipe(pieces, coverage, longest))
    told = f"{made.folder}：{made.pieces} 个词片，每个词元 {made.characters_per_token} 字（{made.texts} 行，{made.characters} 字）"
    sys.stdout.write((_dump(asdict(made)) if as_json else told) + "\n")


@app.command("extend")
def extend_command(
    host: Annotated[Path, typer.Option(help="原来的分词器或模型文件夹（有 tokenizer.model）。", metavar="DIR")],
    pieces: Annotated[Path, typer.Option(help="要加进来的词片模型，如 chinese_sp.model。", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="写到哪个文件夹。", metavar="DIR")],
    model: Annotated[Path | None, typer.Option(help="同时扩充这个模型的词嵌入与输出层（safetensors）。", metavar="DIR")] = None,
    padding: Annotated[bool, typer.Option("--padding", help="在最后加 [PAD]，同 Chinese-Alpaca。")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON。")] = False,
) -> None:
    """把另一个词片模型里没有的词片加到一个词表后面，可连同模型一起扩充。"""
    faults = [f"没有 `{path}`" for path in (host / MODEL_FILE, pieces, *([model / "config.json"] if model else [])) if not path.is_file()]
    if out.resolve() in {path.resolve() for path in (host, model) if path}:
        faults.append(f"`{out}` 就是原来的文件夹")
    if faults:
        raise QizhenError("；".join(faults), "检查 --host、--pieces、--model、--out 的路径")
    if model:
        check_model(model, len(load_pieces(host / MODEL_FILE).pieces))
    made = extend_pieces(host, pieces, out, padding)
    told = f"{out}：{made.host_pieces} + {made.added_pieces} = {made.pieces} 个词片（另有 {made.held_pieces} 个原来就有）"
    resized = resize_model(model, out, made.host_pieces, old_pieces_of_new(host, out)) if model else None
    if resized:
        told += f"\n模型：{'、'.join(resized.tensors)} 由 {resized.rows_before} 行到 {resized.rows} 行"
    sys.stdout.write((_dump({**asdict(made), "model": asdict(resized) if resized else None}) if as_json else told) + "\n")


@app.command("compare")
def compare_command(
    left: Annotated[Path, typer.Argument(help="分词器或模型文件夹。", metavar="DIR")],
    right: Annotated[Path | None, typer.Argument(help="另一个；不给则是同一个。", metavar="DIR")] = None,
    left_way: Annotated[
        Way, typer.Option(help="怎样切：exact 本程序，sentencepiece 原库，rust LlamaTokenizer，auto AutoTokenizer。")
    ] = "exact",
    right_way: Annotated[Way, typer.Option(help="同上。")] = "sentencepiece",
    kb: Annotated[list[Path] | None, typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")] = None,
    texts: Annotated[list[Path] | None, typer.Option(help='文本：JSON Lines，每行 {"text": ...}，可多次给出。', metavar="FILE")] = None,
    show: Annotated[int, typer.Option(min=0, help="列出几行不同的。")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON。")] = False,
) -> None:
    """数出两种切法不同的行，列出最先不同的词片，并比较每个词元的字数。有不同的行时退出码为 1。"""
    lines = _lines(kb, texts)
    found = compare(cutter(left, left_way), cutter(right or left, right_way), lines, show)
    ratios = (round(found.left_characters_per_token, 3), round(found.right_characters_per_token, 3))
    if as_json:
        report = {**asdict(found), "left_characters_per_token": ratios[0], "right_characters_per_token": ratios[1]}
        sys.stdout.write(_dump(report) + "\n")
    else:
        sys.stdout.write(f"{found.lines} 行中 {found.differing} 行不同；每个词元 {ratios[0]} 字与 {ratios[1]} 字\n")
        for one in found.shown:
            sys.stdout.write(
                f"第 {one.line} 行第 {one.token + 1} 个词元：{' '.join(one.left)} ｜ {' '.join(one.right)}\n  {one.text[:100]}\n"
            )
    if found.differing:
        raise typer.Exit(1)


def _lines(kb: Sequence[Path] | None, texts: Sequence[Path] | None) -> list[str]:
    if not kb and not texts:
        raise QizhenError("没有文本：``", "用 --kb 给出文档，或用 --texts 给出文本")
    documents = read_documents(kb) if kb else []
    return [*(line for document in documents for line in texts_of(document)), *_texts_in(texts or [])]


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)


def _texts_in(paths: Sequence[Path]) -> Iterator[str]:
    """The lines of the texts in JSON Lines. Raises QizhenError with every line that holds none."""
    faults: list[str] = []
    for path in paths:
        try:
            rows = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{path}: {error}")
            continue
        for number, row in enumerate(rows, 1):
            try:
                yield from (line for line in json.loads(row)["text"].splitlines() if line.strip())
            except (ValueError, TypeError, KeyError, AttributeError):
                faults.append(f"{path}:{number}: `{row[:40]}` 不是带 text 的 JSON 对象")
    if faults:
        raise QizhenError("\n".join(faults), '每行写成 {"text": "..."}')
