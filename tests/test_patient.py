import pytest

from app.patient import is_for_age, patient_age, population_of_age


@pytest.mark.parametrize(
    ("question", "months"),
    [
        ("3岁孩子布洛芬吃多少", 36),
        ("三岁半的娃", 36),
        ("十二岁", 144),
        ("七十岁老人", 840),
        ("二十五岁", 300),
        ("8个月宝宝", 8),
        ("6个月以下婴儿", 5.5),
        ("2岁以下能吃吗", 23.5),
        ("child 5y", 60),
        ("年龄6", 72),
        ("怀孕5个月能吃吗", None),
        ("吃了3个月了", None),
        ("疗程6个月", None),
        ("布洛芬怎么吃", None),
    ],
)
def test_the_age_that_a_question_tells(question: str, months: float | None) -> None:
    assert patient_age(question) == months


@pytest.mark.parametrize(
    ("sentence", "months", "expected"),
    [
        ("儿童（2~12岁）：口服", 36, True),
        ("儿童（2~12岁）：口服", 18, False),
        ("儿童（2~12岁）：口服", 150, True),  # twelve years and six months is twelve
        ("12岁及以上青少年：口服", 60, False),
        ("≥15岁：一次10mg", 8, False),
        ("6个月以上：口服", 8, True),
        ("6个月以下：不推荐", 8, False),
        ("成人：口服，一次300mg", 60, False),
        ("成人和12岁以上儿童：口服", 156, True),
        ("75岁以上成人：一次75mg", 60, False),
        ("非老年、肾功能正常的成人", 960, True),
        ("老年人：口服，一次0.125mg", 960, True),
        ("老年人：口服，一次0.125mg", 60, False),
        ("新生儿：禁用", 0.5, True),
        ("一日3次，饭后服。", 60, True),
    ],
)
def test_which_sentences_may_be_for_that_age(sentence: str, months: float, expected: bool) -> None:
    assert is_for_age(sentence, months) is expected


def test_an_age_belongs_to_a_patient_group() -> None:
    assert [population_of_age(months) for months in (6, 215, 216, 719, 720)] == ["儿童", "儿童", "成人", "成人", "老年人"]
