from hypothesis import given
from hypothesis import strategies as st

from indexer.terms import TermsHeld, bare, fold, missing_terms, terms, tidy


@given(st.text(max_size=200))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=200))
def test_folding_keeps_every_position_of_the_tidied_text(text: str) -> None:
    assert len(fold(text)) == len(tidy(text))


def test_traditional_full_width_and_upper_case_fold_to_one_form() -> None:
    assert fold("銀翹解毒顆粒ＡＢＣ１２（片）") == "银翘解毒颗粒abc12(片)"


def test_terms_are_bigrams_of_chinese_and_whole_latin_words() -> None:
    assert terms("一次0.5g阿司匹林hiv-1药") == ["一次", "0.5g", "阿司", "司匹", "匹林", "hiv-1", "药"]


def test_bare_text_drops_punctuation_but_not_what_makes_a_number() -> None:
    assert bare("一次 0.5g，一日３次。") == "一次0.5g一日3次"
    assert bare("1~2片；pH<6.5。") == "1~2片ph<6.5"


def test_a_bigram_between_two_held_words_is_not_missing() -> None:
    assert missing_terms(terms("口渴多饮"), {"口渴", "多饮"}) == []
    assert missing_terms(terms("口渴多饮"), {"口渴"}) == ["渴多", "多饮"]


@given(st.text("头痛abc1. 가か", max_size=12), st.text("头痛abc1. 가か", min_size=1, max_size=3))
def test_a_text_holds_just_its_terms(text: str, term: str) -> None:
    held = TermsHeld(fold(text))
    assert (term in held) == (term in terms(fold(text)))
    assert all(own in held for own in terms(fold(text)))
