"""Embedding that can be stopped and picked up again: what is done lies in INDEX/work, each piece with its digest."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from indexer.carrying import Blocks
from indexer.embedder import Embedder

WORK = "work"
PASSAGES_AT_ONCE = 2048
_DIGEST_BYTES = 32


def embed_in_pieces(folder: Path, texts: Iterable[str], total: int, embedder: Embedder, progress: Callable[[int, int], None]) -> Blocks:
    """Vectors of `total` texts, 2,048 a file in `folder`. A piece that lies there whole is not embedded again.

    Raises OSError where the disk fails.
    """
    files: list[Path] = []
    for piece, name in _laid_out(iter(texts), embedder):
        path = folder / f"{name}.vectors"
        if not _is_whole(path, len(piece) * embedder.dimensions * 4):
            _write(path, np.ascontiguousarray(embedder.embed(piece), dtype="<f4").tobytes())
        files.append(path)
        progress(min(total, len(files) * PASSAGES_AT_ONCE), total)
    return Blocks(files, embedder.dimensions, PASSAGES_AT_ONCE, total)


def _laid_out(texts: Iterator[str], embedder: Embedder) -> Iterator[tuple[list[str], str]]:
    """The pieces with their names; the next is laid out while one is embedded."""

    def lay_out() -> tuple[list[str], str]:
        piece = list(islice(texts, PASSAGES_AT_ONCE))
        return piece, _name(piece, embedder)

    with ThreadPoolExecutor(1) as beside:
        ahead = beside.submit(lay_out)
        while (laid_out := ahead.result())[0]:
            ahead = beside.submit(lay_out)
            yield laid_out


def _name(texts: Sequence[str], embedder: Embedder) -> str:
    whole = hashlib.sha256(embedder.digest.encode())
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()[:40]


def _is_whole(path: Path, length: int) -> bool:
    """Whether a piece is as it was written: a half-written or altered one is made again."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    return len(data) == length + _DIGEST_BYTES and hashlib.sha256(data[:length]).digest() == data[length:]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data + hashlib.sha256(data).digest())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
