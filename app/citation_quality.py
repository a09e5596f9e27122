"""Citation recall and precision in the sense of ALCE (Gao et al. 2023, section 4), whoever judges what supports what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Span = TypeVar("Span")
Verdict = str  # supported | contradicted | unsupported
Judge = Callable[[str, Sequence[Span]], Verdict]


@dataclass(frozen=True, slots=True)
class Cited(Generic[Span]):
    """A sentence and the spans that it cites, each once."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class CitationQuality:
    """Counts; recall is supported / sentences, precision is precise / citations."""

    sentences: int = 0
    supported: int = 0
    contradicted: int = 0
    citations: int = 0
    precise: int = 0

    def __add__(self, other: "CitationQuality") -> "CitationQuality":
        """The counts of both."""
        return CitationQuality(
            self.sentences + other.sentences,
            self.supported + other.supported,
            self.contradicted + other.contradicted,
            self.citations + other.citations,
            self.precise + other.precise,
        )


def citation_quality(sentences: Sequence[Cited[Span]], judge: Judge[Span]) -> CitationQuality:
    """Judge every sentence against the whole of what it cites, and every citation of a supported one for whether it is needed."""
    return sum((_of_sentence(sentence, judge) for sentence in sentences), CitationQuality())


def _of_sentence(sentence: Cited[Span], judge: Judge[Span]) -> CitationQuality:
    """A sentence without citations is unsupported. A citation is precise where its sentence is supported and it is not superfluous:
    it supports the sentence alone, or the others without it do not.
    """
    spans = sentence.spans
    verdict = judge(sentence.text, spans) if spans else "unsupported"
    supported = verdict == "supported"
    precise = sum(supported and _is_needed(sentence, position, judge) for position in range(len(spans)))
    return CitationQuality(1, int(supported), int(verdict == "contradicted"), len(spans), precise)


def _is_needed(sentence: Cited[Span], position: int, judge: Judge[Span]) -> bool:
    others = [*sentence.spans[:position], *sentence.spans[position + 1 :]]
    alone = judge(sentence.text, [sentence.spans[position]]) == "supported"
    return alone or not others or judge(sentence.text, others) != "supported"
