"""How people say what texts write, and the names of drugs and diseases that exist without being held."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from ahocorasick_rs import AhoCorasick, MatchKind

from indexer.terms import fold

# A gap in a pattern does not reach over a clause's end.
_ANYTHING = re.compile(r"(?<!\\)\.(?=\{)")
# A character, or one of several, that must stand there.
_PLAIN_BEGINNING = re.compile(r"([^\W_])|\[([^\W_]+)\]")
# A bracket that opens or closes a group; what is escaped or in a class is passed over.
_BRACKET = re.compile(r"\\.|\[[^]]*\]|[()]")
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

    def is_put_otherwise(self, folded: str) -> bool:
        """Whether the question says it in words that no text uses for it."""
        return folded[self.start : self.end] not in self.texts

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
        there = frozenset(folded)
        found = [
            Said(match.start(), match.end(), way.texts, way.table)
            for way in self._ways
            if not (way.beginnings and way.beginnings.isdisjoint(there)) and (match := _affirmed(way, folded)) is not None
        ]
        return tuple(sorted(found, key=lambda said: (said.start, -said.end)))

    @cached_property
    def _ways(self) -> list["_Way"]:
        return [*_compiled(self.signs, "sign"), *_compiled(self.settings, "setting"), *_compiled(self.terms, "term")]


@dataclass(frozen=True, slots=True)
class _Way:
    """A way of saying something. `beginnings` are the characters that a match can begin with, none if any may."""

    pattern: re.Pattern[str]
    beginnings: frozenset[str]
    texts: tuple[str, ...]
    table: Table


def _affirmed(way: _Way, folded: str) -> re.Match[str] | None:
    """The first place that says it; for a sign, one that does not deny it."""
    if not way.pattern.search(folded):
        return None
    for match in way.pattern.finditer(folded):
        if match.end() > match.start() and not (way.table == "sign" and _DENIED.search(folded, max(0, match.start() - 6), match.start())):
            return match
    return None


def _compiled(entries: Mapping[str, str], table: Table) -> Iterable[_Way]:
    for written, spoken in entries.items():
        texts = tuple(fold(text) for text in written.split("|"))
        within = _ANYTHING.sub("[^,。;!?、]", spoken)
        whole = "|".join([within, *(re.escape(text) for text in texts if len(text) > 1)])
        yield _Way(re.compile(whole), _beginnings(whole), texts, table)


def _beginnings(pattern: str) -> frozenset[str]:
    """The characters that matches of a pattern begin with, where each of its alternatives says so plainly; else none."""
    begun = [_begun(alternative) for alternative in _alternatives(pattern)]
    return frozenset().union(*begun) if all(begun) else frozenset()


def _begun(alternative: str) -> frozenset[str]:
    plain = _PLAIN_BEGINNING.match(alternative)
    if plain:
        first, found = plain[0], frozenset(plain[1] or plain[2])
    elif alternative.startswith("("):
        first = next(_groups(alternative), "")
        inside = first[1:-1].removeprefix("?:")
        found = frozenset() if inside.startswith("?") else _beginnings(inside)
    else:
        return frozenset()
    rest = alternative[len(first) :]
    if rest.startswith("?"):  # it may be left out
        behind = _begun(rest[1:])
        return found | behind if found and behind else frozenset()
    return found if not rest.startswith(("*", "{")) else frozenset()


def _alternatives(pattern: str) -> list[str]:
    """A pattern cut at the bars that stand in no group."""
    bare = pattern
    for group in _groups(pattern):
        bare = bare.replace(group, " " * len(group), 1)
    edges = [-1, *(at for at, character in enumerate(bare) if character == "|"), len(bare)]
    return [pattern[start + 1 : end] for start, end in pairwise(edges)]


def _groups(pattern: str) -> Iterator[str]:
    """The outermost groups of a pattern, brackets included."""
    depth = start = 0
    for bracket in _BRACKET.finditer(pattern):
        if bracket[0] == "(":
            start = start if depth else bracket.start()
            depth += 1
        elif bracket[0] == ")":
            depth -= 1
            if not depth:
                yield pattern[start : bracket.end()]


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
