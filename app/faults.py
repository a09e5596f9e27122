"""What a claim says that its evidence does not bear out, in words for a pharmacist."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from app.conditions import is_dose
from app.laying import BROKEN, Laying
from app.wording import Token

_RESTRICTING = re.compile(r"^(?:但|除|不过|然而|仅|只|否则|且不|而非|却|唯|except|but|unless)")
_CRITICAL = {"quantity", "frequency", "divided", "route", "population", "patient", "polarity", "negation", "timing"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something the evidence does not bear out. `against`: it says something else instead; `elsewhere`: the claim may be about something
    else, and then the evidence contradicts nothing.
    """

    reason: str
    against: bool
    elsewhere: bool = False


def faults_of(laying: Laying) -> list[Fault]:
    """Everything that is wrong with a statement as it is laid upon its evidence; what it says under other conditions than the evidence
    is only looked for where all its words stand there.
    """
    judge = _Judge(laying)
    return [*judge.unmatched(), *judge.torn()] or [
        *judge.headings_alone(),
        *judge.repeated(),
        *judge.curtailed(),
        *judge.disordered(),
        *judge.out_of_scope(),
        *judge.incomplete(),
    ]


class _Judge:
    """Reads the faults off one laying."""

    def __init__(self, laying: Laying) -> None:
        self.laying = laying
        self.said, self.ground = laying.said, laying.ground
        self.members, self.places = laying.members, laying.places

    def unmatched(self) -> list[Fault]:
        """What the claim says and the evidence nowhere does."""
        found: list[Fault] = []
        words = ""
        for at, place in [*zip(self.members, self.places, strict=True), (-1, 0)]:
            token = self.said.tokens[at] if at >= 0 else None
            if place is None and token and token.kind == "word":
                words += token.surface
            else:
                if words:
                    found.append(Fault(f"原文没有“{words}”", against=False, elsewhere=True))
                    words = ""
                if place is None and token:
                    found.append(self._missing(token))
        return found

    def _missing(self, token: Token) -> Fault:
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
        return Fault(f"{named}“{token.surface}”与原文不符{instead}", against=True)

    def torn(self) -> list[Fault]:
        """Places where the claim takes up a clause in the middle, or leaves it before its end."""
        found: list[Fault] = []
        places = self.places
        if places[0] is not None and self.laying.opening(places[0]) >= BROKEN:
            found.append(self._tear(self._clause_start(places[0]), places[0]))
        for step, (before, after) in enumerate(itertools.pairwise(places), 1):
            if before is not None and after is not None and self.laying.move(before, after, step) >= BROKEN:
                same = self.ground.tokens[before].clause == self.ground.tokens[after].clause and after > before
                found.append(self._tear(before + 1, after) if same else Fault(self._joined(before, after), against=False, elsewhere=True))
        if places[-1] is not None and self.laying.closing(places[-1]) >= BROKEN:
            found.append(self._tear(places[-1] + 1, self._clause_end(places[-1])))
        return found

    def _tear(self, start: int, end: int) -> Fault:
        lost = self.ground.tokens[start:end]
        critical = any(token.kind in _CRITICAL for token in lost)
        text = "".join(token.surface for token in lost)
        return Fault(f"此句略去了原文的“{text}”", against=critical)

    def _joined(self, before: int, after: int) -> str:
        first = self.ground.clauses[self.ground.tokens[before].clause].text
        second = self.ground.clauses[self.ground.tokens[after].clause].text
        return f"原文没有这样说；“{first[:30]}”与“{second[:30]}”被拼在一起" if first != second else f"词序与原文“{first[:30]}”不同"

    def _clause_start(self, place: int) -> int:
        return self.ground.clauses[self.ground.tokens[place].clause].tokens[0]

    def _clause_end(self, place: int) -> int:
        return self.ground.clauses[self.ground.tokens[place].clause].tokens[-1] + 1

    def out_of_scope(self) -> list[Fault]:
        """What the claim says under other conditions, another section or by another route than the evidence does."""
        found: list[Fault] = []
        kept = [(at, place) for at, place in self.laying.matched() if self.ground.group[place] < 0 and not self._in_label(place)]
        stated = {self.ground.group[place] for _, place in self.laying.matched()}
        whole = self._is_whole()
        uniform = len({self.ground.conditions[place] for _, place in kept}) == 1
        active: tuple[int, ...] = ()
        label, statement = "", -1
        for at, place in self.laying.matched():
            if self.said.tokens[at].statement != statement:  # a semicolon ends every condition but the heading
                active = tuple(group for group in active if group in self.ground.headings)
            statement = self.said.tokens[at].statement
            group, wanted = self.ground.group[place], self.ground.conditions[place]
            if self._in_label(place):
                label = self.ground.label(place)
                continue
            if group >= 0:
                active = (*(other for other in active if other in wanted and other != group), group)
                continue
            token = self.said.tokens[at].surface
            loose = whole and self._orderless(place)
            missing = [number for number in wanted if number not in stated]
            instead = [number for number in active if number not in wanted]
            if missing and not instead:
                found.append(Fault(f"此句略去了原文的条件“{self._words_of(missing)}”", against=False))
            elif missing or (set(active) != set(wanted) and not (uniform and (wanted or not active)) and not loose):
                owner = f"属于“{self._words_of(missing or wanted)}”" if wanted else "没有这个条件"
                other = f"，此句说的是“{self._words_of(instead)}”" if instead else "，此句没有这样说"
                found.append(Fault(f"“{token}”在原文中{owner}{other}", against=True))
            if self._other_route(at, place):
                found.append(Fault(f"“{token}”在原文中不是这一给药途径的", against=True))
            if label and self.ground.labels[place] != label:
                found.append(Fault(f"“{token}”在原文中属于“{self.ground.labels[place]}”，不属于“{label}”", against=True))
        return found

    def _orderless(self, place: int) -> bool:
        """Whether a word may stand before or after the one condition of its statement without meaning something else."""
        token = self.ground.tokens[place]
        members = [at for at, other in enumerate(self.ground.tokens) if other.statement == token.statement]
        groups = {self.ground.group[at] for at in members} - {-1} - self.ground.headings
        return len(groups) == 1 and (token.kind in ("word", "timing") or (token.kind == "quantity" and not is_dose(token)))

    def _is_whole(self) -> bool:
        """Whether the claim says all that the statements of the evidence say that it draws on."""
        used = {self.ground.tokens[place].clause for _, place in self.laying.matched()}
        statements = {self.ground.clauses[number].statement for number in used}
        return all(number in used for number, clause in enumerate(self.ground.clauses) if clause.tokens and clause.statement in statements)

    def headings_alone(self) -> list[Fault]:
        """A heading without what stands under it says nothing."""
        matched = [place for _, place in self.laying.matched()]
        if matched and all(self.ground.group[place] in self.ground.headings or self._in_label(place) for place in matched):
            return [Fault("此句只有原文的标题，没有内容", against=False)]
        return []

    def _in_label(self, place: int) -> bool:
        return self.ground.is_label(self.ground.clauses[self.ground.tokens[place].clause])

    def curtailed(self) -> list[Fault]:
        """Conditions taken up in part: 儿童 for 儿童(2岁以下). Members of a list may be left out."""
        used = {place for _, place in self.laying.matched()}
        found: list[Fault] = []
        for group in {self.ground.group[place] for place in used} - {-1}:
            members = self.ground.groups[group]
            for at in members:
                token = self.ground.tokens[at]
                listed = token.item or (at + 1 < len(self.ground.tokens) and self.ground.tokens[at + 1].item)
                if at not in used and token.kind in _CRITICAL and not (token.kind == "population" and listed):
                    found.append(Fault(f"此句略去了原文的条件“{token.surface}”", against=False))
        return found

    def repeated(self) -> list[Fault]:
        """What the claim says twice and the evidence once."""
        seen: set[int] = set()
        again = []
        for at, place in self.laying.matched():
            if place in seen:
                again.append(at)
            seen.add(place)
        return [Fault(f"此句多说了一次“{''.join(self.said.tokens[at].surface for at in again)}”", against=False)] if again else []

    def disordered(self) -> list[Fault]:
        """Amounts and frequencies that the evidence pairs otherwise: 一次10mg一日2次 or 一次20mg一日1次."""
        pairs = self._pairs()
        said = [place for _, place in self.laying.matched() if place in pairs]
        runs = [pair for pair, _ in itertools.groupby(pairs[place] for place in said)]
        if len(runs) == len(set(runs)):
            return []
        return [Fault(f"剂量与频次的搭配与原文不同：{'、'.join(self.ground.tokens[place].surface for place in said)}", against=True)]

    def _pairs(self) -> dict[int, tuple[int, int]]:
        """(statement, pair) of every amount and frequency of the evidence; a pair ends where a second amount or frequency comes."""
        pairs: dict[int, tuple[int, int]] = {}
        held: set[str] = set()
        statement, number = -1, 0
        for place, token in enumerate(self.ground.tokens):
            if self.ground.group[place] >= 0 or not (is_dose(token) or token.kind in ("frequency", "divided")):
                continue
            if token.statement != statement or token.kind in held:
                held, number = set(), number + 1
            statement = token.statement
            held.add(token.kind)
            pairs[place] = (statement, number)
        return pairs

    def _words_of(self, groups: Iterable[int]) -> str:
        return "，".join("".join(self.ground.tokens[at].surface for at in self.ground.groups[group]) for group in groups)[:40]

    def _other_route(self, at: int, place: int) -> bool:
        if self.said.tokens[at].kind not in ("quantity", "frequency", "divided"):
            return False
        wanted, given = self.ground.routes[place], self.said.routes[at]
        several = len({route for route in self.ground.routes if route is not None}) > 1
        said = {self.said.tokens[i].key for i in self.members if self.said.tokens[i].kind == "route"}
        return several and wanted != given and not (given is None and said == {wanted})

    def incomplete(self) -> list[Fault]:
        """Clauses left out between those that are kept, or that restrict what is kept."""
        matched = self.laying.matched()
        used = {self.ground.tokens[place].clause for _, place in matched}
        statements: dict[int, list[int]] = defaultdict(list)
        for number, clause in enumerate(self.ground.clauses):
            if clause.tokens and not self.ground.is_label(clause):
                statements[clause.statement].append(number)
        found: list[Fault] = []
        touched = {self.ground.clauses[number].statement for number in used if not self.ground.is_label(self.ground.clauses[number])}
        for statement in touched:
            clauses = statements[statement]
            kept = [position for position, number in enumerate(clauses) if number in used]
            if not kept:
                continue
            wanted = range(len(clauses)) if len(touched) > 1 else range(kept[0], kept[-1] + 1)
            skipped = [clauses[position] for position in wanted if clauses[position] not in used]
            if skipped:
                found.append(Fault(f"此句略去了原文的“{self.ground.clauses[skipped[0]].text[:40]}”", against=False))
            following = clauses[kept[-1] + 1] if kept[-1] + 1 < len(clauses) else None
            if following is not None and _RESTRICTING.search(self.ground.clauses[following].text):
                found.append(Fault(f"此句略去了原文的限制“{self.ground.clauses[following].text[:40]}”", against=False))
        return found


def _comparable(token: Token, other: Token) -> bool:
    if token.kind != other.kind:
        return token.kind in ("polarity", "negation") and other.kind in ("polarity", "negation")
    unit, its = getattr(token.key, "unit", None), getattr(other.key, "unit", None)
    return unit == its or {unit, its} <= {"片", "粒", "g", "l", "单位", "袋", "支", "丸", ""}
