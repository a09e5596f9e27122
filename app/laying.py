"""Lay one statement of a claim upon its evidence: which token of the evidence each of its tokens is, as cheaply as can be."""

from collections.abc import Sequence

from app.conditions import Ground, is_dose
from app.wording import Token

# Costs; what lies at or above BROKEN is no faithful rewording.
BROKEN = 30.0
_UNMATCHED = 100.0
_LEFT_OUT_ITEM = 0.5
_OTHER_CLAUSE = 2.0
_ELSEWHERE = 1.0


class Laying:
    """A statement of a claim and the places of its tokens in the evidence (Viterbi): `places[i]` is where `members[i]` stands, or None."""

    def __init__(self, said: Ground, ground: Ground, members: Sequence[int]) -> None:
        self.said, self.ground, self.members = said, ground, members
        self.places = self._best()
        self._tolerate()

    def _best(self) -> list[int | None]:
        options: list[list[int | None]] = [
            [*self.ground.positions.get((token.kind, token.key), ()), None] for token in (self.said.tokens[at] for at in self.members)
        ]
        best: list[list[tuple[float, int]]] = []
        carried: list[int | None] = []
        for step, here in enumerate(options):
            row: list[tuple[float, int]] = []
            reached: list[int | None] = []
            for place in here:
                own = _UNMATCHED if place is None else 0.0
                if step == 0:
                    row.append((own + self.opening(place), -1))
                    reached.append(place)
                    continue
                costs = [
                    best[-1][i][0] + (self.move(before, place, step) if before is not None else self._resume(carried[i], place))
                    for i, before in enumerate(options[step - 1])
                ]
                cheapest = min(range(len(costs)), key=costs.__getitem__)
                row.append((costs[cheapest] + own, cheapest))
                reached.append(place if place is not None else carried[cheapest])
            best.append(row)
            carried = reached
        last = min(range(len(best[-1])), key=lambda i: best[-1][i][0] + self.closing(options[-1][i]))
        path: list[int | None] = []
        for step in range(len(options) - 1, -1, -1):
            path.append(options[step][last])
            last = best[step][last][1]
        return path[::-1]

    def _resume(self, before: int | None, place: int | None) -> float:
        """What it costs to go on after words that the evidence lacks: as near as can be."""
        if before is None or place is None:
            return 0.0
        one, other = self.ground.tokens[before], self.ground.tokens[place]
        return _ELSEWHERE * ((one.statement != other.statement) + (one.sentence != other.sentence))

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
        return group in self.ground.headings and any(is_dose(other) for other in within) and not any(o.kind == "polarity" for o in within)

    def opening(self, place: int | None) -> float:
        """What it costs to begin at a place: nothing where a clause begins."""
        if place is None:
            return 0.0
        return 0.0 if self.ground.tokens[place].opens else _LEFT_OUT_ITEM if self._list_before(place) else BROKEN

    def closing(self, place: int | None) -> float:
        """What it costs to end at a place: nothing where a clause ends."""
        if place is None or self._closes(place):
            return 0.0
        return _LEFT_OUT_ITEM if self._list_after(place) else BROKEN

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

    def move(self, before: int | None, place: int | None, step: int) -> float:
        """What it costs to go on from one place of the evidence to another, at the claim's token of this step."""
        if before is None or place is None or place == before + 1:
            return 0.0
        tokens = self.ground.tokens
        if tokens[before].clause == tokens[place].clause and self._within_list(before, place, self.said.tokens[self.members[step]]):
            return _LEFT_OUT_ITEM
        edges = self.closing(before) + self.opening(place)
        same = tokens[before].statement == tokens[place].statement
        if edges >= BROKEN or (edges and not same):
            return BROKEN
        return edges + _OTHER_CLAUSE + _ELSEWHERE * ((not same) + (tokens[before].sentence != tokens[place].sentence))

    def _within_list(self, before: int, place: int, said: Token) -> bool:
        """Whether items of a list, or a bracket, were left out or changed places: whole ones where the claim has a separator too, else
        what two items share stays (用于甲、乙 to 用于乙; 甲、乙患者 to 甲患者).
        """
        if place > before and self._brackets(before + 1, place):
            return True
        starts, ends = self._starts_item(place), self._closes(before) or self._starts_item(before + 1)
        if starts and ends:
            span = range(min(before, place), max(before, place) + 1)
            return (place > before + 1 and self._droppable(before + 1, place)) or all(self._droppable(i, i + 1) for i in span)
        return place > before and not said.item and (starts or ends) and self._droppable(before + 1, place)

    def _starts_item(self, place: int) -> bool:
        token = self.ground.tokens[place]
        return token.opens or (token.item and not token.tied)

    def matched(self) -> list[tuple[int, int]]:
        """(token of the claim, its place in the evidence) for all that stand there."""
        return [(at, place) for at, place in zip(self.members, self.places, strict=True) if place is not None]
