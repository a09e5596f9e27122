import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.documents import Source, compose
from indexer.passages import PassageSettings, passages_of

BODY = st.text(alphabet="药品一二三。；，\n x1", min_size=1, max_size=900).filter(str.strip)


@given(st.lists(BODY, min_size=1, max_size=4), st.integers(50, 400))
def test_a_passage_is_a_slice_of_its_section(bodies: list[str], longest: int) -> None:
    document = compose("d", "text", "题", [], [(f"节{i}", body) for i, body in enumerate(bodies)], Source())
    for passage in passages_of(document, PassageSettings(longest)):
        section = document.sections[passage.section]
        assert document.text[passage.start : passage.end] == passage.text
        assert section.start <= passage.start < passage.end <= section.end
        assert len(passage.text) <= longest


@given(st.lists(BODY, min_size=1, max_size=4))
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


def test_a_passage_length_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="`10` is outside 50-2000"):
        PassageSettings(10)
