"""How people say what texts write, and the names of drugs and diseases that exist without being held."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ahocorasick_rs import AhoCorasick, MatchKind

from indexer.terms import fold

# A gap in a pattern does not reach over a clause's end.
_ANYTHING = re.compile(r"(?<!\\)\.(?=\{)")
Table = Literal["sign", "setting", "term"]
# "不发烧" says that there is no fever.
_DENIED = re.compile(r"(?:没有?|无|不|未|否认|no |without )(?:怎么|见|出现|感觉|any )?$")


@dataclass(frozen=True, slots=True)
class Said:
    """A stretch of a question, [start, end), that means one of `texts` (folded).

    `of` names the table: a sign that a patient feels or shows, a setting it comes in, or another term.
    """

    start: int
    end: int
    texts: tuple[str, ...]
    of: Table

    def stands_in(self, folded: str) -> bool:
        """Whether a text says it, in one of its wordings."""
        return any(text in folded for text in self.texts)


@dataclass(frozen=True)
class LayTerms:
    """The tables of kb_data/lay_terms.toml: wordings of texts, split by a bar, and a pattern of what people say."""

    signs: Mapping[str, str]
    settings: Mapping[str, str]
    terms: Mapping[str, str]

    def read(self, folded: str) -> tuple[Said, ...]:
        """What of the tables a folded question says, in its order; each meaning once."""
        here = [entry for entry in self._patterns if entry[0].search(folded)]
        found = [
            Said(match.start(), match.end(), texts, table)
            for pattern, texts, table in here
            if (match := _affirmed(pattern, folded, table)) is not None
        ]
        return tuple(sorted(found, key=lambda said: (said.start, -said.end)))

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], tuple[str, ...], Table]]:
        return [*_compiled(self.signs, "sign"), *_compiled(self.settings, "setting"), *_compiled(self.terms, "term")]


def _affirmed(pattern: re.Pattern[str], folded: str, table: Table) -> re.Match[str] | None:
    """The first place that says it; for a sign, one that does not deny it."""
    for match in pattern.finditer(folded):
        if match.end() > match.start() and not (table == "sign" and _DENIED.search(folded, max(0, match.start() - 6), match.start())):
            return match
    return None


def _compiled(entries: Mapping[str, str], table: Table) -> Iterable[tuple[re.Pattern[str], tuple[str, ...], Table]]:
    for written, spoken in entries.items():
        texts = tuple(fold(text) for text in written.split("|"))
        within = _ANYTHING.sub("[^,。;!?、]", spoken)
        yield re.compile("|".join([within, *(re.escape(text) for text in texts if len(text) > 1)])), texts, table


@dataclass(frozen=True, slots=True)
class Stranger:
    """A name of a drug or disease that a question holds and the release does not."""

    name: str
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Elsewhere:
    """Names of drugs and diseases that exist; kb_data/elsewhere.toml."""

    drugs: tuple[str, ...] = ()
    diseases: tuple[str, ...] = ()

    def find(self, masked: str) -> tuple[Stranger, ...]:
        """Names in a folded question whose held names are masked, in order."""
        strangers = []
        for number, start, end in self._finder.find_matches_as_indexes(masked):
            name, kind = self._names[number]
            if not (name[0].isascii() and _in_latin_word(masked, start, end)):
                strangers.append(Stranger(name, kind, start, end))
        return tuple(strangers)

    @cached_property
    def _names(self) -> Sequence[tuple[str, str]]:
        named = [*((fold(name), "drug") for name in self.drugs), *((fold(name), "disease") for name in self.diseases)]
        return sorted(dict(reversed(named)).items())

    @cached_property
    def _finder(self) -> AhoCorasick:
        return AhoCorasick([name for name, _ in self._names], matchkind=MatchKind.LeftmostLongest)


def _in_latin_word(text: str, start: int, end: int) -> bool:
    around = text[start - 1 : start] + text[end : end + 1]
    return any(c.isascii() and c.isalnum() for c in around)
