"""PDF to lines in reading order: characters to runs, runs to columns and rows, rows to paragraphs. The text layer only, no OCR."""

import re
from collections.abc import Iterable, Iterator, Sequence
from ctypes import byref, c_double
from dataclasses import dataclass
from itertools import pairwise
from math import pi
from statistics import median
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from indexer.extraction import ROW, Extract, ExtractionError, Line, without_running_heads
from indexer.tables import LEFT_OUT, bound_rows, of_one_head

_CELL_GAP = 1.2  # in heights of a character: more white than this on one row is another cell or column
_GUTTER_ROWS = 4  # rows on both sides that make two columns
_GUTTER_FULL_ROWS = 0.2  # of a column's rows fill it; headings and last lines do not
_FULL = 0.85  # of its width fills a column
_BAND_GAP = 1.2  # heights of a row: more white than this under a row ends a band
_PUNCTUATION = re.compile(r"[，。；、,;]|\.(?!\d)")
_MOST_CROSSING = 0.3  # of the rows may run across a gutter: titles, full-width paragraphs
_LOCKED = "有密码，打不开：请另存一份不加密的 PDF"
_DAMAGED = "PDF 不完整或已损坏，打不开：请重新导出或重新下载"
_UNTITLED = {"untitled", "(anonymous)"}
_LABELS = "【〖"
_BREAKS = re.compile(r"[\d.．~～\-–—至]$")
_GOES_ON = re.compile(r"[\d.．]|[a-zA-Zμµ%]")
_RULE_WIDTH = 60  # points: shorter lines underline a word
_THIN = 3  # points: a frame lower than this is a line
_TILTED = 0.02  # radians
_SMALL = 0.8  # of the size before: a digit raised or lowered
_RAISED, _LOWERED = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"), str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_STARTS = re.compile(r"[【〖\[■●•·◆▪○☆★*]|[（(]?[一二三四五六七八九十\d]{1,3}[）)、.．]\D|第[一二三四五六七八九十]+[章节条]")
_ENDS = re.compile(r"[。！？!?；;：:】]$")


@dataclass(slots=True)
class Run:
    """Characters that stand together on one row. Points from the page's foot on the left; `height` is a character's."""

    text: str
    left: float
    right: float
    foot: float
    top: float

    @property
    def height(self) -> float:
        """Of the row."""
        return max(self.top - self.foot, 1.0)


def pdf_lines(data: bytes) -> Extract:
    """The lines of a PDF, with their pages. Raises ExtractionError: damaged, locked, without a text layer."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise ExtractionError(_LOCKED if "password" in str(error).lower() else _DAMAGED) from error
    try:
        title = str(document.get_metadata_dict().get("Title") or "").strip()
        return _extract(document, "" if title.lower() in _UNTITLED else title)
    except pypdfium2.PdfiumError as error:
        raise ExtractionError(_DAMAGED) from error
    finally:
        document.close()


def _extract(document: pypdfium2.PdfDocument, title: str) -> Extract:
    pages: list[list[Line]] = []
    spread: set[int] = set()
    silent: list[int] = []
    warnings: list[tuple[int, str]] = []
    parted = False
    for number in range(1, len(document) + 1):
        page = document[number - 1]
        found = _Page(number, _rules(page), parted, warnings, spread)
        lines, parted = _page_lines(_runs(page, number, warnings), found)
        if not lines and next(iter(page.get_objects(max_depth=2)), None) is not None:
            silent.append(number)
        pages.append(lines)
        page.close()
    if not any(pages):
        raise ExtractionError(f"没有文字层（共 {len(pages)} 页，像是扫描件）：请先做文字识别（OCR），再收录")
    warnings += [(number, "这一页没有文字（像是扫描或图片），没有收录：请先做文字识别（OCR）") for number in silent]
    kept, heads = without_running_heads(pages)
    warnings += [(0, f"去掉了各页相同的页眉页脚：{head[:60]}") for head in heads]
    joined = _placed([line for lines in kept for line in lines], spread, warnings)
    return Extract(tuple(_unbroken(joined, warnings)), title, tuple(warnings), len(pages))


def _placed(lines: Sequence[Line], spread: set[int], warnings: list[tuple[int, str]]) -> Iterator[Line]:
    """Without what stands across columns, and what follows it up to the next heading: of which section, none can tell."""
    lost = False
    for line in lines:
        if line.text[0] in _LABELS:
            lost = False
        elif id(line) in spread:
            lost = True
        if lost:
            warnings.append((line.page, f"横跨分栏的表格或段落，认不准属于哪一节，到下一个标题为止没有收录：“{line.text[:30]}”"))
        else:
            yield line


def _unbroken(lines: Iterable[Line], warnings: list[tuple[int, str]]) -> Iterator[Line]:
    """Without two lines between which a number may have been broken: at the foot of a column or a page, or in a full row."""
    held: Line | None = None
    bad = False
    for line in lines:
        broken = held is not None and _BREAKS.search(held.text) and _GOES_ON.match(line.text) and not _STARTS.match(line.text)
        if held is not None and (bad or broken):
            warnings.append((held.page, f"有数值断在两行、两栏或两页之间，认不准，没有收录这几行：“{held.text[-30:]}”"))
        elif held is not None:
            yield held
        held, bad = line, bool(broken)
    if held is not None and bad:
        warnings.append((held.page, f"有数值断在两行、两栏或两页之间，认不准，没有收录这几行：“{held.text[:30]}”"))
    elif held is not None:
        yield held


def _runs(page: pypdfium2.PdfPage, number: int, warnings: list[tuple[int, str]]) -> list[Run]:
    """Runs of characters, in the file's order. What PDFium made up (spaces, line ends) only parts words."""
    held = page.get_textpage()
    text_page: Any = held.raw
    runs: list[Run] = []
    current: Run | None = None
    space = tilted = False
    left, right, foot, top = c_double(), c_double(), c_double(), c_double()
    for index in range(held.count_chars()):
        character = chr(pdfium.FPDFText_GetUnicode(text_page, index))
        if character.isspace() or ord(character) < 32 or character == "\ufffe":
            space = space or character.isspace()
            continue
        if _TILTED < pdfium.FPDFText_GetCharAngle(text_page, index) < 2 * pi - _TILTED:
            tilted = True
            continue
        pdfium.FPDFText_GetCharBox(text_page, index, byref(left), byref(right), byref(foot), byref(top))
        size = max(pdfium.FPDFText_GetFontSize(text_page, index), 1.0)
        _, origin = _origin(pdfium, text_page, index)
        small = current is not None and size < _SMALL * current.height and -0.5 * size < left.value - current.right < 0.5 * size
        if small and current is not None and abs(origin - 0.2 * current.height - current.foot) < 0.7 * current.height:
            shift = origin - 0.2 * current.height - current.foot
            current.text += character.translate(
                _RAISED if shift > 0.1 * current.height else _LOWERED if shift < -0.05 * current.height else {}
            )
            current.right = max(current.right, right.value)
            space = False
            continue
        low, high = origin - 0.2 * size, origin + 0.8 * size
        joins = current is not None and abs(current.foot - low) < 0.4 * size and -0.5 * size < left.value - current.right < _CELL_GAP * size
        if current is not None and joins:
            current.text += (
                " " if space and _words_apart(current.text[-1], character, left.value - current.right, size) else ""
            ) + character
            current.right, current.top = max(current.right, right.value), max(current.top, high)
        else:
            current = Run(character, left.value, right.value, low, high)
            runs.append(current)
        space = False
    held.close()
    if tilted:
        warnings.append((number, "有斜排或竖排的文字，没有收录：请核对原件"))
    return runs


def _words_apart(before: str, after: str, gap: float, size: float) -> bool:
    return gap > 0.15 * size or (before.isascii() and after.isascii())


def _origin(pdfium: Any, text_page: Any, index: int) -> tuple[float, float]:
    across, up = c_double(), c_double()
    pdfium.FPDFText_GetCharOrigin(text_page, index, byref(across), byref(up))
    return across.value, up.value


@dataclass(frozen=True, slots=True)
class _Page:
    """A page being read: its ruled lines, whether the page before ended in columns, and who is told what.

    Of lines that stand across columns, the ids go into `spread`.
    """

    number: int
    rules: Sequence["_Rule"]
    parted: bool
    warnings: list[tuple[int, str]]
    spread: set[int]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A horizontal line that is drawn on a page, in points from its foot and its left edge."""

    height: float
    left: float
    right: float

    def parts(self, above: Run, below: Run) -> bool:
        """Whether it runs between two cells, along the whole of both, and underlines neither."""
        between = below.top - 1 <= self.height <= above.foot + 0.25
        return between and self.left <= min(above.left, below.left) + 1 and self.right >= max(above.right, below.right) - 1


def _rules(page: pypdfium2.PdfPage) -> list[_Rule]:
    """Lines, and the upper and lower edges of frames."""
    rules = []
    for drawn in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_PATH], max_depth=3):
        left, foot, right, top = drawn.get_bounds()
        if right - left > _RULE_WIDTH:
            rules += [_Rule(height, left, right) for height in {top if top - foot < _THIN else foot, top}]
    return rules


def _page_lines(runs: list[Run], page: _Page) -> tuple[list[Line], bool]:
    """The lines of a page, and whether it ends in columns. What stands across columns, where they have begun, is spread."""
    lines: list[Line] = []
    groups = [list(group) for group in _columns(runs)]
    sides = [any(_beside(group, other) for other in groups if other is not group) for group in groups]
    for at, group in enumerate(groups):
        found = list(_blocks(_rows(group), page))
        if any(sides[:at] or [page.parted]) and not sides[at]:
            page.spread.update(id(line) for line in found)
        lines += found
    return lines, sides[-1] if sides else page.parted


def _beside(group: Sequence[Run], other: Sequence[Run]) -> bool:
    apart = max(run.right for run in group) <= min(run.left for run in other) or max(run.right for run in other) <= min(
        run.left for run in group
    )
    return (
        apart
        and max(run.top for run in group) > min(run.foot for run in other)
        and max(run.top for run in other) > min(run.foot for run in group)
    )


def _blocks(rows: list[list[Run]], page: _Page) -> Iterator[Line]:
    """Paragraphs and tables of a column from the top. A row of several runs is of a table, and what stands close below is of it too."""
    start = 0
    while start < len(rows):
        end = start
        if len(rows[start]) == 1:
            while end < len(rows) and len(rows[end]) == 1:
                end += 1
            yield from (Line(text, 0, page.number) for text in _paragraphs(rows[start:end]))
        else:
            while end < len(rows) and (len(rows[end]) > 1 or _close(rows[end - 1], rows[end])):
                end += 1
            begins = start == 0 or not _close(rows[start - 1], rows[start]) or _told(rows[start - 1])
            bound = _table(rows[start:end], page.rules) if begins else None
            if bound is None:
                page.warnings.append((page.number, f"{LEFT_OUT}（“{' '.join(run.text for run in rows[start])[:30]}”）"))
            yield from (Line(text, ROW, page.number) for text in bound or ())
        start = end


def _close(above: Sequence[Run], row: Sequence[Run]) -> bool:
    """Whether a row may belong to the table above it: no heading, and no more than two rows of white between."""
    return not _STARTS.match(row[0].text) and above[0].foot - row[0].top < 2 * row[0].height


def _told(row: Sequence[Run]) -> bool:
    return bool(_ENDS.search(row[-1].text) or _STARTS.match(row[0].text))


def _table(rows: Sequence[Sequence[Run]], rules: Sequence[_Rule]) -> list[str] | None:
    """Bound rows, where each cell stands under just one head and begins or is centred where it does.

    Lines are drawn between all cells of all rows. Without them nothing tells a row from the second line of the cells above:
    `肝功能不全的 首日10mg` over `儿童 以后5mg` may be one row of a table as well as two.
    """
    heads = rows[0]
    for row in rows[1:]:
        if len(row) != len(heads) or not all(_under(cell, at, heads) for at, cell in enumerate(row)):
            return None
    pitches = [above[0].foot - row[0].foot for above, row in pairwise(rows)]
    if not pitches or max(pitches) > 1.3 * min(pitches):
        return None  # cells of two lines stand closer than rows
    cells = [both for above, row in pairwise(rows) for both in zip(above, row, strict=True)]
    if not all(any(rule.parts(above, below) for rule in rules) for above, below in cells):
        return None
    grid = [[run.text for run in row] for row in rows]
    return bound_rows(grid) if of_one_head(grid) else None


def _under(cell: Run, at: int, heads: Sequence[Run]) -> bool:
    head = heads[at]
    aligned = min(abs(cell.left - head.left), abs(cell.right - head.right), abs(cell.left + cell.right - head.left - head.right) / 2)
    others = [other for other in heads if other is not head]
    return aligned < 0.6 * head.height and all(cell.right < other.left or cell.left > other.right for other in others)


def _rows(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of one height, from left to right; rows from the top."""
    rows: list[list[Run]] = []
    for run in sorted(runs, key=lambda r: (-r.foot, r.left)):
        if rows and abs(rows[-1][0].foot - run.foot) < 0.5 * min(run.height, rows[-1][0].height):
            rows[-1].append(run)
        else:
            rows.append([run])
    return [sorted(row, key=lambda r: r.left) for row in rows]


def _columns(runs: Sequence[Run]) -> Iterator[Sequence[Run]]:
    """Groups of runs to be read one after another: bands between what runs across a gutter, and in a band the left side first."""
    rows = _rows(runs)
    for side in (0, -1):  # a head or foot set apart would make a column look wider than it is
        if len(rows) > 2 and _set_apart(rows, side):
            apart, rest = rows[side], [run for row in (rows[1:] if side == 0 else rows[:-1]) for run in row]
            yield from (apart, *_columns(rest)) if side == 0 else (*_columns(rest), apart)
            return
    gutter = _gutter(runs)
    if gutter is None:
        yield runs
        return
    for band in _bands(runs, gutter):
        left, right = [r for r in band if r.right <= gutter], [r for r in band if r.left >= gutter]
        if len(left) + len(right) == len(band) and _is_text(left) and _is_text(right):
            yield from _columns(left)
            yield from _columns(right)
        else:
            yield band


def _set_apart(rows: Sequence[Sequence[Run]], side: int) -> bool:
    upper, lower = (rows[0], rows[1]) if side == 0 else (rows[-2], rows[-1])
    return min(run.foot for run in upper) - max(run.top for run in lower) > _BAND_GAP * max(run.height for run in lower)


def _bands(runs: Sequence[Run], gutter: float) -> Iterator[list[Run]]:
    """From the top: what lies between rows that run across the gutter, or between white strips higher than two rows."""
    band: list[Run] = []
    crossed = False
    for row in _rows(runs):
        crosses = any(run.left < gutter < run.right for run in row)
        if band and (crosses != crossed or band[-1].foot - row[0].top > _BAND_GAP * row[0].height):
            yield band
            band = []
        band += row
        crossed = crosses
    if band:
        yield band


def _gutter(runs: Sequence[Run]) -> float | None:
    """The left edge of what stands right of the white strip between two columns of running text; None where there is no such strip.

    Of the strips that the fewest runs cross, the widest.
    """
    if len(runs) < 2 * _GUTTER_ROWS:
        return None
    rows = len(_rows(runs))
    best: tuple[int, float] | None = None
    found = None
    for at in sorted({run.left - 0.1 for run in runs}):
        left, right = [r for r in runs if r.right <= at], [r for r in runs if r.left >= at]
        crossing = len(runs) - len(left) - len(right)
        if not left or crossing > _MOST_CROSSING * rows or not (_is_text(left) and _is_text(right)):
            continue
        rank = crossing, max(run.right for run in left) - at
        if best is None or rank < best:
            best, found = rank, at
    return found


def _is_text(side: Sequence[Run]) -> bool:
    """Whether a side is running text: full rows and punctuation. Cells of a table have neither, or are narrow."""
    rows = _rows(side)
    if len(rows) < _GUTTER_ROWS:
        return False
    width = max(run.right for run in side) - min(run.left for run in side)
    full = sum(sum(run.right - run.left for run in row) >= _FULL * width for row in rows)
    stops = sum(len(_PUNCTUATION.findall(run.text)) for run in side)
    return full >= max(2, _GUTTER_FULL_ROWS * len(rows)) and stops >= 2 and width > 8 * median(run.height for run in side)


def _paragraphs(rows: Sequence[Sequence[Run]]) -> Iterator[str]:
    """Lines joined where a row is full and the next goes on; never inside what may be a number."""
    edge = max((row[-1].right for row in rows), default=0.0)
    text = ""
    above: Sequence[Run] = ()
    for row in rows:
        words = " | ".join(run.text for run in row)
        if above and _goes_on(above, row, edge, text, words) and not (_BREAKS.search(text) and _GOES_ON.match(words)):
            text += (" " if _parts(text[-1], words[0]) else "") + words
        else:
            if text:
                yield text
            text = words
        above = row
    if text:
        yield text


def _goes_on(above: Sequence[Run], row: Sequence[Run], edge: float, text: str, words: str) -> bool:
    size = above[-1].height
    single = len(above) == 1 and len(row) == 1
    near = 0 < above[-1].foot - row[0].foot < 2.4 * size and abs(size - row[0].height) < 0.15 * size
    full = above[-1].right > edge - 3 * size
    return single and near and full and not _ENDS.search(text) and not _STARTS.match(words)


def _parts(before: str, after: str) -> bool:
    """Whether a line end stands for a space: between Latin words, never between Chinese ones or inside a number."""
    latin = before.isascii() and after.isascii() and (before.isalnum() or before in ",;)") and (after.isalnum() or after == "(")
    return latin and not (before.isdigit() and after.isdigit())
