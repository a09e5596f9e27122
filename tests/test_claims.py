from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.claims import check_claim
from app.doses import Frequency, Quantity
from app.wording import amounts, read

DOSE = "成人：口服，一次0.25g，一日3次，最大一日4g。"
TWO = "成人：口服，一次0.25g，一日3次。儿童：口服，一次0.1g，一日2次。"
GRADES = "肾功能不全者：轻度一次10mg；重度一次5mg，一日1次。"
MIXED = "Adult: 500mg PO q8h, max 4g/d. Child: 10-15 mg/kg q6h."


def verdict(claim: str, evidence: str, *subjects: str) -> str:
    return check_claim(claim, evidence, subjects).verdict


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        (DOSE, DOSE),
        ("成人口服，一次250mg，每日三次，每日不超过4g。", DOSE),
        ("成人口服一次0.25克，tid，一日最大4g。", DOSE),
        ("成人：一日3次，一次0.25g，口服。", DOSE),
        ("儿童口服，每次100毫克，bid", TWO),
        ("孕妇禁用。", "对本品过敏者禁用。孕妇禁用。"),
        ("禁用于孕妇。", "对本品过敏者禁用。孕妇禁用。"),
        ("一次50~100mg，一日2次", "口服。一次50-100mg，每日2次。"),
        ("每8小时1次，一次0.5g", "一次0.5g，q8h"),
        ("按体重每日20毫克/公斤，分3次服用", "一日20mg/kg，分3次"),
        ("一次半片", "一次1/2片"),
        ("疗程1周", "疗程7日"),
        ("18岁及以上成人可用", "≥18岁成人可用"),
        ("成人口服500mg，每8小时一次，每日最大4g", MIXED),
        ("用于肺炎和肾炎", "用于肺炎、支气管炎、肾炎。"),
        ("需要注意的是，肝病患者谨慎使用。", "肝病患者慎用。"),
        ("頭孢克洛用於肺炎。", "本品用于肺炎。"),
        ("阿司匹林与华法林同时使用可增加出血风险", "本品与华法林合用可增加出血风险"),
    ],
)
def test_faithful_claims_are_supported(claim: str, evidence: str) -> None:
    assert check_claim(claim, evidence).verdict == "supported", check_claim(claim, evidence)


@pytest.mark.parametrize(
    ("claim", "evidence", "reason"),
    [
        (DOSE.replace("0.25g", "2.5g"), DOSE, "数值“一次2.5g”与原文不符（原文：一次0.25g、最大一日4g）"),
        (DOSE.replace("0.25g", "0.25mg"), DOSE, "数值“一次0.25mg”与原文不符（原文：一次0.25g、最大一日4g）"),
        (DOSE.replace("一次0.25g", "一日0.25g"), DOSE, "数值“一日0.25g”与原文不符（原文：一次0.25g、最大一日4g）"),
        (DOSE.replace("3次", "4次"), DOSE, "用药频次“一日4次”与原文不符（原文：一日3次）"),
        (DOSE.replace("口服", "静脉滴注"), DOSE, "给药途径“静脉滴注”与原文不符（原文：口服）"),
        (DOSE.replace("成人", "儿童"), DOSE, "人群“儿童”与原文不符（原文：成人）"),
        ("儿童：口服，一次0.25g，一日3次。", TWO, "“一次0.25g”在原文中属于“成人”，此句说的是“儿童”"),
        ("孕妇慎用。", "孕妇禁用。", "用语“慎用”与原文不符（原文：禁用）"),
        ("肾功能不全者：重度一次10mg", GRADES, "原文没有这样说；“重度一次5mg”与“轻度一次10mg”被拼在一起"),
        ("本品适用于孕妇。", "本品不适用于孕妇。", "用语“适用于”与原文不符（原文：不适用于）"),
        ("每次2g", "每日2g，分4次。", "数值“每次2g”与原文不符（原文：每日2g）"),
        ("一次500μg~1g", "一次500mg~1g", "数值“一次500μg~1g”与原文不符（原文：一次500mg~1g）"),
        ("18岁以下慎用", "18岁以上慎用", "数值“18岁以下”与原文不符（原文：18岁以上）"),
    ],
)
def test_changed_claims_are_refused_with_a_reason(claim: str, evidence: str, reason: str) -> None:
    checked = check_claim(claim, evidence)
    assert checked.verdict != "supported"
    assert reason in checked.reasons, checked.reasons


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("用于肺炎", "不用于肺炎。"),
        ("本品会通过胎盘", "本品不会通过胎盘。"),
        ("重度肾功能不全者减量", "轻度肾功能不全者减量。"),
        ("一次0.25g，一日3次", DOSE),  # whose dose?
        ("重度一次5mg，一日1次", GRADES),
        ("应停药", "如出现皮疹，应停药。"),
        ("可用于儿童", "可用于儿童，但不宜用于2岁以下。"),
        ("肾功能不全患者禁用", "肾功能不全（肌酐清除率<30ml/min）患者禁用。"),
        ("复方阿司匹林用于发热", "阿司匹林用于发热。"),
        ("甲、丁患者慎用", "甲、乙患者禁用，丙、丁患者慎用。"),
        ("一次20mg，一日2次，或一次10mg，一日1次", "一次10mg，一日2次，或一次20mg，一日1次。"),
        ("用于肺炎、支气管炎、骨折", "用于肺炎、支气管炎。"),
        ("临床表现：贫血", "临床表现：头晕\n并发症：贫血"),
        ("请将知柏地黄丸放在儿童不能接触的地方。", "麦味地黄丸\n请将本品放在儿童不能接触的地方。"),
        ("Children < 15 years: 5 mL", "Children > 15 years: 5 mL"),
        ("本品可以延长寿命并改善睡眠。", "用于肺炎。"),
        ("风险增加，应可以。", "风险增加，应避免。"),
        ("。", "用于肺炎。"),
    ],
)
def test_what_the_evidence_does_not_say_is_not_supported(claim: str, evidence: str) -> None:
    assert verdict(claim, evidence) != "supported"


