"""Does a sentence say no more than the span it cites?

Both are read as tokens that are equal where they mean the same (app.wording). A claim is supported where it is the evidence, or whole
sentences of it, or where its tokens can be laid upon whole clauses of the evidence: clauses may change their order and items of a
list may be left out, but every clause keeps its own words, and everything said stays under the patient group, condition and route
under which the evidence says it. Whatever else a claim says is shown to nobody; the reasons are worded for a pharmacist.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.wording import Clause, Reading, Token, read
from indexer.sentences import sentence_spans
from indexer.terms import bare, fold

Verdict = Literal["supported", "contradicted", "unsupported"]

# Costs of laying a claim upon its evidence; what lies at or above _BROKEN is no faithful rewording.
_BROKEN = 30.0
_UNMATCHED = 100.0
_LEFT_OUT_ITEM = 0.5
_OTHER_CLAUSE = 2.0
_ELSEWHERE = 1.0
_CONDITION = re.compile(
    r"(?:者|患者|病人|人群|妇女|女性|男性|儿童|成人|老年人|婴儿|新生儿|孕妇|[^同及随临小]时|(?<![餐饭])后|期间|(?<![餐饭睡])前|情况下?|的话|外|起|日|周|天|阶段|时期)$"
    r"|^(?:如(?!下)|若|当|对于?|在|因|由于|除|对)"
)
_PURPOSE = re.compile(r"^(?:可?用于|适用于|治疗|预防)")
_RESTRICTING = re.compile(r"^(?:但|除|不过|然而|仅|只|否则|且不|而非|却|唯|except|but|unless)")
_LABELS = frozenset(
    "适应症 适应证 功能主治 主治 用法用量 用法与用量 用法 用量 剂量 不良反应 注意事项 药物相互作用 规格 贮藏 并发症 病因 预防 检查 治疗 治疗药物 就诊科室 概述 诊断要点 功能 特殊人群 药理作用 成份 成分 性状 临床表现 症状 检查检验 常规剂量 给药方法 禁忌 副作用 症状表现 典型症状 主要症状".split()
)
_NOT_LABEL = re.compile(r"本品|[的为是有包括主要:\s【】#]+")
_DOSE_UNITS = {"g", "l", "单位", "片", "粒", "滴", "袋", "支", "丸", "包", "喷", "揿", "枚", "锭", "贴", "吸"}
_CRITICAL = {"quantity", "frequency", "divided", "route", "population", "patient", "polarity", "negation", "timing"}
_IN_NAME = r"(?:(?![可使的应并及与或在者时后将被对])[\u3400-\u9fffa-z0-9\-()])"
_STOPS = "。!?！？\n"
_TITLE = re.compile(r"[【\[# ]*[\w\-()（）α-ωΑ-Ω·]{2,24}[】\]]?")
_HERE = re.compile(r"本品|本药|该药|该品|此药")


@dataclass(frozen=True, slots=True)
class Check:
    """What the checker found; `reasons` are empty where the claim is supported."""

    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    """Something the evidence does not bear out. `against`: it says something else instead."""

    reason: str
    against: bool


def check_claim(claim: str, evidence: str, subjects: Sequence[str] = ()) -> Check:
    """Compare a claim with the span it cites.

    `subjects`: names of what the evidence is about (title and aliases of its document), which the claim may say where the span does not.
    """
    if _stands_whole(claim, evidence):
        return Check("supported", ())
    subjects = subjects or _titled(evidence) or _guessed_subject(claim, evidence)
    stated, shown = read(claim, subjects), read(evidence, subjects)
    ground, said = _Ground(shown), _Ground(stated)
    statements: dict[int, list[int]] = defaultdict(list)
    for at, token in enumerate(stated.tokens):
        statements[token.statement].append(at)
    faults: list[_Fault] = [] if statements else [_Fault("这句话没有可以核对的内容", against=False)]
    standing: tuple[int, ...] = ()
    sentence = -1
    for members in statements.values():
        if stated.tokens[members[0]].sentence != sentence:
            standing, sentence = (), stated.tokens[members[0]].sentence
        laying = _Laying(said, ground, members, standing)
        faults += laying.faults()
        standing = laying.headings()
    if not faults:
        return Check("supported", ())
    reasons = tuple(dict.fromkeys(fault.reason for fault in faults))
    return Check("contradicted" if any(fault.against for fault in faults) else "unsupported", reasons)


def _stands_whole(claim: str, evidence: str) -> bool:
    """The claim is the evidence, or whole sentences of it in a row: half a sentence may have lost its "不"."""
    wanted = bare(claim)
    if not wanted:
        return False
    if wanted == bare(evidence):
        return True
    if _between_stops(fold(claim).strip(), fold(evidence)):
        return True
    sentences = [bare(evidence[start:end]) for start, end in sentence_spans(evidence)]
    return any(_begins(sentences[first:], wanted) for first in range(len(sentences)))


def _between_stops(claim: str, evidence: str) -> bool:
    """The claim stands in the evidence character by character, from one full stop or line end to another."""
    at = evidence.find(claim)
    while at >= 0 and claim:
        before, after = evidence[:at].rstrip(" "), evidence[at + len(claim) :].lstrip(" ")
        begins = not before or before[-1] in _STOPS or (before[-1] == "." and before != evidence[:at])
        if begins and (claim[-1] in _STOPS + "." or not after or after[0] in _STOPS):
            return True
        at = evidence.find(claim, at + 1)
    return False


def _begins(sentences: Sequence[str], wanted: str) -> bool:
    """Whether the first so many of the sentences together are what is wanted."""
    rest = wanted
    for sentence in sentences:
        if not rest.startswith(sentence):
            return False
        rest = rest[len(sentence) :]
        if not rest:
            return True
    return False


def _titled(evidence: str) -> tuple[str, ...]:
    """The name that heads the evidence on a line of its own, where more follows."""
    first, _, rest = evidence.strip().partition("\n")
    return (first.strip("【】[]# "),) if rest and _TITLE.fullmatch(first.strip()) else ()


def _guessed_subject(claim: str, evidence: str) -> tuple[str, ...]:
    """The name that a claim has where its evidence says 本品, unless the evidence speaks of a name nearly like it."""
    stated, shown = fold(claim), fold(evidence)
    candidates: Counter[str] = Counter()
    for here in _HERE.finditer(shown):
        left, right = re.search(r"[\u3400-\u9fff]{0,2}$", shown[: here.start()]), re.match(r"\w{0,2}", shown[here.end() :])
        before = re.escape(left[0]) if left and left[0] else r"(?:^|(?<=[\s,;:。、(]))"
        after = re.escape(right[0]) if right and right[0] else r"(?=[\s,;:。、)]|$)"
        if found := re.search(rf"{before}([\u3400-\u9fffa-z]{_IN_NAME}{{1,15}}?){after}", stated):
            candidates[found[1]] += 1
    fitting = [name for name in candidates if not _HERE.search(name) and not _has_critical(name) and not _alike(name, shown.replace(name, ' '))]
    return (min(fitting, key=lambda name: (-candidates[name], len(name))),) if fitting else ()


def _has_critical(name: str) -> bool:
    return any(token.kind in ("polarity", "negation", "quantity", "frequency") for token in read(name).tokens)


def _alike(name: str, text: str) -> bool:
    """Whether a text holds a name that differs from this one in a character or two."""
    from rapidfuzz.distance import Levenshtein

    width, allowed = len(name), 1 if len(name) < 5 else 2
    windows = (text[start : start + size] for size in (width - 1, width, width + 1) for start in range(len(text) - size + 1))
    return any(0 < Levenshtein.distance(name, window, score_cutoff=allowed) <= allowed and window[:1] == name[:1] for window in windows)


class _Ground:
    """A reading with what holds for each of its tokens: section name, conditions and route.

    `conditions[at]`: the numbers of the condition groups that token `at` stands under, outermost first; `group[at]`: the group that the
    token itself states, or -1. A group is a heading, a condition clause, or a run of patient words in a clause of doses.
    """

    def __init__(self, reading: Reading) -> None:
        self.tokens = reading.tokens
        self.clauses = reading.clauses
        self.positions: dict[tuple[str, object], list[int]] = defaultdict(list)
        for at, token in enumerate(self.tokens):
            self.positions[token.kind, token.key].append(at)
        self.conditions: list[tuple[int, ...]] = [()] * len(self.tokens)
        self.group = [-1] * len(self.tokens)
        self.routes: list[object] = [None] * len(self.tokens)
        self.labels: list[str] = [""] * len(self.tokens)
        self.headings: set[int] = set()
        self.groups: list[list[int]] = []
        self._walk()

    def _walk(self) -> None:
        heading: tuple[int, ...] = ()
        current: tuple[int, ...] = ()
        label, route = "", None
        after_condition = False
        statement = sentence = -1
        for clause in self.clauses:
            if clause.sentence != sentence:
                heading, current, route, after_condition = (), (), None, False
            elif clause.statement != statement:
                current, after_condition = (), False
            statement, sentence = clause.statement, clause.sentence
            if not clause.tokens:
                continue
            if self.is_label(clause):
                label = self._label(clause)
                continue
            for at in clause.tokens:
                self.labels[at] = label
            if clause.heading:
                heading = self._open(clause.tokens, heading if after_condition else ())
                current, after_condition = (), True
                self.headings.update(heading)
            elif self._conditional(clause):
                current = self._open(clause.tokens, current if after_condition else (), heading)
                after_condition = True
            else:
                current, route = self._within(clause, heading, current, route)
                after_condition = False

    def _open(self, members: Sequence[int], beside: tuple[int, ...], above: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Begin a condition group of these tokens; the groups now in force at its level."""
        for at in members:
            self.conditions[at] = (*above, *beside)
            self.group[at] = len(self.groups)
        self.groups.append(list(members))
        return (*beside, len(self.groups) - 1)

    def _within(
        self, clause: Clause, heading: tuple[int, ...], current: tuple[int, ...], route: object
    ) -> tuple[tuple[int, ...], object]:
        """Set what holds for a clause's tokens; patients and routes named in a clause of doses hold for what follows."""
        doses = all(self.tokens[at].opens for at in clause.tokens)
        naming = False
        for at in clause.tokens:
            token = self.tokens[at]
            if doses and token.kind in ("population", "patient"):
                if naming:
                    self.group[at] = len(self.groups) - 1
                    self.conditions[at] = heading
                    self.groups[-1].append(at)
                else:
                    current = self._open([at], (), heading)
                naming = True
                continue
            if doses and token.kind == "route":
                route = token.key
            naming = False
            self.conditions[at] = (*heading, *current)
            self.routes[at] = route
        return current, route

    def is_label(self, clause: Clause) -> bool:
        """The name of a section, which limits nothing."""
        return self._label(clause) in _LABELS

    def label(self, place: int) -> str:
        """The section name that a token of a label is part of."""
        return self._label(self.clauses[self.tokens[place].clause])

    def _label(self, clause: Clause) -> str:
        return _NOT_LABEL.sub("", clause.text)

    def _conditional(self, clause: Clause) -> bool:
        kinds = {self.tokens[at].kind for at in clause.tokens}
        if kinds <= {"population", "patient"}:
            return True
        if kinds & {"frequency", "divided"} or self.gives(clause):
            return False
        if _PURPOSE.search(clause.text):
            return any(other.statement == clause.statement and self.gives(other) for other in self.clauses)
        return "polarity" not in kinds and bool(_CONDITION.search(clause.text))

    def gives(self, clause: Clause) -> bool:
        """Whether a clause states an amount to give."""
        return any(_is_dose(self.tokens[at]) for at in clause.tokens)


