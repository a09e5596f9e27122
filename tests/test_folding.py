"""Many texts at once are folded and cut as each of them alone."""

from hypothesis import given
from hypothesis import strategies as st

from indexer.folding import BEYOND, fold_texts, folded_characters, term_lines
from indexer.terms import fold, terms

# Characters that fold to several, join with their neighbours, are bigrams only in company, or lie beyond the basic plane.
TELLING = "病頭痛a1.-/ ，Ａ①Ⅲ℃㎎…ﬁΣİか゛ﾞ\u0301가ᄀ\ufa6c𠀀\ud800\0\uffff"
TEXTS = st.lists(st.text(st.sampled_from(TELLING) | st.characters(), max_size=30), max_size=6)


@given(TEXTS)
def test_terms_of_many_are_those_of_each(texts: list[str]) -> None:
    assert term_lines(texts) == [" ".join(terms(fold(text))) for text in texts]


def in_plane(character: str) -> int:
    return BEYOND if ord(character) > BEYOND or "\ud800" <= character <= "\udfff" else ord(character)


@given(TEXTS)
def test_many_are_folded_as_each(texts: list[str]) -> None:
    characters, starts = folded_characters(texts)
    for at, text in enumerate(texts):
        assert fold_texts(texts)[at] == fold(text)
        assert characters[starts[at] : starts[at + 1]].tolist() == [*map(in_plane, fold(text)), 0]


def test_more_texts_than_are_cut_at_once() -> None:
    texts = [f"第{n}段，头痛ABC-{n}" for n in range(600)]
    assert term_lines(texts)[599] == "第 599 段 头痛 abc-599"
    assert term_lines(texts) == [line for text in texts for line in term_lines([text])]
