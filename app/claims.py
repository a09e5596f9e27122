"""Does a sentence say no more than the span it cites? Numbers, frequency, route, polarity, names, then wording.

A sentence that is contradicted or unsupported is not shown. The order of the checks is the order of harm.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from indexer.sentences import sentence_spans
from indexer.terms import bare, fold, missing_terms, terms

Verdict = Literal["supported", "contradicted", "unsupported"]

# Share of a claim's terms that must stand in its evidence. 0.8 lets a clause move or "本品" become the name.
_WORDING = 0.8

_DIGITS = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_HAN_NUMBER = "[零一二两三四五六七八九十百半]+"
_NUMBER = rf"(?:\d+(?:\.\d+)?|{_HAN_NUMBER})"
_COUNTS = "个月 年 岁 月龄 片 粒 袋 支 丸 包 滴 喷 揿 贴 瓶 次 倍 疗程 % ℃ °c mmhg ml/min".split()
# Unit to (base unit, factor). Counts of tablets and the like stay as they are.
_UNITS: dict[str, tuple[str, Fraction]] = {
    **dict.fromkeys(("kg", "千克", "公斤"), ("g", Fraction(1000))),
    **dict.fromkeys(("g", "克"), ("g", Fraction(1))),
    **dict.fromkeys(("mg", "毫克"), ("g", Fraction(1, 1000))),
    **dict.fromkeys(("μg", "ug", "mcg", "微克"), ("g", Fraction(1, 1_000_000))),
    **dict.fromkeys(("ng", "纳克"), ("g", Fraction(1, 1_000_000_000))),
    **dict.fromkeys(("l", "升"), ("l", Fraction(1))),
    **dict.fromkeys(("ml", "毫升"), ("l", Fraction(1, 1000))),
    **dict.fromkeys(("iu", "u", "单位", "国际单位"), ("u", Fraction(1))),
    **dict.fromkeys(("万单位", "万iu", "万u"), ("u", Fraction(10_000))),
    **dict.fromkeys(("mmol/l",), ("mmol/l", Fraction(1))),
    **dict.fromkeys(("μmol/l", "umol/l"), ("mmol/l", Fraction(1, 1000))),
    **dict.fromkeys(("小时", "h"), ("小时", Fraction(1))),
    **dict.fromkeys(("分钟", "min"), ("小时", Fraction(1, 60))),
    **dict.fromkeys(("天", "日"), ("天", Fraction(1))),
    **dict.fromkeys(("周", "星期"), ("天", Fraction(7))),
    **{unit: (unit, Fraction(1)) for unit in _COUNTS},
}
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_PER = r"(?:/\s*(?:kg|m2|m²|日|天|次|d|h|小时|min))*"
_QUANTITY = re.compile(rf"({_NUMBER})(?:\s*(?:{_UNIT})?\s*[~\-–—至到]\s*({_NUMBER}))?\s*({_UNIT})({_PER})(?![a-z])")
_FREQUENCY = re.compile(
    rf"(?:每|一|1)(?:天|日)\s*({_NUMBER})(?:\s*[~\-–—至到]\s*({_NUMBER}))?\s*次"
    rf"|\b(qd|bid|tid|qid|qn)\b|每隔?\s*({_NUMBER})\s*(小时|天|日|周)\s*(?:一|1)?次?|\bq(\d+)h\b"
)
# "一次", "每日" say what the number after them is of; they are no amounts themselves.
_PER_DOSE = re.compile(rf"(?:每|一)(?:次|天|日)|1(?:次|天|日)(?=\s*{_NUMBER})")
_LATIN_FREQUENCY = {"qd": 1, "bid": 2, "tid": 3, "qid": 4, "qn": 1}
_ROUTES = {
    "口服": ("口服", "嚼服", "吞服", "冲服", "含服", "送服", " po "),
    "静脉": ("静脉", "静滴", "静注", "iv"),
    "肌内": ("肌内", "肌肉注射", "肌注"),
    "皮下": ("皮下",),
    "吸入": ("吸入", "雾化"),
    "外用": ("外用", "涂", "外敷", "贴患处"),
    "直肠": ("直肠", "肛门", "塞肛"),
    "阴道": ("阴道给药", "置阴道", "阴道内"),
    "滴眼": ("滴眼", "眼用", "滴入眼"),
    "鼻": ("滴鼻", "鼻腔", "鼻喷"),
    "舌下": ("舌下",),
}
_NEGATIVE = re.compile(
    r"禁用|忌用|禁止|禁忌|禁服|不得|不能|不可|不宜|不应|不要|不适用|不用于|不推荐|不建议|避免|停用|无需|不需|没有|未"
    r"|无(?!菌|水)|非(?!甾|典|处方|小细胞|霍奇金|布司|洛地)"
)
_CAUTION = re.compile(r"慎用|谨慎|慎服")


@dataclass(frozen=True, slots=True)
class Check:
    """What the checker found; `reasons` are worded for a pharmacist and empty where the claim is supported."""

    verdict: Verdict
    reasons: tuple[str, ...]


def check_claim(claim: str, evidence: str, names: Sequence[str] = (), title: str = "") -> Check:
    """Compare a claim with the span it cites.

    `names` are held drug and disease names to look for; `title` is the name of the evidence's document, which the claim may say
    though the span does not.
    """
    if _stands_whole(claim, evidence):
        return Check("supported", ())
    stated, shown = fold(claim), fold(evidence)
    contradictions = [*_numbers(stated, shown), *_routes(stated, shown), *_polarity(stated, shown)]
    if contradictions:
        return Check("contradicted", tuple(contradictions))
    missing = _names(stated, f"{shown} {fold(title)}", names)
    wanted = _wording(stated)
    held = set(_wording(shown)) | set(terms(fold(title)))
    if len(missing_terms(wanted, held)) > (1 - _WORDING) * len(wanted):
        missing.append("用语与引用的原文出入较大")
    return Check("unsupported", tuple(missing)) if missing else Check("supported", ())


def _wording(folded: str) -> list[str]:
    """Terms of the text beside its quantities and frequencies, which are compared as such."""
    for pattern in (_FREQUENCY, _PER_DOSE, _QUANTITY):
        folded = pattern.sub(" ", folded)
    return terms(folded)


def _stands_whole(claim: str, evidence: str) -> bool:
    """The claim is the evidence, or whole sentences of it in a row: half a sentence may have lost its "不"."""
    wanted = bare(claim)
    if wanted == bare(evidence):
        return True
    sentences = [bare(evidence[start:end]) for start, end in sentence_spans(evidence)]
    runs = ("".join(sentences[i:j]) for i in range(len(sentences)) for j in range(i + 1, len(sentences) + 1))
    return any(run == wanted for run in runs)


def _number(text: str) -> Fraction:
    if text[0].isdigit():
        return Fraction(text)
    if text == "半":
        return Fraction(1, 2)
    total, current = 0, 0
    for character in text:
        if character in ("十", "百"):
            total += (current or 1) * (10 if character == "十" else 100)
            current = 0
        elif character != "半":
            current = _DIGITS[character]
    return Fraction(total + current) + (Fraction(1, 2) if text.endswith("半") else 0)


def quantities(folded: str) -> set[tuple[Fraction, Fraction, str]]:
    """(low, high, unit) of every quantity in a folded text, in base units; "/kg" and the like belong to the unit."""
    found = set()
    for match in _QUANTITY.finditer(_PER_DOSE.sub(" ", _FREQUENCY.sub(" ", folded))):
        low, high, unit, per = match.groups()
        base, factor = _UNITS[unit]
        first = _number(low) * factor
        last = _number(high) * factor if high else first
        found.add((first, last, base + re.sub(r"\s", "", per).replace("日", "d").replace("天", "d")))
    return found


def frequencies(folded: str) -> set[tuple[Fraction, Fraction]]:
    """(fewest, most) administrations a day for every frequency in a folded text."""
    found = set()
    for match in _FREQUENCY.finditer(folded):
        low, high, latin, every, span, hours = match.groups()
        if low:
            found.add((_number(low), _number(high or low)))
        elif latin:
            found.add((Fraction(_LATIN_FREQUENCY[latin]), Fraction(_LATIN_FREQUENCY[latin])))
        else:
            length = Fraction(int(hours)) if hours else _number(every) * {"小时": 1, "天": 24, "日": 24, "周": 168}[span]
            if length:
                found.add((24 / length, 24 / length))
    return found


def _numbers(claim: str, evidence: str) -> list[str]:
    reasons = []
    shown = quantities(evidence)
    for low, high, unit in sorted(quantities(claim) - shown):
        said = f"{float(low):g}" if low == high else f"{float(low):g}~{float(high):g}"
        reasons.append(f"原文中没有数值 {said} {unit}（按基本单位）")
    for fewest, most in sorted(frequencies(claim) - frequencies(evidence)):
        reasons.append(f"原文中没有每日 {float(fewest):g}{'' if fewest == most else f'~{float(most):g}'} 次")
    bare_numbers = set(re.findall(r"\d+(?:\.\d+)?", claim)) - set(re.findall(r"\d+(?:\.\d+)?", evidence))
    if bare_numbers and not reasons and not quantities(claim) and not frequencies(claim):
        reasons.append(f"原文中没有数字 {'、'.join(sorted(bare_numbers))}")
    return reasons


def _routes(claim: str, evidence: str) -> list[str]:
    said, shown = _routes_in(claim), _routes_in(evidence)
    return [f"给药途径“{route}”不见于原文" for route in sorted(said - shown)]


def _routes_in(folded: str) -> set[str]:
    return {route for route, words in _ROUTES.items() if any(word in folded for word in words)}


def _polarity(claim: str, evidence: str) -> list[str]:
    reasons = []
    for pattern, word in ((_NEGATIVE, "否定或禁止"), (_CAUTION, "慎用")):
        if bool(pattern.search(claim)) != bool(pattern.search(evidence)):
            side = "原文没有" if pattern.search(claim) else "原文有而此句没有"
            reasons.append(f"{side}“{word}”的意思")
    return reasons


def _names(claim: str, evidence: str, names: Sequence[str]) -> list[str]:
    return [f"名称“{name}”不见于原文" for name in names if fold(name) in claim and fold(name) not in evidence]
