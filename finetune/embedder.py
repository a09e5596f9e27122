"""Train the static encoder: vectors of n-grams whose sums put a question beside the passage that answers it."""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.gram_choice import choose_grams
from finetune.json_files import write_json
from finetune.pairs import HeldOut, PairSource, crops_of, pairs_digest, pairs_of, read_pairs, read_set, usable
from finetune.teacher import gram_vectors, teacher_digest
from indexer.embedder import StaticEmbedder, weights_digest
from indexer.errors import QizhenError
from indexer.grams import GramVocabulary
from indexer.measure import discounted_gain, mean
from indexer.readers import read_documents

_COMMON = 1e-4  # smooth inverse frequency (Arora et al. 2017): a gram with this share of all grams weighs half
_SMALLEST_BATCH = 200
_EVALUATED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class EmbedderRecipe:
    """How the table is trained.

    `grams` is the most n-grams it has, `dimensions` the vector length; `batch` pairs of one source are each other's negatives;
    `temperature` divides the cosines (InfoNCE, van den Oord et al. 2018); `longest` characters of each text are read; `dropped` is the
    share of n-grams left out of a text each time; `most_pairs` are taken of each source, by chance.
    """

    grams: int = 65536
    dimensions: int = 256
    batch: int = 2048
    epochs: int = 4
    learning_rate: float = 0.004
    temperature: float = 0.05
    longest: int = 300
    dropped: float = 0.0
    most_pairs: int = 40_000
    seed: int = 7


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """What is read: documents for questions about them, files of pairs, folders of retrieval sets, documents for breadth alone."""

    knowledge: Sequence[Path] = ()
    pairs: Sequence[Path] = ()
    sets: Sequence[Path] = ()
    texts: Sequence[Path] = ()


def read_sources(files: TrainingFiles, recipe: EmbedderRecipe, split: bool) -> tuple[list[PairSource], list[HeldOut]]:
    """All pairs by source, and of each set the questions that `split` keeps from them."""
    dice = random.Random(recipe.seed)  # noqa: S311 - a seeded choice
    sources = []
    for path in files.knowledge:
        documents = read_documents([path])
        sources.append(
            PairSource(path.parent.name if path.stem == "kb" else path.name, usable(p for d in documents for p in pairs_of(d, dice)))
        )
        sources.append(PairSource(f"{sources[-1].name}-crops", usable(p for d in documents for p in crops_of(d, dice))))
    sources += [PairSource(path.name, usable(read_pairs(path)), repeats=2) for path in files.pairs]
    held = []
    for folder in files.sets:
        source, kept = read_set(folder, split)
        sources.append(PairSource(source.name, usable(source.pairs), repeats=3))
        held.append(kept)
    for path in files.texts:
        sources.append(PairSource(path.name, usable(p for d in read_documents([path]) for p in crops_of(d, dice))))
    sources = [_capped(source, recipe.most_pairs, dice) for source in sources if source.pairs]
    if not sources:
        raise QizhenError("没有训练数据：``", "用 --kb 给出文档，或用 --pairs 给出成对文本")
    return sources, held


def _capped(source: PairSource, most: int, dice: random.Random) -> PairSource:
    return source if len(source.pairs) <= most else replace(source, pairs=tuple(dice.sample(source.pairs, most)))


