from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.gram_choice import choose_grams
from indexer.grams import GramVocabulary, characters_of, keys_at, text_of
from indexer.terms import fold


def key(text: str) -> int:
    return int(keys_at(characters_of([text])[0], len(text))[0])


def vocabulary(*texts: str) -> GramVocabulary:
    return GramVocabulary(np.array(sorted(map(key, texts)), dtype=np.uint64))


def covered(held: tuple[str, ...], texts: list[str]) -> list[list[str]]:
    keys = np.array(sorted(map(key, held)), dtype=np.uint64)
    rows, bounds = GramVocabulary(keys).rows(texts)
    return [[text_of(int(keys[row])) for row in rows[a:b]] for a, b in pairwise(bounds)]


def test_the_longest_held_grams_cover_a_text() -> None:
    held = ("糖", "尿", "病", "糖尿", "糖尿病", "人", "病人")
    assert covered(held, ["糖尿病人", "糖，尿", "", "尿糖"]) == [["糖尿病", "病人"], ["糖", "尿"], [], ["尿", "糖"]]


def test_a_gram_does_not_reach_over_punctuation_or_into_the_next_text() -> None:
    assert covered(("头痛",), ["头，痛", "头", "痛"]) == [[], [], []]


@given(st.text(max_size=8).filter(lambda text: all(ord(c) < 65536 for c in fold(text))))
def test_characters_are_folded_as_everywhere(text: str) -> None:
    characters, starts = characters_of([text])
    expected = [ord(c) if c.isalnum() else 0 for c in fold(text)]
    assert characters.tolist() == [*expected, 0]
    assert starts.tolist() == [0, len(expected) + 1]


@settings(max_examples=30)
@given(st.sets(st.text("甲乙丙丁头痛发热糖尿病a1", min_size=1, max_size=4), min_size=1))
def test_every_held_gram_is_found_and_no_other(texts: set[str]) -> None:
    keys = np.array(sorted(map(key, texts)), dtype=np.uint64)
    found = GramVocabulary(keys)
    assert found.find(keys).tolist() == list(range(len(keys)))
    assert [text_of(int(one)) for one in keys] == sorted(texts, key=key)
    assert found.find(keys[-1:] + np.uint64(1)).tolist() == [-1]


def test_texts_beside_each_other_do_not_change_what_is_found() -> None:
    held = vocabulary("头痛", "发热", "痛")
    rows, bounds = held.rows(["头痛发热", "痛", "发热"])
    alone = [held.rows([text])[0].tolist() for text in ("头痛发热", "痛", "发热")]
    assert [rows[a:b].tolist() for a, b in pairwise(bounds)] == alone


def test_words_are_chosen_before_chance_neighbours() -> None:
    texts = {f"{a}糖尿病{b}" for a in "甲乙丙丁" for b in "子丑寅卯"} | {"".join(map(chr, range(0x5000, 0x5400)))}
    chosen = {text_of(int(one)) for one in choose_grams(texts, 2000)}
    assert {"糖尿病", "糖尿", "尿病"} <= chosen
    assert "甲糖尿" not in chosen
    assert len(choose_grams(texts, 5)) == 5
    assert {len(text_of(int(one))) for one in choose_grams(texts, 5)} == {1}


@pytest.mark.parametrize("text", ["头", "头痛", "abc1", "维c片"])
def test_a_key_is_read_back(text: str) -> None:
    assert text_of(key(text)) == text
