"""Names that the knowledge base does not hold: real ones, and made-up ones that could be real."""

import random
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import islice

from finetune.dice import dice_for
from indexer.names import NameIndex
from indexer.sections import SectionGuide
from indexer.terms import fold

_HEADS, _TAILS = (2, 3), (2, 4)
# Of the made-up names, those of pieces out of the middle of several titles: their syllables stand together in no name that is held.
_MIXED_SHARE, _PIECES, _PIECE = 0.5, (2, 3), (1, 2)
_TRIES = 3


@dataclass(frozen=True, slots=True)
class UnknownNames:
    """Real and made-up names of one kind that no document bears."""

    real: tuple[str, ...]
    made_up: tuple[str, ...]


def unknown_names(kind: str, titles: Sequence[str], guide: SectionGuide, names: NameIndex, count: int, seed: int) -> UnknownNames:
    """Names for questions that must be refused: those of kb_data/elsewhere.toml, and heads of held titles on the tails of others.

    None is held, holds a held name, or is one edit from one: what a slip of the pen could mean is asked about, not refused.
    """
    listed = guide.elsewhere.drugs if kind == "drug" else guide.elsewhere.diseases
    held = set(names.bearers())
    slips = {slip for name in held for slip in _slips(name)}
    dice = dice_for(seed, "unknown", kind)
    composed = dict.fromkeys(_compose(titles, dice) for _ in range(_TRIES * count if titles else 0))
    real = [name for name in dict.fromkeys(listed) if not _is_near(fold(name), held, slips)]
    fresh = (name for name in composed if name.isalnum() and name not in listed and not _is_near(fold(name), held, slips))
    return UnknownNames(tuple(real), tuple(islice(fresh, count)))


def _compose(titles: Sequence[str], dice: random.Random) -> str:
    if dice.random() < _MIXED_SHARE:
        return "".join(_piece(dice.choice(titles), dice) for _ in range(dice.randint(*_PIECES)))
    return dice.choice(titles)[: dice.randint(*_HEADS)] + dice.choice(titles)[-dice.randint(*_TAILS) :]


def _piece(title: str, dice: random.Random) -> str:
    at = dice.randrange(len(title))
    return title[at : at + dice.randint(*_PIECE)]


def _slips(name: str) -> set[str]:
    """The name and itself with any one character left out: two names one edit apart share one of these."""
    return {name, *(name[:i] + name[i + 1 :] for i in range(len(name)))}


def _is_near(folded: str, held: Set[str], slips: Set[str]) -> bool:
    parts = (folded[start:end] for start in range(len(folded)) for end in range(start + 2, len(folded) + 1))
    return any(part in held for part in parts) or bool(_slips(folded) & slips)
