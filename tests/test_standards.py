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


def test_a_hit_says_where_it_stands() -> None:
    answer = "本品用于：高血压急症、心绞痛。"
    score = score_answer(answer, [["高血压"], ["心绞痛"], ["高血压急症"]], {})
    places = {hit.item: answer[hit.start : hit.end] for hit in score.hits}
    assert places == {0: "高血压", 1: "心绞痛", 2: "高血压急症"}
    assert [hit.exclusive for hit in score.hits] == [False, True, True]
    assert (score.named, score.exclusive) == (3, 2)


def test_a_shorter_item_takes_a_place_of_its_own_where_there_is_one() -> None:
    score = score_answer("高血压急症；高血压", [["高血压"], ["高血压急症"]], {})
    assert score.exclusive == 2
    assert score.hits[0].start == 6


def test_a_joined_item_is_named_but_shares_its_place() -> None:
    score = score_answer("用于胃十二指肠溃疡", [["胃溃疡"], ["十二指肠溃疡"]], {})
    assert (score.named, score.exclusive) == (2, 1)
    assert {hit.item: (hit.start, hit.end) for hit in score.hits} == {0: (2, 9), 1: (3, 9)}


def test_a_hit_of_an_alias_names_the_form_that_was_found() -> None:
    (hit,) = score_answer("适用于成人戒烟。", [["烟草成瘾"]], load_term_aliases()).hits
    assert hit.form == "戒烟"


@pytest.mark.parametrize(
    ("answer", "named"), [("一次15mg，一日1次。", 0), ("一次5mg，一日1次。", 1), ("一次2.5mg", 0), ("一次5~10mg", 1), ("口服一次 5 mg", 1)]
)
def test_another_dose_does_not_name_the_expected_one(answer: str, named: int) -> None:
    assert score_answer(answer, [["一次5mg"]], {}).named == named
