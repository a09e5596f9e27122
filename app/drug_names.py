"""Finds drugs while their names are being typed: Chinese, pinyin, initials, English, brands, aliases."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

from app.lookalike import confusable_with, could_mean
from app.remembering import remembered
from indexer.release import Release
from indexer.sounds import readings, sound
from indexer.terms import fold

LONGEST_QUERY = 60
MOST_SUGGESTED = 8
# Partners shown beside the first drug found, so that one is not taken for the other.
_MOST_PARTNERS = 2
# Names looked through for one that holds what was typed; past that a longer query is what helps.
_MOST_INSIDE = 400
# Beginnings of so many characters have thousands of names; the best of each are picked beforehand.
_SHORT, _MOST_SHORT = 2, 100


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A drug that may be meant. `position` is its document's, `matched` the name that was hit where it is not the title, `beside`
    tells that it is shown only because the drug before it looks like it, `look_alikes` are titles it must not be mistaken for.
    """

    position: int
    title: str
    matched: str
    look_alikes: tuple[str, ...]
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for a query, the best first. `misspelt`: no name holds the query; these are only near it. `more`: others fit too."""

    query: str
    suggestions: tuple[Suggestion, ...]
    misspelt: bool = False
    more: bool = False


class DrugNames:
    """The names of a release's drugs in every way of typing them, sorted once so that a query costs a few look-ups."""

    def __init__(self, release: Release) -> None:
        drugs = [document for document in release.store.names() if document.kind == "drug"]
        self._titles = {drug.position: drug.title for drug in drugs}
        written: dict[str, set[tuple[bool, int, str]]] = defaultdict(set)
        for drug in drugs:
            written[fold(drug.title).strip()].add((True, drug.position, ""))
            for alias in drug.aliases:
                written[fold(alias).strip()].add((False, drug.position, alias))
        self._borne: dict[int, set[str]] = defaultdict(set)
        for surface, positions in release.names.bearers().items():
            for position in positions:
                self._borne[position].add(surface)
            known = {position for _, position, _ in written.get(surface, ())}
            written[surface] |= {(False, position, surface) for position in positions if position in self._titles and position not in known}
        self._names = _Sorted([(name, *held) for name, bearers in written.items() for held in bearers])
        self._typed = _Sorted([(key, *held) for name, bearers in written.items() for key in _keys(name) for held in bearers])
        self._joined, self._starts = _joined(self._names.keys)

    def __len__(self) -> int:
        """How many documents about drugs there are."""
        return len(self._titles)

    def matches(self, folded: str, limit: int) -> dict[int, str]:
        """Document positions of the drugs whose names fit a folded query, the best first, each with the name that was hit.

        A whole name before the beginning of one, a title before an alias, a name as written before its pinyin, the shortest first.
        """
        keyed = _key_of(folded)
        ranked = sorted([*self._as_written(folded), *(self._as_typed(keyed) if keyed else ())])
        best: dict[int, str] = {}
        for *_, position, name in ranked:
            best.setdefault(position, name)
            if len(best) == limit:
                break
        return best

    def shared(self, positions: Iterable[int], others: Iterable[int]) -> set[str]:
        """Folded names, stems without dosage form included, that documents on either side bear."""
        sides = [{name for position in side for name in self._borne.get(position, ())} for side in (positions, others)]
        return sides[0] & sides[1]

    def title(self, position: int) -> str:
        """The title of a drug."""
        return self._titles[position]

    def _as_written(self, folded: str) -> Iterator[tuple[int, int, str, int, str]]:
        for key, is_title, position, name in self._names.beginning_with(folded):
            tier = (0 if is_title else 1) if key == folded else (3 if is_title else 5)
            yield tier, len(key), key, position, name
        for number in self._holding(folded) if len(folded) > 1 or not folded.isascii() else ():
            key, is_title, position, name = self._names.rows[number]
            yield 7 if is_title else 8, len(key), key, position, name

    def _as_typed(self, keyed: str) -> Iterator[tuple[int, int, str, int, str]]:
        for key, is_title, position, name in self._typed.beginning_with(keyed):
            tier = (2 if is_title else 4) if key == keyed else (5 if is_title else 6)
            yield tier, len(key), key, position, name

    def _holding(self, folded: str) -> Iterator[int]:
        """Rows whose name holds the query anywhere; at most so many."""
        at = -1
        for _ in range(_MOST_INSIDE):
            at = self._joined.find(folded, at + 1)
            if at < 0:
                return
            yield bisect_right(self._starts, at) - 1


