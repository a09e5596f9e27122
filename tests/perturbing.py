"""Claims made false, and claims reworded faithfully, from the sentences of real texts. Every change is small and worked by rule.

Written against texts, not against the checker: nothing here reads app/. A case keeps its kind, so that a table can tell them apart.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from indexer.documents import Document
from indexer.sentences import sentence_spans

HAN_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True)
class Text:
    """A section of a document: `sentences` are spans of `text`; `title` is the document's, `others` are names nearly like it."""

    title: str
    text: str
    sentences: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    kind: str
    claim: str
    evidence: str
    title: str


def texts_of(documents: Sequence[Document]) -> list[Text]:
    """Every section of the documents, with the titles that come nearest to each document's own."""
    titles = sorted({document.title for document in documents})
    found: list[Text] = []
    for document in documents:
        near = process.extract(document.title, titles, scorer=Levenshtein.normalized_similarity, limit=4, score_cutoff=0.3)
        others = tuple(title for title, _, _ in near if title != document.title)
        for section in document.sections:
            spans = sentence_spans(document.text, section.start, section.end)
            sentences = tuple(document.text[start:end] for start, end in spans if end - start > 12)
            found.append(Text(document.title, document.text[section.start : section.end], sentences, others))
    return found


Change = Callable[[str, Text, random.Random], str | None]


def _swap(*pairs: tuple[str, str]) -> Change:
    """Exchange the first of these words that stands in the sentence for its opposite."""

    def change(sentence: str, _: Text, chance: random.Random) -> str | None:
        found = [(a, b) for a, b in (*pairs, *((b, a) for a, b in pairs)) if a in sentence and not _inside(a, b, sentence)]
        if not found:
            return None
        old, new = chance.choice(found)
        return sentence.replace(old, new, 1)

    return change


def _inside(old: str, new: str, sentence: str) -> bool:
    """Whether the word to exchange is only part of its opposite: 用于 in 不用于."""
    return old in new and new in sentence


def _number(change: Callable[[str, random.Random], str], unit: str) -> Change:
    def changed(sentence: str, text: Text, chance: random.Random) -> str | None:
        found = list(re.finditer(rf"(?<![\d.~\-])(\d+(?:\.\d+)?)(?=\s*(?:{unit}))", sentence))
        if not found:
            return None
        match = chance.choice(found)
        new = change(match[1], chance)
        return sentence[: match.start()] + new + sentence[match.end() :] if new != match[1] else None

    return changed


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


_DOSE = "g|mg|μg|ml|mL|U|片|粒|袋|支|万"
_TIMES = "次"
_LENGTH = "日|天|周|个月|小时|分钟"


def _unit(sentence: str, _: Text, chance: random.Random) -> str | None:
    found = list(re.finditer(r"(?<=\d)(mg|μg|mL|ml|g)(?![a-zA-Z])", sentence))
    if not found:
        return None
    match = chance.choice(found)
    other = {"mg": "g", "g": "mg", "μg": "mg", "mL": "L", "ml": "L"}[match[1]]
    return sentence[: match.start()] + other + sentence[match.end() :]


def _per_dose(sentence: str, _: Text, __: random.Random) -> str | None:
    if match := re.search(r"一次(?=\d[\d.~]*\s*(?:g|mg|μg|片|粒|袋))", sentence):
        return sentence[: match.start()] + "一日" + sentence[match.end() :]
    if match := re.search(r"[一每]日(?:总量)?(?=\d[\d.~]*\s*(?:g|mg|μg|片|粒|袋))", sentence):
        return sentence[: match.start()] + "一次" + sentence[match.end() :]
    return None


def _negate(sentence: str, _: Text, chance: random.Random) -> str | None:
    found = [m for word in ("用于", "可引起", "应停", "应监测", "可增加", "应避免") for m in re.finditer(f"(?<!不){word}", sentence)]
    if not found:
        return None
    match = chance.choice(found)
    return sentence[: match.start()] + "不" + sentence[match.start() :]


