"""Which diseases show the signs that a question describes. A list to look through, never a diagnosis."""

import re
from collections.abc import Sequence

from app.citations import Unit
from app.finding import Evidence
from app.question import Question
from app.selection import units_of
from indexer.documents import Document
from indexer.lay_terms import Said
from indexer.query import mask
from indexer.release import Release
from indexer.search import diseases_nearest, folded_text, meaning_rarity, overlapping

NOTICE = "以下按表现的相近程度列出，不是诊断。"
# What one sign says of a disease, by where its text speaks of it.
_SECTIONS = {"临床表现": 1.0, "概述": 1.0, "急症信号": 0.9, "诊断要点": 0.9, "好发人群": 0.5, "病因": 0.5, "检查检验": 0.3}
# Share of the described signs, weighted by rarity, that a disease must show. 0.2 to 0.6 refuse alike, 0.9 refuses 1.7 % more of dev.
SHOWN = 0.4
FEWEST, FEWEST_BESIDE = 2, 3
# Characters beside cues and question words. 14: of 420 questions that name a thing not held and hold one sign by chance the longest
# has 11, the shortest story with one known sign has 15.
LONG, SHORT = 14, 6
_YES_OR_NO = re.compile(r"吗|么[?。!]?$|能不能|可不可以|影响|正常")
# Beside the share of signs shown count the cosine, 1 each, and BM25: the best first three of 104 descriptions (0.70 without, 0.88 with).
_KEYWORD_SHARE = 0.5
_MOST_DISEASES, _MOST_SENTENCES = 3, 4
_NEAR_BEST = 0.7
_CANDIDATES = 25
# Sections by which people ask what they have, or which their descriptions hit by chance.
_ASKED = frozenset("概述 病因 临床表现 诊断要点 急症信号 并发症 检查检验 好发人群 治愈率 注意事项 不良反应 漏服 饮酒 驾驶 手术".split())
# What people ask of their signs besides; two signs must be told then. A drug is never named for signs: the diseases are shown.
_ASKED_OF_SIGNS = _ASKED | {"就诊科室", "治疗方法", "治疗药物", "其他治疗", "治疗周期", "传染性"}
_DOSE = "用法用量"
# Words that a question about a drug holds; where none stands, 一次就几滴 is told of a patient.
_OF_DRUGS = re.compile("药|吃|服|片|粒|针|剂")

# Parts of the body and what is measured of it: where one stands beside a sign, somebody tells of himself.
_BODY = re.compile(
    "头|脸|眼|耳(?!机)|鼻|嘴|嗓|喉|脖|肩|背|腰|胸|心[口脏跳慌]|肚|胃|肝|屁股|腿|脚|膝|胳膊|手(?![机表术册工])|皮肤|身|骨|血压|血糖|尿|大便|月经|体温|孩子|宝宝"
)
# The end of a disease's name that nobody lists.
_NAMES_ILLNESS = re.compile("[^毛疾生啥么的有种]病(?![人了])|综合征|[^炎消]炎(?!热|症)|癌|瘤|症(?!状)")


def describes(question: Question) -> bool:
    """Whether a question tells signs of a patient and asks, or leaves open, what they are.

    A single sign that the lay terms know does too, in a longer story that does not end in a yes or no, or with a setting where the
    question asks for a disease.
    """
    told = _told(question)
    signs = _signs_apart(question)
    length = sum(map(len, question.query.residue))
    story = length >= LONG and not _YES_OR_NO.search(question.query.folded)
    asks = length >= SHORT and len(told) >= FEWEST and question.sections == ("概述",)
    if signs >= FEWEST and not question.query.mentions:
        told_of = {_DOSE} if length >= SHORT and not _OF_DRUGS.search(question.query.folded) else set()
        return set(question.sections) <= _ASKED_OF_SIGNS | told_of
    return signs >= (1 if story or asks else FEWEST) and set(question.sections) <= _ASKED


