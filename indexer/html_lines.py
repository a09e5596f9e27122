"""HTML to lines: headings, paragraphs, list items and table rows; scripts, navigation and what is hidden are left out."""

from selectolax.lexbor import LexborHTMLParser, LexborNode

from indexer.extraction import BOLD, ROW, Extract, Line
from indexer.tables import LEFT_OUT, bound_rows

_DROPPED = "script, style, noscript, template, nav, aside, footer, iframe, svg, form, button, select, [hidden], [aria-hidden=true]"
_DROPPED_ROLES = "[role=navigation], [role=banner], [role=contentinfo], [style*='display:none'], [style*='display: none']"
_BLOCKS = set(
    "address article blockquote body dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 header html li main ol p".split()
)
_BLOCKS |= set("pre section summary table tbody thead tfoot tr ul caption hr".split())
_MOST_COLUMNS = 200


def html_lines(text: str) -> Extract:
    """The lines of a page."""
    tree = LexborHTMLParser(text)
    for node in tree.css(f"{_DROPPED}, {_DROPPED_ROLES}"):
        node.decompose()
    title = tree.css_first("title")
    lines: list[Line] = []
    doubts: list[str] = []
    if tree.body is not None:
        _walk(tree.body, lines, doubts)
    return Extract(tuple(lines), _words(title.text()) if title else "", tuple((0, doubt) for doubt in doubts))


def _walk(root: LexborNode, lines: list[Line], doubts: list[str]) -> None:
    """Depth first without recursion: pages nest as deep as they like."""
    held: list[str] = []
    bold: list[bool] = []

    def flush(level: int = 0) -> None:
        text = _words("".join(held))
        if text:
            lines.append(Line(text, level or (BOLD if all(bold) else 0)))
        held.clear()
        bold.clear()

    stack: list[LexborNode | int] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, int):
            flush(node)
            continue
        tag = node.tag or ""
        if tag == "-text":
            words = node.text(deep=False) or ""
            held.append(words)
            if words.strip():
                bold.append(_is_bold(node))
            continue
        if tag == "br":
            flush()
        elif tag == "table":
            flush()
            grid = _grid(node)
            bound = bound_rows(grid) if grid is not None else None
            if bound is None:
                doubts.append(f"{LEFT_OUT}（“{_words(node.text(separator=' '))[:30]}”）")
            lines.extend(Line(row, ROW) for row in bound or ())
        else:
            if tag in _BLOCKS:
                flush()
                stack.append(int(tag[1]) if len(tag) == 2 and tag[1].isdigit() else 0)
            stack.extend(reversed(list(node.iter(include_text=True))))
    flush()


def _grid(table: LexborNode) -> list[list[str]] | None:
    """Cells by row and column, a spanned one told in every place; None for tables in tables and spans that say nonsense."""
    if table.css_first("td table, th table, caption table") is not None:
        return None
    held: dict[tuple[int, int], str] = {}
    rows = table.css("tr")
    for at, row in enumerate(rows):
        column = 0
        for cell in (cell for cell in row.iter() if cell.tag in ("td", "th")):
            while (at, column) in held:
                column += 1
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            if not (1 <= down <= len(rows) - at and 1 <= across <= _MOST_COLUMNS):
                return None
            held |= {(at + y, column + x): _words(cell.text(separator=" ")) for y in range(down) for x in range(across)}
            column += across
    width = 1 + max((column for _, column in held), default=0)
    if len(held) != width * len(rows):
        return None
    return [[held[at, column] for column in range(width)] for at in range(len(rows))]


def _span(cell: LexborNode, name: str) -> int:
    told = cell.attributes.get(name) or "1"
    return int(told) if told.isascii() and told.isdigit() and len(told) < 5 else 0


def _is_bold(node: LexborNode) -> bool:
    above = node.parent
    while above is not None and above.tag not in _BLOCKS:
        if above.tag in ("b", "strong"):
            return True
        above = above.parent
    return False


def _words(text: str) -> str:
    return " ".join(text.split())
