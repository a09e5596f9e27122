"""Where sentences begin and end: the unit that is quoted, cited and checked."""

import re

# A list mark at the head of a line or sentence: "- ", "1、", "(2)", "③". A decimal such as 1.5 is no mark.
_MARK = re.compile(r"\s*(?:[-*•●·▪◆■]\s*|[(（]\d{1,2}[)）]\s*、?|\d{1,2}(?:[、)）]|[.．](?!\d))\s*|[①-⑳]\s*)?")
_OPENING, _CLOSING = "（(【[《“‘「『", "）)】]》”’」』"
_STOPS = "。！？!?"
# A semicolon separates list items only where a numbered mark follows: "1、…；2、…".
_NUMBERED = re.compile(r"\s*(?:[(（]\d{1,2}[)）]|\d{1,2}(?:[、)）]|[.．](?!\d))|[①-⑳])")
_LATIN_START = re.compile(r"\s+[A-Z\u3400-\u9fff]")


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Spans of the sentences of `text[start:end]`, in order, without list marks and surrounding white space.

    A sentence ends at 。！？ outside brackets, at a line end, at a Latin full stop before a capital, or at a semicolon before a
    numbered item. A bare semicolon does not end one: what follows it often depends on what stands before
    ("肾功能不全者：轻度一次10mg；重度一次5mg").
    """
    end = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    line_start = start
    while line_start < end:
        newline = text.find("\n", line_start, end)
        line_end = end if newline < 0 else newline
        spans.extend(_line_spans(text, line_start, line_end))
        line_start = line_end + 1
    return spans


def _line_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    cuts = _cuts(text, start, end, heed_brackets=True)
    spans = []
    for left, right in zip([start, *cuts], [*cuts, end], strict=True):
        mark = _MARK.match(text, left, right)
        head = mark.end() if mark else left
        piece = text[head:right]
        if any(c.isalnum() for c in piece):
            first = head + len(piece) - len(piece.lstrip())
            spans.append((first, first + len(piece.strip())))
    return spans


def _cuts(text: str, start: int, end: int, heed_brackets: bool) -> list[int]:
    """Positions after which a new sentence begins. Brackets that never close are not heeded."""
    cuts: list[int] = []
    depth = 0
    for i in range(start, end):
        c = text[i]
        if c in _OPENING:
            depth += 1
        elif c in _CLOSING:
            depth = max(0, depth - 1)
        elif depth and heed_brackets:
            continue
        elif (
            c in _STOPS
            or (c in "；;" and _NUMBERED.match(text, i + 1, end))
            or (c == "." and i > start and text[i - 1].islower() and _LATIN_START.match(text, i + 1, end))
        ):
            cuts.append(i + 1)
    if depth and heed_brackets:
        return _cuts(text, start, end, heed_brackets=False)
    return _past_closing(text, cuts, end)


def _past_closing(text: str, cuts: list[int], end: int) -> list[int]:
    """Move each cut behind closing quotes and repeated stops that follow it; drop the one at the very end."""
    moved: list[int] = []
    for cut in cuts:
        after = cut
        while after < end and text[after] in _STOPS + "”’」』":
            after += 1
        if after < end and (not moved or after > moved[-1]):
            moved.append(after)
    return moved
