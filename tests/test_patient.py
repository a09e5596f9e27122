import re

import pytest

from app.patient import (
    Patient,
    allergies_in,
    is_for_age,
    is_for_patient,
    patient_age,
    patient_clearance,
    patient_weight,
    person_in,
    population_of_age,
)
from indexer.sections import Population
from indexer.terms import fold

NOTHING = re.compile("(?!)")


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


def test_what_a_question_tells_of_a_patient_in_numbers() -> None:
    assert [patient_clearance(text) for text in ("crcl 38 ml/min", "egfr只有12", "肌酐清除率是25,不是52", "肌酐200", "复查")] == [
        38,
        12,
        25,
        None,
        None,
    ]
    assert [patient_weight(text) for text in ("25kg", "16公斤", "30斤", "5mg/kg", "一次10mg")] == [25, 16, 15, None, None]
    assert [allergies_in(text) for text in ("我对青霉素严重过敏", "头孢类过敏", "过敏性鼻炎", "会不会过敏")] == [
        ("青霉素",),
        ("头孢",),
        (),
        (),
    ]
    assert [patient_age(text) for text in ("我妈76了", "我男的，34，失眠", "外甥女16，睡不着", "一次吃20")] == [912, 408, 192, None]


@pytest.mark.parametrize(
    ("sentence", "clearance", "expected"),
    [
        ("肌酐清除率15~49mL/min：一次15mg", 38, True),
        ("肌酐清除率15~49mL/min：一次15mg", 12, False),
        ("肌酐清除率30~49mL/min：一次15mg", 49.5, True),
        ("eGFR低于45mL/(min·1.73m²)者禁用", 45, False),
        ("eGFR低于45mL/(min·1.73m²)者禁用", 38, True),
        ("肌酐清除率30mL/min以下", 30, True),
        ("肌酐清除率大于30至60mL/min", 30, False),
        ("肌酐清除率高于50mL/min者无需调整", 20, False),
        ("eGFR不低于45mL/(min·1.73m²)", 45, True),
        ("静脉滴注速度不超过10mL/min", 38, True),
        ("肾功能不全者慎用", 38, True),
    ],
)
def test_which_sentences_may_be_for_that_kidney_function(sentence: str, clearance: float, expected: bool) -> None:
    assert is_for_patient(sentence, Patient(clearance=clearance)) is expected


@pytest.mark.parametrize(
    ("sentence", "weight", "expected"),
    [
        ("儿童（体重30kg以下）：一次1.5~3mg/kg", 25, True),
        ("儿童（体重30kg以下）：一次1.5~3mg/kg", 35, False),
        ("体重15kg以上至23kg：一次45mg", 15, True),
        ("体重15kg以上至23kg：一次45mg", 30, False),
        ("一次10mg/kg，一日1次", 25, True),
    ],
)
def test_which_sentences_may_be_for_that_weight(sentence: str, weight: float, expected: bool) -> None:
    assert is_for_patient(sentence, Patient(weight=weight)) is expected


def test_a_patient_told_further() -> None:
    child, pregnant, adult = (Population(name, NOTHING, NOTHING, ()) for name in ("儿童", "孕妇", "成人"))
    first = Patient("孩子", (child,), age=36, weight=15, allergies=("青霉素",))
    assert first.joined(Patient("母亲", age=840)) == Patient("母亲", age=840)
    assert first.joined(Patient(age=60)).weight is None
    assert first.joined(Patient(allergies=("头孢",))).allergies == ("青霉素", "头孢")
    assert first.joined(Patient(denied=(child,))).age is None
    grown = Patient("自己", (adult,), age=360)
    assert grown.joined(Patient(groups=(pregnant,)), adding=True).groups == (adult, pregnant)
    assert grown.joined(Patient(groups=(pregnant,))).groups == (pregnant,)


@pytest.mark.parametrize(
    ("question", "person"),
    [
        ("我妈76了", "母亲"),
        ("我在喂奶，宝宝4个月", "自己"),
        ("不是孩子，是我自己", "自己"),
        ("怀了孩子能吃吗", ""),
        ("孩子5岁，我妈说", "孩子"),
    ],
)
def test_whose_health_is_spoken_of(question: str, person: str) -> None:
    assert person_in(fold(question)) == person