def _affirm(sentence: str, _: Text, chance: random.Random) -> str | None:
    found = list(re.finditer(r"不(?=用于|宜|得|能|应|可|推荐)|无(?=需)", sentence))
    if not found:
        return None
    match = chance.choice(found)
    return sentence[: match.start()] + sentence[match.end() :]


def _drug(sentence: str, text: Text, chance: random.Random) -> str | None:
    if text.title not in sentence or not text.others:
        return None
    return sentence.replace(text.title, chance.choice(text.others), 1)


def _item_added(sentence: str, text: Text, chance: random.Random) -> str | None:
    at = sentence.find("、")
    item = chance.choice(("青光眼", "银屑病", "骨折", "中耳炎", "脱发", "耳鸣"))
    return None if at < 0 or item in text.text else sentence[:at] + "、" + item + sentence[at:]


def _halves(sentence: str, text: Text, chance: random.Random) -> str | None:
    """What holds under one heading, said under another."""
    heads = [other.split("：", 1) for other in text.sentences if "：" in other]
    if "：" not in sentence or len(heads) < 2:
        return None
    head, said = sentence.split("：", 1)
    others = [(h, s) for h, s in heads if s != said and h != head and "：" not in s]
    mine = {s for h, s in heads if h == head}
    fitting = [s for _, s in others if s not in mine]
    return f"{head}：{chance.choice(fitting)}" if fitting else None


FALSE: dict[str, Change] = {
    "x10": _number(lambda n, _: _plain(float(n) * 10), _DOSE),
    "/10": _number(lambda n, _: _plain(float(n) / 10), _DOSE),
    "number": _number(lambda n, c: _plain(float(n) + c.choice((1, 2, 0.5))), _DOSE),
    "frequency": _number(lambda n, c: str(int(float(n)) + c.choice((1, 2))), _TIMES),
    "duration": _number(lambda n, c: str(int(float(n)) + c.choice((1, 3))), _LENGTH),
    "age": _number(lambda n, c: str(int(float(n)) + c.choice((2, 4))), "岁"),
    "unit": _unit,
    "dose and day": _per_dose,
    "route": _swap(("口服", "静脉注射"), ("静脉滴注", "肌内注射"), ("皮下注射", "静脉滴注"), ("外用", "口服"), ("吸入", "口服")),
    "population": _swap(
        ("成人", "儿童"), ("孕妇", "哺乳期妇女"), ("肾功能不全", "肝功能不全"), ("老年人", "青少年"), ("新生儿", "幼儿"), ("男性", "女性")
    ),
    "polarity": _swap(("禁用", "慎用"), ("禁用", "可用"), ("不宜", "宜"), ("不推荐", "推荐"), ("禁止", "允许"), ("避免", "可以")),
    "negation added": _negate,
    "negation removed": _affirm,
    "drug": _drug,
    "item added": _item_added,
    "halves joined": _halves,
    "comparison": _swap(("高于", "低于"), ("超过", "少于"), ("以上", "以下"), ("不少于", "不超过"), ("≥", "≤")),
    "direction": _swap(("升高", "降低"), ("增加", "减少"), ("增强", "减弱"), ("加重", "减轻"), ("加快", "减慢")),
    "severity": _swap(("轻度", "重度"), ("中度", "轻度"), ("急性", "慢性"), ("常见", "罕见"), ("可能", "一定")),
    "timing": _swap(("餐前", "餐后"), ("睡前", "晨起"), ("空腹", "餐中")),
}


def _reworded(*pairs: tuple[str, str]) -> Change:
    def change(sentence: str, _: Text, chance: random.Random) -> str | None:
        found = [(old, new) for old, new in pairs if re.search(old, sentence)]
        if not found:
            return None
        old, new = chance.choice(found)
        return re.sub(old, new, sentence)

    return change


