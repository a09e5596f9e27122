"""Which words of a sentence changed: one digit of a dose must not be looked for."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from indexer.changes import Line

_WORD = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[A-Za-z]+|\s+|.", re.DOTALL)
# Sentences with less in common are another sentence, not a changed one.
_ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Marked:
    """A line of a diff in parts: (text, whether it is what changed)."""

    mark: str
    parts: tuple[tuple[str, bool], ...]


def marked(lines: Sequence[Line]) -> list[Marked]:
    """The lines, with what changed marked where a sentence that went is followed by one like it that came."""
    shown: list[Marked] = []
    at = 0
    while at < len(lines):
        gone = _run(lines, at, "-")
        new = _run(lines, at + len(gone), "+")
        if not gone and not new:
            shown.append(Marked(lines[at].mark, ((lines[at].text, False),)))
            at += 1
            continue
        pairs = [_compared(before, after) for before, after in zip(gone, new, strict=False)]
        shown += [Marked("-", parts) for parts, _ in pairs] + [Marked("-", ((text, False),)) for text in gone[len(pairs) :]]
        shown += [Marked("+", parts) for _, parts in pairs] + [Marked("+", ((text, False),)) for text in new[len(pairs) :]]
        at += len(gone) + len(new)
    return shown


def _run(lines: Sequence[Line], start: int, mark: str) -> list[str]:
    texts = []
    for line in lines[start:]:
        if line.mark != mark:
            break
        texts.append(line.text)
    return texts


def _compared(before: str, after: str) -> tuple[tuple[tuple[str, bool], ...], tuple[tuple[str, bool], ...]]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return ((before, False),), ((after, False),)
    gone, come = [], []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        gone.append(("".join(old[i1:i2]), tag != "equal"))
        come.append(("".join(new[j1:j2]), tag != "equal"))
    return tuple(part for part in gone if part[0]), tuple(part for part in come if part[0])
