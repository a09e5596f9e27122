"""HTML to lines: headings, paragraphs, list items and table rows; scripts, navigation and what is hidden are left out."""

from typing import TYPE_CHECKING

from indexer.extraction import BOLD, Extract, ExtractionError, Line

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DROPPED = "script, style, noscript, template, nav, aside, footer, iframe, svg, form, button, select, [hidden], [aria-hidden=true]"
_DROPPED_ROLES = "[role=navigation], [role=banner], [role=contentinfo], [style*='display:none'], [style*='display: none']"
_BLOCKS = set(
    "address article blockquote body dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 header html li main ol p".split()
)
_BLOCKS |= set("pre section summary table tbody thead tfoot tr ul caption hr".split())


def html_lines(text: str) -> Extract:
    """The lines of a page. Raises ExtractionError where the parser is not installed."""
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as error:
        raise ExtractionError("读 HTML 需要另装组件，请运行 pip install 'qizhen[documents]'") from error
    tree = LexborHTMLParser(text)
    for node in tree.css(f"{_DROPPED}, {_DROPPED_ROLES}"):
        node.decompose()
    title = tree.css_first("title")
    lines: list[Line] = []
    if tree.body is not None:
        _walk(tree.body, lines)
    return Extract(tuple(lines), _words(title.text()) if title else "")


def _walk(root: "LexborNode", lines: list[Line]) -> None:
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
        elif tag == "tr":
            flush()
            cells = [_words(cell.text(separator=" ")) for cell in node.iter() if cell.tag in ("td", "th")]
            held.append(" | ".join(cells) if any(cells) else "")
            bold.append(False)
            flush()
        else:
            if tag in _BLOCKS:
                flush()
                stack.append(int(tag[1]) if len(tag) == 2 and tag[1].isdigit() else 0)
            stack.extend(reversed(list(node.iter(include_text=True))))
    flush()


def _is_bold(node: "LexborNode") -> bool:
    above = node.parent
    while above is not None and above.tag not in _BLOCKS:
        if above.tag in ("b", "strong"):
            return True
        above = above.parent
    return False


def _words(text: str) -> str:
    return " ".join(text.split())
