"""A text as the longest n-grams of a vocabulary that cover it, in numpy: a batch of texts is one array of characters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.folding import folded_characters, letters

LONGEST = 4  # 16-bit characters in a 64-bit key
_BITS = np.uint64(16)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio in 64 bits (Knuth, TAOCP 3, section 6.4)
_SLOT_BITS = 18


def characters_of(texts: Sequence[str]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """All texts in one array of folded characters, and the (texts + 1,) positions where each begins.

    What is neither letter nor digit is 0, and so is the end of a text and any character beyond the basic plane.
    """
    characters, starts = folded_characters(texts)
    characters[~letters()[characters]] = 0
    return characters, starts


def keys_at(characters: NDArray[np.uint16], size: int) -> NDArray[np.uint64]:
    """The key of the n-gram of `size` characters that begins at each position; 0 where it would reach over a break."""
    keys = characters.astype(np.uint64)
    whole = characters != 0
    for ahead in range(1, size):
        following = np.zeros_like(characters)
        following[: max(0, len(characters) - ahead)] = characters[ahead:]
        keys = (keys << _BITS) | following
        whole &= following != 0
    keys[~whole] = 0
    return keys


def text_of(key: int) -> str:
    """The n-gram of a key."""
    return key.to_bytes(2 * LONGEST, "big").decode("utf-16-be").lstrip("\0")


class GramVocabulary:
    """N-grams of 1 to 4 characters and their row numbers, which are their places in `keys`: (n-grams,) distinct, none 0."""

    def __init__(self, keys: NDArray[np.uint64]) -> None:
        characters_of(())  # the first question should not wait for it
        hashed = keys * _MULTIPLIER
        self._order = np.argsort(hashed, kind="stable").astype(np.int32)
        self._keys = keys[self._order]
        slots = np.arange((1 << _SLOT_BITS) + 1, dtype=np.uint64)
        self._bounds = np.searchsorted(hashed[self._order] >> np.uint64(64 - _SLOT_BITS), slots).astype(np.int32)

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The row of each key, -1 where it is not held."""
        slots = ((keys * _MULTIPLIER) >> np.uint64(64 - _SLOT_BITS)).astype(np.int64)
        at, end = self._bounds[slots], self._bounds[slots + 1]
        rows = np.full(len(keys), -1, dtype=np.int32)
        open_ = np.flatnonzero(at < end)
        at, end, sought = at[open_], end[open_], keys[open_]
        while len(open_):
            hit = self._keys[at] == sought
            rows[open_[hit]] = self._order[at[hit]]
            at += 1
            on = np.flatnonzero(~hit & (at < end))
            open_, at, end, sought = open_[on], at[on], end[on], sought[on]
        return rows

    def rows(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Rows of the n-grams that cover the texts, repeats included, and the (texts + 1,) bounds of each text's.

        An n-gram within a longer one that is held does not count: 糖尿病 is one, not three characters and two bigrams beside it.
        """
        characters, starts = characters_of(texts)
        within = np.zeros(len(characters), dtype=bool)
        positions, found = [], []
        for size in range(LONGEST, 0, -1):
            rows = self.find(keys_at(characters, size))
            counted = np.flatnonzero((rows >= 0) & ~within)
            positions.append(counted)
            found.append(rows[counted])
            within |= rows >= 0
            within[1:] |= within[:-1].copy()
        where = np.concatenate(positions)
        order = np.argsort(where, kind="stable")
        return np.concatenate(found)[order], np.searchsorted(where[order], starts)
