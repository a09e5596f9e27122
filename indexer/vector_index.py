"""Nearest passages by cosine, in FAISS. The only file that talks to it."""

from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError


def write_vector_index(path: Path, vectors: NDArray[np.float32]) -> None:
    """Store (passages, dimensions) unit vectors, in passage order."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    path.write_bytes(faiss.serialize_index(index).tobytes())


class VectorIndex:
    """A vector index opened for reading."""

    def __init__(self, path: Path) -> None:
        try:
            self._index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise IndexDamagedError(
                f"向量索引 `{path}` 打不开或不完整", "运行 qizhen index verify 查看损坏处，再用 qizhen index build --fresh 重建"
            ) from error
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