def hints_at_signs(question: Question) -> bool:
    """Whether a question that names nothing held tells one sign at least, and where on the body or when it comes besides.

    Less than `describes`: for where nothing else was found, so that what comes nearest is shown instead of nothing.
    """
    query = question.query
    told = _told(question)
    signs = [said for group in told for said in group if said.of == "sign"]
    beside = mask(query.folded, [(said.start, said.end) for said in signs])
    tells_more = len(told) >= FEWEST or bool(_BODY.search(beside))
    asked = set(question.sections) <= _ASKED_OF_SIGNS
    named = query.mentions or query.strangers or _NAMES_ILLNESS.search(query.folded) or _OF_DRUGS.search(query.folded)
    return bool(signs) and tells_more and asked and not named


def other_disease(release: Release, question: Question) -> Evidence | None:
    """Where a question names a disease beside many signs (感冒后脖子前面疼, 低烧): the diseases that show them, unless it is among them."""
    beside = [group for group in _told(question) if any(s.of == "sign" and s in question.query.said_beside_names for s in group)]
    told_more = sum(map(len, question.query.residue)) >= LONG
    if len(beside) < (FEWEST if told_more else FEWEST_BESIDE) or question.of_kind("drug") or not set(question.sections) <= {"概述"}:
        return None
    shown = diseases_showing(release, question)
    named = {release.store.document(position).id for subject in question.subjects for position in subject.documents}
    return shown if shown and shown.units[0].document.id not in named else None


def _signs_apart(question: Question) -> int:
    """How many signs stand beside each other; a setting that reaches over several (饿得心慌手抖) makes them no less."""
    reach = count = 0
    for said in sorted((said for said in question.query.said if said.of == "sign"), key=lambda said: said.end):
        if said.start >= reach:
            reach, count = said.end, count + 1
    return count


def _told(question: Question) -> list[list[Said]]:
    return overlapping([said for said in question.query.said if said.of != "term"])


def diseases_showing(release: Release, question: Question) -> Evidence | None:
    """The sentences of the diseases that show the most of what is told; None where none shows enough."""
    told = _told(question)
    headings = {title for name in _SECTIONS for title in release.guide.titles(name)}
    near = diseases_nearest(release, question.query, [said for group in told for said in group], headings, _CANDIDATES)
    shown = [_shown(release, told, candidate.document) for candidate in near]
    scores = [share + c.similarity + _KEYWORD_SHARE * c.keyword for share, c in zip(shown, near, strict=True)]
    ranked = sorted(range(len(near)), key=lambda n: (-scores[n], n))
    chosen = [n for n in ranked if shown[n] >= SHOWN and scores[n] >= _NEAR_BEST * scores[ranked[0]]][:_MOST_DISEASES]
    units = [unit for n in chosen for unit in _telling(release, told, near[n].document)]
    return Evidence(tuple(units), (NOTICE,)) if units else None


def _shown(release: Release, told: Sequence[Sequence[Said]], document: Document) -> float:
    """Share of what is told that a disease shows: of wordings for one thing the one that says most counts."""
    texts = [
        (weight, folded_text(document.body(section)))
        for name, weight in _SECTIONS.items()
        for section in release.guide.find(document, name)
    ]
    found = total = 0.0
    for group in told:
        rarest = max(meaning_rarity(release, said) for said in group)
        total += rarest
        found += max(
            (
                meaning_rarity(release, said) * max((weight for weight, text in texts if said.stands_in(text)), default=0.0)
                for said in group
            ),
            default=0.0,
        )
    return found / total if total else 0.0


def _telling(release: Release, told: Sequence[Sequence[Said]], document: Document) -> list[Unit]:
    """The disease's sentences that show the most, in its order."""
    units = [
        unit for name in ("概述", "临床表现") for section in release.guide.find(document, name) for unit in units_of(document, section)
    ]
    shown = [_in_sentence(release, told, folded_text(unit.text)) for unit in units]
    best = sorted(range(len(units)), key=lambda n: (-shown[n], n))[:_MOST_SENTENCES]
    return [units[n] for n in sorted(best) if shown[n] > 0]


def _in_sentence(release: Release, told: Sequence[Sequence[Said]], text: str) -> float:
    return sum(max((meaning_rarity(release, said) for said in group if said.stands_in(text)), default=0.0) for group in told)
