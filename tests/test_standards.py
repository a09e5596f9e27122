import pytest

from app.standards import load_term_aliases, score_answer


def named(answer: str, *expected: str) -> int:
    return score_answer(answer, [[form] for form in expected], {}).named


def test_items_are_found_across_punctuation_width_and_script() -> None:
    assert named("本品用于非ＳＴ段抬高型心肌梗死（NSTEMI）。", "非ST段抬高心肌梗死") == 1
    assert named("適用於高血壓", "高血压") == 1


@pytest.mark.parametrize("item", ["1.5~2g", "-2.5", "6.5%", "140/90"])
def test_an_item_of_numbers_is_found_with_its_signs(item: str) -> None:
    assert named(f"一日{item}，分3~4次服用。", item) == 1


def test_a_coordinated_item_is_found_in_order_within_its_window() -> None:
    assert named("本品适用于胃十二指肠溃疡和胆、肾、肠等绞痛。", "胃溃疡", "十二指肠溃疡", "胆绞痛", "肾绞痛", "胆囊炎") == 4


@pytest.mark.parametrize("answer", ["本品不用于治疗哮喘。", "哮喘患者：不推荐用于哮喘", "除外哮喘"])
def test_a_negated_item_does_not_count(answer: str) -> None:
    assert named(answer.removeprefix("哮喘患者："), "哮喘") == 0


def test_a_negation_in_another_clause_does_not_matter() -> None:
    assert named("孕妇禁用，用于哮喘", "哮喘") == 1


def test_aliases_are_accepted() -> None:
    score = score_answer("本品适用于成人戒烟。", [["烟草成瘾"]], load_term_aliases())
    assert score.named == 1


def test_an_item_may_have_several_forms() -> None:
    assert score_answer("治疗心绞痛", [["胸痹", "心绞痛"]], {}).named == 1


@pytest.mark.parametrize(
    ("found", "expected", "standards"),
    [
        (0, 3, (False, False, False)),
        (1, 3, (True, False, False)),
        (2, 3, (True, True, True)),
        (1, 2, (True, True, False)),
        (3, 5, (True, True, False)),
        (1, 1, (True, True, True)),
    ],
)
def test_the_three_standards_are_exact_fractions(found: int, expected: int, standards: tuple[bool, bool, bool]) -> None:
    items = ["甲病", "乙病", "丙病", "丁病", "戊病"]
    score = score_answer("，".join(items[:found]), [[item] for item in items[:expected]], {})
    assert score.standards == standards
