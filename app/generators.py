"""Evidence to sentences. Whatever a generator phrases is checked against what it cites before it is shown (app/checking.py)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from app.citations import Unit
from indexer.terms import bare


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence to be checked, and the numbers (from 0) of the evidence units it rests on."""

    text: str
    units: tuple[int, ...]


class Generator(Protocol):
    """Phrases an answer from evidence."""

    name: str

    def draft(self, question: str, evidence: Sequence[Unit]) -> Iterator[Draft]:
        """Sentences in the order to show them. Raises ModelError where a language model fails on the way."""
        ...


class QuotingGenerator:
    """Says what the sources say, word for word. Sources of one drug that say the same are cited together."""

    name = "quoting"

    def draft(self, question: str, evidence: Sequence[Unit]) -> Iterator[Draft]:  # noqa: ARG002 - quotes need no question
        """One sentence for every different statement, in the order of the evidence."""
        for numbers in statements(evidence):
            yield Draft(evidence[numbers[0]].text, numbers)


@lru_cache(maxsize=16_384)
def plain(text: str) -> str:
    """`bare`, of texts that are asked for again and again: titles, and the sentences that answer."""
    return bare(text)


def statements(evidence: Sequence[Unit]) -> list[tuple[int, ...]]:
    """Numbers of the units of every different statement about one drug or disease, in order."""
    said: dict[tuple[str, str], list[int]] = {}
    for number, unit in enumerate(evidence):
        said.setdefault((plain(unit.document.title), plain(unit.text)), []).append(number)
    return [tuple(numbers) for numbers in said.values()]
