"""Questions that say nearly the same: character 5-grams shared beyond a threshold, found exactly and without comparing all pairs.

Two sets of a Jaccard likeness of t or more share one of the rarest |x| - ceil(t |x|) + 1 grams of either (prefix filtering: Bayardo, Ma and
Srikant, Scaling up all pairs similarity search, 2007). On rare grams few questions meet, so an index of those few finds every pair and
hardly any other. Min-hashing (48 hashes in 12 bands) missed 3 to 4 % of them among patients' questions, and took in others
(tests/benchmarks/instruction_data.py).
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.terms import bare

GRAM = 5
ALIKE = 0.8
_MULTIPLIER = np.uint32(16777619)
# Grams are counted in this many buckets: two that fall together are only thought a little more frequent.
_BUCKET_BITS = 22


def gram_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Hashes of the character 5-grams of each text's bare form, one text behind the other, and how many each has.

    A text shorter than a gram has one, its whole.
    """
    found, counts = [], []
    for text in texts:
        codes = np.frombuffer(bare(text).encode("utf-32-le"), dtype=np.uint32)
        hashed = codes[: len(codes) - GRAM + 1] if len(codes) >= GRAM else codes[:1]
        for offset in range(1, min(GRAM, len(codes))):
            hashed = hashed * _MULTIPLIER + codes[offset : offset + len(hashed)]
        grams = np.unique(hashed)
        found.append(grams)
        counts.append(len(grams))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint32), np.array(counts, dtype=np.int64)


def near_duplicates(grams: NDArray[np.uint32], counts: NDArray[np.int64], alike: float = ALIKE) -> NDArray[np.bool_]:
    """Of each text, whether one before it that is kept shares grams with it to a Jaccard likeness of `alike` or more."""
    starts = np.concatenate([[0], np.cumsum(counts)])
    buckets = grams >> np.uint32(32 - _BUCKET_BITS)
    often = np.bincount(buckets, minlength=1 << _BUCKET_BITS)
    rank = (often[buckets].astype(np.uint64) << np.uint64(32)) | grams
    holders: defaultdict[int, list[int]] = defaultdict(list)
    repeated = np.zeros(len(counts), dtype=bool)
    for row in range(len(counts)):
        own = sorted(rank[starts[row] : starts[row + 1]].tolist())
        if not own:
            continue
        prefix = own[: len(own) - math.ceil(alike * len(own)) + 1]
        near = {other for gram in prefix for other in holders.get(gram, ())}
        if near and _any_alike(set(own), sorted(near), rank, starts, alike):
            repeated[row] = True
            continue
        for gram in prefix:
            holders[gram].append(row)
    return repeated


def _any_alike(own: set[int], others: Sequence[int], rank: NDArray[np.uint64], starts: NDArray[np.int64], alike: float) -> bool:
    size = len(own)
    for other in others:
        length = int(starts[other + 1] - starts[other])
        if alike * size <= length <= size / alike:
            shared = len(own.intersection(rank[starts[other] : starts[other + 1]].tolist()))
            if shared >= alike * (size + length - shared):
                return True
    return False
