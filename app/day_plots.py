"""Figures by day as plots: where each bar, line and label stands. The template writes them as SVG, the style says how they look."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 220  # of the view box
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 14, 30
_GAP = 0.25  # of a day's width stays empty


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a day's bar; `kind` is the class that colours it, `told` what it stands for."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    told: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through days; `points` as SVG has them."""

    points: str
    kind: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word at a place; a tick of the scale, or a day."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot; `kinds` are its classes with what they mean."""

    title: str
    kinds: Mapping[str, str]
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    ticks: tuple[Label, ...]
    days: tuple[Label, ...]


def bars(title: str, days: Sequence[str], kinds: Mapping[str, str], values: Mapping[str, Sequence[int]]) -> Plot:
    """Counts by day, stacked; `values` by kind, one for each day."""
    top = ceiling(max((sum(values[kind][at] for kind in kinds) for at in range(len(days))), default=0))
    width = _step(days)
    drawn = []
    for at, day in enumerate(days):
        below = 0
        for kind, word in kinds.items():
            count = values[kind][at]
            if count:
                upper, lower = _y(below + count, top), _y(below, top)
                x = round(_LEFT + (at + _GAP / 2) * width, 1)
                drawn.append(Bar(x, upper, round(width * (1 - _GAP), 1), round(lower - upper, 1), kind, f"{day} {word} {count}"))
            below += count
    return Plot(title, kinds, tuple(drawn), (), _ticks(top), _labels(days))


def lines(title: str, days: Sequence[str], kinds: Mapping[str, str], values: Mapping[str, Sequence[float]]) -> Plot:
    """Values by day as lines, through the days that have one (above 0)."""
    top = ceiling(max((value for kind in kinds for value in values[kind]), default=0))
    width = _step(days)
    drawn, dots = [], []
    for kind, word in kinds.items():
        places = [(at, value) for at, value in enumerate(values[kind]) if value]
        points = [(round(_LEFT + (at + 0.5) * width, 1), _y(value, top)) for at, value in places]
        drawn.append(Line(" ".join(f"{x},{y}" for x, y in points), kind))
        dots += [
            Bar(x - 2.5, y - 2.5, 5, 5, kind, f"{days[at]} {word} {value:.0f}") for (at, value), (x, y) in zip(places, points, strict=True)
        ]
    return Plot(title, kinds, tuple(dots), tuple(drawn), _ticks(top), _labels(days))


def ceiling(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … that is not below a value; 1 for nothing."""
    if value <= 1:
        return 1
    unit = 10 ** math.floor(math.log10(value))
    return float(next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= value))


def _step(days: Sequence[str]) -> float:
    return (WIDTH - _LEFT - _RIGHT) / max(1, len(days))


def _y(value: float, top: float) -> float:
    return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top, 1)


def _ticks(top: float) -> tuple[Label, ...]:
    shown = [0.0, top / 2, top] if top >= 2 else [0.0, top]
    return tuple(Label(_LEFT - 6, _y(value, top), f"{value:g}") for value in shown)


def _labels(days: Sequence[str]) -> tuple[Label, ...]:
    """The first, the middle and the last day, as month and day."""
    shown = sorted({0, len(days) // 2, len(days) - 1}) if days else []
    return tuple(Label(round(_LEFT + (at + 0.5) * _step(days), 1), HEIGHT - 8, days[at][5:]) for at in shown)
