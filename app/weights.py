"""Weights as they lie in files, and a digest of what they hold that does not depend on the file format.

Read are the shapes in which models and adapters are found: safetensors and torch's zip files (.bin, .pth), in one file, in shards with
an index, in shards without one. A tensor is found first and read later, alone, with plain reads: nothing is mapped into memory, so
memory stays near the largest tensor. Only torch's files need torch.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from indexer.errors import WeightsError

# Bytes of one value. The names are those of the safetensors format.
VALUE_BYTES: Mapping[str, int] = {
    name: width
    for width, names in ((8, "F64 I64 U64 C64"), (4, "F32 I32 U32"), (2, "F16 BF16 I16 U16"), (1, "F8_E4M3 F8_E5M2 I8 U8 BOOL"))
    for name in names.split()
}
TORCH_NAMES: Mapping[str, str] = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "complex64": "C64",
    "bool": "BOOL",
}

# In the order in which they are looked for; a model goes before an adapter kept in the same folder.
_NAMES = tuple(f"{stem}.{ending}" for stem in ("model", "pytorch_model", "adapter_model") for ending in ("safetensors", "bin"))
_LARGEST_HEADER = 100_000_000  # bytes; the safetensors library's own limit
_READ_AT_ONCE = 1 << 22  # bytes


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: `count` bytes from `start` of `path`, row after row, or by `strides` (in values) where it is a view."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    start: int
    count: int
    strides: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Its bytes when rows lie one after the other."""
        return math.prod(self.shape) * VALUE_BYTES[self.dtype]

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, row after row, a few megabytes at a time. Raises WeightsError."""
        left = self.count
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                while left and not self.strides:
                    piece = file.read(min(left, _READ_AT_ONCE))
                    if not piece:
                        raise _cut_off(self.path, self.name)
                    left -= len(piece)
                    yield piece
                if self.strides:
                    yield _rows_in_order(file.read(self.count), self)
        except OSError as error:
            raise WeightsError(f"权重文件 `{self.path}` 读不出来：{error}", "检查磁盘和权限") from error

    def read(self) -> bytearray:
        """All its bytes. Raises WeightsError."""
        content, filled = bytearray(self.size), 0
        for piece in self.pieces():
            content[filled : filled + len(piece)] = piece
            filled += len(piece)
        return content

    def digest(self) -> str:
        """SHA-256 of its bytes."""
        total = hashlib.sha256()
        for piece in self.pieces():
            total.update(piece)
        return total.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights, in order of name. Raises WeightsError where there is none or one is missing."""
    for name in _NAMES:
        stem, ending = name.rsplit(".", 1)
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            return _indexed(index)
        if shards := sorted(folder.glob(f"{stem}-*-of-*.{ending}")):
            return _unindexed(shards)
    if shards := sorted(folder.glob("consolidated.*.pth")):
        return shards
    raise WeightsError(f"`{folder}` 里没有权重文件", f"放 {_NAMES[0]}、{_NAMES[3]}（可分片）或 adapter_model.safetensors")


def stored_tensors(source: Path | Sequence[Path]) -> dict[str, StoredTensor]:
    """Every tensor of a folder, a file or several files, by name; nothing but headers is read. Raises WeightsError.

    Tensors of several .pth files carry their file's name before their own, because there every file holds a slice of every tensor.
    """
    files = _files(source)
    sliced = len(files) > 1 and all(path.suffix == ".pth" for path in files)
    found: dict[str, StoredTensor] = {}
    for path in files:
        for tensor in _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path):
            name = f"{path.name}/{tensor.name}" if sliced else tensor.name
            if name in found:
                raise WeightsError(f"张量 `{name}` 在 `{found[name].path}` 和 `{path}` 里各有一份", "只留一份")
            found[name] = tensor
    return found


def weights_digest(source: Path | Sequence[Path]) -> str:
    """SHA-256 of what the weights of a folder, a file or several files hold: names, dtypes, shapes and values. Raises WeightsError.

    The same for .bin and safetensors, whole or in shards: formats, orders and metadata do not count.
    """
    tensors = stored_tensors(source)
    return digest_of((name, tensor.dtype, tensor.shape, tensor.digest()) for name, tensor in tensors.items())


