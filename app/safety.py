"""What every answer must carry: disclaimer, state of review, emergency notice; and the one sentence of refusal."""

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence

from app.citations import Unit
from indexer.documents import Document, Source
from indexer.sections import Words
from indexer.terms import fold

REFUSAL = "知识库无法回答这个问题："
DISCLAIMER = "仅供专业人员参考，不能替代诊疗决策。"
# What stands before a sign that is not there. 会不会 asks about a drug, not about a patient.
_DENIED = re.compile(r"(?:没有?|无|未见?|未出现|不伴|并非|否认|会不会|会引起|会导致|可引起|引起|导致|预防|防止|避免)[^,。;?!了]{0,4}$")
_STUDYING = re.compile(
    r"什么是|是什么(?:意思|病)?(?:$|[?。])|什么叫|定义|病因|原因|机制|分类|预防|鉴别|诊断|发病率|并发症|后遗症|科(?:室)?(?:$|[?。])"
    r"|(?:有|是)(?:哪些|什么)|会(?:不会)?(?:引起|导致|发生|出现)|副作用|不良反应|说明书|适应症|禁忌"
)
_SOMEBODY = re.compile(r"我|他|她|俺|爸|妈|爷|奶|孩子|宝宝|娃|老人|病人|患者|刚|现在|突然|突发|正在|分钟|小时|\d+天|怎么办|快|急!|救")
_WHAT_IT_IS = re.compile(r"什么|啥|哪(?:种|个|门)|怎么|咋|如何|要不要紧|严重|正常|是不是|挂")
EMERGENCY = "这些表现可能是急症，请立即按急诊流程处理或拨打 120。"


def is_emergency(question: str, patterns: Sequence[str]) -> bool:
    """Whether a question speaks of signs that cannot wait; `patterns` match folded text (sections.toml, words.emergency).

    Signs that are denied do not count, nor those that a question of knowledge names without anybody having them: 晕厥挂什么科.
    """
    folded = fold(question)
    if _STUDYING.search(folded) and not _SOMEBODY.search(folded):
        return False
    matches = (match for pattern in patterns for match in re.finditer(pattern, folded))
    return any(not _DENIED.search(folded, 0, match.start()) for match in matches)


def declined(question: str, words: Words, *, tells_signs: bool = False) -> str:
    """Why a question gets no answer whatever is held, or "": harm to oneself, orders to the program, a view instead of a text.

    `tells_signs`: it describes a patient, and then "what do you think it is" asks for no view.
    """
    folded = fold(question)
    opinion = () if tells_signs and _WHAT_IT_IS.search(folded) else words.opinion
    reasons = (
        (words.self_harm, "涉及伤害自己的问题不提供用药信息，请立即向身边的人和急救求助。"),
        (words.instruction, "这里只按收录的资料回答，不执行其他指令；请只写要问的药品或疾病。"),
        (opinion, "只引用资料，不提供个人看法、评价或代为决定；可以改问适应症、用法、禁忌等具体内容。"),
    )
    return next((reason for patterns, reason in reasons if any(re.search(pattern, folded) for pattern in patterns)), "")


def review_notices(units: Iterable[Unit]) -> list[str]:
    """A line for every state of review other than none among the sources shown, and one for every source past its last day."""
    documents = list({unit.document.id: unit.document for unit in units}.values())
    states = dict.fromkeys(document.source.review for document in documents if document.source.review)
    return [*(f"引用的资料{state}。" for state in states), *_expiry_notices(documents)]


def is_expired(source: Source) -> bool:
    """Whether the last day on which a source holds is over."""
    return bool(source.expires) and source.expires < datetime.datetime.now().astimezone().date().isoformat()


def _expiry_notices(documents: Iterable[Document]) -> Iterator[str]:
    for document in documents:
        if is_expired(document.source):
            yield f"引用的资料“{document.title}”有效期至 {document.source.expires}，已经过期，请核对现行版本。"
