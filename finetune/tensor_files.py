"""Stored tensors into torch's and back, tensor by tensor: safetensors in shards, and torch's zip files."""

import io
import json
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from app.weights import TORCH_NAMES, VALUE_BYTES, StoredTensor

_TORCH_OF = {short: long for long, short in TORCH_NAMES.items()}
_STORAGES = {"F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage"}
_ALIGNMENT = 64  # bytes; where torch's own writer lets every record begin
_SPLIT = 1 << 22  # values; elementwise work is done on so many at once


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """What a file holds under a name: dtype as in app/weights.py."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return math.prod(self.shape) * VALUE_BYTES[self.dtype]


class TensorWriter(Protocol):
    """Takes the tensors that were announced, in the order in which they were announced."""

    def write(self, entry: TensorEntry, pieces: Iterable[Any]) -> None:
        """Write one tensor, given as buffers that together are its bytes."""

    def close(self) -> None:
        """Make what was written durable."""


def torch_dtype(name: str) -> Any:
    """Torch's dtype of one of the names of app/weights.py."""
    import torch

    return getattr(torch, _TORCH_OF[name])


def load_tensor(stored: StoredTensor) -> Any:
    """A torch tensor of its own memory. Raises WeightsError."""
    import torch

    if not stored.size:
        return torch.empty(stored.shape, dtype=torch_dtype(stored.dtype))
    return torch.frombuffer(stored.read(), dtype=torch_dtype(stored.dtype)).reshape(stored.shape)


def tensor_pieces(tensor: Any) -> Iterator[Any]:
    """The bytes of a torch tensor, row after row."""
    import torch

    yield memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


def blocks(tensor: Any) -> Iterator[slice]:
    """Slices of the first dimension, so that temporary copies of what is done with each stay small."""
    rows = max(1, _SPLIT // max(1, math.prod(tensor.shape[1:])))
    for start in range(0, len(tensor), rows):
        yield slice(start, start + rows)


def all_finite(tensor: Any) -> bool:
    """Whether no value is NaN or infinite."""
    import torch

    flat = tensor.reshape(-1)
    return all(bool(torch.isfinite(flat[block]).all()) for block in blocks(flat))


def load_parts(stored: StoredTensor) -> Iterator[Any]:
    """Its values in order, a few megabytes at a time, as torch tensors of one dimension. Raises WeightsError."""
    import torch

    for piece in stored.pieces():
        yield torch.frombuffer(bytearray(piece), dtype=torch_dtype(stored.dtype))


def shards(entries: Sequence[TensorEntry], most: int) -> list[list[TensorEntry]]:
    """Entries in order, in groups of at most `most` bytes; a larger tensor is a group of its own."""
    groups: list[list[TensorEntry]] = []
    filled = 0
    for entry in entries:
        if not groups or filled + entry.size > most:
            groups.append([])
            filled = 0
        groups[-1].append(entry)
        filled += entry.size
    return groups


class SafetensorsWriter:
    """model.safetensors, or shards of at most `most` bytes of values with their index."""

    def __init__(self, folder: Path, entries: Sequence[TensorEntry], most: int) -> None:
        self._folder = folder
        self._entries = entries
        self._waiting = shards(entries, most)
        self._number = len(self._waiting)
        self._file: BinaryIO | None = None
        self._left: list[TensorEntry] = []
        self._places: dict[str, str] = {}

    def write(self, entry: TensorEntry, pieces: Iterable[Any]) -> None:
        """Append one tensor; a new shard is begun where the last is full."""
        if not self._left:
            self._next_shard()
        if self._file is None or self._left.pop(0) != entry:
            raise ValueError(f"`{entry.name}` is not the tensor announced next")
        written = sum(self._file.write(piece) for piece in pieces)
        if written != entry.size:
            raise ValueError(f"`{entry.name}` has {written} bytes, announced were {entry.size}")

    def close(self) -> None:
        """End the last shard and write the index of several."""
        self._end_shard()
        if self._number > 1:
            total = {"total_size": sum(entry.size for entry in self._entries)}
            index = {"metadata": total, "weight_map": dict(sorted(self._places.items()))}
            (self._folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", "utf-8")

    def _next_shard(self) -> None:
        self._end_shard()
        self._left = self._waiting.pop(0)
        number = self._number - len(self._waiting)
        name = "model.safetensors" if self._number == 1 else f"model-{number:05}-of-{self._number:05}.safetensors"
        self._file = (self._folder / name).open("wb")
        self._file.write(_safetensors_header(self._left))
        self._places |= {entry.name: name for entry in self._left}

    def _end_shard(self) -> None:
        if self._file is not None:
            _make_durable(self._file)
            self._file.close()
            self._file = None


class PthWriter:
    """One file as torch.save writes it, a dictionary of tensors by name. Raises KeyError for a dtype that is no float."""

    def __init__(self, path: Path, entries: Sequence[TensorEntry]) -> None:
        self._numbers = {entry: number for number, entry in enumerate(entries)}
        self._file = path.open("wb")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        self._folder = path.stem
        self._record("data.pkl", [_pickled(entries)])
        self._record("byteorder", [b"little"])

    def write(self, entry: TensorEntry, pieces: Iterable[Any]) -> None:
        """Append one tensor."""
        self._record(f"data/{self._numbers[entry]}", pieces)

    def close(self) -> None:
        """Write the archive's table of contents."""
        self._record("version", [b"3\n"])
        self._archive.close()
        _make_durable(self._file)
        self._file.close()

    def _record(self, name: str, pieces: Iterable[Any]) -> None:
        info = zipfile.ZipInfo(f"{self._folder}/{name}")
        # Behind a local header of 30 bytes stand the name, zipfile's 20 bytes of large sizes and this padding, then the values.
        begin = self._file.tell() + 30 + len(info.filename.encode()) + 20 + 4
        padding = -begin % _ALIGNMENT
        info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
        with self._archive.open(info, "w", force_zip64=True) as record:
            for piece in pieces:
                record.write(piece)


def _make_durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _safetensors_header(entries: Sequence[TensorEntry]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for entry in entries:
        header[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [start, start + entry.size]}
        start += entry.size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


@dataclass(frozen=True, slots=True)
class _Storage:
    """Stands for the values of record `number`."""

    number: int
    entry: TensorEntry


class _Pickler(pickle.Pickler):
    """Names storages as torch.save does, without having them."""

    def persistent_id(self, obj: Any) -> Any:
        """What stands in the pickle for a storage."""
        if not isinstance(obj, _Storage):
            return None
        import torch

        return "storage", getattr(torch, _STORAGES[obj.entry.dtype]), str(obj.number), "cpu", math.prod(obj.entry.shape)

    def reducer_override(self, obj: Any) -> Any:
        """How a tensor is made of its storage."""
        if not isinstance(obj, _Announced):
            return NotImplemented
        import torch

        shape = obj.storage.entry.shape
        strides = tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))
        return torch._utils._rebuild_tensor_v2, (obj.storage, 0, shape, strides, False, OrderedDict())  # noqa: SLF001 - the format's own name


@dataclass(frozen=True, slots=True)
class _Announced:
    storage: _Storage


def _pickled(entries: Sequence[TensorEntry]) -> bytes:
    content = io.BytesIO()
    _Pickler(content, protocol=2).dump({entry.name: _Announced(_Storage(number, entry)) for number, entry in enumerate(entries)})
    return content.getvalue()