def digest_of(tensors: Iterable[tuple[str, str, Sequence[int], str]]) -> str:
    """SHA-256 over (name, dtype, shape, SHA-256 of the bytes row after row), one JSON line a tensor in order of name."""
    total = hashlib.sha256()
    for name, dtype, shape, digest in sorted(tensors):
        total.update(json.dumps([name, dtype, list(shape), digest], ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file as it lies on the disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(source: Path | Sequence[Path]) -> list[Path]:
    if not isinstance(source, Path):
        return list(source)
    return weight_files(source) if source.is_dir() else [source]


def _indexed(index: Path) -> list[Path]:
    try:
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"分片索引 `{index}` 读不出来：{error}", "重新下载") from error
    files = sorted(index.parent / str(name) for name in names)
    if gone := [path.name for path in files if not path.is_file()]:
        raise WeightsError(f"`{index}` 里的分片缺了 `{'、'.join(gone)}`", "重新下载缺的分片")
    return files


def _unindexed(shards: Sequence[Path]) -> list[Path]:
    total = shards[0].stem.rsplit("-of-", 1)[1]
    if not total.isdigit() or len(shards) != int(total):
        raise WeightsError(f"`{shards[0].parent}` 里应有 `{total}` 个分片，只有 `{len(shards)}` 个", "重新下载缺的分片")
    return list(shards)


def _cut_off(path: Path, name: str) -> WeightsError:
    return WeightsError(f"权重文件 `{path}` 不完整：张量 `{name}` 超出了文件的末尾", "重新下载或重新复制这个文件")


def _safetensors(path: Path) -> list[StoredTensor]:
    """Header length (8 bytes, little endian), header (JSON), values: github.com/huggingface/safetensors, README, "Format"."""
    try:
        with path.open("rb") as file:
            header, behind = _header(file)
            size = file.seek(0, 2)
        found = [_described(path, name, entry, behind) for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"权重文件 `{path}` 的文件头读不出来：{error}", "重新下载或重新复制这个文件") from error
    for tensor in found:
        if tensor.start + tensor.count > size:
            raise _cut_off(path, tensor.name)
    return found


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _LARGEST_HEADER:
        raise ValueError(f"文件头的长度是 {length}")
    return json.loads(file.read(length)), 8 + length


def _described(path: Path, name: str, entry: Mapping[str, Any], behind: int) -> StoredTensor:
    first, last = entry["data_offsets"]
    tensor = StoredTensor(name, entry["dtype"], tuple(entry["shape"]), path, behind + first, last - first)
    if tensor.count != tensor.size:
        raise ValueError(f"张量 {name} 的字节数与形状不符")
    return tensor


def _torch_file(path: Path) -> list[StoredTensor]:
    try:
        import torch
    except ImportError as error:
        raise WeightsError(f"读 `{path}` 需要 `torch`", '安装附加组件 llm：pip install -c constraints.txt -e ".[llm]"') from error
    try:
        content = torch.load(path, map_location="meta", weights_only=True)
        found = [_placed(path, name, tensor) for name, tensor in _flat(content) if isinstance(tensor, torch.Tensor)]
    except Exception as error:  # a damaged archive fails in any way it likes
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"权重文件 `{path}` 读不出来：{said}", "重新下载；1.6 以前的 torch 写的文件先转成 safetensors") from error
    size = path.stat().st_size
    for tensor in found:
        if tensor.start + tensor.count > size:
            raise _cut_off(path, tensor.name)
    return found


def _flat(content: Any) -> list[tuple[str, Any]]:
    if not isinstance(content, Mapping):
        raise TypeError("里面不是按名字放的张量")
    return [(str(name), value) for name, value in content.items()]


def _placed(path: Path, name: str, tensor: Any) -> StoredTensor:
    dtype = TORCH_NAMES[str(tensor.dtype).removeprefix("torch.")]
    begin = tensor.untyped_storage()._checkpoint_offset  # noqa: SLF001 - where torch itself says the values lie; its version is pinned
    start = begin + tensor.storage_offset() * VALUE_BYTES[dtype]
    shape = tuple(tensor.shape)
    if tensor.is_contiguous():
        return StoredTensor(name, dtype, shape, path, start, tensor.numel() * VALUE_BYTES[dtype])
    strides = tuple(tensor.stride())
    spanned = 1 + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
    return StoredTensor(name, dtype, shape, path, start, spanned * VALUE_BYTES[dtype], strides)


def _rows_in_order(content: bytes, tensor: StoredTensor) -> bytes:
    import numpy as np

    width = VALUE_BYTES[tensor.dtype]
    values = np.frombuffer(content, dtype=np.dtype(f"V{width}"))
    view = np.lib.stride_tricks.as_strided(values, tensor.shape, [step * width for step in tensor.strides])
    return np.ascontiguousarray(view).tobytes()
