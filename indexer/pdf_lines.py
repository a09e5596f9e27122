"""PDF to lines in reading order: characters to runs, runs to columns and rows, rows to paragraphs. The text layer only, no OCR."""

import re
from collections.abc import Iterator, Sequence
from ctypes import byref, c_double
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from indexer.extraction import Extract, ExtractionError, Line, without_running_heads

if TYPE_CHECKING:
    import pypdfium2

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
        import pypdfium2
    except ImportError as error:
        raise ExtractionError("读 PDF 需要另装组件，请运行 pip install 'qizhen[documents]'") from error
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


def _extract(document: "pypdfium2.PdfDocument", title: str) -> Extract:
    pages: list[list[Line]] = []
    silent: list[int] = []
    warnings: list[tuple[int, str]] = []
    for number in range(1, len(document) + 1):
        page = document[number - 1]
        lines = _page_lines(_runs(page), number, warnings)
        if not lines and next(iter(page.get_objects(max_depth=2)), None) is not None:
            silent.append(number)
        pages.append(lines)
        page.close()
    if not any(pages):
        raise ExtractionError(f"没有文字层（共 {len(pages)} 页，像是扫描件）：请先做文字识别（OCR），再收录")
    warnings += [(number, "这一页没有文字（像是扫描或图片），没有收录：请先做文字识别（OCR）") for number in silent]
    kept, heads = without_running_heads(pages)
    warnings += [(0, f"去掉了各页相同的页眉页脚：{head[:60]}") for head in heads]
    joined = tuple(line for lines in kept for line in lines)
    return Extract(joined, title, tuple(warnings), len(pages))


def _runs(page: "pypdfium2.PdfPage") -> list[Run]:
    """Runs of characters, in the file's order. What PDFium made up (spaces, line ends) only parts words."""
    import pypdfium2.raw as pdfium

    held = page.get_textpage()
    text_page: Any = held.raw
    runs: list[Run] = []
    current: Run | None = None
    space = False
    left, right, foot, top = c_double(), c_double(), c_double(), c_double()
    for index in range(held.count_chars()):
        character = chr(pdfium.FPDFText_GetUnicode(text_page, index))
        if character.isspace() or ord(character) < 32 or character == "\ufffe":
            space = space or character.isspace()
            continue
        pdfium.FPDFText_GetCharBox(text_page, index, byref(left), byref(right), byref(foot), byref(top))
        size = max(pdfium.FPDFText_GetFontSize(text_page, index), 1.0)
        _, origin = _origin(pdfium, text_page, index)
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
    return runs


def _words_apart(before: str, after: str, gap: float, size: float) -> bool:
    return gap > 0.15 * size or (before.isascii() and after.isascii())


def _origin(pdfium: Any, text_page: Any, index: int) -> tuple[float, float]:
    across, up = c_double(), c_double()
    pdfium.FPDFText_GetCharOrigin(text_page, index, byref(across), byref(up))
    return across.value, up.value


def _page_lines(runs: list[Run], number: int, warnings: list[tuple[int, str]]) -> list[Line]:
    lines: list[Line] = []
    columns = list(_columns(runs))
    if len(columns) > 1 and any(len(row) > 1 for column in columns for row in _rows(column)):
        warnings.append((number, "这一页既有分栏又有表格，请对照原件核对读出的文字"))
    for column in columns:
        for text, broken in _paragraphs(_rows(column)):
            lines.append(Line(text, 0, number))
            if broken:
                warnings.append((number, f"有数字断在两行之间，已接上，请核对：“{broken}”"))
    return lines


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


def _paragraphs(rows: Sequence[Sequence[Run]]) -> Iterator[tuple[str, str]]:
    """Lines joined where a row is full and the next goes on; beside each the number that a joint made, or an empty text."""
    edge = max((row[-1].right for row in rows), default=0.0)
    text = broken = ""
    above: Sequence[Run] = ()
    for row in rows:
        words = " | ".join(run.text for run in row)
        if above and _goes_on(above, row, edge, text, words):
            if text[-1].isdigit() and words[0].isdigit():
                broken = re.split(r"\D", text)[-1] + re.split(r"\D", words)[0]
            text += (" " if _parts(text[-1], words[0]) else "") + words
        else:
            if text:
                yield text, broken
            text, broken = words, ""
        above = row
    if text:
        yield text, broken


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
