"""Word files (.docx, .docm) to lines, read from their XML. A macro is a part that is never opened."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from indexer.extraction import BOLD, ROW, Extract, ExtractionError, Line
from indexer.tables import LEFT_OUT, bound_rows

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_LARGEST_PART = 200_000_000  # bytes of XML
_HEADING = re.compile(r"(?:heading|标题)\s*([1-6])", re.IGNORECASE)
_TITLE = re.compile(r"title|标题", re.IGNORECASE)
_DAMAGED = "Word 文件不完整或已损坏（{}），请重新导出或用 Word 打开后另存"


def docx_lines(data: bytes) -> Extract:
    """The lines of a Word file. Raises ExtractionError for a damaged one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            names = set(parts.namelist())
            styles = _styles(_xml(parts, "word/styles.xml")) if "word/styles.xml" in names else {}
            body = _xml(parts, "word/document.xml").find(f"{_W}body")
            title = _core_title(parts) if "docProps/core.xml" in names else ""
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error, ElementTree.ParseError, NotImplementedError, RuntimeError) as error:
        raise ExtractionError(_DAMAGED.format(error)) from error
    macro = any(name.endswith("vbaProject.bin") for name in names)
    doubts = ["含有宏，只读了文字，宏没有打开"] if macro else []
    lines = tuple(_blocks(body, styles, doubts)) if body is not None else ()
    return Extract(lines, title, tuple((0, doubt) for doubt in doubts))


def _xml(parts: zipfile.ZipFile, name: str) -> Element:
    if parts.getinfo(name).file_size > _LARGEST_PART:
        raise ExtractionError(f"Word 文件的 `{name}` 展开后超过 {_LARGEST_PART // 1_000_000} MB，没有读")
    data = parts.read(name)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ExtractionError(f"Word 文件的 `{name}` 里有不该有的实体定义，没有读")
    return ElementTree.fromstring(data)  # noqa: S314 - entities are refused above, and the worker is limited


def _core_title(parts: zipfile.ZipFile) -> str:
    found = _xml(parts, "docProps/core.xml").find("{http://purl.org/dc/elements/1.1/}title")
    return (found.text or "").strip() if found is not None else ""


def _styles(root: Element) -> dict[str, int]:
    """Style id to heading level; the title style counts as level 1."""
    levels = {}
    for style in root.iter(f"{_W}style"):
        named = style.find(f"{_W}name")
        name = named.get(f"{_W}val", "") if named is not None else ""
        match = _HEADING.fullmatch(name.strip())
        if match or _TITLE.fullmatch(name.strip()):
            levels[style.get(f"{_W}styleId", "")] = int(match[1]) if match else 1
    return levels


def _blocks(parent: Element, styles: dict[str, int], doubts: list[str]) -> Iterator[Line]:
    for element in parent:
        if element.tag == f"{_W}p":
            yield from _paragraph(element, styles)
        elif element.tag == f"{_W}tbl":
            yield from _rows(element, doubts)
        elif element.tag == f"{_W}sdt":
            content = element.find(f"{_W}sdtContent")
            yield from _blocks(content, styles, doubts) if content is not None else ()


def _paragraph(element: Element, styles: dict[str, int]) -> Iterator[Line]:
    style = element.find(f"{_W}pPr/{_W}pStyle")
    level = styles.get(style.get(f"{_W}val", ""), 0) if style is not None else 0
    runs = [(run, _run_text(run)) for run in element.iter(f"{_W}r")]
    text = "".join(words for _, words in runs)
    bold = all(_is_on(run.find(f"{_W}rPr/{_W}b")) for run, words in runs if words.strip())
    for line in text.split("\n"):
        if line.strip():
            yield Line(line.strip(), level or (BOLD if bold else 0))


def _run_text(run: Element) -> str:
    """The words of a run; what was deleted under tracked changes stands in other elements and is not read."""
    shown = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
    return "".join((part.text or "") if part.tag == f"{_W}t" else shown.get(part.tag, "") for part in run)


def _is_on(mark: Element | None) -> bool:
    return mark is not None and mark.get(f"{_W}val", "1") not in ("0", "false")


def _rows(table: Element, doubts: list[str]) -> Iterator[Line]:
    grid = _grid(table)
    bound = bound_rows(grid) if grid is not None and table.find(f".//{_W}tc//{_W}tbl") is None else None
    if bound is None:
        doubts.append(f"{LEFT_OUT}（“{' '.join(text.text or '' for text in table.iter(f'{_W}t'))[:30]}”）")
    yield from (Line(row, ROW) for row in bound or ())


def _grid(table: Element) -> list[list[str]] | None:
    """Cells by row and column, a merged one told in every place; None where rows begin or end short."""
    grid: list[list[str]] = []
    for row in table.findall(f"{_W}tr"):
        if row.find(f"{_W}trPr/{_W}gridBefore") is not None or row.find(f"{_W}trPr/{_W}gridAfter") is not None:
            return None
        cells: list[str] = []
        for cell in row.findall(f"{_W}tc"):
            text = " ".join(" ".join("".join(_run_text(run) for run in words.iter(f"{_W}r")) for words in cell.iter(f"{_W}p")).split())
            span, merged = cell.find(f"{_W}tcPr/{_W}gridSpan"), cell.find(f"{_W}tcPr/{_W}vMerge")
            if merged is not None and merged.get(f"{_W}val", "continue") == "continue":
                if not grid or len(grid[-1]) <= len(cells):
                    return None
                text = grid[-1][len(cells)]
            cells += [text] * (int(span.get(f"{_W}val", "1")) if span is not None else 1)
        grid.append(cells)
    return grid
