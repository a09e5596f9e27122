"""What a knowledge base is made of: documents, their sections, and where they come from."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

Kind = Literal["drug", "disease", "text"]
_json = json.JSONEncoder(ensure_ascii=False).encode
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document comes from. Every field may be empty; `revised` and `expires` (the last day it holds) are ISO dates."""

    title: str = ""
    publisher: str = ""
    url: str = ""
    revised: str = ""
    licence: str = ""
    review: str = ""
    expires: str = ""

    def values(self) -> dict[str, str]:
        """Field values by name; dataclasses.asdict, which copies them deeply, takes ten times as long."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def label(self) -> str:
        """One line for people: title or publisher, date, state of review."""
        return " · ".join(part for part in (self.title or self.publisher, self.revised, self.review) if part)


@dataclass(frozen=True, slots=True)
class Section:
    """A titled span of its document's text; the title itself is outside the span."""

    title: str
    start: int
    end: int


@dataclass(frozen=True)
class Document:
    """One text of the knowledge base. `text[section.start:section.end]` is a section's body, exactly as it was given.

    `pages` holds where each page starts, page 1 first, and is empty where the file had none.
    """

    id: str
    kind: Kind
    title: str
    aliases: tuple[str, ...]
    text: str
    sections: tuple[Section, ...]
    source: Source
    pages: tuple[int, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the document says, as 64 hexadecimal digits."""
        places = [(section.title, section.start, section.end) for section in self.sections]
        around = _json([self.id, self.kind, self.title, self.aliases, places, self.pages, self.source.values()])
        return hashlib.sha256(f"{around}\n{self.text}".encode()).hexdigest()

    def body(self, section: Section) -> str:
        """The section's text."""
        return self.text[section.start : section.end]

    def page_at(self, offset: int) -> int:
        """The page, from 1, on which a character stands; 0 where there are no pages."""
        return max(1, bisect_right(self.pages, offset)) if self.pages else 0

    def section_at(self, start: int, end: int) -> Section | None:
        """The section that holds the whole span, if one does."""
        return next((s for s in self.sections if s.start <= start and end <= s.end), None)


def compose(document_id: str, kind: Kind, title: str, aliases: Sequence[str], parts: Sequence[tuple[str, str]], source: Source) -> Document:
    """Lay the (title, text) parts out as one text and note where each body lies."""
    pieces: list[str] = []
    sections: list[Section] = []
    length = 0
    for heading, body in parts:
        lead = ("\n\n" if pieces else "") + heading + "\n"
        start = length + len(lead)
        sections.append(Section(heading, start, start + len(body)))
        pieces.append(lead + body)
        length = start + len(body)
    return Document(document_id, kind, title, tuple(aliases), "".join(pieces), tuple(sections), source)
