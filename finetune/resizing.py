"""Give a model the rows of an extended vocabulary, one file of weights at a time."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.json_files import write_json
from indexer.errors import QizhenError

if TYPE_CHECKING:
    import torch

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
EMBEDDINGS = "embed_tokens.weight"
HEAD = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Resized:
    """A model whose vocabulary grew from `rows_before` to `rows`; `tensors` are the names of the tables that grew."""

    folder: str
    rows_before: int
    rows: int
    tensors: tuple[str, ...]


def resize_model(model: Path, out: Path, kept: int, spelt: Sequence[Sequence[int]]) -> Resized:
    """Write the model in `model` to `out` with `kept` rows as they are, and for each of `spelt` the mean of the old rows that it names.

    Rows past `kept` that only filled the old table up are dropped. Where the head is the embedding table (tied), one table grows and
    stays both. Memory holds one file of weights at a time. Raises QizhenError with every fault, before anything is written.
    """
    config, shards, tables = check_model(model, kept)
    rows = kept + len(spelt)
    out.mkdir(parents=True, exist_ok=True)
    _copy_the_rest(model, out, {shard.name for shard in shards})
    grown = _grower(kept, spelt)
    total = sum(_write_shard(shard, out / shard.name, tables, grown) for shard in shards)
    _write_index(model, out, total)
    padding = {"pad_token_id": 0} if config.get("pad_token_id") == -1 else {}  # -1 would keep the last row from learning
    write_json(out / "config.json", {**config, "vocab_size": rows, **padding})
    return Resized(str(out), config["vocab_size"], rows, tuple(sorted(tables)))


def check_model(model: Path, kept: int) -> tuple[dict[str, Any], list[Path], dict[str, int]]:
    """The configuration, the files of weights, and the tables that would grow with their rows. Raises QizhenError with every fault."""
    config = _config_of(model)
    shards = _shards_of(model)
    tables = _tables_in(shards)
    _check(model, config, tables, kept)
    return config, shards, tables


def _config_of(model: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((model / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise QizhenError(f"`{model}` 里没有可读的 config.json：{error}", "写 Hugging Face 格式的模型文件夹的路径") from error
    return config


def _shards_of(model: Path) -> list[Path]:
    names = {SINGLE}
    if (model / INDEX).is_file():
        names = set(json.loads((model / INDEX).read_text("utf-8"))["weight_map"].values())
    missing = [name for name in sorted(names) if not (model / name).is_file()]
    if missing:
        raise QizhenError(f"`{model}` 缺少权重文件：{'、'.join(missing)}", "只读 safetensors；.bin 或 .pth 先用 qizhen-finetune merge 转换")
    return [model / name for name in sorted(names)]


def _tables_in(shards: Sequence[Path]) -> dict[str, int]:
    """Names of the tables with a row for every token, and how many rows each has."""
    from safetensors import safe_open

    tables: dict[str, int] = {}
    for shard in shards:
        with safe_open(shard, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                if name.endswith((EMBEDDINGS, HEAD)):
                    tables[name] = tensors.get_slice(name).get_shape()[0]
    return tables


def _check(model: Path, config: dict[str, Any], tables: dict[str, int], kept: int) -> None:
    rows = config.get("vocab_size")
    faults = [f"{name} 有 `{found}` 行，config.json 的 vocab_size 是 `{rows}`" for name, found in tables.items() if found != rows]
    if isinstance(rows, int) and rows < kept:
        faults.append(f"模型只有 `{rows}` 行，原来的词表有 `{kept}` 个词元")
    if not any(name.endswith(EMBEDDINGS) for name in tables):
        faults.append(f"没有名为 `*{EMBEDDINGS}` 的词嵌入")
    if not config.get("tie_word_embeddings", False) and not any(name.endswith(HEAD) for name in tables):
        faults.append(f"没有名为 `*{HEAD}` 的输出层，而 config.json 没有说它与词嵌入共用（tie_word_embeddings）")
    if faults:
        raise QizhenError(f"模型 `{model}` 与词表对不上：\n" + "\n".join(faults), "确认模型与原来的词表是同一套")


def _grower(kept: int, spelt: Sequence[Sequence[int]]) -> "Callable[[torch.Tensor], torch.Tensor]":
    import torch

    def grown(table: torch.Tensor) -> torch.Tensor:
        """(old rows, width) to (kept + new rows, width); means are taken in float32."""
        new = torch.empty(kept + len(spelt), *table.shape[1:], dtype=table.dtype)
        new[:kept] = table[:kept]
        for row, ids in enumerate(spelt, kept):
            new[row] = table[list(ids)].float().mean(dim=0)
        return new

    return grown


def _write_shard(shard: Path, out: Path, tables: dict[str, int], grown: "Callable[[torch.Tensor], torch.Tensor]") -> int:
    """Bytes of the tensors written."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(shard, framework="pt") as tensors:
        whole = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        made = tensors.metadata()
    for name in tables.keys() & whole.keys():
        whole[name] = grown(whole[name])
    save_file(whole, out, metadata=made)
    return sum(tensor.numel() * tensor.element_size() for tensor in whole.values())


def _write_index(model: Path, out: Path, total: int) -> None:
    if (model / INDEX).is_file():
        index = json.loads((model / INDEX).read_text("utf-8"))
        write_json(out / INDEX, {**index, "metadata": {**index.get("metadata", {}), "total_size": total}})


def _copy_the_rest(model: Path, out: Path, weights: set[str]) -> None:
    """What describes the model and is neither weights nor the old tokenizer."""
    old = {
        "config.json",
        INDEX,
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    }
    for path in model.iterdir():
        if path.is_file() and path.name not in old | weights and path.suffix not in {".safetensors", ".bin", ".pth", ".pt"}:
            shutil.copyfile(path, out / path.name)
