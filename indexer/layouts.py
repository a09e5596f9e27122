"""Lines of a file to documents: what is a heading, what the document is called and of which kind it is."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from indexer.extraction import BOLD, ROW, ExtractionError, Line
from indexer.sections import SHIPPED, SectionGuide, guide_text, load_guide
from indexer.terms import fold

_LABEL = re.compile(r"[【〖\[]\s*([^】〗\]]{1,30}?)\s*[】〗\]]\s*[:：]?\s*(.*)", re.DOTALL)
_CHAPTER = re.compile(r"(?:[一二三四五六七八九十]{1,3}\s*[、.．]|第[一二三四五六七八九十\d]{1,3}[章节部篇])\s*(\S.*)")
_NUMBERED = re.compile(r"(?:[（(][一二三四五六七八九十\d]{1,3}[）)]|\d{1,2}(?:\.\d{1,2}){0,3}\s*[.．、]?(?!\d))\s*(\D.*)")
_LONGEST_HEADING = 30
_NO_HEADING = re.compile(r"[。；;，,！!？?|]")
_GENERIC = re.compile(r"(?:通用名称?|药品名称)\s*[】\]]?\s*[:：]?\s*([^\s，。；,;|【】]{2,40})")
_OTHER_NAMES = re.compile(r"(?:商品名称?|英文名称?)\s*[:：]\s*([^\n，。；|【】]{2,60})")
_NAMED = {"药品名称", "通用名称", "通用名", "药品通用名"}
_BEFORE = "正文"
_LONGEST_CAPTION = 60
_STOPPED = re.compile(r"[。；;！!？?]\s*$")
_SENTENCES = re.compile(r"[。！!？?]")
_POINTS = re.compile(r"下表|下列|如下|以下|见表|表\s*\d|[:：]$")


@dataclass(frozen=True, slots=True)
class Piece:
    """One section: its heading, its lines, and the page on which each line stands."""

    heading: str
    level: int
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The body, a line a line."""
        return "\n".join(line.text for line in self.lines)


@lru_cache(maxsize=1)
def _guide() -> SectionGuide:
    return load_guide(guide_text(SHIPPED))


@lru_cache(maxsize=1)
def _titles() -> dict[str, frozenset[str]]:
    """Folded heading to the kinds of documents that have it."""
    kinds: dict[str, set[str]] = {}
    for section in _guide().sections:
        for title in section.titles:
            kinds.setdefault(title, set()).update(section.kinds)
    for population in _guide().populations:
        for title in population.titles:
            kinds.setdefault(fold(title), set()).add("drug")
    for name in _NAMED:
        kinds.setdefault(fold(name), set()).add("drug")
    return {title: frozenset(found) for title, found in kinds.items()}


def _known(text: str) -> bool:
    return fold(text.strip()) in _titles()


def pieces_of(lines: Sequence[Line]) -> list[Piece]:
    """Cut lines into sections at what looks like a heading. A heading without a body is kept, with no lines."""
    pieces: list[tuple[str, int, list[Line]]] = [(_BEFORE, 0, [])]
    for line in lines:
        found = _heading(line)
        if found is None:
            pieces[-1][2].append(line)
            continue
        title, level, rest = found
        pieces.append((title, level, [Line(rest, 0, line.page)] if rest else []))
    return [Piece(title, level, tuple(_captioned(body))) for title, level, body in pieces if body or level]


def _captioned(lines: Sequence[Line]) -> Iterator[Line]:
    """Rows of a table carry what stands right above it: whom or what all of it is for must be quoted with each."""
    caption = ""
    for line in lines:
        if line.level != ROW:
            caption = _caption(line.text.strip())
            yield line
        else:
            yield replace(line, text=f"{caption}：{line.text}") if caption else line


def _caption(text: str) -> str:
    """A short line without a full stop, or a last sentence that points at the table; without its stop."""
    if len(text) <= _LONGEST_CAPTION and not _STOPPED.search(text):
        return text.rstrip("：: ，,、")
    last = _SENTENCES.split(text.rstrip("。；;！!？?：: "))[-1]
    return last if _POINTS.search(last) else ""


def _heading(line: Line) -> tuple[str, int, str] | None:
    """(heading, level, what follows it on its line). Marks and numbers are left out of a heading."""
    if line.level == ROW:
        return None
    text = line.text.strip()
    label = _LABEL.fullmatch(text)
    if label and text[0] != "[":
        return label[1].replace(" ", ""), 9, label[2]
    plain = _unnumbered(text)
    if 1 <= line.level < BOLD:
        return plain, line.level, ""
    lead, colon, rest = plain.partition("：") if "：" in plain else plain.partition(":")
    if _known(lead) and (not rest or colon):
        return lead.strip(), 9, rest.strip()
    short = len(plain) <= _LONGEST_HEADING and not _NO_HEADING.search(plain)
    if short and (line.level == BOLD or _CHAPTER.fullmatch(text)):
        return plain.rstrip("：: "), 8, ""
    return None


