import pytest

from app.claims import check_claim, frequencies, quantities

DOSE = "成人：口服，一次0.25g，一日3次，最大一日4g。"


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        (DOSE, DOSE),
        ("成人口服，一次250mg，每日三次，最大一日4g。", DOSE),
        ("成人口服一次0.25克，tid，一日最大4g。", DOSE),
        ("孕妇禁用。", "对本品过敏者禁用。孕妇禁用。"),
        ("一次50~100mg，一日2次", "口服。一次50-100mg，每日2次。"),
        ("每8小时1次，一次0.5g", "一次0.5g，每8小时一次"),
    ],
)
def test_faithful_claims_are_supported(claim: str, evidence: str) -> None:
    assert check_claim(claim, evidence).verdict == "supported", check_claim(claim, evidence)


@pytest.mark.parametrize(
    ("claim", "evidence", "reason"),
    [
        (DOSE.replace("0.25g", "2.5g"), DOSE, "原文中没有数值 2.5 g（按基本单位）"),
        (DOSE.replace("0.25g", "0.25mg"), DOSE, "原文中没有数值 0.00025 g（按基本单位）"),
        (DOSE.replace("3次", "4次"), DOSE, "原文中没有每日 4 次"),
        (DOSE.replace("口服", "静脉滴注"), DOSE, "给药途径“静脉”不见于原文"),
        ("孕妇可用。", "孕妇禁用。", "原文有而此句没有“否定或禁止”的意思"),
        ("本品适用于孕妇。", "本品不适用于孕妇。", "原文有而此句没有“否定或禁止”的意思"),
        ("肝病患者可用。", "肝病患者慎用。", "原文有而此句没有“慎用”的意思"),
        ("高血压患者禁用。", "高血压患者可以使用。", "原文没有“否定或禁止”的意思"),
    ],
)
def test_changed_claims_are_contradicted_with_a_reason(claim: str, evidence: str, reason: str) -> None:
    checked = check_claim(claim, evidence)
    assert checked.verdict == "contradicted"
    assert reason in checked.reasons


def test_another_name_or_other_words_are_unsupported() -> None:
    assert check_claim("头孢克肟用于肺炎。", "用于肺炎。", names=["头孢克肟"], title="头孢克洛").verdict == "unsupported"
    assert check_claim("本品可以延长寿命并改善睡眠。", "用于肺炎。").verdict == "unsupported"


def test_half_a_sentence_is_no_verbatim_quote() -> None:
    assert check_claim("用于肺炎", "不用于肺炎。").verdict == "contradicted"


def test_quantities_come_in_base_units() -> None:
    assert {(float(a), float(b), unit) for a, b, unit in quantities("一次50~100mg,按体重20mg/kg,半片,十二小时")} == {
        (0.05, 0.1, "g"),
        (0.02, 0.02, "g/kg"),
        (0.5, 0.5, "片"),
        (12.0, 12.0, "小时"),
    }


def test_frequencies_are_a_day() -> None:
    assert {(float(a), float(b)) for a, b in frequencies("一日2~3次;每6小时1次;bid;每日四次")} == {(2, 3), (4, 4), (2, 2)}
