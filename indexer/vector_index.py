"""Nearest passages by cosine. The only file that talks to FAISS.

vectors.faiss    every vector as it is, 4 bytes a number, read from disk as it is used
codes.faiss      in large releases, the same in half a byte for two numbers (product quantization scanned in registers, André et al. 2015)

A search in a large release scans all codes and compares the best of them by the vectors themselves: there are no cells that it might not
look into, and a cosine that is told is never an approximation.
"""

import os
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError

# From so many passages on there are codes. Below, every vector is compared: 1 ms.
CODES_FROM = 20_000
_COUNT_AT, _FLOATS_AT = 8, 37  # where FAISS keeps the number of vectors and of floats in the head of a flat index
_NUMBERS_A_CODE, _BITS = 2, 4
_TRAINED_ON, _CODED_AT_ONCE = 50_000, 65_536
# How many candidates of the codes are compared by their vectors: 0.997 of the ten nearest are among 300 of 100,000 passages.
_COMPARED, _COMPARED_TIMES = 300, 5
_MAPPED_AT_ONCE = 65_536  # bytes of a file that Linux maps around one that is read
# FAISS's way of scanning without regard to further questions: half the time of what it takes by itself.
_ONE_QUESTION = 15
# One question is compared by one thread: many ask at once, and threads that wait for one another cost more than they save.
faiss.omp_set_num_threads(1)


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


def write_codes(path: Path, vectors: NDArray[np.float32], like: Path | None = None, same: NDArray[np.int64] | None = None) -> None:
    """Store codes of (passages, dimensions) vectors, in a book learnt from some of them, or taken from the codes `like`. `same`
    (passages,): which vector of those has the code of each of these, or -1.

    Raises OSError where the disk fails, IndexDamagedError where `like` cannot be read.
    """
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    try:
        index = _read(like) if like else _learnt(vectors)
        codes = np.empty((len(vectors), index.sa_code_size()), dtype=np.uint8)
        if same is None:
            same = np.full(len(vectors), -1)
        codes[same >= 0] = faiss.vector_to_array(index.codes).reshape(-1, codes.shape[1])[same[same >= 0]]
        new = np.flatnonzero(same < 0)
        for start in range(0, len(new), _CODED_AT_ONCE):
            block = new[start : start + _CODED_AT_ONCE]
            codes[block] = index.sa_encode(np.ascontiguousarray(vectors[block]))
        index.reset()
        index.add_sa_codes(codes)
    finally:
        faiss.omp_set_num_threads(1)
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise OSError(f"{path}: {error}") from error


def _learnt(vectors: NDArray[np.float32]) -> Any:
    dimensions = vectors.shape[1]
    index = faiss.IndexPQ(dimensions, dimensions // _NUMBERS_A_CODE, _BITS, faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(vectors[:: len(vectors) // _TRAINED_ON + 1]))
    return index


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


def _read(path: Path) -> Any:
    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        raise _damaged(path) from error


def _scanned(coded: Any, path: Path) -> Any:
    """Codes laid as registers scan them: 5 ms for 100,000. Raises IndexDamagedError where the file holds something else."""
    try:
        laid = faiss.IndexPQFastScan(coded)
    except (TypeError, NotImplementedError) as error:
        raise _damaged(path) from error
    laid.implem = _ONE_QUESTION
    return laid


def _damaged(path: Path) -> IndexDamagedError:
    return IndexDamagedError(
        f"向量索引 `{path}` 打不开或不完整", "运行 qizhen index verify 查看损坏处，再用 qizhen index build --fresh 重建"
    )


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "vectors")


class VectorIndex:
    """Vectors opened for reading, with their codes where there are some."""

    def __init__(self, path: Path, codes: Path | None = None) -> None:
        self._nearest = _read(codes or path)
        self._has_codes = codes is not None
        if self._has_codes:
            self._nearest = _scanned(self._nearest, codes or path)
        self.dimensions = int(self._nearest.d)
        self._vectors = stored_vectors(path, self.dimensions)
        self.passages = len(self._vectors)
        if int(self._nearest.ntotal) != self.passages:
            raise _damaged(codes or path)

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
        """(passage position, cosine) for a (dimensions,) unit vector, best first, ties by position."""
        if not self.passages or not vector.any():
            return []
        compared = max(_COMPARED, _COMPARED_TIMES * limit) if self._has_codes else limit
        found = np.sort(self._nearest.search(vector[None], min(compared, self.passages))[1][0])
        positions = found[found >= 0]
        cosines = self.vectors(positions) @ vector
        best = np.argsort(-cosines, kind="stable")[:limit]
        return [(int(positions[at]), float(cosines[at])) for at in best]

    def begin(self, vector: NDArray[np.float32], limit: int) -> Callable[[], list[tuple[int, float]]]:
        """As `search`, begun on another core where there are codes, since to scan them takes as long as finding keywords. Returns a
        function that waits for what was found.
        """
        work = partial(self.search, vector, limit)
        return _threads().submit(work).result if self._has_codes else work

    def prepare(self) -> None:
        """Have the vectors mapped into memory that searches compare here and there, which each of the first hundreds would wait for."""
        if self._has_codes:
            self._vectors[:: max(1, _MAPPED_AT_ONCE // (4 * self.dimensions)), 0].sum()

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """(positions, dimensions): the stored vectors of these passages."""
        return np.asarray(self._vectors[positions])