def train_embedder(
    sources: Sequence[PairSource], recipe: EmbedderRecipe, teacher: Path | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.int8], NDArray[np.float32], list[float]]:
    """Return the n-grams (n-grams,), their table (n-grams, dimensions) int8, its row scales (n-grams,), and the mean loss of every epoch.

    With a `teacher`, a folder of an encoder in Hugging Face form, each n-gram begins at the teacher's vector of it.
    """
    try:
        import torch
    except ImportError as error:
        raise QizhenError("训练编码器需要 `torch`", "pip install -e '.[finetune]' -c constraints.txt") from error
    torch.manual_seed(recipe.seed)
    dice = np.random.default_rng(recipe.seed)
    grams = choose_grams({text for source in sources for pair in source.pairs for text in pair}, recipe.grams)
    vocabulary = GramVocabulary(grams)
    sides = [_Side(vocabulary, [pair[n][: recipe.longest] for source in sources for pair in source.pairs]) for n in (0, 1)]
    bag = torch.nn.EmbeddingBag(len(grams), recipe.dimensions, mode="sum", sparse=True)
    bag.weight.data = torch.from_numpy(_first_vectors(grams, sides, recipe, teacher, dice))
    optimizer = torch.optim.SparseAdam(bag.parameters(), lr=recipe.learning_rate)
    answers = _numbered([pair[1] for source in sources for pair in source.pairs])
    losses: list[float] = []
    planned = [_batches(sources, sides, recipe.batch, dice) for _ in range(recipe.epochs)]
    step, steps = 0, sum(map(len, planned))
    for epoch, batches in enumerate(planned, 1):
        total, started = 0.0, time.perf_counter()
        for chosen in batches:
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * max(0.02, 1 - step / steps)
            left, right = (torch.nn.functional.normalize(side.bagged(bag, chosen, recipe.dropped, dice), dim=1) for side in sides)
            same = torch.from_numpy(answers[chosen])
            others = (same[:, None] == same[None]) & ~torch.eye(len(chosen), dtype=torch.bool)
            scores = (left @ right.T / recipe.temperature).masked_fill(others, -1e4)
            target = torch.arange(len(chosen))
            loss = (torch.nn.functional.cross_entropy(scores, target) + torch.nn.functional.cross_entropy(scores.T, target)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, step = total + float(loss.detach()), step + 1
        losses.append(total / len(batches))
        sys.stderr.write(f"第 {epoch}/{recipe.epochs} 轮  损失 {losses[-1]:.4f}  {time.perf_counter() - started:.0f} 秒\n")
    table, scale = _quantise(bag.weight.detach().numpy())
    return grams, table, scale, losses


class _Side:
    """One side of all pairs as rows of the table."""

    def __init__(self, vocabulary: GramVocabulary, texts: Sequence[str]) -> None:
        self.rows, self.bounds = vocabulary.rows(texts)

    def bagged(self, bag: Any, chosen: NDArray[np.int64], dropped: float, dice: np.random.Generator) -> Any:
        """The summed vectors of the chosen texts."""
        import torch

        parts = [self.rows[self.bounds[i] : self.bounds[i + 1]] for i in chosen]
        if dropped:
            parts = [kept if len(kept := part[dice.random(len(part)) >= dropped]) else part for part in parts]
        offsets = np.cumsum([0, *map(len, parts[:-1])])
        return bag(torch.from_numpy(np.concatenate(parts).astype(np.int64)), torch.from_numpy(offsets))


def _batches(sources: Sequence[PairSource], sides: Sequence[_Side], size: int, dice: np.random.Generator) -> list[NDArray[np.int64]]:
    """Pair numbers of one epoch, each batch of one source, in random order; a source's rest joins its last batch where it is small."""
    filled = (np.diff(sides[0].bounds) > 0) & (np.diff(sides[1].bounds) > 0)
    batches: list[NDArray[np.int64]] = []
    first = 0
    for source in sources:
        numbers = first + np.flatnonzero(filled[first : first + len(source.pairs)])
        first += len(source.pairs)
        for _ in range(source.repeats if len(numbers) else 0):
            dice.shuffle(numbers)
            cuts = list(range(0, len(numbers), size))
            if len(cuts) > 1 and len(numbers) - cuts[-1] < _SMALLEST_BATCH:
                cuts.pop()
            batches += [numbers[a:b].copy() for a, b in pairwise([*cuts, len(numbers)])]
    return [batches[n] for n in dice.permutation(len(batches))]


def _numbered(texts: Sequence[str]) -> NDArray[np.int64]:
    """Equal texts get equal numbers."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)


def _first_vectors(
    grams: NDArray[np.uint64], sides: Sequence[_Side], recipe: EmbedderRecipe, teacher: Path | None, dice: np.random.Generator
) -> NDArray[np.float32]:
    """(n-grams, dimensions): the teacher's, centred and on their main axes, or random ones, weighted by smooth inverse frequency."""
    counts = np.bincount(np.concatenate([side.rows for side in sides]), minlength=len(grams))
    share = counts / counts.sum()
    weight = _COMMON / (_COMMON + share)
    if teacher is None:
        vectors = dice.normal(size=(len(grams), recipe.dimensions))
    else:
        taught = gram_vectors(teacher, grams)
        taught -= (taught * share[:, None]).sum(axis=0)
        axes, _, _ = np.linalg.svd(taught.T @ taught)
        vectors = taught @ axes[:, : recipe.dimensions]
    vectors /= np.sqrt((vectors**2).sum(axis=1).mean())
    return np.asarray(vectors * weight[:, None], dtype=np.float32)


def write_embedder(
    folder: Path, name: str, grams: NDArray[np.uint64], table: NDArray[np.int8], scale: NDArray[np.float32], made: dict[str, Any]
) -> None:
    """Write the weights with a manifest that says what made them."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in (("grams", grams), ("table", table), ("scale", scale)):
        np.save(folder / f"{part}.npy", array, allow_pickle=False)
    manifest = {"name": name, "digest": weights_digest(grams, table, scale), "dimensions": int(table.shape[1]), **made}
    write_json(folder / "manifest.json", manifest)


def train_from_files(files: TrainingFiles, folder: Path, recipe: EmbedderRecipe, teacher: Path | None = None, split: bool = False) -> Path:
    """Read everything, train, write `folder`; the whole of `qizhen-finetune embedder fast`.

    The figures in the manifest are of questions that training has not seen with `split`, and else of some that it has.
    """
    if teacher and not teacher.is_dir():
        raise QizhenError(f"没有教师编码器 `{teacher}`", "--teacher 给出 Hugging Face 格式的模型文件夹")
    sources, held = read_sources(files, recipe, split)
    grams, table, scale, losses = train_embedder(sources, recipe, teacher)
    made = {
        "recipe": asdict(recipe),
        "teacher": teacher.name if teacher else "",
        "teacher_digest": teacher_digest(teacher) if teacher else "",
        "pairs": {source.name: len(source.pairs) for source in sources},
        "pairs_digest": pairs_digest(sources),
        "losses": [round(loss, 4) for loss in losses],
        "held_out": split,
    }
    write_embedder(folder, "fast", grams, table, scale, made)
    if held:
        encoder = StaticEmbedder(folder)
        figures = {kept.name: held_out_figures(encoder, kept) for kept in held}
        write_embedder(folder, "fast", grams, table, scale, {**made, "figures": figures})
    return folder


def held_out_figures(encoder: StaticEmbedder, held: HeldOut) -> dict[str, float]:
    """Vectors alone, on a set's kept questions: share with a best text first and among ten, and nDCG@10."""
    texts = encoder.embed(held.texts)
    rows: list[tuple[float, float, float]] = []
    for start in range(0, len(held.questions), _EVALUATED_AT_ONCE):
        scores = encoder.embed(held.questions[start : start + _EVALUATED_AT_ONCE]) @ texts.T
        for ranked, grades in zip(np.argsort(-scores, axis=1, kind="stable")[:, :10].tolist(), held.grades[start:], strict=False):
            best = {number for number, grade in grades.items() if grade >= min(2, max(grades.values()))}
            found = [str(number) for number in ranked]
            gain = discounted_gain(found, {str(number): grade for number, grade in grades.items()}, 10)
            rows.append((float(ranked[0] in best), float(bool(best & set(ranked))), gain))
    names = ("hit@1", "hit@10", "nDCG@10")
    return {name: round(mean(column), 4) for name, column in zip(names, _columns(rows), strict=True)}


def _columns(rows: Sequence[Sequence[float]]) -> Iterator[list[float]]:
    return (list(column) for column in zip(*rows, strict=True)) if rows else iter([[0.0], [0.0], [0.0]])


def _quantise(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    largest = np.abs(weights).max(axis=1)
    scale = np.maximum(largest, 1e-9).astype(np.float32) / 127
    return np.round(weights / scale[:, None]).astype(np.int8), scale
