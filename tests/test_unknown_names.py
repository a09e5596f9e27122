"""Names to be refused: none of them may be what the knowledge base holds, or what a slip of the pen makes of it."""

import re
from functools import cache

import pytest
from rapidfuzz.distance import Levenshtein

from app.settings import SHIPPED_KNOWLEDGE
from finetune.unknown_names import UnknownNames, unknown_names
from indexer.readers import read_documents
from indexer.release import Release
from indexer.terms import fold

DOCUMENTS = cache(lambda: read_documents([SHIPPED_KNOWLEDGE]))


def made(shipped: Release, seed: int = 7, count: int = 800) -> UnknownNames:
    return unknown_names("drug", DOCUMENTS(), shipped.guide, shipped.names, count, seed)


@pytest.fixture(scope="module")
def unknown(shipped: Release) -> UnknownNames:
    return made(shipped)


def test_none_is_held_or_holds_a_held_name_or_is_a_slip_of_one(shipped: Release, unknown: UnknownNames) -> None:
    held = sorted(shipped.names.bearers(), key=len)
    for name in (*unknown.made_up, *unknown.real):
        folded = fold(name)
        assert not [other for other in held if len(other) >= 2 and other in folded], name
    for name in unknown.made_up[:100]:
        assert not [other for other in held if Levenshtein.distance(fold(name), other, score_cutoff=1) <= 1], name


def test_they_are_many_and_of_every_make(shipped: Release, unknown: UnknownNames) -> None:
    assert len(unknown.real) > 500
    assert len(unknown.made_up) == len(set(unknown.made_up)) == 800
    titles = "".join(shipped.names.bearers())
    assert sum(bool(re.fullmatch("[a-z]+", name)) for name in unknown.made_up) > 30  # foreign names
    assert sum(any(character not in titles for character in name) for name in unknown.made_up) > 30  # characters that no name has


def test_the_same_seed_makes_the_same_names(shipped: Release, unknown: UnknownNames) -> None:
    assert made(shipped) == unknown
    assert made(shipped, seed=8).made_up != unknown.made_up
