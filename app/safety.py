"""What every answer must carry: disclaimer, state of review, emergency notice; and the one sentence of refusal."""

import re
from collections.abc import Iterable, Sequence

from app.citations import Unit
from indexer.sections import Words
from indexer.terms import fold

REFUSAL = "知识库无法回答这个问题："
DISCLAIMER = "仅供专业人员参考，不能替代诊疗决策。"
EMERGENCY = "这些表现可能是急症，请立即按急诊流程处理或拨打 120。"


def is_emergency(question: str, patterns: Sequence[str]) -> bool:
    """Whether a question speaks of signs that cannot wait; `patterns` match folded text (sections.toml, words.emergency)."""
    folded = fold(question)
    return any(re.search(pattern, folded) for pattern in patterns)


def declined(question: str, words: Words, *, tells_signs: bool = False) -> str:
    """Why a question gets no answer whatever is held, or "": harm to oneself, orders to the program, a view instead of a text.

    `tells_signs`: it describes a patient, and "what do you think it is" asks for no view.
    """
    folded = fold(question)
    reasons = (
        (words.self_harm, "涉及伤害自己的问题不提供用药信息，请立即向身边的人和急救求助。"),
        (words.instruction, "这里只按收录的资料回答，不执行其他指令；请只写要问的药品或疾病。"),
        (() if tells_signs else words.opinion, "只引用资料，不提供个人看法、评价或代为决定；可以改问适应症、用法、禁忌等具体内容。"),
    )
    return next((reason for patterns, reason in reasons if any(re.search(pattern, folded) for pattern in patterns)), "")


def review_notices(units: Iterable[Unit]) -> list[str]:
    """A line for every state of review other than none among the sources shown."""
    states = dict.fromkeys(unit.document.source.review for unit in units if unit.document.source.review)
    return [f"引用的资料{state}。" for state in states]
