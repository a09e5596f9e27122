import json
import re
from pathlib import Path

import pytest

from indexer.lay_terms import Elsewhere, LayTerms, _beginnings
from indexer.sections import SHIPPED, guide_text, load_guide
from indexer.terms import fold

GUIDE = load_guide(guide_text())
LAY = LayTerms({"腹泻|稀便": "拉肚子|拉稀", "发热": "发烧"}, {"夜间": "半夜"}, {"血常规": "验血"})


def test_what_people_say_is_read_in_the_words_of_texts() -> None:
    said = LAY.read("半夜拉肚子，要验血吗")
    assert [(part.texts, part.of) for part in said] == [(("夜间",), "setting"), (("腹泻", "稀便"), "sign"), (("血常规",), "term")]
    assert (said[1].start, said[1].end) == (2, 5)
    assert said[1].stands_in("可有稀便")
    assert not said[1].stands_in("可有便秘")


def test_what_texts_write_is_said_too() -> None:
    assert [part.texts for part in LAY.read("腹泻两天")] == [("腹泻", "稀便")]


def test_only_what_no_text_writes_is_put_otherwise() -> None:
    for question, otherwise in (("拉肚子两天", True), ("腹泻两天", False), ("两天稀便", False)):
        assert [part.is_put_otherwise(question) for part in LAY.read(question)] == [otherwise], question


@pytest.mark.parametrize("question", ["不发烧", "没有发烧", "没发烧", "未见发热"])
def test_a_denied_sign_is_not_said(question: str) -> None:
    assert LAY.read(question) == ()


def test_a_sign_denied_once_and_told_later_is_said() -> None:
    assert [part.start for part in LAY.read("昨天没发烧，今天发烧")] == [8]


def test_shipped_terms_never_match_nothing() -> None:
    for table in (GUIDE.lay.signs, GUIDE.lay.settings, GUIDE.lay.terms):
        for written, spoken in table.items():
            assert not re.compile(spoken).search(""), written
            assert all(text.strip() for text in written.split("|")), written


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("拉肚子", "腹泻"),
        ("嗓子疼", "咽痛"),
        ("喘不上气", "呼吸困难"),
        ("浑身没劲", "乏力"),
        ("小便里有血", "血尿"),
        ("后脑勺疼", "头痛"),
        ("脚脖子肿了", "下肢水肿"),
        ("shortness of breath", "呼吸困难"),
        ("抽血查了", "血常规"),
    ],
)
def test_lay_words_mean_the_clinical_ones(said: str, meant: str) -> None:
    assert meant in {text for part in GUIDE.lay.read(fold(said)) for text in part.texts}


def test_names_that_exist_are_found_and_never_inside_latin_words() -> None:
    elsewhere = Elsewhere(("阿哌沙班", "Dan"), ("猩红热",))
    assert [(s.name, s.kind) for s in elsewhere.find("猩红热能吃阿哌沙班吗")] == [("猩红热", "disease"), ("阿哌沙班", "drug")]
    assert elsewhere.find("danger") == ()
    assert [s.name for s in elsewhere.find("吃 dan 吗")] == ["dan"]


def test_the_tables_are_kept_behind_the_sections() -> None:
    assert guide_text().startswith(SHIPPED.read_text("utf-8"))
    assert len(GUIDE.elsewhere.drugs) > 1000
    assert len(GUIDE.lay.signs) > 250


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("发烧|热度高", "发热"),
        ("(出|冒)汗|[怕畏]冷", "出冒怕畏"),
        ("总?觉得冷", "总觉"),
        ("(?:很|(?:一|两)天)?没劲", "很一两没"),
        (r"(3[789]|4[01])(\.\d)?(℃|度)", "34"),
    ],
)
def test_what_a_pattern_begins_with(pattern: str, expected: str) -> None:
    assert _beginnings(pattern) == frozenset(expected)


@pytest.mark.parametrize("pattern", [".*痛", "(?<!不)痛", "痛|[^不]痒", "(很)*痛", r"\d天", "很{0,2}痛", "(很|.)痛", ""])
def test_where_a_pattern_may_begin_with_anything_nothing_is_said(pattern: str) -> None:
    assert _beginnings(pattern) == frozenset()


def test_no_way_of_saying_something_is_passed_over() -> None:
    lines = (Path(__file__).parent.parent / "kb_data" / "questions" / "dev.jsonl").read_text("utf-8").splitlines()
    questions = [fold(json.loads(line)["question"]) for line in lines]
    said = [(way, question) for way in GUIDE.lay._ways if way.beginnings for question in questions if way.pattern.search(question)]
    assert len(said) > 200
    assert all(way.beginnings & set(question) for way, question in said)
