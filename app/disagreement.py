"""Whether sources of one drug contradict one another in what is shown of them."""

import re
from collections.abc import Sequence

from app.citations import Unit
from app.claims import check_claim
from indexer.documents import Document
from indexer.terms import fold, terms

# Share of the wording beside the numbers that two statements must have in common to be about the same thing.
_SAME_MATTER = 0.5
DISAGREEING = "资料不一致，请核对原文："
_NUMBERS = re.compile(r"[\d.~\-]+\s*[a-zμ%℃/]*|[一二两三四五六七八九十半]+(?=[次日天片粒袋支丸])|禁用|慎用|忌用|不宜|可用|避免")


def disagreement(documents: Sequence[Document], found: Sequence[Unit]) -> tuple[str, ...]:
    """A notice that names the sources with their dates, newest first, where a statement of one contradicts the same one of another.

    Other wording is no contradiction; a dose, a frequency, a route or 禁用 beside 慎用 is.
    """
    by_source = {document.id: [unit for unit in found if unit.document.id == document.id] for document in documents}
    differing = [document for document in documents if any(_contradicts(by_source, document, other) for other in documents)]
    if not differing:
        return ()
    listed = "；".join(f"{d.source.publisher or d.source.title or d.id}（{d.source.revised or '无日期'}）" for d in differing)
    return (f"{DISAGREEING}{listed}。",)


def _contradicts(by_source: dict[str, list[Unit]], document: Document, other: Document) -> bool:
    if document.id == other.id:
        return False
    mine, theirs = by_source[document.id], by_source[other.id]
    return any(_differ(unit, against) for unit in mine for against in theirs if unit.section.title == against.section.title)


def _differ(first: Unit, second: Unit) -> bool:
    """Whether each says of the same matter what the other contradicts; that one only adds something is no difference."""
    if not _same_matter(fold(first.text), fold(second.text)):
        return False
    verdicts = {check_claim(one.text, other.text).verdict for one, other in ((first, second), (second, first))}
    return verdicts == {"contradicted"}


def _same_matter(first: str, second: str) -> bool:
    """Whether two folded statements say the same beside their numbers."""
    one, two = (set(terms(_NUMBERS.sub(" ", text))) for text in (first, second))
    return len(one & two) >= _SAME_MATTER * max(1, min(len(one), len(two))) if one and two else one == two
