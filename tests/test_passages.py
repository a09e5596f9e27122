import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.documents import Source, compose
from indexer.passages import PassageSettings, passages_of

BODY = st.text(alphabet="药品一二三。；，\n x1", min_size=1, max_size=900).filter(str.strip)
ANY_BODY = BODY | st.text(alphabet="a bc. d;é", min_size=1, max_size=900).filter(str.strip)


@given(st.lists(ANY_BODY, min_size=1, max_size=4), st.integers(50, 400))
def test_a_passage_is_a_slice_of_its_section(bodies: list[str], longest: int) -> None:
    document = compose("d", "text", "题", [], [(f"节{i}", body) for i, body in enumerate(bodies)], Source())
    for passage in passages_of(document, PassageSettings(longest)):
        section = document.sections[passage.section]
        assert document.text[passage.start : passage.end] == passage.text
        assert section.start <= passage.start < passage.end <= section.end
        latin = len(document.body(section).encode()) < 1.5 * len(document.body(section))
        assert len(passage.text) <= longest * (3 if latin else 1)


@given(st.lists(ANY_BODY, min_size=1, max_size=4))
def test_passages_lose_nothing_but_white_space(bodies: list[str]) -> None:
    document = compose("d", "text", "题", [], [(f"节{i}", body) for i, body in enumerate(bodies)], Source())
    passages = list(passages_of(document, PassageSettings(60)))
    for number, body in enumerate(bodies):
        kept = "".join(p.text for p in passages if p.section == number)
        assert "".join(kept.split()) == "".join(body.split())


@given(st.lists(BODY, min_size=1, max_size=4))
def test_a_section_is_the_body_that_was_given(bodies: list[str]) -> None:
    document = compose("d", "text", "题", [], [(f"节{i}", body) for i, body in enumerate(bodies)], Source())
    assert [document.body(section) for section in document.sections] == bodies


def test_latin_text_has_longer_passages_that_end_at_sentences() -> None:
    sentence = "Take one tablet (0.25 g) by mouth with water twice a day. "
    document = compose("d", "text", "Label", [], [("Dose", sentence * 30), ("用法", "口服，一次一片，一日两次。" * 40)], Source())
    dose, chinese = ([p.text for p in passages_of(document, PassageSettings(100)) if p.section == number] for number in (0, 1))
    assert set(dose) == {(sentence * 5).strip()}  # 300 letters hold five sentences
    assert max(map(len, chinese)) <= 100


def test_a_passage_length_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="`10` is outside 50-2000"):
        PassageSettings(10)
