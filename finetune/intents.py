"""Train the models that read the section a question asks for off its words (indexer/intents.py)."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.asking import load_asking
from finetune.dice import dice_for
from finetune.json_files import write_json
from indexer.errors import QizhenError
from indexer.intents import OUTSIDE, question_grams
from indexer.name_models import hashed
from indexer.sections import MASK
from indexer.terms import fold

LAY = Path(__file__).parent / "lay_questions.tsv"
KINDS = ("drug", "disease")
_NAME = "{名}"
# Of each way of asking, fillings of its slots that are learnt from.
_FILLINGS = 3
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """A folded question with its name masked, the kind of thing it asks about, and the section it asks for or OUTSIDE."""

    kind: str
    label: str
    masked: str


@dataclass(frozen=True, slots=True)
class IntentRecipe:
    """How the models are trained: `rows` of the table, a power of two; `strength`: scikit-learn's C."""

    rows: int = 16384
    strength: float = 3.0
    seed: int = 7


def read_labelled(path: Path = LAY) -> list[Labelled]:
    """Lines of kind, label and question, set apart by tabs. Raises QizhenError with every line that is none."""
    read: list[Labelled] = []
    faults: list[str] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        parts = line.split("\t")
        if len(parts) != 3 or parts[0] not in KINDS or parts[2].count(_NAME) != 1:
            faults.append(f"第 {number} 行 `{line[:40]}`")
        else:
            read.append(Labelled(parts[0], parts[1], _masked(parts[2])))
    if faults:
        listed = "；".join(faults[:_LISTED]) + (f"；等 {len(faults)} 行" if len(faults) > _LISTED else "")
        raise QizhenError(f"{path}：{listed}", f"每行写成 drug 或 disease、章节、含一个 {_NAME} 的问题，用制表符隔开")
    return read


def from_templates(seed: int) -> Iterator[Labelled]:
    """The ways of asking that training may show, filled in."""
    asking = load_asking()
    for (kind, field), form in asking.forms.items():
        dice = dice_for(seed, "intents", kind, field)
        for template in form.ask if kind in KINDS else ():
            for question in dict.fromkeys(asking.fill(template, _NAME, field, dice) for _ in range(_FILLINGS)):
                if question.count(_NAME) == 1:
                    yield Labelled(kind, field, _masked(question))


def _masked(question: str) -> str:
    before, _, after = question.partition(_NAME)
    return fold(before) + MASK + fold(after)


def train_intents(lay: Path, folder: Path, recipe: IntentRecipe) -> dict[str, Any]:
    """Train both models, write `folder`, return the manifest: digests, counts, and how many questions kept apart were read rightly."""
    labelled = read_labelled(lay)
    made: dict[str, Any] = {"kinds": {}, "recipe": {"rows": recipe.rows, "strength": recipe.strength, "seed": recipe.seed}}
    made["lay_digest"] = hashlib.sha256(lay.read_bytes()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        asked = [one for one in labelled if one.kind == kind]
        forms = [one for one in from_templates(recipe.seed) if one.kind == kind]
        known = {one.label for one in asked}
        forms = [one for one in forms if one.label in known]
        apart = [one for one in asked if _is_apart(one)]
        kept = [one for one in asked if not _is_apart(one)]
        figures = _measure(_fit([*kept, *forms], recipe), apart, recipe)
        model = _fit([*asked, *forms], recipe)
        labels = [str(label) for label in model.classes_]
        weights, bias = model.coef_.T, model.intercept_
        scale = float(np.abs(weights).max() / 127)
        table = np.round(weights / scale).astype(np.int8)
        np.savez_compressed(folder / f"{kind}.npz", table=table, scale=np.float32(scale), bias=bias.astype(np.float32))
        counts = dict(sorted(Counter(one.label for one in [*asked, *forms]).items()))
        made["kinds"][kind] = {"labels": labels, "questions": counts, "kept apart": figures}
    write_json(folder / "manifest.json", made)
    return made


def _is_apart(one: Labelled) -> bool:
    return hashlib.sha256(one.masked.encode()).digest()[0] % 5 == 0


def _rows(questions: Sequence[Labelled], rows: int) -> Any:
    from scipy.sparse import csr_matrix

    grams = [hashed(question_grams(one.masked), rows) for one in questions]
    ends = np.cumsum([0, *map(len, grams)])
    return csr_matrix((np.ones(ends[-1], dtype=np.float32), np.concatenate(grams), ends), shape=(len(grams), rows))


def _fit(questions: Sequence[Labelled], recipe: IntentRecipe) -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise QizhenError("训练问法模型需要 `scikit-learn`", "pip install -e '.[finetune]' -c constraints.txt") from error
    return LogisticRegression(C=recipe.strength, max_iter=1000, class_weight="balanced").fit(
        _rows(questions, recipe.rows), [one.label for one in questions]
    )


def _measure(model: Any, apart: Sequence[Labelled], recipe: IntentRecipe) -> dict[str, float]:
    """Of the questions kept apart: how many are read rightly, and of those at least so likely, how many there are and are right."""
    shares = model.predict_proba(_rows(apart, recipe.rows))
    read = [(str(model.classes_[row.argmax()]), float(row.max()), one.label) for row, one in zip(shares, apart, strict=True)]
    figures: dict[str, float] = {"questions": len(read), "right": round(float(np.mean([a == b for a, _, b in read])), 3)}
    for least in (0.4, 0.5, 0.6, 0.7, 0.8):
        sure = [(a, b) for a, share, b in read if share >= least and a != OUTSIDE]
        figures[f"answered at {least}"] = len(sure)
        figures[f"right at {least}"] = round(sum(a == b for a, b in sure) / max(1, len(sure)), 3)
        figures[f"outside answered at {least}"] = sum(b == OUTSIDE for _, b in sure)
        held = [share for a, share, b in read if b != OUTSIDE and a == OUTSIDE]
        out = [share for a, share, b in read if b == OUTSIDE and a == OUTSIDE]
        figures[f"held taken for outside at {least}"] = sum(share >= least for share in held)
        figures[f"outside seen at {least}"] = sum(share >= least for share in out)
    return figures
