"""Numbers as medicine writes them: quantities and how often. Read from folded text (indexer.terms.fold).

Units are brought to a base (kg, mg and μg to g; minutes, days and weeks to h), so that 0.5g and 500毫克 are one quantity.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

Bound = Literal["", "≥", "≤", ">", "<"]
Span = Literal["", "day", "week"]

_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_HAN = "[零一二两三四五六七八九十百千半]+"
_ARABIC = r"\d+(?:,\d{3})+(?![\d,])|\d+(?:\.\d+)?"
NUMBER = rf"(?:[一二三四五六七八九十百]+分之[一二三四五六七八九十]+|\d+/\d+(?![\d/])|(?:{_ARABIC})万?|{_HAN}万?)"
_TO = r"\s*(?:~|-|–|—|−|∼|至|到|to(?![a-z]))\s*"

_H, _G, _L, _MOL, _U = "小时", "g", "l", "mol", "单位"
_UNITS: dict[str, tuple[str, Fraction]] = {
    unit: (base, Fraction(factor))
    for base, factor, units in (
        (_G, "1000", "kg 千克 公斤 kilogram kilograms"),
        (_G, "1", "g 克 gm gram grams"),
        (_G, "1/1000", "mg 毫克 milligram milligrams"),
        (_G, "1/1000000", "μg ug mcg 微克 microgram micrograms"),
        (_G, "1/1000000000", "ng 纳克"),
        (_L, "1", "l 升"),
        (_L, "1/10", "dl 分升"),
        (_L, "1/1000", "ml 毫升 cc milliliter milliliters"),
        (_L, "1/1000000", "μl ul 微升"),
        (_MOL, "1", "mol"),
        (_MOL, "1/1000", "mmol 毫摩尔"),
        (_MOL, "1/1000000", "μmol umol 微摩尔"),
        (_MOL, "1/1000000000", "nmol"),
        (_U, "1", "iu u 单位 国际单位 unit units"),
        (_U, "10000", "万单位 万iu 万u 万国际单位"),
        (_H, "1/3600", "秒 秒钟"),
        (_H, "1/60", "分钟 min mins minute minutes"),
        (_H, "1", "小时 个小时 h hr hrs hour hours"),
        (_H, "24", "天 日 d day days"),
        (_H, "168", "周 星期 个星期 wk week weeks"),
        ("月", "1", "月 个月 month months mth mths"),
        ("岁", "1", "year years yr yrs yo"),
        ("cm", "1", "cm 厘米"),
        ("cm", "1/10", "mm 毫米"),
        ("℃", "1", "℃ °c 摄氏度"),
        ("岁", "1", "岁 周岁"),
        ("片", "1", "片 tab tabs tablet tablets"),
        ("粒", "1", "粒 颗 cap caps capsule capsules"),
        ("滴", "1", "滴 drop drops"),
        ("m2", "1", "m2 平方米"),
        *(
            (unit, "1", unit)
            for unit in "月龄 年 袋 支 丸 包 喷 揿 掀 吸 贴 瓶 枚 锭 倍 匙 杯 mmhg kpa % 度 个 meq 例 疗程 餐 种 级 型 期 次".split()
        ),
    )
    for unit in units.split()
}
_UNIT = "|".join(
    re.escape(unit) + ("(?![a-z])" if unit[-1].isascii() and unit[-1].isalpha() else "") for unit in sorted(_UNITS, key=len, reverse=True)
)
_OVER = {
    "kg": "kg体重|公斤体重|千克体重|kg|公斤|千克",
    "m2": "m2体表面积|m2|平方米",
    "1.73m2": r"1\.73\s*m2",
    "day": "24小时|24h|天|日|day|d",
    "week": "周|week|wk",
    "dose": "次|剂|dose",
    "小时": "小时|hr?|hour",
    "分钟": "分钟|分|min",
    "ml": "ml|毫升",
    "dl": "dl|分升",
    "l": "l|升",
}
_OVER_NAMES = {name: re.compile(rf"(?:{forms})") for name, forms in _OVER.items()}
_DIVISOR = "|".join(f"(?:{forms})" for forms in (_OVER["1.73m2"], *_OVER.values()))
_OVER_ONE = rf"(?:{_DIVISOR})(?![a-z])"
_PER = rf"(?:\s*/\s*(?:\(\s*{_OVER_ONE}(?:\s*[.·*/]\s*{_OVER_ONE})*\s*\)|{_OVER_ONE}))*"
_AFTER: dict[str, Bound] = {
    "及以上": "≥",
    "或以上": "≥",
    "(含)以上": "≥",
    "以上": "≥",
    "及以下": "≤",
    "或以下": "≤",
    "以内": "≤",
    "之内": "≤",
    "以下": "<",
}
_AFTERWARDS = "|".join(sorted(map(re.escape, _AFTER), key=len, reverse=True))

QUANTITY = (
    rf"{NUMBER}(?:\s*(?:{_UNIT})?{_PER}{_TO}{NUMBER})?\s*(?:{_UNIT}){_PER}半?(?:{_AFTERWARDS})?(?!\s*-\s*\d)"
    rf"|百分之{NUMBER}"
)
_PARTS = re.compile(
    rf"(?P<low>{NUMBER})(?:\s*(?P<low_unit>{_UNIT})?{_PER}{_TO}(?P<high>{NUMBER}))?"
    rf"\s*(?P<unit>{_UNIT})(?P<per>{_PER})(?P<half>半?)(?P<after>(?:{_AFTERWARDS})?)"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """`low` to `high` in base units. `over`: what it is divided by, such as kg; `span`: it is a total for a day or a week; `bound`:
    at least, at most, more than or less than it.
    """

    low: Fraction
    high: Fraction
    unit: str
    over: tuple[str, ...] = ()
    span: Span = ""
    bound: Bound = ""


@dataclass(frozen=True, slots=True)
class Frequency:
    """`fewest` to `most` times in every `shortest` to `longest` hours."""

    fewest: Fraction
    most: Fraction
    shortest: Fraction = Fraction(24)
    longest: Fraction = Fraction(24)
    bound: Bound = ""


def number(text: str) -> Fraction:
    """The value of an Arabic, Chinese or fractional number: 1,500; 十二; 半; 1/2; 二分之一; 80万."""
    if text.endswith("万"):
        return number(text[:-1]) * 10_000
    if "分之" in text:
        below, _, above = text.partition("分之")
        return number(above) / number(below)
    if text[0].isdigit():
        above, _, below = text.replace(",", "").partition("/")
        return Fraction(above) / (Fraction(below) if below and Fraction(below) else 1)
    total, current = 0, 0
    for character in text:
        if character in _TENS:
            total += (current or 1) * _TENS[character]
            current = 0
        elif character != "半":
            current = _DIGITS[character]
    return Fraction(total + current) + (Fraction(1, 2) if text.endswith("半") else 0)


def read_quantity(text: str) -> Quantity:
    """The quantity that `text`, a match of QUANTITY, states."""
    if text.startswith("百分之"):
        share = number(text.removeprefix("百分之"))
        return Quantity(share, share, "%")
    match = _PARTS.fullmatch(text.rstrip())
    if match is None:
        raise AssertionError(f"not a quantity: {text}")
    base, factor = _UNITS[match["unit"]]
    low_base, low_factor = _UNITS[match["low_unit"]] if match["low_unit"] else (base, factor)
    half = Fraction(1, 2) * factor if match["half"] else Fraction(0)
    high = number(match["high"] or match["low"]) * factor + half
    low = number(match["low"]) * low_factor if match["high"] else high
    over, span = read_over(match["per"])
    unit = base if low_base == base else f"{low_base}~{base}"
    return Quantity(low, high, unit, over, span, _AFTER.get(match["after"], ""))


def read_over(per: str) -> tuple[tuple[str, ...], Span]:
    """What "/kg/日" divides by, and the span of time it is a total for; "/次" is neither."""
    names = []
    for part in re.split(r"[/·*()\s]+|(?<=[a-z])\.", per):
        names += [name for name, forms in _OVER_NAMES.items() if part and forms.fullmatch(part)]
    span: Span = "day" if "day" in names else "week" if "week" in names else ""
    return tuple(sorted(name for name in names if name not in ("day", "week", "dose"))), span


def often(times: Quantity, hours: Fraction) -> Frequency:
    """So many times in that many hours."""
    return Frequency(times.low, times.high, hours, hours, times.bound)


LATIN_FREQUENCIES = {
    **dict.fromkeys(("qd", "od", "once daily", "once a day"), Frequency(Fraction(1), Fraction(1))),
    **dict.fromkeys(("bid", "twice daily", "twice a day"), Frequency(Fraction(2), Fraction(2))),
    **dict.fromkeys(("tid", "three times daily", "three times a day", "thrice daily"), Frequency(Fraction(3), Fraction(3))),
    **dict.fromkeys(("qid", "four times daily", "four times a day"), Frequency(Fraction(4), Fraction(4))),
    **dict.fromkeys(
        ("qod", "every other day", "隔日1次", "隔日一次", "隔天1次", "隔天一次"),
        Frequency(Fraction(1), Fraction(1), Fraction(48), Fraction(48)),
    ),
    **dict.fromkeys(("qw", "once weekly", "once a week"), Frequency(Fraction(1), Fraction(1), Fraction(168), Fraction(168))),
    **dict.fromkeys(("biw", "twice weekly", "twice a week"), Frequency(Fraction(2), Fraction(2), Fraction(168), Fraction(168))),
    **dict.fromkeys(("tiw",), Frequency(Fraction(3), Fraction(3), Fraction(168), Fraction(168))),
}


def bounded(quantity: Quantity, bound: Bound, span: Span, over: tuple[str, ...]) -> Quantity:
    """The quantity with what the words before it say of it."""
    return replace(quantity, bound=quantity.bound or bound, span=quantity.span or span, over=tuple(sorted({*quantity.over, *over})))
