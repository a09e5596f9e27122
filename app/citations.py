"""A citation is a place: release, document, start, end. Its quote is exactly what stands there."""

from dataclasses import dataclass

from indexer.documents import Document, Section
from indexer.errors import IndexDamagedError


@dataclass(frozen=True, slots=True)
class Unit:
    """A span of one section of one document: what is quoted and cited. `document.text[start:end] == text`."""

    document: Document
    section: Section
    start: int
    end: int

    @property
    def text(self) -> str:
        """The words of the span."""
        return self.document.text[self.start : self.end]

    @property
    def page(self) -> int:
        """The page on which it begins, from 1; 0 where its document has none."""
        return self.document.page_at(self.start)


@dataclass(frozen=True, slots=True)
class Citation:
    """`number` counts from 1 within its answer."""

    number: int
    release: str
    unit: Unit

    @property
    def quote(self) -> str:
        """The cited words, exactly."""
        return self.unit.text


def cite(number: int, release: str, unit: Unit) -> Citation:
    """Number a unit as a citation of its release. Raises IndexDamagedError where the span does not lie in its section."""
    section, document = unit.section, unit.document
    inside = section.start <= unit.start < unit.end <= section.end <= len(document.text)
    if not inside or section not in document.sections:
        raise IndexDamagedError(f"引用 `{document.id}` {unit.start}-{unit.end} 不在章节“{section.title}”之内", "运行 qizhen index verify")
    return Citation(number, release, unit)
