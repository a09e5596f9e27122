"""A build that is stopped while it embeds goes on where it was; what was half written or altered is embedded again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import embedding_work
from indexer.build import build_release
from indexer.embedder import StaticEmbedder, shipped_embedder
from indexer.release import open_release, verify_release

Write = Callable[..., Path]
ROWS = [{"id": str(n), "title": f"药{n}", "sections": [{"title": "适应症", "text": f"用于头痛{n}。"}]} for n in range(10)]


class StoppingEmbedder(StaticEmbedder):
    """The shipped encoder, which is interrupted at its n-th call."""

    def __init__(self, stop_at: int) -> None:
        self.__dict__.update(shipped_embedder().__dict__)
        self.calls, self.stop_at = 0, stop_at

    def embed(self, texts: Any) -> Any:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return super().embed(texts)


@pytest.fixture
def stopped(tmp_path: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An index folder where a build of ten passages, three at a time, was stopped after two calls; and the documents."""
    monkeypatch.setattr(embedding_work, "PASSAGES_AT_ONCE", 3)
    knowledge = write_lines(ROWS)
    with pytest.raises(KeyboardInterrupt):
        build_release(tmp_path / "index", [knowledge], embedder=StoppingEmbedder(3))
    return tmp_path / "index", knowledge


def finish(index: Path, knowledge: Path) -> int:
    embedder = StoppingEmbedder(0)
    build_release(index, [knowledge], embedder=embedder)
    assert verify_release(index) == []
    expected = shipped_embedder().embed([f"药{n} 适应症 用于头痛{n}。" for n in range(10)])
    assert np.array_equal(open_release(index).vectors.vectors(np.arange(10)), expected)
    assert not (index / "work").exists()
    return embedder.calls


def pieces(index: Path) -> list[Path]:
    return sorted((index / "work").glob("*.vectors"))


def test_finished_pieces_are_not_embedded_again(stopped: tuple[Path, Path]) -> None:
    assert len(pieces(stopped[0])) == 2
    assert finish(*stopped) == 2


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[: len(data) // 2], lambda data: b"\0" * 4 + data[4:], lambda _: b""]
)
def test_a_damaged_piece_is_embedded_again(stopped: tuple[Path, Path], damage: Callable[[bytes], bytes]) -> None:
    piece = pieces(stopped[0])[0]
    piece.write_bytes(damage(piece.read_bytes()))
    assert finish(*stopped) == 3


def test_pieces_of_another_encoder_are_not_used(stopped: tuple[Path, Path]) -> None:
    other = StoppingEmbedder(0)
    other.name, other.digest = "other", "0" * 64
    build_release(stopped[0], [stopped[1]], embedder=other)
    assert other.calls == 4