def _unnumbered(text: str) -> str:
    for pattern in (_CHAPTER, _NUMBERED):
        match = pattern.fullmatch(text)
        if match and len(match[1]) <= _LONGEST_HEADING:
            return match[1].strip()
    return text


@dataclass(frozen=True, slots=True)
class Layout:
    """A document as it stands in its file. `part` tells the documents of one file apart; empty where it is the only one."""

    part: str
    title: str
    kind: str
    aliases: tuple[str, ...]
    pieces: tuple[Piece, ...]


def layouts(lines: Sequence[Line], title: str, stem: str) -> list[Layout]:
    """The documents of a file: one, or one for every drug of a formulary whose headings name the drugs.

    Two drugs in one document would let one answer for the other, so a section told twice parts them where a heading can, and
    carries the heading above it in its name where none can.
    """
    pieces = pieces_of(lines)
    level = _drug_level(pieces)
    if level:
        return _by_drug(pieces, level)
    first = next((piece.heading for piece in pieces if 1 <= piece.level < BOLD), "")
    kind = _kind(pieces)
    _refuse_several(pieces)
    named = _generic(pieces) if kind == "drug" else ""
    return [Layout("", named or first or title or stem, kind, _aliases(pieces) if kind == "drug" else (), tuple(_apart(pieces)))]


def _refuse_several(pieces: Sequence[Piece]) -> None:
    """Raises ExtractionError where one file seems to hold several drugs and nothing tells whose a section is."""
    names = {match for piece in pieces for match in _GENERIC.findall(f"{piece.heading}：{piece.text}")}
    told = Counter(fold(piece.heading) for piece in pieces if piece.lines and _titles().get(fold(piece.heading)) == frozenset({"drug"}))
    twice = [heading for heading, count in told.items() if count > 1]
    if len(names) > 1 or twice:
        seen = "、".join(sorted(names)[:3]) if len(names) > 1 else f"“{twice[0]}”出现了 {told[twice[0]]} 次"
        raise ExtractionError(f"像是一个文件里有几种药品（{seen}），分不清各节属于哪一种，没有收录：请一种药品一个文件")


def _drug_level(pieces: Sequence[Piece]) -> int:
    """The level of the headings under each of which drug sections begin anew; 0 where there is none."""
    counts = Counter(fold(piece.heading) for piece in pieces if "drug" in _titles().get(fold(piece.heading), ()))
    if not counts or max(counts.values()) < 2:
        return 0
    above: Counter[int] = Counter()
    for piece, following in pairwise(pieces):
        if piece.level and not _known(piece.heading) and _known(following.heading):
            above[piece.level] += 1
    level, count = max(above.items(), key=lambda pair: pair[1], default=(0, 0))
    return level if count >= 2 and count >= max(counts.values()) - 1 else 0


def _by_drug(pieces: Sequence[Piece], level: int) -> list[Layout]:
    groups: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.level == level and not _known(piece.heading):
            groups.append([piece])
        elif piece.level and piece.level < level and not _known(piece.heading):
            groups.append([])  # a chapter ends the drug before it
            groups[-1].append(piece)
        else:
            groups[-1].append(piece)
    found = []
    for group in groups:
        if not any(piece.lines for piece in group):
            continue
        head = next((piece.heading for piece in group if piece.level), _BEFORE)
        found.append(Layout(head, head, _kind(group), _aliases(group), tuple(_apart(group))))
    return found


def _apart(pieces: Sequence[Piece]) -> list[Piece]:
    """Sections with a body; one told twice carries the heading above it."""
    times = Counter(piece.heading for piece in pieces if piece.lines)
    above: dict[int, str] = {}
    found = []
    for piece in pieces:
        above = {level: heading for level, heading in above.items() if level < piece.level}
        parent = above[max(above)] if above else ""
        heading = f"{parent} · {piece.heading}" if times[piece.heading] > 1 and parent else piece.heading
        above[piece.level] = piece.heading
        if piece.lines:
            found.append(Piece(heading, piece.level, piece.lines))
    return found


def _kind(pieces: Sequence[Piece]) -> str:
    """Drug or disease by two headings of its own; text otherwise."""
    headings = {fold(piece.heading) for piece in pieces if piece.lines}
    for kind in ("drug", "disease"):
        if sum(_titles().get(heading) == frozenset({kind}) for heading in headings) >= 2:
            return kind
    return "text"


def _generic(pieces: Sequence[Piece]) -> str:
    for piece in pieces:
        if fold(piece.heading) in {fold(name) for name in _NAMED} and piece.lines:
            match = _GENERIC.search(piece.text)
            return match[1] if match else re.split(r"[\s，。；,;|（(]", piece.lines[0].text.strip(), maxsplit=1)[0]
    return ""


def _aliases(pieces: Sequence[Piece]) -> tuple[str, ...]:
    names = [
        match.strip() for piece in pieces if fold(piece.heading) in {fold(n) for n in _NAMED} for match in _OTHER_NAMES.findall(piece.text)
    ]
    return tuple(dict.fromkeys(names))