def _converted(sentence: str, _: Text, __: random.Random) -> str | None:
    def other(match: re.Match[str]) -> str:
        value = float(match[1])
        return f"{_plain(value * 1000)}mg" if match[2] == "g" else f"{_plain(value / 1000)}g"

    new = re.sub(r"(?<![\d.~\-/])(\d+(?:\.\d+)?)(g|mg)(?![/a-zA-Z~\-])", other, sentence, count=1)
    return new if new != sentence else None


def _han(sentence: str, _: Text, __: random.Random) -> str | None:
    new = re.sub(r"(?<=一日)([1-9])(?=次)", lambda match: HAN_DIGITS[int(match[1])], sentence)
    return new if new != sentence else None


def _wide(sentence: str, _: Text, __: random.Random) -> str | None:
    new = sentence.translate({c: c + 0xFEE0 for c in range(0x30, 0x3A)})
    return new if new != sentence else None


def _clauses_turned(sentence: str, _: Text, __: random.Random) -> str | None:
    """一次5mg，一日2次 the other way round."""
    match = re.search(r"(?<=[：，])(一次\d[\d.~]*\s*(?:g|mg|片|粒|袋))，(一日\d[\d~]*次)(?=[，。]|$)", sentence)
    if not match or len(re.findall("一次", sentence)) > 1:
        return None
    return sentence[: match.start()] + f"{match[2]}，{match[1]}" + sentence[match.end() :]


def _named(sentence: str, text: Text, _: random.Random) -> str | None:
    return sentence.replace("本品", text.title) if "本品" in sentence and text.title not in sentence else None


def _joined(sentence: str, text: Text, _: random.Random) -> str | None:
    at = text.sentences.index(sentence)
    if at + 1 >= len(text.sentences):
        return None
    return f"{sentence.rstrip('。；')}；此外，{text.sentences[at + 1]}"


FAITHFUL: dict[str, Change] = {
    "frequency": _reworded(
        ("一日(?=[1-9])", "每日"), ("一日(?=[1-9])", "每天"), (r"一日3次", " tid"), (r"一日2次", " bid"), (r"(\d)次/日", r"每日\1次")
    ),
    "unit": _reworded(
        ("(?<=\\d)mg", "毫克"),
        ("(?<=\\d)g(?![a-z])", "克"),
        ("(?<=\\d)m[lL](?![/a-z])", "毫升"),
        ("(?<=\\d)μg", "微克"),
        ("(?<=\\d)小时", "h"),
    ),
    "conversion": _converted,
    "numeral": _han,
    "full width": _wide,
    "clauses turned": _clauses_turned,
    "list to prose": _reworded(("、(?=[^、，。；]{2,12}[。]$)", "和"), ("和(?=[^、，。；]{2,12}[。]$)", "以及")),
    "polarity": _reworded(
        ("禁用(?=[。，]|$)", "禁止使用"),
        ("慎用(?=[。，]|$)", "谨慎使用"),
        ("无需", "不需要"),
        ("(?<![适合不能可宜得])用于(?!治疗)", "适用于"),
    ),
    "name": _named,
    "people": _reworded(("患者(?=禁用|慎用)", "者"), ("孕妇", "妊娠期妇女"), ("成人", "成年人"), ("医师", "医生"), ("合用", "同时使用")),
    "joined": _joined,
    "opening": _reworded(("^", "另外，"), ("^", "资料显示，"), ("^", "需要注意的是，")),
}


def made(changes: dict[str, Change], texts: Sequence[Text], most: int, seed: int = 7) -> Iterator[Case]:
    """Up to `most` cases of every kind, from texts in a fixed random order; none that stands in its evidence as it is."""
    chance = random.Random(seed)
    places = [(text, sentence) for text in texts for sentence in text.sentences]
    for kind, change in changes.items():
        chance.shuffle(places)
        count = 0
        for text, sentence in places:
            claim = change(sentence, text, chance)
            if claim and claim != sentence and claim.rstrip("。") not in text.text:
                yield Case(kind, claim, text.text, text.title)
                count += 1
            if count == most:
                break
