"""What each token of a text stands under: section name, condition or patient group, and route."""

import re
from collections import defaultdict
from collections.abc import Sequence

from app.lexicon import LABELS
from app.wording import Clause, Reading, Token

_CONDITION = re.compile(
    r"^(?!尤其|特别|多见|主要)(?:.*(?:者|患者|病人|人群|妇女|女性|男性|儿童|成人|老年人|婴儿|新生儿|孕妇|[^同及随临小]时|(?<![餐饭])后|期间|(?<![餐饭睡])前"
    r"|情况下?|的话|外|起|阶段|时期)$|(?:如(?!下)|若|当)|(?:第|首|前|术后).*(?:日|周|天|个月|年)$)"
)
_PURPOSE = re.compile(r"^(?:可?用于|适用于|治疗|预防)")
_NOT_LABEL = re.compile(r"本品|[的为是有包括主要:\s【】#]+")
_DOSE_UNITS = {"g", "l", "单位", "片", "粒", "滴", "袋", "支", "丸", "包", "喷", "揿", "枚", "锭", "贴", "吸"}


class Ground:
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

    def _within(self, clause: Clause, heading: tuple[int, ...], current: tuple[int, ...], route: object) -> tuple[tuple[int, ...], object]:
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
        return self._label(clause) in LABELS

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
        return any(is_dose(self.tokens[at]) for at in clause.tokens)


def is_dose(token: Token) -> bool:
    """Whether a token is an amount to give."""
    return token.kind == "quantity" and getattr(token.key, "unit", "") in _DOSE_UNITS
