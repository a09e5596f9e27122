import pytest

from indexer.names import NamedDocument, NameIndex
from indexer.sections import SHIPPED, load_guide

WORDS = load_guide(SHIPPED.read_text("utf-8")).words
TITLES = [
    ("drug", "阿司匹林", ("Aspirin", "ASA")),
    ("drug", "阿莫西林胶囊", ()),
    ("drug", "氨氯地平", ()),
    ("drug", "氯丙嗪", ()),
    ("drug", "利伐沙班", ()),
    ("drug", "逍遥丸", ()),
    ("drug", "盐酸二甲双胍缓释片", ()),
    ("drug", "感冒清热颗粒", ("感冒清热颗粒(片、胶囊)",)),
    ("drug", "川贝枇杷膏(片、胶囊)", ()),
    ("disease", "高血压", ()),
    ("disease", "继发性高血压", ()),
    ("disease", "小儿感冒", ()),
    ("drug", "地高辛", ()),
    ("drug", "吗啡", ()),
]


@pytest.fixture(scope="module")
def names() -> NameIndex:
    return NameIndex([NamedDocument(i, *entry) for i, entry in enumerate(TITLES)], WORDS)


def held(names: NameIndex, text: str) -> list[str]:
    return [names.title(m.documents[0]) for m in names.mentions(text) if not m.is_other]


def others(names: NameIndex, text: str) -> list[str]:
    return [m.whole for m in names.mentions(text) if m.is_other]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("阿司匹林怎么吃", "阿司匹林"),
        ("吃了aspirin可以喝酒吗", "阿司匹林"),
        ("asa的用量", "阿司匹林"),
        ("阿司匹林肠溶片怎么吃", "阿司匹林"),
        ("阿莫西林的禁忌", "阿莫西林胶囊"),
        ("阿莫西林胶囊的禁忌", "阿莫西林胶囊"),
        ("二甲双胍", "盐酸二甲双胍缓释片"),
        ("盐酸二甲双胍缓释片", "盐酸二甲双胍缓释片"),
        ("苯磺酸氨氯地平片", "氨氯地平"),
        ("服用逍遥丸", "逍遥丸"),
        ("川贝枇杷片怎么吃", "川贝枇杷膏(片、胶囊)"),
        ("高血压患者", "高血压"),
        ("继发性高血压", "继发性高血压"),
    ],
)
def test_a_name_is_found(names: NameIndex, text: str, title: str) -> None:
    assert held(names, text) == [title]
    assert others(names, text) == []


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("复方阿司匹林怎么吃", "复方阿司匹林"),
        ("左氨氯地平的用量", "左氨氯地平"),
        ("阿莫西林克拉维酸钾", "阿莫西林克拉维酸钾"),
        ("阿莫西林颗粒一次几袋", "阿莫西林颗粒"),
        ("二甲双胍片", "二甲双胍片"),
        ("感冒清热片的用量", "感冒清热片"),
        ("小儿感冒颗粒的禁忌", "小儿感冒颗粒"),
        ("高血压肾病的检查", "高血压肾病"),
        ("妊娠高血压怎么治", "妊娠高血压"),
        ("肺源性高血压", "肺源性高血压"),
    ],
)
def test_a_longer_name_is_not_taken_for_the_one_inside_it(names: NameIndex, text: str, whole: str) -> None:
    assert others(names, text) == [whole]
    assert held(names, text) == []


def test_a_latin_name_inside_a_longer_word_is_no_name(names: NameIndex) -> None:
    assert names.mentions("nasal spray") == []


def test_two_names_are_found_in_order(names: NameIndex) -> None:
    assert held(names, "阿司匹林和地高辛能一起吃吗") == ["阿司匹林", "地高辛"]


def test_a_misspelt_name_is_near_but_a_shared_class_ending_is_not(names: NameIndex) -> None:
    def near(name: str) -> list[str]:
        return [names.title(position) for position in names.near(name, {"drug"})]

    assert near("氯丙那林") == ["氯丙嗪"]
    assert near("阿司匹灵") == ["阿司匹林"]
    assert near("阿哌沙班") == []
    assert near("消遥丸") == ["逍遥丸"]
    assert near("二妙丸") == []


def test_related_names_are_shown_for_one_that_is_not_held(names: NameIndex) -> None:
    assert [names.title(p) for p in names.related("阿哌沙班", {"drug"})][:1] == ["利伐沙班"]


def test_names_containing_a_word_but_not_a_product(names: NameIndex) -> None:
    assert [names.title(p) for p in names.containing("二甲", {"drug"})] == ["盐酸二甲双胍缓释片"]
    assert names.containing("清热颗粒", {"drug"}) == []


def test_a_slip_inside_a_run_is_heard_but_not_in_another_product(names: NameIndex) -> None:
    def meant(run: str) -> tuple[str, list[str]]:
        written, found = names.misspelt(run)
        return written, [names.title(position) for position in found]

    assert meant("有人说阿司匹琳好") == ("阿司匹琳", ["阿司匹林"])
    assert meant("氯炳嗪") == ("氯炳嗪", ["氯丙嗪"])
    assert meant("吃氯炳嗪以后") == ("", [])
    assert meant("阿司匹琳颗粒") == ("", [])


def test_names_one_edit_apart_are_look_alikes() -> None:
    titles = ["阿昔洛韦片", "伐昔洛韦", "更昔洛韦", "泼尼松", "泼尼松龙", "痛风"]
    kinds = ["drug"] * 5 + ["disease"]
    index = NameIndex([NamedDocument(i, kind, title) for i, (kind, title) in enumerate(zip(kinds, titles, strict=True))], WORDS)
    assert [titles[near] for near in index.one_edit_apart(0)] == ["伐昔洛韦", "更昔洛韦"]
    assert [titles[near] for near in index.one_edit_apart(3)] == ["泼尼松龙"]
    assert index.one_edit_apart(5) == []
