"""Text to vectors. The shipped encoder `fast` is a table of character 1-3-gram vectors, summed: numpy and nothing else."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError
from indexer.terms import fold

FAST = Path(__file__).parent / "encoders" / "fast"
_LONGEST_GRAM = 3
# Odd multipliers for hashing; 2654435769 is Knuth's golden-ratio multiplier (TAOCP 3, section 6.4).
_FOLD_MULTIPLIER, _SPREAD_MULTIPLIER = np.uint32(16777619), np.uint32(2654435769)
_TEXTS_AT_ONCE = 256


class Embedder(Protocol):
    """Turns texts into unit vectors. `digest` names the weights: releases built with others are not searched."""

    name: str
    digest: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions) float32, unit length; all zeros for a text without letters or digits."""
        ...


def gram_rows(folded: str, rows: int) -> NDArray[np.int64]:
    """Table rows of the 1- to 3-grams of a folded text, repeats included; `rows` is a power of two.

    A gram does not reach over white space or punctuation.
    """
    codes = np.frombuffer(folded.encode("utf-32-le"), dtype=np.uint32)
    letters = np.fromiter((c.isalnum() for c in folded), dtype=bool, count=len(folded))
    shift = np.uint32(32 - (rows.bit_length() - 1))
    hashed, inside = codes, letters
    found = []
    for size in range(1, min(_LONGEST_GRAM, len(codes)) + 1):
        if size > 1:
            hashed = hashed[:-1] * _FOLD_MULTIPLIER + codes[size - 1 :]
            inside = inside[:-1] & letters[size - 1 :]
        found.append(((hashed[inside] + np.uint32(size)) * _SPREAD_MULTIPLIER) >> shift)
    return np.concatenate(found).astype(np.int64) if found else np.zeros(0, dtype=np.int64)


class StaticEmbedder:
    """The sum of its n-grams' vectors, at unit length. Row lengths carry the weights that training gave the n-grams."""

    def __init__(self, folder: Path) -> None:
        """Read `table.npy` (rows, dimensions) int8, `scale.npy` (rows,) float32 and `manifest.json` from a folder."""
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
            self._table = np.load(folder / "table.npy", allow_pickle=False)
            self._scale = np.load(folder / "scale.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise IndexDamagedError(f"编码器 `{folder}` 读不出来：{error}", "重新安装本项目，或检查设置中的编码器文件夹") from error
        self.name = str(manifest["name"])
        self.digest = weights_digest(self._table, self._scale)
        if self.digest != manifest["digest"]:
            raise IndexDamagedError(f"编码器 `{folder}` 的权重与其清单不符", "重新安装本项目")
        self.dimensions = int(self._table.shape[1])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions) float32, unit length; all zeros for a text without letters or digits."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            chunk = texts[start : start + _TEXTS_AT_ONCE]
            grams = [gram_rows(fold(text), len(self._scale)) for text in chunk]
            counts = np.array([len(g) for g in grams])
            filled = np.flatnonzero(counts)
            if not len(filled):
                continue
            rows = np.concatenate([grams[i] for i in filled])
            weighted = self._table[rows] * self._scale[rows, None]
            offsets = np.concatenate([[0], np.cumsum(counts[filled])[:-1]])
            vectors[start + filled] = np.add.reduceat(weighted, offsets, axis=0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors


def weights_digest(table: NDArray[np.int8], scale: NDArray[np.float32]) -> str:
    """SHA-256 of the weights' shapes and bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256(str((table.shape, scale.shape)).encode())
    digest.update(np.ascontiguousarray(table).tobytes())
    digest.update(np.ascontiguousarray(scale).tobytes())
    return digest.hexdigest()


@cache
def shipped_embedder() -> StaticEmbedder:
    """The encoder that comes with the project."""
    return StaticEmbedder(FAST)
