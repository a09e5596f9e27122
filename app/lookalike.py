"""Drugs that could be mistaken for the one asked about: listed pairs, and names one edit apart."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from app.remembering import remembered
from indexer.release import Release
from indexer.terms import fold

# A notice is read where it is short.
_MOST_NOTICES = 2
# Edits between a misspelt name and a listed partner that it could be as well: 氯炳嗪 is two from 异丙嗪.
_EDITS = 2
_DRUG = frozenset({"drug"})


@dataclass(frozen=True, slots=True)
class Confusable:
    """A held drug with a look-alike name; `difference` tells the two apart and is empty where nobody listed the pair."""

    position: int
    title: str
    difference: str


def confusable_with(release: Release, positions: Sequence[int]) -> list[Confusable]:
    """Held drugs whose names look like those of these documents: listed ones first, the likest first."""
    found: dict[str, Confusable] = {}
    partners = _listed(release, "")
    for _, other, difference in sorted({row for position in set(positions) for row in partners.get(position, ())}):
        if not set(other) & set(positions):
            found.setdefault(release.names.title(other[0]), Confusable(other[0], release.names.title(other[0]), difference))
    listed = sorted(found.values(), key=lambda near: -_likeness(release, positions, near.position))
    apart = [near for position in positions for near in release.names.one_edit_apart(position) if near not in positions]
    unlisted = {release.names.title(position): position for position in apart if release.names.title(position) not in found}
    return listed + [Confusable(position, title, "") for title, position in unlisted.items()]


@remembered
def _listed(release: Release, _all: str) -> dict[int, list[tuple[int, tuple[int, ...], str]]]:
    """For a document's position: the listed pairs it is in, as (number, positions of the other drug, difference)."""
    pairs: dict[int, list[tuple[int, tuple[int, ...], str]]] = defaultdict(list)
    for number, pair in enumerate(release.look_alikes):
        sides = [release.names.exact(name) for name in pair.names]
        for side, (own, other) in enumerate((sides, sides[::-1])):
            for position in own if other else ():
                pairs[position].append((2 * number + side, other, pair.difference))
    return pairs


def _likeness(release: Release, positions: Sequence[int], other: int) -> float:
    titles = [fold(release.names.title(position)) for position in positions]
    return max(Levenshtein.normalized_similarity(title, fold(release.names.title(other))) for title in titles)


def confusion_notices(release: Release, drugs: Sequence[Sequence[int]]) -> list[str]:
    """For the drugs that a question names (the positions of each): what they are not to be mistaken for.

    Two of them that look alike are told apart; else each is told apart from the look-alikes beside it.
    """
    notices = []
    named = {position for positions in drugs for position in positions}
    for positions in drugs:
        for near in confusable_with(release, positions)[:_MOST_NOTICES]:
            if near.position in named:
                notices.append(f"请注意区分：{near.difference}" if near.difference else f"“{near.title}”名称相近，请注意区分。")
            else:
                notices.append(f"勿与“{near.title}”混淆{f'：{near.difference}' if near.difference else '。'}")
    return list(dict.fromkeys(notices))


def could_mean(release: Release, written: str) -> list[int]:
    """Drugs that a name nobody bears may be a slip for: near it in writing, or heard alike, and partners that it could mean as well."""
    near = release.names.near(written, _DRUG) or release.names.heard(fold(written).strip(), _DRUG)[1]
    return list(dict.fromkeys([*near, *other_meanings(release, written, near)]))


def other_meanings(release: Release, written: str, positions: Sequence[int]) -> tuple[int, ...]:
    """Listed partners of the drugs offered for a misspelt name that it could be meant for as well."""
    near = [other.position for other in confusable_with(release, positions) if other.difference]
    return tuple(position for position in near if Levenshtein.distance(fold(written), fold(release.names.title(position))) <= _EDITS)
