"""The patient a question speaks of, and which patients a sentence is for: ages compared as numbers."""

import re

from indexer.terms import fold

MONTHS = 12
_ADULT, _OLD = 18 * MONTHS, 60 * MONTHS
_FOREVER = 200 * MONTHS
_HAN_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2, "半": 0}
_NUMBER = r"\d+(?:\.\d+)?|[一二两三四五六七八九]?十[一二三四五六七八九]?|[一二两三四五六七八九]"
_AGE = re.compile(rf"(?:年龄)?({_NUMBER})\s*(?:周?岁|y(?:o|ears?)?(?![a-z]))|年龄({_NUMBER})(?!\d|\s*个?月)")
_CHILD = "宝宝|宝贝|婴|孩|娃|幼儿|儿子|女儿|小儿"
# Months are an age where a child stands beside them: 高血压3个月 is none, nor 怀孕12个月.
_AGE_IN_MONTHS = re.compile(
    rf"(?<![\d十])({_NUMBER})\s*个?月(?:大|龄|(?:以下|以内|以上|的|大的)*(?:{_CHILD}))"
    rf"|(?:{_CHILD}).{{0,2}}?({_NUMBER})\s*个?月"
)
_YOUNGER = re.compile(r"以下|以内|不到")
_UNIT = r"(岁|个月|月龄|月|天|日龄)"
_BETWEEN = re.compile(rf"(\d+(?:\.\d+)?)\s*{_UNIT}?\s*(?:~|-|至|到)\s*(\d+(?:\.\d+)?)\s*{_UNIT}")
_FROM = re.compile(rf"(?:≥|>=|>|大于|超过|满)\s*(\d+(?:\.\d+)?)\s*{_UNIT}|(\d+(?:\.\d+)?)\s*{_UNIT}(?:及|\(含\)|或)?以上")
_UNTIL = re.compile(rf"(?:<=|<|≤|小于|不足|未满|低于)\s*(\d+(?:\.\d+)?)\s*{_UNIT}|(\d+(?:\.\d+)?)\s*{_UNIT}(?:及|或)?以下")
_GROUPS = (
    (re.compile("成人|成年"), (_ADULT, _FOREVER)),
    (re.compile("(?<!非)老年"), (_OLD, _FOREVER)),
    (re.compile("新生儿"), (0, 1)),
)


def patient_age(question: str) -> float | None:
    """The age in months that a question states, if it states one; "怀孕5个月" is none."""
    folded = fold(question)
    for pattern, unit in ((_AGE, MONTHS), (_AGE_IN_MONTHS, 1)):
        if found := pattern.search(folded):
            age = _number(next(number for number in found.groups() if number)) * unit
            return age - 0.5 if _YOUNGER.search(folded, found.start(), found.end() + 3) else age
    return None


def is_for_age(sentence: str, age: float) -> bool:
    """Whether a sentence may be about a patient of this age in months: it names no ages, or one of its spans holds it."""
    spans = _spans(fold(sentence))
    return not spans or any(low <= age < high for low, high in spans)


def _spans(folded: str) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    for match in _BETWEEN.finditer(folded):
        low, low_unit, high, high_unit = match.groups()
        # The upper bound of a span in years holds the whole of that year.
        spans.append((_months(low, low_unit or high_unit), _months(high, high_unit) + (MONTHS if high_unit == "岁" else 1)))
    rest = _BETWEEN.sub(" ", folded)
    spans += [(_months(m[1] or m[3], m[2] or m[4]), _FOREVER) for m in _FROM.finditer(rest)]
    spans += [(0, _months(m[1] or m[3], m[2] or m[4])) for m in _UNTIL.finditer(rest)]
    return spans + [span for pattern, span in _GROUPS if pattern.search(rest)]


def _months(number: str, unit: str) -> float:
    return float(number) * {"岁": MONTHS, "天": 1 / 30, "日龄": 1 / 30}.get(unit, 1)


def _number(text: str) -> float:
    if text[0].isdigit():
        return float(text)
    tens, ten, ones = text.partition("十")
    if not ten:
        return float(_HAN_DIGITS[text])
    return 10.0 * (_HAN_DIGITS[tens] if tens else 1) + (_HAN_DIGITS[ones] if ones else 0)


def population_of_age(age: float) -> str:
    """The name of the patient group of an age in months, as sections.toml has it."""
    if age < _ADULT:
        return "儿童"
    return "老年人" if age >= _OLD else "成人"
