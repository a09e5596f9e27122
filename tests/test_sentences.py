import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.sentences import sentence_spans

TEXT = st.text(alphabet="药一日次0.5g（)(“”。！？；;，、\n -1.A b", max_size=120)


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@given(TEXT)
def test_spans_are_ordered_disjoint_and_trimmed(text: str) -> None:
    spans = sentence_spans(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


@given(TEXT)
def test_every_letter_stands_in_a_sentence(text: str) -> None:
    covered = {i for start, end in sentence_spans(text) for i in range(start, end)}
    assert not [i for i, c in enumerate(text) if c.isalpha() and i not in covered]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("口服。一次1片，一日3次。", ["口服。", "一次1片，一日3次。"]),
        ("1、中耳炎。2、肺炎。", ["中耳炎。", "肺炎。"]),
        ("1、忌烟；2、忌酒", ["忌烟；", "忌酒"]),
        ("- 成人：一次1.5g。\n- 儿童：遵医嘱", ["成人：一次1.5g。", "儿童：遵医嘱"]),
        ("1.5mg起始。", ["1.5mg起始。"]),
        ("肾功能不全者：轻度一次10mg；重度一次5mg。", ["肾功能不全者：轻度一次10mg；重度一次5mg。"]),
        ("禁用（见注意事项。第3条）于孕妇。慎用。", ["禁用（见注意事项。第3条）于孕妇。", "慎用。"]),
        ("括号（没有关。下一句。", ["括号（没有关。", "下一句。"]),
        ("他说“停药。”然后离开。", ["他说“停药。”然后离开。"]),
        ("Take once daily. Avoid alcohol, e.g. beer. 饭后服", ["Take once daily.", "Avoid alcohol, e.g. beer.", "饭后服"]),
        ("……\n——\n。", []),
    ],
)
def test_sentences_by_hand(text: str, expected: list[str]) -> None:
    assert split(text) == expected