def test_wording_alone_contradicts_nothing() -> None:
    assert verdict("本品可以延长寿命并改善睡眠。", "用于肺炎。") == "unsupported"


def test_a_claim_may_name_what_its_evidence_is_about_and_nothing_else() -> None:
    assert verdict("头孢克洛用于肺炎。", "用于肺炎。", "头孢克洛") == "supported"
    assert verdict("头孢克肟用于肺炎。", "用于肺炎。", "头孢克洛") == "unsupported"
    assert verdict("头孢克洛颗粒用于肺炎。", "用于肺炎。", "头孢克洛") == "unsupported"


def test_quantities_carry_what_they_measure() -> None:
    half, day = Fraction(1, 2), Fraction(24)
    assert amounts("一日半片,按体重一日20mg/kg,不超过4g,十二小时,每4~6小时1次") == {
        Quantity(half, half, "片", span="day"),
        Quantity(Fraction(1, 50), Fraction(1, 50), "g", ("kg",), "day"),
        Quantity(Fraction(4), Fraction(4), "g", bound="≤"),
        Quantity(day / 2, day / 2, "小时"),
        Frequency(Fraction(1), Fraction(1), Fraction(4), Fraction(6)),
    }


@pytest.mark.parametrize("wording", ["每日3次", "一日三次", "tid", "3次/日", "three times daily", "每天3次", "日服3次", "t.i.d."])
def test_spellings_of_a_frequency_are_one(wording: str) -> None:
    assert amounts(wording) == {Frequency(Fraction(3), Fraction(3))}


@pytest.mark.parametrize("wording", ["500mg", "0.5g", "500毫克", "５００ｍｇ", "0.5克", "500 mg"])
def test_spellings_of_a_quantity_are_one(wording: str) -> None:
    assert amounts(wording) == {Quantity(Fraction(1, 2), Fraction(1, 2), "g")}


@given(st.text(alphabet="一次二0.5g,。；:、禁用不孕妇mg~每日()本品\n <", max_size=60))
def test_any_text_is_read_and_supports_itself(text: str) -> None:
    read(text)
    if any(character.isalnum() for character in text):
        assert verdict(text, text) == "supported"


@given(st.integers(1, 999), st.integers(1, 999))
def test_a_number_supports_only_itself(one: int, other: int) -> None:
    checked = verdict(f"成人一次{one}mg，一日2次。", f"成人一次{other}mg，一日2次。")
    assert (checked == "supported") == (one == other)
