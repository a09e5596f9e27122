"""Text to vectors. The shipped encoder `fast` is a table of vectors of n-grams, summed: numpy and nothing else."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError
from indexer.grams import GramVocabulary

FAST = Path(__file__).parent / "encoders" / "fast"
_TEXTS_AT_ONCE = 256


class Embedder(Protocol):
    """Turns texts into unit vectors. `digest` names the weights: releases built with others are not searched."""

    name: str
    digest: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions) float32, unit length; all zeros for a text without letters or digits."""
        ...


class StaticEmbedder:
    """The sum of the vectors of the n-grams that cover a text, at unit length. Row lengths carry the weights that training gave them."""

    def __init__(self, folder: Path) -> None:
        """Read a folder's `grams.npy` (n-grams,) uint64, `table.npy` (n-grams, dimensions) int8, `scale.npy` (n-grams,) float32, and
        `manifest.json`. Raises IndexDamagedError.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
            grams, self._table, self._scale = (np.load(folder / f"{part}.npy", allow_pickle=False) for part in ("grams", "table", "scale"))
        except (OSError, ValueError) as error:
            raise IndexDamagedError(f"编码器 `{folder}` 读不出来：{error}", "重新安装本项目，或检查设置中的编码器文件夹") from error
        self.name = str(manifest["name"])
        self.digest = weights_digest(grams, self._table, self._scale)
        if self.digest != manifest["digest"]:
            raise IndexDamagedError(f"编码器 `{folder}` 的权重与其清单不符", "重新安装本项目")
        self.dimensions = int(self._table.shape[1])
        self._vocabulary = GramVocabulary(grams)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions) float32, unit length; all zeros for a text without letters or digits. Many texts take all cores."""
        chunks = [texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE)]
        if len(chunks) < 2:
            return self._embed(texts)
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return np.concatenate(list(threads.map(self._embed, chunks)))

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        rows, bounds = self._vocabulary.rows(texts)
        scales = self._scale[rows]
        # One product a text is five times as fast as one sum over a whole batch, which outgrows the cache.
        for text, (start, end) in enumerate(pairwise(bounds.tolist())):
            vectors[text] = scales[start:end] @ self._table[rows[start:end]].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors


def weights_digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 of the arrays' shapes and bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256(str([array.shape for array in arrays]).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@cache
def shipped_embedder() -> StaticEmbedder:
    """The encoder that comes with the project."""
    return StaticEmbedder(FAST)
