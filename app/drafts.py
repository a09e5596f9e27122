"""The stream of a language model, cut into sentences with the evidence numbers that it marks them with."""

import re
from collections.abc import Iterable, Iterator

from app.generators import Draft
from indexer.sentences import sentence_spans
from indexer.terms import tidy

_NUMBERS = r"[\[［【]\s*\d[\d\s,，、;；\-–~]*[\]］】]"
_MARK = re.compile(_NUMBERS)
# A mark behind the full stop belongs to the sentence before it, unless it begins a line.
_MARK_BEHIND = re.compile(rf"([。！？!?；;]+)((?:[ \t]*{_NUMBERS})+)")
_OPEN_MARK = re.compile(r"[ \t]*([\[［【][\d\s,，、;；\-–~]*)?")
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_DRESS = re.compile(r"\*\*|__|^\*|^#+ |^>\s*|`")
_OPENING, _CLOSING = "（(【[《“‘「『", "）)】]》”’」』"
_WIDEST_RANGE = 20


def read_drafts(pieces: Iterable[str]) -> Iterator[Draft]:
    """Sentences as soon as they are whole. The numbers are the model's own, counted from 0; nothing is known of them yet."""
    buffer = ""
    for piece in pieces:
        whole, buffer = _cut(buffer + piece)
        yield from _drafts(whole)
    yield from _drafts(_spoken(buffer))


def _cut(buffer: str) -> tuple[str, str]:
    """What is whole at the head of a buffer, and the rest."""
    buffer = _MARK_BEHIND.sub(r"\2\1", _spoken(buffer))
    if buffer.lstrip().startswith("<think"):
        return "", buffer
    line_end = buffer.rfind("\n") + 1
    ends = [end for _, end in sentence_spans(buffer, line_end) if _is_done(buffer, line_end, end)]
    at = ends[-1] if ends else line_end
    return buffer[:at], buffer[at:]


def _is_done(buffer: str, line_start: int, end: int) -> bool:
    """A sentence is whole where its brackets are closed and something follows that is no mark of it."""
    said = buffer[line_start:end]
    balanced = sum(said.count(c) for c in _OPENING) == sum(said.count(c) for c in _CLOSING)
    return balanced and not _OPEN_MARK.fullmatch(buffer, end)


def _spoken(text: str) -> str:
    """Without what a reasoning model thinks before it speaks."""
    return _THOUGHT.sub("", text)


def _drafts(text: str) -> Iterator[Draft]:
    text = _MARK_BEHIND.sub(r"\2\1", text)
    for start, end in sentence_spans(text):
        marked = text[start:end]
        said = _DRESS.sub("", _MARK.sub("", marked)).strip()
        if any(c.isalnum() for c in said):
            yield Draft(re.sub(r"[ \t]+(?=[。，；：！？])", "", said), _numbers(marked))


def _numbers(marked: str) -> tuple[int, ...]:
    """The numbers of all marks of a sentence, each once, from 0; [1-3] is 1, 2 and 3."""
    found: list[int] = []
    for mark in _MARK.findall(marked):
        for first, last in re.findall(r"(\d{1,4})(?:\s*[\-–~]\s*(\d{1,4}))?", tidy(mark)):
            low, high = int(first), int(last or first)
            found += range(low, min(high, low + _WIDEST_RANGE) + 1)
    return tuple(dict.fromkeys(number - 1 for number in found))
