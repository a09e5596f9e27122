"""Nearest passages by cosine, in FAISS. The only file that talks to it."""

import struct
from collections.abc import Iterable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError

_COUNT_AT, _FLOATS_AT = 8, 37  # where FAISS keeps the number of vectors and of floats in the head of a flat index


def write_vector_index(path: Path, dimensions: int, blocks: Iterable[NDArray[np.float32]]) -> int:
    """Store blocks of (passages, dimensions) unit vectors, in passage order, one at a time in memory; return how many there were."""
    head = bytearray(faiss.serialize_index(faiss.IndexFlatIP(dimensions)).tobytes())
    count = 0
    with path.open("wb") as file:
        file.write(head)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.float32).data)
            count += len(block)
        struct.pack_into("<q", head, _COUNT_AT, count)
        struct.pack_into("<q", head, _FLOATS_AT, count * dimensions)
        file.seek(0)
        file.write(head)
    return count


def stored_vectors(path: Path, dimensions: int) -> NDArray[np.float32]:
    """The vectors of a file, (passages, dimensions), read from disk as they are used. Raises IndexDamagedError."""
    head = len(faiss.serialize_index(faiss.IndexFlatIP(dimensions)))
    try:
        floats = (path.stat().st_size - head) // 4
        if floats == 0:
            return np.zeros((0, dimensions), dtype=np.float32)
        return np.memmap(path, dtype="<f4", mode="r", offset=head, shape=(floats // dimensions, dimensions))
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> IndexDamagedError:
    return IndexDamagedError(
        f"向量索引 `{path}` 打不开或不完整", "运行 qizhen index verify 查看损坏处，再用 qizhen index build --fresh 重建"
    )


class VectorIndex:
    """A vector index opened for reading."""

    def __init__(self, path: Path) -> None:
        try:
            self._index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise _damaged(path) from error
        self.passages = int(self._index.ntotal)
        self.dimensions = int(self._index.d)

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
        """(passage position, cosine) for a (dimensions,) unit vector, best first, ties by position."""
        if not self.passages or not vector.any():
            return []
        scores, positions = self._index.search(vector[None], min(limit, self.passages))
        found = [(int(p), float(s)) for p, s in zip(positions[0], scores[0], strict=True) if p >= 0]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """(positions, dimensions): the stored vectors of these passages."""
        found: NDArray[np.float32] = self._index.reconstruct_batch(positions)
        return found
