"""Drugs found while their names are typed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from app.drug_names import Found, drug_names, prepare, suggest
from indexer.release import Release
from indexer.sounds import readings, sound
from indexer.terms import fold

FIRST = 5
PINYIN = {"华法林": "hfl", "氯丙嗪": "lbq", "阿司匹林": "aspl", "布洛芬": "blf", "奥美拉唑": "amlz"}


def titles(found: Found) -> list[str]:
    return [suggestion.title for suggestion in found.suggestions]


@pytest.mark.parametrize(("title", "initials"), PINYIN.items())
def test_initials_find_their_drug_first(shipped: Release, title: str, initials: str) -> None:
    assert titles(suggest(shipped, initials))[0] == title


@pytest.mark.parametrize("query", ["lvbingqin", "lubingqin", "lv bing qin", "LBQ", "Chlorpromazine", "冬眠灵", "氯丙嗪片", "ＬＢＱ"])
def test_a_drug_is_found_in_every_way_of_typing_it(shipped: Release, query: str) -> None:
    assert titles(suggest(shipped, query))[0] == "氯丙嗪"


def test_every_name_of_every_shipped_drug_finds_it_among_the_first(shipped: Release) -> None:
    missed = []
    for document in shipped.store.all():
        names = [document.title, *document.aliases] if document.kind == "drug" else []
        for name in names:
            told = sound("".join(c for c in fold(name) if c.isalnum()))
            han = not name.isascii()
            for query in (name, *(("".join(part[0] for part in told), "".join(told)) if han else ())):
                found = suggest(shipped, query)
                if found.misspelt or document.title not in titles(found)[:FIRST]:
                    missed.append((document.title, query, titles(found)))
    assert missed == []


def test_every_beginning_of_a_title_has_suggestions_and_no_correction(shipped: Release) -> None:
    for position in range(0, shipped.store.documents, 7):
        title = shipped.names.title(position)
        if shipped.names.kind(position) == "drug":
            for size in range(1, len(title) + 1):
                found = suggest(shipped, title[:size])
                assert found.suggestions
                assert not found.misspelt


def test_a_character_of_two_readings_is_found_by_either() -> None:
    assert readings("重")[:2] == ("zhong", "chong")
    assert readings("x") == ()


def test_a_misspelt_name_offers_and_says_so(shipped: Release) -> None:
    found = suggest(shipped, "氯丙那林")
    assert found.misspelt
    assert {"氯丙嗪", "异丙嗪"} <= set(titles(found))


def test_a_name_that_is_near_nothing_gives_nothing(shipped: Release) -> None:
    assert suggest(shipped, "阿哌沙班").suggestions == ()
    assert suggest(shipped, "  ").suggestions == ()


def test_a_look_alike_stands_behind_the_first_with_a_warning(shipped: Release) -> None:
    first, beside, *_ = suggest(shipped, "氯丙嗪").suggestions
    assert (first.title, first.beside, beside.title, beside.beside) == ("氯丙嗪", False, "异丙嗪", True)
    assert "异丙嗪" in first.look_alikes
    assert "氯丙嗪" in beside.look_alikes


def test_the_name_that_was_hit_is_told(shipped: Release) -> None:
    assert suggest(shipped, "芬必得").suggestions[0].matched == "芬必得"
    assert suggest(shipped, "布洛芬").suggestions[0].matched == ""


def test_more_than_are_shown_is_told(shipped: Release) -> None:
    assert suggest(shipped, "a").more
    assert not suggest(shipped, "华法林").more


def test_whole_names_stand_before_longer_ones(shipped: Release) -> None:
    assert titles(suggest(shipped, "阿莫西林"))[:2] == ["阿莫西林", "阿莫西林克拉维酸钾"]


def test_a_short_beginning_finds_what_a_search_of_all_names_finds(shipped: Release) -> None:
    names = drug_names(shipped)
    for start in ("a", "lb", "阿", "头孢", "x"):
        rows = [row for row in names._typed.rows if row[0].startswith(start)] or [r for r in names._names.rows if r[0].startswith(start)]
        first = min((row for row in rows if row[1]), key=lambda row: (len(row[0]), row[0]))
        assert names.title(first[2]) in titles(suggest(shipped, start))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_may_be_typed(sample: Release, query: str) -> None:
    found = suggest(sample, query)
    assert len(set(found.suggestions)) == len(found.suggestions)
    assert all(sample.names.kind(suggestion.position) == "drug" for suggestion in found.suggestions)


def test_two_sources_of_one_drug_are_both_offered(sample: Release) -> None:
    assert titles(suggest(sample, "xyw")) == ["逍遥丸", "逍遥丸"]


def test_preparing_needs_no_documents_about_drugs(sample: Release) -> None:
    prepare(sample)


def test_names_one_edit_apart_are_those_of_a_plain_comparison(shipped: Release) -> None:
    stems = shipped.names._drug_stems
    for position, stem in stems.items():
        near = [other for other, name in stems.items() if min(len(stem), len(name)) > 2 and Levenshtein.distance(stem, name) == 1]
        assert shipped.names.one_edit_apart(position) == near
