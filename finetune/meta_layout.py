"""Meta's own layout of LLaMA weights: consolidated.NN.pth and params.json, as llama.cpp's and Meta's programs read them.

Names differ, and rows of q and k stand in another order: Hugging Face keeps the two halves of a head's rotary pairs one behind the other,
Meta keeps each pair together. Larger models lie in several files, each with a slice of every matrix (tensor parallel).
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.tensor_files import TensorEntry

# Files by width, as Meta published LLaMA 7B, 13B, 33B and 65B; other widths lie in one file.
_FILES: Mapping[int, int] = {5120: 2, 6656: 4, 8192: 8}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
# Meta's name, and the dimension that is sliced (None: every file holds the whole).
_OUTSIDE: Mapping[str, tuple[str, int | None]] = {
    "model.embed_tokens.weight": ("tok_embeddings.weight", 1),
    "model.norm.weight": ("norm.weight", None),
    "lm_head.weight": ("output.weight", 0),
}
_INSIDE: Mapping[str, tuple[str, int | None]] = {
    "self_attn.q_proj": ("attention.wq", 0),
    "self_attn.k_proj": ("attention.wk", 0),
    "self_attn.v_proj": ("attention.wv", 0),
    "self_attn.o_proj": ("attention.wo", 1),
    "mlp.gate_proj": ("feed_forward.w1", 0),
    "mlp.down_proj": ("feed_forward.w2", 1),
    "mlp.up_proj": ("feed_forward.w3", 0),
    "input_layernorm": ("attention_norm", None),
    "post_attention_layernorm": ("ffn_norm", None),
}


@dataclass(frozen=True, slots=True)
class MetaLayout:
    """How a LLaMA of `config` (Hugging Face's) lies in `files` files."""

    config: Mapping[str, Any]
    files: int

    def heads(self, name: str) -> int:
        """How many heads' rows must be put in Meta's order; 0 for a tensor that has none."""
        if name.endswith("q_proj.weight"):
            return int(self.config["num_attention_heads"])
        return int(_key_heads(self.config)) if name.endswith("k_proj.weight") else 0

    def is_whole(self, name: str) -> bool:
        """Whether a tensor is written as it is: in one file, its rows in their order."""
        return self.files == 1 and not self.heads(name)

    def entries(self, tensor: TensorEntry) -> list[TensorEntry]:
        """What each file holds of a tensor. Raises KeyError for a name that LLaMA does not have."""
        name, dimension = _place(tensor.name)
        shapes = [list(tensor.shape) for _ in range(self.files)]
        if dimension is not None:
            for shape, (start, stop) in zip(shapes, self._slices(tensor.shape[dimension]), strict=True):
                shape[dimension] = stop - start
        return [TensorEntry(name, tensor.dtype, tuple(shape)) for shape in shapes]

    def parts(self, name: str, tensor: Any) -> Iterator[Any]:
        """What each file holds of a torch tensor, in order of files."""
        heads = self.heads(name)
        tensor = pairs_together(tensor, heads) if heads else tensor
        dimension = _place(name)[1]
        for start, stop in self._slices(tensor.shape[dimension or 0]):
            yield tensor if dimension is None else tensor.narrow(dimension, start, stop - start)

    def _slices(self, length: int) -> list[tuple[int, int]]:
        """Equal slices; the last ones are a row longer where it does not divide (49,953 rows: 24,976 and 24,977)."""
        edges = [length * number // self.files for number in range(self.files + 1)]
        return list(itertools.pairwise(edges))


def pairs_together(tensor: Any, heads: int) -> Any:
    """Rows of q or k (heads * size, width), from halves one behind the other to pairs together."""
    rows, width = tensor.shape
    return tensor.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)


def meta_layout(config: Mapping[str, Any]) -> MetaLayout:
    """The layout of a model."""
    return MetaLayout(config, _FILES.get(int(config.get("hidden_size", 0)), 1))


def layout_faults(config: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Why a model cannot be written this way."""
    if config.get("model_type") != "llama":
        return [f"模型类型是 `{config.get('model_type')}`，.pth 格式只用于 llama"]
    faults = [f"`{name}` 在 LLaMA 的 .pth 格式里没有位置" for name in names if not _known(name)]
    scaled = (config.get("rope_parameters") or config.get("rope_scaling") or {}).get("rope_type", "default")
    return faults if scaled == "default" else [*faults, f"位置编码的类型是 `{scaled}`，.pth 格式写不下"]


def params(config: Mapping[str, Any]) -> dict[str, Any]:
    """params.json. Meta's programs work the width of the feed-forward layer out: 8/3 of `dim`, rounded up to `multiple_of`."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    found: dict[str, Any] = {
        "dim": width,
        "n_heads": config["num_attention_heads"],
        "n_layers": config["num_hidden_layers"],
        "norm_eps": config["rms_norm_eps"],
        "vocab_size": -1,
    }
    if _key_heads(config) != config["num_attention_heads"]:
        found["n_kv_heads"] = _key_heads(config)
    theta = config.get("rope_theta", (config.get("rope_parameters") or {}).get("rope_theta", 10000.0))
    if theta != 10000.0:
        found["rope_theta"] = theta
    unrounded = int(2 * 4 * width / 3)
    if inner < unrounded:
        found["ffn_dim_multiplier"] = inner / unrounded
    wanted = (256, 1024, 4096, 128, 64, 32, 16, 8, 4, 2, 1, inner)
    found["multiple_of"] = next(step for step in wanted if -(-min(unrounded, inner) // step) * step == inner)
    return found


def _key_heads(config: Mapping[str, Any]) -> int:
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def _known(name: str) -> bool:
    layer = _LAYER.fullmatch(name)
    return name in _OUTSIDE or (layer is not None and layer[2] in _INSIDE)


def _place(name: str) -> tuple[str, int | None]:
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    layer = _LAYER.fullmatch(name)
    if layer is None:
        raise KeyError(name)
    inside, dimension = _INSIDE[layer[2]]
    return f"layers.{layer[1]}.{inside}.weight", dimension
