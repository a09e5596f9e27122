"""Train the models that tell names from the words around them (indexer/name_models.py).

Right examples are names inside longer names, and names. Wrong ones are names in running text, names put where none stood (without these
every context that was never met beside a name would be left undecided), and pieces of running text.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ahocorasick_rs import AhoCorasick

from finetune.dice import dice_for
from finetune.encoding import read_lines
from finetune.json_files import write_json
from indexer.errors import QizhenError
from indexer.name_models import BEFORE, BEHIND, PAIRS, WHOLE, context_grams, hashed, pair_bit, run_grams
from indexer.readers import read_documents
from indexer.sections import SHIPPED, guide_text, load_guide
from indexer.terms import fold

_HAN = re.compile(r"[\u3400-\u9fff]")
_RUN = re.compile(r"[\u3400-\u9fff]{2,}")
_TOUCHING = {BEFORE: re.compile(r"[\u3400-\u9fff]{1,5}$"), BEHIND: re.compile(r"^[\u3400-\u9fff]{1,5}")}
_SHORTEST_TEXT, _LONGEST_NAME = 6, 12
_PIECES = (2, 2, 3, 3, 4, 4, 5, 6, 7, 8)  # lengths of pieces of running text, in characters: those of names
_OFTEN, _PAIR_BITS = 30, 1 << 19
_APART = 10  # one name of so many is kept apart to measure
_MEASURED = (0.005, 0.01, 0.02, 0.05, 0.15)


@dataclass(frozen=True, slots=True)
class NameRecipe:
    """How the models are trained: names put into running text, pieces cut from it, and scikit-learn's C for contexts and for names."""

    rows: int = 32768
    invented: int = 300_000
    pieces: int = 200_000
    context_strength: float = 0.2
    name_strength: float = 1.0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Example:
    """What is read off a text, whether it is part of a name, and whether it is kept apart to measure."""

    grams: list[str]
    is_name: bool
    apart: bool = False


def train_name_models(knowledge: Sequence[Path], spoken: Sequence[Path], folder: Path, recipe: NameRecipe) -> dict[str, Any]:
    """Read names and texts from knowledge bases and how people speak from JSON Lines, train, write `folder`, return the manifest.

    Raises QizhenError where there is nothing to learn from.
    """
    names, texts = _names(knowledge), _texts(knowledge, spoken)
    if not names or not texts:
        raise QizhenError(f"名称 `{len(names)}` 个、文本 `{len(texts)}` 段，训练不了", "用 --kb 给出文档，用 --texts 给出 JSON Lines")
    data = hashlib.sha256(json.dumps([names, texts], ensure_ascii=False).encode()).hexdigest()
    made: dict[str, Any] = {"recipe": asdict(recipe), "names": len(names), "texts": len(texts), "data_digest": data}
    finder = AhoCorasick(names)
    examples: Mapping[str, tuple[list[Example], float]] = {
        BEFORE: ([*_touched(texts, names, finder, BEFORE), *_invented(texts, names, BEFORE, recipe)], recipe.context_strength),
        BEHIND: ([*_touched(texts, names, finder, BEHIND), *_invented(texts, names, BEHIND, recipe)], recipe.context_strength),
        WHOLE: ([*_whole(names), *_pieces(texts, names, recipe)], recipe.name_strength),
    }
    folder.mkdir(parents=True, exist_ok=True)
    made["pairs"] = _write_pairs(texts, folder / PAIRS)
    made["models"] = {part: _train(part, told, strength, folder, recipe) for part, (told, strength) in examples.items()}
    write_json(folder / "manifest.json", made)
    return made


def _names(knowledge: Sequence[Path]) -> list[str]:
    """Folded names of drugs and diseases, held and elsewhere, that hold Chinese characters."""
    elsewhere = load_guide(guide_text(SHIPPED), str(SHIPPED)).elsewhere
    held = (name for d in read_documents(knowledge) if d.kind != "text" for name in (d.title, *d.aliases))
    folded = (fold(name) for name in (*held, *elsewhere.drugs, *elsewhere.diseases))
    return sorted({name for name in folded if len(name) > 1 and _HAN.search(name)})


def _texts(knowledge: Sequence[Path], spoken: Sequence[Path]) -> list[str]:
    sections = (document.body(section) for document in read_documents(knowledge) for section in document.sections)
    told = (text for row in read_lines([str(path) for path in spoken]) for text in row.values() if isinstance(text, str))
    return [text for text in dict.fromkeys(fold(text) for text in (*sections, *told)) if len(text) >= _SHORTEST_TEXT]


