"""Passages: the slices of a document that are indexed and found."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.documents import Document

_BREAK = re.compile(r"(?<=[。！？!?；;\n])")
_SOFT_BREAK = re.compile(r"(?<=[，、,：: ])")
_LATIN_BREAK = re.compile(r"(?<=[a-z)\]][.!?] )|(?<=[;\n])")
# What a Chinese text says in a hundred characters takes about three hundred Latin letters. A Chinese character has three bytes.
_LATIN_LENGTH = 3
_LATIN_BYTES = 1.5


@dataclass(frozen=True, slots=True)
class PassageSettings:
    """`characters`: the longest passage, 50-2,000; three times as many where a section is written in Latin letters. A passage ends at a
    sentence, or at a comma where a sentence is longer.
    """

    characters: int = 300

    def __post_init__(self) -> None:
        if not 50 <= self.characters <= 2000:
            raise ValueError(f"passage length `{self.characters}` is outside 50-2000 characters")


@dataclass(frozen=True, slots=True)
class Passage:
    """`document.text[start:end] == text`, inside section number `section` (from 0) of its document."""

    section: int
    start: int
    end: int
    text: str


def passages_of(document: Document, settings: PassageSettings) -> Iterator[Passage]:
    """Cut every section into passages. Together they hold all of its text but white space at the cuts."""
    for number, section in enumerate(document.sections):
        start = section.start
        for piece in _cut(document.body(section), settings.characters):
            left = start + len(piece) - len(piece.lstrip())
            right = start + len(piece.rstrip())
            if left < right:
                yield Passage(number, left, right, document.text[left:right])
            start += len(piece)


def _cut(text: str, longest: int) -> Iterator[str]:
    if len(text) <= longest:
        return iter((text,))
    if len(text.encode()) >= _LATIN_BYTES * len(text):
        return _pack(_pieces(text, _BREAK, longest), longest)
    return _pack(_pieces(text, _LATIN_BREAK, _LATIN_LENGTH * longest), _LATIN_LENGTH * longest)


def _pieces(text: str, sentence_end: re.Pattern[str], longest: int) -> Iterator[str]:
    """Cut at sentence ends; cut a sentence that is too long at commas; cut what is still too long by count."""
    for sentence in sentence_end.split(text):
        if len(sentence) <= longest:
            yield sentence
            continue
        for part in _pack(_SOFT_BREAK.split(sentence), longest):
            yield from (part[i : i + longest] for i in range(0, len(part), longest))


def _pack(pieces: Iterator[str] | list[str], longest: int) -> Iterator[str]:
    """Join neighbours while they fit."""
    held = ""
    for piece in pieces:
        if held and len(held) + len(piece) > longest:
            yield held
            held = ""
        held += piece
    if held:
        yield held


def searchable(document: Document, passage: Passage) -> str:
    """What is indexed for a passage: the document's title and the section's heading in front of its text."""
    return f"{document.title} {document.sections[passage.section].title} {passage.text}"
