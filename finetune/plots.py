"""Small drawings as SVG files: lines over a number, bars over names. Text is escaped, nothing is loaded from elsewhere."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

_WIDTH, _HEIGHT = 880, 400
# On the right stand the names, beside what is drawn and never on it.
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 180, 44, 56
# Okabe and Ito's colours, told apart by colour-blind readers.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def line_plot(path: Path, title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Draw named curves of (x, y); points that are no finite numbers are left out."""
    finite = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in series.items()}
    points = [point for held in finite.values() for point in held]
    across = _Scale([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    up = _Scale([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    body = [*_frame(title, x_label, y_label, up)]
    body += [_text(across(tick), _HEIGHT - _BOTTOM + 18, f"{tick:g}", "middle") for tick in across.ticks()]
    for number, held in enumerate(finite.values()):
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in sorted(held))
        body.append(f'<polyline fill="none" stroke="{_colour(number)}" stroke-width="1.6" points="{line}"/>')
    _write(path, title, [*body, *_legend(list(finite))])


def bar_plot(path: Path, title: str, y_label: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Draw groups of named bars from zero up, each with its value above it; a group may lack a name."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    up = _Scale([0.0, *(value for group in groups.values() for value in group.values() if math.isfinite(value))], _HEIGHT - _BOTTOM, _TOP)
    body = [*_frame(title, "", y_label, up)]
    room = (_WIDTH - _LEFT - _RIGHT) / max(1, len(groups))
    thick = 0.8 * room / max(1, len(names))
    for place, (group, values) in enumerate(groups.items()):
        start = _LEFT + place * room + 0.1 * room
        body.append(_text(start + 0.4 * room, _HEIGHT - _BOTTOM + 18, group, "middle"))
        for number, name in enumerate(names):
            value = values.get(name, math.nan)
            if math.isfinite(value):
                x, y = start + number * thick, up(value)
                body.append(
                    f'<rect x="{x:.1f}" y="{min(y, up(0)):.1f}" width="{thick * 0.92:.1f}" height="{abs(up(0) - y):.1f}" '
                    f'fill="{_colour(number)}"/>'
                )
                body.append(_text(x + thick * 0.46, y - 4, f"{value:.3g}", "middle", size=10))
    _write(path, title, [*body, *_legend(names)])


class _Scale:
    """Numbers to places on the paper, from the least to the greatest of the given ones."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if low == high:
            low, high = low - 0.5, high + 0.5
        self._step = _round_step((high - low) / 5)
        self._low = math.floor(low / self._step) * self._step
        self._high = math.ceil(high / self._step) * self._step
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) / (self._high - self._low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        """The round numbers that are written beside the axis."""
        count = round((self._high - self._low) / self._step)
        return [round(self._low + number * self._step, 10) for number in range(count + 1)]


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not under `least`."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _frame(title: str, x_label: str, y_label: str, up: _Scale) -> Iterator[str]:
    middle = (_HEIGHT - _BOTTOM + _TOP) / 2
    yield _text((_WIDTH + _LEFT - _RIGHT) / 2, 24, title, "middle", size=15)
    yield _text((_WIDTH + _LEFT - _RIGHT) / 2, _HEIGHT - 12, x_label, "middle")
    yield f'<text x="16" y="{middle}" text-anchor="middle" font-size="12" transform="rotate(-90 16 {middle})">{escape(y_label)}</text>'
    for tick in up.ticks():
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" stroke="#ddd"/>'
        yield _text(_LEFT - 6, up(tick) + 4, f"{tick:g}", "end")


def _legend(names: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        y = _TOP + 8 + 16 * number
        yield f'<rect x="{_WIDTH - _RIGHT + 14}" y="{y}" width="10" height="10" fill="{_colour(number)}"/>'
        yield _text(_WIDTH - _RIGHT + 30, y + 9, name, "start")


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _write(path: Path, title: str, body: Sequence[str]) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" role="img">'
    paper = f'<title>{escape(title)}</title><rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
    path.write_text("\n".join((head, paper, *body, "</svg>")) + "\n", "utf-8")