def _touched(texts: Sequence[str], names: Sequence[str], finder: AhoCorasick, side: str) -> Iterator[Example]:
    """Every name in a text or in another name that Chinese characters touch on this side, unless only its other side is a longer name's."""
    for text in (*texts, *names):
        found = [(start, end, names[number]) for number, start, end in finder.find_matches_as_indexes(text, overlapping=True)]
        for start, end, name in found:
            before = any(a < start and end <= b for a, b, _ in found)
            behind = any(a <= start and end < b for a, b, _ in found)
            joined, other = (before, behind) if side == BEFORE else (behind, before)
            context = _context(text, start, end, side)
            if context and (joined or not other):
                yield Example(context_grams(context, name, side), joined, _is_apart(name))


def _context(text: str, start: int, end: int, side: str) -> str:
    match = _TOUCHING[side].search(text[:start] if side == BEFORE else text[end:])
    return match[0] if match else ""


def _invented(texts: Sequence[str], names: Sequence[str], side: str, recipe: NameRecipe) -> Iterator[Example]:
    """Names put anywhere into running text."""
    dice = dice_for(recipe.seed, "names", side)
    for _ in range(recipe.invented):
        text = dice.choice(texts)
        at = dice.randrange(1, len(text))
        if context := _context(text, at, at, side):
            yield Example(context_grams(context, dice.choice(names), side), is_name=False)


def _whole(names: Sequence[str]) -> Iterator[Example]:
    return (Example(run_grams(name), is_name=True, apart=_is_apart(name)) for name in names if len(name) <= _LONGEST_NAME)


def _pieces(texts: Sequence[str], names: Sequence[str], recipe: NameRecipe) -> Iterator[Example]:
    """Pieces of running text that are no names."""
    dice, known = dice_for(recipe.seed, "names", WHOLE), set(names)
    for _ in range(recipe.pieces):
        text = dice.choice(texts)
        at = dice.randrange(len(text))
        piece = text[at : at + dice.choice(_PIECES)]
        if _RUN.fullmatch(piece) and piece not in known:
            yield Example(run_grams(piece), is_name=False, apart=_is_apart(piece))


def _write_pairs(texts: Sequence[str], path: Path) -> int:
    """Write the set of pairs of Chinese characters that running text holds often enough; return how many there are."""
    counts = Counter(run[at : at + 2] for text in texts for run in _RUN.findall(text) for at in range(len(run) - 1))
    often = sorted(pair for pair, count in counts.items() if count >= _OFTEN)
    bits = np.zeros(_PAIR_BITS, dtype=bool)
    bits[[pair_bit(pair, _PAIR_BITS) for pair in often]] = True
    np.save(path, np.packbits(bits, bitorder="little"), allow_pickle=False)
    return len(often)


def _is_apart(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % _APART == 0


def _train(part: str, examples: Sequence[Example], strength: float, folder: Path, recipe: NameRecipe) -> dict[str, Any]:
    """Measure on what is kept apart, train on everything, write the table, and tell what the manifest keeps of it."""
    figures = _measure(_fit([one for one in examples if not one.apart], strength, recipe), [one for one in examples if one.apart], recipe)
    model = _fit(examples, strength, recipe)
    weights = model.coef_[0]
    scale = float(np.abs(weights).max() / 127)
    np.save(folder / f"{part}.npy", np.round(weights / scale).astype(np.int8), allow_pickle=False)
    count = sum(one.is_name for one in examples)
    return {"scale": scale, "bias": float(model.intercept_[0]), "right": count, "wrong": len(examples) - count, "kept apart": figures}


def _matrix(examples: Sequence[Example], rows: int) -> Any:
    from scipy.sparse import csr_matrix

    found = [hashed(one.grams, rows) for one in examples]
    ends = np.cumsum([0, *map(len, found)])
    return csr_matrix((np.ones(ends[-1], dtype=np.float32), np.concatenate(found), ends), shape=(len(found), rows))


def _fit(examples: Sequence[Example], strength: float, recipe: NameRecipe) -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise QizhenError("训练名称模型需要 `scikit-learn`", "pip install -e '.[finetune]' -c constraints.txt") from error
    model = LogisticRegression(C=strength, max_iter=300)
    return model.fit(_matrix(examples, recipe.rows), [one.is_name for one in examples])


def _measure(model: Any, apart: Sequence[Example], recipe: NameRecipe) -> dict[str, float]:
    """What share of names a threshold keeps, and of ordinary words it takes for names; counts alone where one of them is missing."""
    likely = model.predict_proba(_matrix(apart, recipe.rows))[:, 1]
    is_name = np.array([one.is_name for one in apart])
    figures: dict[str, float] = {"names": int(is_name.sum()), "words": int((~is_name).sum())}
    for least in _MEASURED if is_name.any() and not is_name.all() else ():
        figures[f"names kept at {least}"] = round(float((likely[is_name] >= least).mean()), 3)
        figures[f"words mistaken at {least}"] = round(float((likely[~is_name] >= least).mean()), 3)
    return figures
