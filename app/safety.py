"""What every answer must carry: disclaimer, state of review, emergency notice; and the one sentence of refusal."""

import re
from collections.abc import Iterable, Sequence

from app.citations import Unit
from indexer.terms import fold

REFUSAL = "知识库无法回答这个问题："
DISCLAIMER = "仅供专业人员参考，不能替代诊疗决策。"
EMERGENCY = "这些表现可能是急症，请立即按急诊流程处理或拨打 120。"


def is_emergency(question: str, patterns: Sequence[str]) -> bool:
    """Whether a question speaks of signs that cannot wait; `patterns` match folded text (sections.toml, words.emergency)."""
    folded = fold(question)
    return any(re.search(pattern, folded) for pattern in patterns)


def review_notices(units: Iterable[Unit]) -> list[str]:
    """A line for every state of review other than none among the sources shown."""
    states = dict.fromkeys(unit.document.source.review for unit in units if unit.document.source.review)
    return [f"引用的资料{state}。" for state in states]