def _is_dose(token: Token) -> bool:
    return token.kind == "quantity" and getattr(token.key, "unit", "") in _DOSE_UNITS


class _Laying:
    """One sentence of a claim laid upon the evidence, as cheaply as can be (Viterbi over its tokens)."""

    def __init__(self, said: _Ground, ground: _Ground, members: Sequence[int], standing: tuple[int, ...]) -> None:
        """`standing`: condition groups of the evidence that the claim stated in its sentence before."""
        self.said, self.ground, self.members = said, ground, members
        self.sentence = ground.tokens[ground.groups[standing[-1]][0]].sentence if standing else -1
        self.standing = standing
        self.places = self._best()
        self._tolerate()

    def faults(self) -> list[_Fault]:
        found = [*self._unmatched(), *self._torn()]
        return found or [*self._repeated(), *self._curtailed(), *self._disordered(), *self._out_of_scope(), *self._incomplete()]

    def _best(self) -> list[int | None]:
        options: list[list[int | None]] = [
            [*self.ground.positions.get((token.kind, token.key), ()), None] for token in (self.said.tokens[at] for at in self.members)
        ]
        best: list[list[tuple[float, int]]] = []
        for step, here in enumerate(options):
            row: list[tuple[float, int]] = []
            for place in here:
                own = _UNMATCHED if place is None else 0.0
                if step == 0:
                    row.append((own + self._opening(place) + self._astray(place), -1))
                    continue
                costs = [best[-1][i][0] + self._move(before, place, step) for i, before in enumerate(options[step - 1])]
                cheapest = min(range(len(costs)), key=costs.__getitem__)
                row.append((costs[cheapest] + own, cheapest))
            best.append(row)
        last = min(range(len(best[-1])), key=lambda i: best[-1][i][0] + self._closing(options[-1][i]))
        path: list[int | None] = []
        for step in range(len(options) - 1, -1, -1):
            path.append(options[step][last])
            last = best[step][last][1]
        return path[::-1]

    def _tolerate(self) -> None:
        """Words that a claim may add where the evidence has a heading: 用于 before what a dose is for, 可用于 after a drug's name."""
        kept = [(at, place) for at, place in zip(self.members, self.places, strict=True) if place is not None or not self._idle(at)]
        self.members = [at for at, _ in kept]
        self.places = [place for _, place in kept]

    def _idle(self, at: int) -> bool:
        token = self.said.tokens[at]
        if token.key != "用于" or at + 1 not in self.members:
            return False
        following = self.places[self.members.index(at + 1)]
        if following is None:
            return False
        group = self.ground.group[following]
        statement = self.ground.tokens[following].statement
        within = [other for other in self.ground.tokens if other.statement == statement]
        return group in self.ground.headings and any(_is_dose(other) for other in within) and not any(o.kind == "polarity" for o in within)

    def headings(self) -> tuple[int, ...]:
        """The heading groups of the evidence that what the claim says next still stands under."""
        seen = {self.ground.group[place] for place in self.places if place is not None}
        return tuple(group for group in sorted({*self.standing, *seen}) if group in self.ground.headings)

    def _astray(self, place: int | None) -> float:
        """What it costs to begin elsewhere than under the heading that the claim still stands under."""
        away = place is not None and self.sentence >= 0 and self.ground.tokens[place].sentence != self.sentence
        return _ELSEWHERE if away else 0.0

    def _opening(self, place: int | None) -> float:
        if place is None:
            return 0.0
        return 0.0 if self.ground.tokens[place].opens else _LEFT_OUT_ITEM if self._list_before(place) else _BROKEN

    def _closing(self, place: int | None) -> float:
        if place is None or self._closes(place):
            return 0.0
        return _LEFT_OUT_ITEM if self._list_after(place) else _BROKEN

    def _closes(self, place: int) -> bool:
        return place + 1 == len(self.ground.tokens) or self.ground.tokens[place + 1].opens

    def _list_before(self, place: int) -> bool:
        """Whether only items of a list stand before this one in its clause."""
        token = self.ground.tokens[place]
        first = self.ground.clauses[token.clause].tokens[0]
        return token.item and not token.tied and self._droppable(first, place)

    def _list_after(self, place: int) -> bool:
        token = self.ground.tokens[place]
        last = self.ground.clauses[token.clause].tokens[-1]
        following = self.ground.tokens[place + 1]
        return (following.item and not following.tied and self._droppable(place + 1, last + 1)) or self._brackets(place + 1, last + 1)

    def _droppable(self, start: int, end: int) -> bool:
        return all(token.kind in ("word", "population", "timing") for token in self.ground.tokens[start:end])

    def _brackets(self, start: int, end: int) -> bool:
        tokens = self.ground.tokens
        whole = not tokens[start - 1].bracketed and (end == len(tokens) or not tokens[end].bracketed)
        return start < end and whole and all(token.bracketed for token in tokens[start:end]) and self._droppable(start, end)

    def _move(self, before: int | None, place: int | None, step: int) -> float:
        """What it costs to go on from one place of the evidence to another, at the claim's token of this step."""
        if before is None or place is None or place == before + 1:
            return 0.0
        tokens = self.ground.tokens
        if tokens[before].clause == tokens[place].clause and self._within_list(before, place, self.said.tokens[self.members[step]]):
            return _LEFT_OUT_ITEM
        edges = self._closing(before) + self._opening(place)
        if edges >= _BROKEN:
            return _BROKEN
        elsewhere = (tokens[before].statement != tokens[place].statement) + (tokens[before].sentence != tokens[place].sentence)
        return edges + _OTHER_CLAUSE + _ELSEWHERE * elsewhere

    def _within_list(self, before: int, place: int, said: Token) -> bool:
        """Whether items of a list, or a bracket, were left out or changed places: whole ones where the claim has a separator too, else
        what two items share stays (用于甲、乙 to 用于乙; 甲、乙患者 to 甲患者).
        """
        tokens = self.ground.tokens
        if place > before and self._brackets(before + 1, place):
            return True
        starts, ends = self._starts_item(place), self._closes(before) or self._starts_item(before + 1)
        if starts and ends:
            span = range(min(before, place), max(before, place) + 1)
            return place > before + 1 and self._droppable(before + 1, place) or all(self._droppable(i, i + 1) for i in span)
        return place > before and not said.item and (starts or ends) and self._droppable(before + 1, place)

    def _starts_item(self, place: int) -> bool:
        token = self.ground.tokens[place]
        return token.opens or (token.item and not token.tied)

    def _matched(self) -> list[tuple[int, int]]:
        return [(at, place) for at, place in zip(self.members, self.places, strict=True) if place is not None]

    def _unmatched(self) -> list[_Fault]:
        found: list[_Fault] = []
        words = ""
        before: int | None = None
        for at, place in [*zip(self.members, self.places, strict=True), (-1, 0)]:
            token = self.said.tokens[at] if at >= 0 else None
            if place is None and token and token.kind == "word":
                words += token.surface
            else:
                if words:
                    found.append(_Fault(f"原文没有“{words}”", against=False))
                    words = ""
                if place is None and token:
                    found.append(self._missing(token, before))
            before = place if place is not None else before
        return found

    def _missing(self, token: Token, near: int | None) -> _Fault:
        """What the evidence says instead of a number, route, patient group or polarity that it does not have."""
        kind = {"patient": "quantity"}.get(token.kind, token.kind)
        others = [other.surface for other in self.ground.tokens if _comparable(token, other)]
        instead = f"（原文：{'、'.join(list(dict.fromkeys(others))[:4])}）" if others else ""
        named = {
            "quantity": "数值",
            "frequency": "用药频次",
            "divided": "分次",
            "route": "给药途径",
            "population": "人群",
            "polarity": "用语",
            "negation": "否定或限制",
            "timing": "用药时间",
        }[kind]
        return _Fault(f"{named}“{token.surface}”与原文不符{instead}", against=True)

    def _torn(self) -> list[_Fault]:
        """Places where the claim takes up a clause in the middle, or leaves it before its end."""
        found: list[_Fault] = []
        places = self.places
        if places[0] is not None and self._opening(places[0]) >= _BROKEN:
            found.append(self._tear(self._clause_start(places[0]), places[0]))
        for step, (before, after) in enumerate(zip(places, places[1:], strict=False), 1):
            if before is not None and after is not None and self._move(before, after, step) >= _BROKEN:
                same = self.ground.tokens[before].clause == self.ground.tokens[after].clause and after > before
                found.append(self._tear(before + 1, after) if same else _Fault(self._joined(before, after), against=False))
        if places[-1] is not None and self._closing(places[-1]) >= _BROKEN:
            found.append(self._tear(places[-1] + 1, self._clause_end(places[-1])))
        return found

    def _tear(self, start: int, end: int) -> _Fault:
        lost = self.ground.tokens[start:end]
        critical = any(token.kind in _CRITICAL for token in lost)
        text = "".join(token.surface for token in lost)
        return _Fault(f"此句略去了原文的“{text}”", against=critical)

    def _joined(self, before: int, after: int) -> str:
        first = self.ground.clauses[self.ground.tokens[before].clause].text
        second = self.ground.clauses[self.ground.tokens[after].clause].text
        return f"原文没有这样说；“{first[:30]}”与“{second[:30]}”被拼在一起" if first != second else f"词序与原文“{first[:30]}”不同"

    def _clause_start(self, place: int) -> int:
        return self.ground.clauses[self.ground.tokens[place].clause].tokens[0]

    def _clause_end(self, place: int) -> int:
        return self.ground.clauses[self.ground.tokens[place].clause].tokens[-1] + 1

    def _out_of_scope(self) -> list[_Fault]:
        """What the claim says under other conditions, another section or by another route than the evidence does."""
        found: list[_Fault] = []
        kept = [(at, place) for at, place in self._matched() if self.ground.group[place] < 0 and not self._in_label(place)]
        stated = {*self.standing, *(self.ground.group[place] for _, place in self._matched())}
        uniform = len({self.ground.conditions[place] for _, place in kept}) == 1
        active: tuple[int, ...] = self.standing
        label = ""
        for at, place in self._matched():
            group, wanted = self.ground.group[place], self.ground.conditions[place]
            if self._in_label(place):
                label = self.ground.label(place)
                continue
            if group >= 0:
                active = (*(other for other in active if other in wanted and other != group), group)
                continue
            token = self.said.tokens[at].surface
            if missing := [number for number in wanted if number not in stated]:
                found.append(_Fault(f"此句略去了原文的条件“{self._words_of(missing)}”", against=False))
            elif set(active) != set(wanted) and not (uniform and (wanted or not active)):
                found.append(_Fault(f"“{token}”在原文中不属于此句所说的条件或人群“{self._words_of(active)}”", against=True))
            if self._other_route(at, place):
                found.append(_Fault(f"“{token}”在原文中不是这一给药途径的", against=True))
            if label and self.ground.labels[place] != label:
                found.append(_Fault(f"“{token}”在原文中属于“{self.ground.labels[place]}”，不属于“{label}”", against=True))
        return found

    def _in_label(self, place: int) -> bool:
        return self.ground.is_label(self.ground.clauses[self.ground.tokens[place].clause])

    def _curtailed(self) -> list[_Fault]:
        """Conditions taken up in part: 儿童 for 儿童(2岁以下). Members of a list may be left out."""
        used = {place for _, place in self._matched()}
        found: list[_Fault] = []
        for group in {self.ground.group[place] for place in used} - {-1}:
            members = self.ground.groups[group]
            for at in members:
                token = self.ground.tokens[at]
                listed = token.item or (at + 1 < len(self.ground.tokens) and self.ground.tokens[at + 1].item)
                if at not in used and token.kind in _CRITICAL and not (token.kind == "population" and listed):
                    found.append(_Fault(f"此句略去了原文的条件“{token.surface}”", against=False))
        return found

    def _repeated(self) -> list[_Fault]:
        """What the claim says twice and the evidence once."""
        seen: set[int] = set()
        again = []
        for at, place in self._matched():
            if place in seen:
                again.append(at)
            seen.add(place)
        return [_Fault(f"此句多说了一次“{''.join(self.said.tokens[at].surface for at in again)}”", against=False)] if again else []

    def _disordered(self) -> list[_Fault]:
        """Amounts and frequencies that the evidence pairs otherwise: 一次10mg一日2次 or 一次20mg一日1次."""
        pairs: dict[int, list[int]] = defaultdict(list)
        for _, place in self._matched():
            token = self.ground.tokens[place]
            if self.ground.group[place] < 0 and (_is_dose(token) or token.kind in ("frequency", "divided")):
                pairs[token.statement].append(place)
        for places in pairs.values():
            kinds = [self.ground.tokens[place].kind for place in places]
            if places != sorted(places) and (kinds.count("quantity") > 1 or kinds.count("frequency") > 1) and "frequency" in kinds:
                said = "、".join(self.ground.tokens[place].surface for place in places)
                return [_Fault(f"剂量与频次的搭配与原文不同：{said}", against=True)]
        return []

    def _words_of(self, groups: Iterable[int]) -> str:
        return "，".join("".join(self.ground.tokens[at].surface for at in self.ground.groups[group]) for group in groups)[:40]

    def _other_route(self, at: int, place: int) -> bool:
        if self.said.tokens[at].kind not in ("quantity", "frequency", "divided"):
            return False
        wanted, given = self.ground.routes[place], self.said.routes[at]
        several = len({route for route in self.ground.routes if route is not None}) > 1
        said = {self.said.tokens[i].key for i in self.members if self.said.tokens[i].kind == "route"}
        return several and wanted != given and not (given is None and said == {wanted})

    def _incomplete(self) -> list[_Fault]:
        """Clauses left out between those that are kept, or that restrict what is kept."""
        matched = self._matched()
        used = {self.ground.tokens[place].clause for _, place in matched}
        statements: dict[int, list[int]] = defaultdict(list)
        for number, clause in enumerate(self.ground.clauses):
            if clause.tokens and not self.ground.is_label(clause):
                statements[clause.statement].append(number)
        found: list[_Fault] = []
        touched = {self.ground.clauses[number].statement for number in used if not self.ground.is_label(self.ground.clauses[number])}
        for statement in touched:
            clauses = statements[statement]
            kept = [position for position, number in enumerate(clauses) if number in used]
            if not kept:
                continue
            wanted = range(len(clauses)) if len(touched) > 1 else range(kept[0], kept[-1] + 1)
            skipped = [clauses[position] for position in wanted if clauses[position] not in used]
            if skipped:
                found.append(_Fault(f"此句略去了原文的“{self.ground.clauses[skipped[0]].text[:40]}”", against=False))
            following = clauses[kept[-1] + 1] if kept[-1] + 1 < len(clauses) else None
            if following is not None and _RESTRICTING.search(self.ground.clauses[following].text):
                found.append(_Fault(f"此句略去了原文的限制“{self.ground.clauses[following].text[:40]}”", against=False))
        return found


def _comparable(token: Token, other: Token) -> bool:
    if token.kind != other.kind:
        return token.kind in ("polarity", "negation") and other.kind in ("polarity", "negation")
    unit, its = getattr(token.key, "unit", None), getattr(other.key, "unit", None)
    return unit == its or {unit, its} <= {"片", "粒", "g", "l", "单位", "袋", "支", "丸", ""}
