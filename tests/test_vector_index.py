"""Vectors as they lie on disk: compared one by one, or by their codes first."""

from pathlib import Path

import numpy as np
import pytest

from indexer.errors import IndexDamagedError
from indexer.vector_index import VectorIndex, stored_vectors, write_codes, write_vector_index

DIMENSIONS = 32


def unit(count: int, seed: int) -> np.ndarray:
    """Vectors in clumps, as those of texts are."""
    dice = np.random.default_rng(seed)
    clumps = dice.normal(size=(40, DIMENSIONS))
    vectors = clumps[dice.integers(0, 40, count)] + 0.6 * dice.normal(size=(count, DIMENSIONS))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def written(folder: Path, vectors: np.ndarray, like: Path | None = None) -> VectorIndex:
    path = folder / "vectors"
    assert write_vector_index(path, DIMENSIONS, np.array_split(vectors, 7)) == len(vectors)
    write_codes(folder / "codes", stored_vectors(path, DIMENSIONS), like)
    return VectorIndex(path, folder / "codes")


def exact(vectors: np.ndarray, question: np.ndarray, limit: int) -> list[int]:
    return [int(at) for at in np.argsort(-(vectors @ question), kind="stable")[:limit]]


def test_without_codes_the_nearest_are_exact_and_ties_in_order(tmp_path: Path) -> None:
    vectors = unit(500, 1)
    vectors[400] = vectors[7]
    write_vector_index(tmp_path / "vectors", DIMENSIONS, [vectors])
    found = VectorIndex(tmp_path / "vectors").search(vectors[7], 12)
    assert [position for position, _ in found] == exact(vectors, vectors[7], 12)
    assert found[0][0] == 7
    assert found[1] == (400, found[0][1])


def test_codes_find_nearly_all_that_is_nearest_and_tell_true_cosines(tmp_path: Path) -> None:
    vectors, questions = unit(30_000, 2), unit(60, 3)
    index = written(tmp_path, vectors)
    held = [len(set(exact(vectors, q, 10)) & {position for position, _ in index.search(q, 10)}) for q in questions]
    assert sum(held) >= 0.97 * 10 * len(questions)
    for position, cosine in index.search(questions[0], 20):
        assert cosine == pytest.approx(float(vectors[position] @ questions[0]), abs=1e-6)


def test_a_search_begun_aside_finds_the_same(tmp_path: Path) -> None:
    vectors, questions = unit(3000, 2), unit(20, 3)
    coded = written(tmp_path, vectors)
    for index in (coded, VectorIndex(tmp_path / "vectors")):
        index.prepare()
        begun = [index.begin(question, 10) for question in questions]
        assert [wait() for wait in begun] == [index.search(question, 10) for question in questions]


def test_codes_in_a_book_of_other_vectors_find_as_well(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    written(tmp_path / "old", unit(3000, 4))
    vectors, questions = unit(3000, 4)[::-1].copy(), unit(30, 5)
    vectors[:30] = unit(30, 6)
    index = written(tmp_path, vectors, tmp_path / "old" / "codes")
    assert index.passages == 3000
    held = [len(set(exact(vectors, q, 10)) & {position for position, _ in index.search(q, 10)}) for q in questions]
    assert sum(held) >= 0.97 * 10 * len(questions)


def test_codes_that_are_taken_over_are_those_that_would_be_made(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old = unit(3000, 4)
    written(tmp_path / "old", old)
    came_from = np.random.default_rng(7).permutation(3000)[:2000]
    came_from[::5] = -1
    vectors = np.where(came_from[:, None] < 0, unit(2000, 8), old[came_from])
    anew, taken_over = tmp_path / "anew", tmp_path / "taken over"
    write_codes(anew, vectors, tmp_path / "old" / "codes")
    write_codes(taken_over, vectors, tmp_path / "old" / "codes", came_from)
    assert taken_over.read_bytes() == anew.read_bytes()


def test_an_empty_question_and_an_empty_index_find_nothing(tmp_path: Path) -> None:
    write_vector_index(tmp_path / "vectors", DIMENSIONS, [])
    assert VectorIndex(tmp_path / "vectors").search(unit(1, 1)[0], 3) == []
    assert written(tmp_path, unit(300, 1)).search(np.zeros(DIMENSIONS, np.float32), 3) == []


@pytest.mark.parametrize("part", ["vectors", "codes"])
def test_a_part_that_is_cut_off_is_named(tmp_path: Path, part: str) -> None:
    written(tmp_path, unit(300, 1))
    path = tmp_path / part
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(IndexDamagedError, match="打不开或不完整"):
        VectorIndex(tmp_path / "vectors", tmp_path / "codes")