class _Sorted:
    """Rows (key, is a title, position, name as written) in the order of their keys."""

    def __init__(self, rows: list[tuple[str, bool, int, str]]) -> None:
        self.rows = sorted(rows)
        self.keys = [row[0] for row in self.rows]
        self._short: dict[str, list[tuple[str, bool, int, str]]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: (not row[1], len(row[0]), row[0])):
            for size in range(1, _SHORT + 1):
                held = self._short[row[0][:size]]
                if len(held) < _MOST_SHORT or len(row[0]) <= size:
                    held.append(row)

    def beginning_with(self, start: str) -> Sequence[tuple[str, bool, int, str]]:
        """Rows whose key begins so; of a very short beginning only titles and short names, which come first anyway."""
        if len(start) <= _SHORT:
            return self._short.get(start, ())
        first = bisect_left(self.keys, start)
        return self.rows[first : bisect_left(self.keys, start + "\U0010ffff", first)]


_SORTING = Lock()


@remembered
def _names_of(release: Release, _all: str) -> DrugNames:
    return DrugNames(release)


def drug_names(release: Release) -> DrugNames:
    """The drug names of a release, sorted when they are first asked for; whoever asks meanwhile waits (3.8 s at 10,000 drugs)."""
    with _SORTING:
        return _names_of(release, "")


def prepare(release: Release) -> None:
    """Lay out every table that a look-up needs, so that nobody waits for them. Raises IndexDamagedError."""
    for query in (release.names.title(0) if release.store.documents else "", "启真真"):
        suggest(release, query)


def suggest(release: Release, query: str, limit: int = MOST_SUGGESTED) -> Found:
    """Drugs that a query may stand for. A misspelt name gives those it could be, never one of them in its place."""
    names, folded = drug_names(release), fold(query).strip()
    if not folded:
        return Found(query, ())
    best = names.matches(folded, limit + 1)
    misspelt = not best
    if misspelt:
        best = dict.fromkeys(could_mean(release, query), "")
    first = list(best.items())[:limit]
    shown = [Suggestion(position, names.title(position), name, _look_alikes(release, position)) for position, name in first]
    return Found(query, tuple(_with_partners(release, shown)), misspelt, len(best) > limit)


def _with_partners(release: Release, shown: list[Suggestion]) -> list[Suggestion]:
    """The first drug's look-alikes stand directly behind it, where they are not among the others."""
    if not shown:
        return shown
    present = {suggestion.title for suggestion in shown}
    partners = [near for near in confusable_with(release, [shown[0].position])[:_MOST_PARTNERS] if near.title not in present]
    beside = [Suggestion(near.position, near.title, "", _look_alikes(release, near.position), beside=True) for near in partners]
    return [*shown[:1], *beside, *shown[1:]]


@remembered
def _look_alikes(release: Release, position: int) -> tuple[str, ...]:
    return tuple(near.title for near in confusable_with(release, [position])[:_MOST_PARTNERS])


def _key_of(folded: str) -> str:
    """What is compared with pinyin: letters and digits alone, ü typed as v read as u."""
    bare = "".join(c for c in folded if c.isascii() and c.isalnum())
    han = any(not c.isascii() and c.isalpha() for c in folded)
    return "" if han else bare.replace("lv", "lu").replace("nv", "nu")


def _keys(name: str) -> set[str]:
    """Initials and whole pinyin of a folded name with Chinese in it; a character of two readings gives two keys each."""
    spoken = [c for c in name if c.isalnum()]
    usual = sound("".join(spoken))
    if all(c.isascii() for c in spoken):
        return set()
    heard = {usual}
    for number, character in enumerate(spoken):
        for other in readings(character)[1:2]:
            heard.add((*usual[:number], other, *usual[number + 1 :]))
    return {"".join(part[0] for part in told) for told in heard} | {"".join(told) for told in heard}


def _joined(keys: Sequence[str]) -> tuple[str, list[int]]:
    """All keys as one text, and where each begins: one search looks through all of them."""
    starts, at = [], 0
    for key in keys:
        starts.append(at)
        at += len(key) + 1
    return "\n".join(keys), starts
