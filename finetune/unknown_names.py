"""Names that the knowledge base does not hold: real ones, and made-up ones that could be real."""

import random
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import islice

from finetune.dice import dice_for
from indexer.documents import Document
from indexer.names import NameIndex
from indexer.sections import SectionGuide
from indexer.terms import fold

_HEADS, _TAILS = (2, 3), (2, 4)
# Of the made-up names, those of pieces out of the middle of titles, of other held names and of running text: their syllables stand
# together in no name that is held. Of titles alone they teach nothing about characters that no title has.
_MIXED_SHARE, _PIECES = 0.6, (2, 3)
_HAN_PIECE, _LATIN_PIECE = (1, 2), (2, 5)
_HAN = re.compile(r"[\u3400-\u9fff]{2,}")
_LATIN = re.compile(r"[a-z]{5,}")
_LATIN_SHARE = 0.1
_READ = 2000
_TRIES = 3


@dataclass(frozen=True, slots=True)
class UnknownNames:
    """Real and made-up names of one kind that no document bears."""

    real: tuple[str, ...]
    made_up: tuple[str, ...]


def unknown_names(kind: str, documents: Sequence[Document], guide: SectionGuide, names: NameIndex, count: int, seed: int) -> UnknownNames:
    """Names for questions that must be refused: those of kb_data/elsewhere.toml, and made-up ones of pieces of held names and texts.

    None is held, holds a held name, or is one edit from one: what a slip of the pen could mean is asked about, not refused.
    """
    own = [document for document in documents if document.kind == kind]
    listed = guide.elsewhere.drugs if kind == "drug" else guide.elsewhere.diseases
    held = set(names.bearers())
    slips = {slip for name in held for slip in _slips(name)}
    dice = dice_for(seed, "unknown", kind)
    pieces = _Pieces(own, sorted(held), dice)
    composed = dict.fromkeys(pieces.name() for _ in range(_TRIES * count if own else 0))
    real = [name for name in dict.fromkeys(listed) if not _is_near(fold(name), held, slips)]
    fresh = (name for name in composed if name.isalnum() and name not in listed and not _is_near(fold(name), held, slips))
    return UnknownNames(tuple(real), tuple(islice(fresh, count)))


class _Pieces:
    """What made-up names are put together from."""

    def __init__(self, documents: Sequence[Document], held: Sequence[str], dice: random.Random) -> None:
        self._titles = [document.title for document in documents]
        self._latin = [name for name in held if _LATIN.fullmatch(name)]
        self._sources = (self._titles, [name for name in held if _HAN.fullmatch(name)] or self._titles, _runs(documents) or self._titles)
        self._dice = dice

    def name(self) -> str:
        """The head of a title on the tail of another, pieces of anything, or pieces of Latin names."""
        kind = self._dice.random()
        if self._latin and kind < _LATIN_SHARE:
            return self._mixed([self._latin], _LATIN_PIECE)
        if kind < _LATIN_SHARE + _MIXED_SHARE:
            return self._mixed(self._sources, _HAN_PIECE)
        return (
            self._dice.choice(self._titles)[: self._dice.randint(*_HEADS)] + self._dice.choice(self._titles)[-self._dice.randint(*_TAILS) :]
        )

    def _mixed(self, sources: Sequence[Sequence[str]], lengths: tuple[int, int]) -> str:
        return "".join(self._piece(self._dice.choice(self._dice.choice(sources)), lengths) for _ in range(self._dice.randint(*_PIECES)))

    def _piece(self, text: str, lengths: tuple[int, int]) -> str:
        at = self._dice.randrange(len(text))
        return text[at : at + self._dice.randint(*lengths)]


def _runs(documents: Sequence[Document]) -> list[str]:
    """Runs of Chinese characters in texts, each once; of some of the documents where there are many."""
    some = documents[:: len(documents) // _READ + 1]
    return list(dict.fromkeys(run for document in some for run in _HAN.findall(document.text)))


def _slips(name: str) -> set[str]:
    """The name and itself with any one character left out: two names one edit apart share one of these."""
    return {name, *(name[:i] + name[i + 1 :] for i in range(len(name)))}


def _is_near(folded: str, held: Set[str], slips: Set[str]) -> bool:
    parts = (folded[start:end] for start in range(len(folded)) for end in range(start + 2, len(folded) + 1))
    return any(part in held for part in parts) or bool(_slips(folded) & slips)
