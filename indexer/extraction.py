"""The bytes of one file to its lines. It runs in a worker process (`indexer.extraction_worker`), for such files cannot be trusted."""

import codecs
import re
from collections import Counter
from dataclasses import dataclass

LARGEST_TEXT = 20_000_000  # characters of one file


class ExtractionError(Exception):
    """A file that cannot be read, worded for its owner: what is the matter and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line or paragraph. `level`: 1-6 where the file styles it as a heading, 7 where it is only bold, -1 for a row
    of a table (never a heading), 0 elsewhere.

    `page` counts from 1; 0 where the file has no pages.
    """

    text: str
    level: int = 0
    page: int = 0


@dataclass(frozen=True)
class Extract:
    """The lines of a file in reading order, its title where it tells one, and (page, message) of what its owner should look at."""

    lines: tuple[Line, ...]
    title: str = ""
    warnings: tuple[tuple[int, str], ...] = ()
    pages: int = 0


BOLD = 7
ROW = -1
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LIKELY = re.compile(
    r"[\x09\x0a\x0d\x20-\x7e\u00b0-\u00f7\u0370-\u03ff\u2010-\u2312\u2460-\u24ff\u2500-\u266f\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
)
_LEAST_LIKELY = 0.97


def decode(data: bytes) -> str:
    """Text of any encoding found in hospitals: UTF-8, UTF-16 with its mark, GB18030. Raises ExtractionError where it is none of them."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data, encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    if not text or len(_LIKELY.findall(text)) < _LEAST_LIKELY * len(text):
        line = data.count(b"\n", 0, at) + 1
        raise ExtractionError(f"看不出文字编码：第 {line} 行既不是 UTF-8 也不是 GB18030（或两种混用），请另存为 UTF-8")
    return text


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ExtractionError(f"开头标明 {encoding.upper()}，第 {error.start} 字节却不是，请另存为 UTF-8") from error


def extract(kind: str, data: bytes) -> Extract:
    """The lines of a file of a kind (pdf, docx, html, txt). Raises ExtractionError."""
    if kind == "pdf":
        from indexer.pdf_lines import pdf_lines

        found = pdf_lines(data)
    elif kind == "docx":
        from indexer.docx_lines import docx_lines

        found = docx_lines(data)
    elif kind == "html":
        from indexer.html_lines import html_lines

        found = html_lines(decode(data))
    else:
        found = Extract(tuple(Line(line.strip()) for line in decode(data).splitlines() if line.strip()))
    size = sum(len(line.text) for line in found.lines)
    if size > LARGEST_TEXT:
        raise ExtractionError(f"正文有 {size} 字，超过 {LARGEST_TEXT} 字的上限，请拆成几个文件")
    return found


def without_running_heads(pages: list[list[Line]]) -> tuple[list[list[Line]], list[str]]:
    """Pages without the lines that stand alike at the top or foot of most of them, and without page numbers; and what was taken out.

    Only lines equal letter by letter, page numbers aside, count as alike: a row of doses that resembles another one is no running head.
    """
    edges = [{(side, _numbered(line.text)) for side in (0, -1) for line in _edge(page, side)} for page in pages if page]
    seen = Counter(edge for page in edges for edge in page)
    running = {edge for edge, count in seen.items() if count >= max(2, len(edges) * 0.6) and len(edges) > 1}
    removed: dict[str, None] = {}
    kept = []
    for page in pages:
        gone = {
            id(line)
            for side in (0, -1)
            for line in _edge(page, side)
            if (side, _numbered(line.text)) in running or _PAGE_NUMBER.fullmatch(line.text.strip())
        }
        removed |= {_numbered(line.text): None for line in page if id(line) in gone and not _PAGE_NUMBER.fullmatch(line.text.strip())}
        kept.append([line for line in page if id(line) not in gone])
    return kept, list(removed)


_PAGE = r"第\s*\d+\s*页(\s*[,，/／]?\s*共\s*\d+\s*页)?|page\s*\d+(\s*(of|/)\s*\d+)?"
_PAGE_NUMBER = re.compile(rf"[-–—·\s]*({_PAGE}|\d{{1,4}}(\s*/\s*\d{{1,4}})?)[-–—·\s]*", re.IGNORECASE)
_PAGE_WORDS = re.compile(_PAGE, re.IGNORECASE)


def _edge(page: list[Line], side: int) -> list[Line]:
    return page[:2] if side == 0 else page[-2:]


def _numbered(text: str) -> str:
    return _PAGE_WORDS.sub("（页码）", text.strip())
