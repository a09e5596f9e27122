"""`qizhen-finetune tokenizer`: train, extend and compare vocabularies."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finetune.vocabulary import PieceRecipe, texts_of, train_pieces
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
    pieces: Annotated[int, typer.Option(help="词片数，含 3 个特殊符号与 256 个字节。", metavar="N")] = _DEFAULT.pieces,
    coverage: Annotated[float, typer.Option(help="有自己词片的字符占全部字符的比例，其余按字节拼写。")] = _DEFAULT.coverage,
    longest: Annotated[int, typer.Option(min=1, help="一个词片最多几个字。")] = _DEFAULT.longest,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON。")] = False,
) -> None:
    """在知识库的文本上训练一个词片模型。"""
    if not kb and not texts:
        raise QizhenError("没有训练文本：``", "用 --kb 给出文档，或用 --texts 给出文本")
    lines = [line for document in (read_documents(kb) if kb else []) for line in texts_of(document)]
    made = train_pieces([*lines, *_texts_in(texts or [])], out, PieceRecipe(pieces, coverage, longest))
    told = f"{made.folder}：{made.pieces} 个词片，每个词元 {made.characters_per_token} 字（{made.texts} 行，{made.characters} 字）"
    sys.stdout.write((json.dumps(asdict(made), ensure_ascii=False) if as_json else told) + "\n")


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
