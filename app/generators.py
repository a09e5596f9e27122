"""Evidence to sentences. Whatever a generator phrases is checked against what it cites before it is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
        """Sentences in the order to show them."""
        ...


class QuotingGenerator:
    """Says what the sources say, word for word. Sources of one drug that say the same are cited together."""

    name = "quoting"

    def draft(self, question: str, evidence: Sequence[Unit]) -> Iterator[Draft]:  # noqa: ARG002 - quotes need no question
        """One sentence for every different statement, in the order of the evidence."""
        said: dict[tuple[str, str], list[int]] = {}
        for number, unit in enumerate(evidence):
            said.setdefault((bare(unit.document.title), bare(unit.text)), []).append(number)
        for numbers in said.values():
            yield Draft(evidence[numbers[0]].text, tuple(numbers))


GENERATORS: dict[str, Generator] = {QuotingGenerator.name: QuotingGenerator()}
