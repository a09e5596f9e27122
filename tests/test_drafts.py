import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.drafts import read_drafts


def read(*pieces: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(draft.text, draft.units) for draft in read_drafts(pieces)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("中耳炎。[1]\n肺炎[2]。", [("中耳炎。", (0,)), ("肺炎。", (1,))]),
        ("中耳炎。[1]肺炎。[2][3]", [("中耳炎。", (0,)), ("肺炎。", (1, 2))]),
        ("[1] 中耳炎。\n[2] 肺炎。", [("中耳炎。", (0,)), ("肺炎。", (1,))]),
        ("1. 中耳炎[1,3]。\n- 肺炎【2】", [("中耳炎。", (0, 2)), ("肺炎", (1,))]),
        ("肺炎[1-3]，中耳炎［２、４］。", [("肺炎，中耳炎。", (0, 1, 2, 3))]),
        ("**肺炎** [1] 。", [("肺炎。", (0,))]),
        ("一次1.5mg（儿童减半。遵医嘱）。[1]", [("一次1.5mg（儿童减半。遵医嘱）。", (0,))]),
        ("<think>[9] 想一想。</think>肺炎。[1]", [("肺炎。", (0,))]),
        ("肺炎。", [("肺炎。", ())]),
        ("肺炎[0][999]。", [("肺炎。", (-1, 998))]),
        ("[1]\n\n。", []),
        ("", []),
    ],
)
def test_sentences_and_their_marks(said: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert read(said) == expected
    assert read(*said) == expected  # and character by character


def test_a_sentence_comes_as_soon_as_it_is_whole() -> None:
    heard: list[str] = []

    def pieces() -> object:
        for piece in ("中耳", "炎。", "[1", "]", "\n", "肺炎。", "[2]"):
            heard.append(piece)
            yield piece

    drafts = read_drafts(pieces())  # type: ignore[arg-type]
    assert next(drafts).text == "中耳炎。"
    assert heard[-1] == "\n"


PARTS = st.lists(
    st.sampled_from(["肺炎", "。", "[1]", "[2,3]", "\n", "（", "）", "1.5mg", "- ", " ", "；", "A", ".", "<think>", "["]), max_size=25
)


@given(PARTS)
def test_no_word_is_lost_however_the_stream_is_cut(parts: list[str]) -> None:
    whole = "".join(parts)
    said = "".join(text for text, _ in read(*parts))
    assert said.count("肺炎") == whole.count("肺炎")
