import pytest

from app.safety import is_emergency
from indexer.sections import SHIPPED, load_guide

PATTERNS = load_guide(SHIPPED.read_text("utf-8")).words.emergency


@pytest.mark.parametrize(
    "question",
    [
        "胸痛两小时大汗",
        "胸闷憋气还出冷汗，能吃硝酸甘油吗",
        "我爸突然说话不清，一侧肢体无力",
        "老人叫不醒了怎么办",
        "孩子抽搐5分钟还没停",
        "宝宝嘴唇发紫",
        "吐血了吃什么药",
        "打完青霉素喘不上气",
        "孩子误服了降压药",
        "一次吃了30片安定",
        "我妈黑便还头晕",
        "怀孕30周阴道出血",
        "被蛇咬了",
        "这辈子最剧烈的头痛",
        "舌头肿了喘得厉害",
        "没有胸痛，但是呼吸困难",
    ],
)
def test_signs_that_cannot_wait(question: str) -> None:
    assert is_emergency(question, PATTERNS)


@pytest.mark.parametrize(
    "question",
    [
        "没有胸痛大汗",
        "无呼吸困难，血压140",
        "什么是心绞痛",
        "昏迷是什么意思",
        "晕厥挂什么科",
        "阿莫西林会引起过敏性休克吗",
        "肺栓塞的病因有哪些，包括晕厥吗",
        "布洛芬怎么吃",
        "呼吸困难的原因有哪些",
        "预防昏迷的办法",
        "阿司匹林吃了3片",
    ],
)
def test_questions_that_can_wait(question: str) -> None:
    assert not is_emergency(question, PATTERNS)
