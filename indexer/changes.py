"""What differs between two states of a document, for people: fields and, section by section, the sentences."""

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from indexer.documents import Document

Change = Literal["added", "changed", "dated", "removed"]
CHANGES: dict[Change, str] = {"added": "新增", "changed": "修改", "dated": "仅来源改变", "removed": "删除"}
_FIELDS = {"kind": "类别", "title": "标题", "aliases": "别名"}
_SOURCE = {
    "title": "来源",
    "publisher": "发布者",
    "url": "网址",
    "revised": "修订日期",
    "licence": "许可",
    "review": "审核",
    "expires": "有效期至",
}
_UNIT = re.compile(r"[^。！？；\n]+[。！？；]*|[。！？；]+")
_ONLY_SPACE = "（只有空白或换行不同）"
_AROUND = 1  # unchanged sentences shown on either side of a change


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field outside the text, before and after; empty where it was not there."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of a diff: `-` taken away, `+` new, ` ` unchanged beside a change, `…` sentences left out."""

    mark: Literal[" ", "-", "+", "…"]
    text: str


@dataclass(frozen=True, slots=True)
class SectionChange:
    """What changed in one section."""

    section: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What changed in one document. `dated`: only its source (a date, a publisher) changed, not a word of its text.

    Of a document that is added or removed as a whole the sections are not listed.
    """

    document: str
    title: str
    change: Change
    fields: tuple[FieldChange, ...]
    sections: tuple[SectionChange, ...]


def says_the_same(old: Document, new: Document) -> bool:
    """Whether two documents hold the same text under the same names; their sources may differ."""
    return (old.kind, old.title, old.aliases, old.text, old.sections) == (new.kind, new.title, new.aliases, new.text, new.sections)


def difference(old: Document | None, new: Document | None) -> DocumentChange:
    """What changed from one state of a document to the other; None stands for its absence, and one of them is there."""
    shown = new or old
    if shown is None:
        raise ValueError("neither state of the document is there")
    if old is None or new is None:
        return DocumentChange(shown.id, shown.title, "added" if old is None else "removed", (), ())
    change: Change = "dated" if says_the_same(old, new) else "changed"
    return DocumentChange(shown.id, shown.title, change, tuple(_field_changes(old, new)), tuple(_section_changes(old, new)))


def _field_changes(old: Document, new: Document) -> Iterator[FieldChange]:
    for name, label in _FIELDS.items():
        before, after = (_shown(getattr(document, name)) for document in (old, new))
        if before != after:
            yield FieldChange(label, before, after)
    sources = old.source.values(), new.source.values()
    for name, value in sources[0].items():
        if value != sources[1][name]:
            yield FieldChange(_SOURCE.get(name, name), value, sources[1][name])


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else "、".join(value)


def _section_changes(old: Document, new: Document) -> Iterator[SectionChange]:
    before, after = _bodies(old), _bodies(new)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield SectionChange(key[0], tuple(diff_lines(before.get(key, ""), after.get(key, ""))))


def _bodies(document: Document) -> dict[tuple[str, int], str]:
    """Section bodies by title and by how many of that title stand before."""
    seen: Counter[str] = Counter()
    bodies = {}
    for section in document.sections:
        bodies[section.title, seen[section.title]] = document.body(section)
        seen[section.title] += 1
    return bodies


def diff_lines(before: str, after: str) -> list[Line]:
    """The sentences taken away and new, with one unchanged sentence around."""
    old, new = ([unit.strip() for unit in _UNIT.findall(text) if unit.strip()] for text in (before, after))
    if old == new:
        return [Line("…", _ONLY_SPACE)]
    lines: list[Line] = []
    reached = 0
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_AROUND):
        lines += [Line("…", "")] if group[0][1] > reached else []
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [Line(" ", text) for text in old[i1:i2]]
            else:
                lines += [Line("-", text) for text in old[i1:i2]] + [Line("+", text) for text in new[j1:j2]]
        reached = group[-1][2]
    return [*lines, Line("…", "")] if reached < len(old) else lines


def render_change(change: DocumentChange) -> str:
    """A change as lines of text for a terminal."""
    lines = [f"{CHANGES[change.change]}  {change.document}  {change.title}"]
    lines += [f"  {entry.field}：{entry.before or '（无）'} → {entry.after or '（无）'}" for entry in change.fields]
    for section in change.sections:
        lines.append(f"  【{section.section}】")
        lines += [f"  {line.mark} {line.text}".rstrip() for line in section.lines]
    return "\n".join(lines) + "\n"


def render_dated(changes: Sequence[DocumentChange]) -> str:
    """Documents of which only the source changed, gathered by what changed: a new edition re-dates thousands at once."""
    groups: dict[tuple[FieldChange, ...], list[str]] = {}
    for change in changes:
        groups.setdefault(change.fields, []).append(change.document)
    lines = []
    for fields, documents in groups.items():
        changed = "，".join(f"{entry.field}：{entry.before or '（无）'} → {entry.after or '（无）'}" for entry in fields)
        more = "" if len(documents) <= 3 else f" 等 {len(documents)} 篇"
        lines.append(f"仅来源改变  {'、'.join(documents[:3])}{more}\n  {changed}\n")
    return "".join(lines)
