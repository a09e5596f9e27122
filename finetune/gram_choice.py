"""Which n-grams get a vector: frequent ones that hold together, all single characters first."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from indexer.grams import LONGEST, characters_of, keys_at

_LEAST_SEEN = {2: 8, 3: 12, 4: 12}
# Logarithm of how much likelier an n-gram is than its parts beside each other by chance, at the weakest cut. Bigrams need none of it.
_LEAST_COHESION = {2: 0.0, 3: 3.0, 4: 4.0}
_BIGRAM_PREFERENCE = 1.5
_COHESION_COUNTED = (0.5, 8.0)
_BITS = 16

_Counted = dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]]


def choose_grams(texts: Collection[str], most: int) -> NDArray[np.uint64]:
    """Keys of at most `most` n-grams, ascending; the choice depends on the set of texts alone.

    Longer n-grams are ranked by their count times their cohesion, as words are found in unsegmented text (Sproat and Shih 1990).
    """
    characters, _ = characters_of(sorted(texts))
    letters = int((characters != 0).sum())
    counted = {}
    for size in range(1, LONGEST + 1):
        keys = keys_at(characters, size)
        counted[size] = np.unique(keys[keys != 0], return_counts=True)
    ranked = [_ranked(size, counted, letters) for size in counted]
    chosen, ranks = [keys for keys, _ in ranked], [rank for _, rank in ranked]
    best = np.argsort(-np.concatenate(ranks), kind="stable")[:most]
    return np.sort(np.concatenate(chosen)[best])


def _ranked(size: int, counted: _Counted, letters: int) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """The n-grams of one size that may be chosen, with their ranks."""
    keys, counts = counted[size]
    if size == 1:
        return keys, np.full(len(keys), np.inf)
    seen = counts >= _LEAST_SEEN[size]
    cohesion = _cohesion(keys[seen], counts[seen], size, counted, letters)
    fit = cohesion > _LEAST_COHESION[size]
    rank = counts[seen][fit] * np.clip(cohesion[fit], *_COHESION_COUNTED) * (_BIGRAM_PREFERENCE if size == 2 else 1.0)
    return keys[seen][fit], rank.astype(np.float64)


def _cohesion(
    keys: NDArray[np.uint64],
    counts: NDArray[np.int64],
    size: int,
    counted: _Counted,
    letters: int,
) -> NDArray[np.float64]:
    """Pointwise mutual information of an n-gram's two parts, at the cut where it is least."""
    weakest = np.full(len(keys), np.inf)
    for left in range(1, size):
        right_bits = np.uint64(_BITS * (size - left))
        before = _count(keys >> right_bits, counted[left])
        behind = _count(keys & ((np.uint64(1) << right_bits) - np.uint64(1)), counted[size - left])
        weakest = np.minimum(weakest, counts * letters / (before * behind))
    cohesion: NDArray[np.float64] = np.log(weakest)
    return cohesion


def _count(keys: NDArray[np.uint64], counted: tuple[NDArray[np.uint64], NDArray[np.int64]]) -> NDArray[np.float64]:
    known, counts = counted
    found: NDArray[np.float64] = counts[np.searchsorted(known, keys)].astype(np.float64)
    return found
