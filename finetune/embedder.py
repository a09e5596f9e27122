"""Train the static encoder: n-gram vectors whose sums put a question beside the passage that answers it."""

import hashlib
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.json_files import open_lines, write_json
from indexer.documents import Document
from indexer.embedder import gram_rows, weights_digest
from indexer.errors import QizhenError
from indexer.readers import read_documents
from indexer.terms import fold

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class EmbedderRecipe:
    """How the table is trained.

    `rows` is a power of two, `dimensions` the vector length; `batch` pairs are each other's negatives; `temperature` divides the
    cosines (InfoNCE, van den Oord et al. 2018); `longest` characters of each text are read.
    """

    rows: int = 65536
    dimensions: int = 128
    batch: int = 1024
    epochs: int = 5
    learning_rate: float = 0.01
    temperature: float = 0.05
    longest: int = 300
    seed: int = 7


def read_pairs(path: Path) -> Iterator[Pair]:
    """Pairs of texts of one meaning from JSON Lines: {"question","passage"} or {"a","b","same"} a line."""
    with open_lines(path) as lines:
        for line in lines:
            row = json.loads(line)
            if "passage" in row:
                yield row["question"], row["passage"]
                if row.get("long"):
                    yield row["long"], row["passage"]
            elif row.get("same"):
                yield row["a"], row["b"]


def pairs_of(document: Document) -> Iterator[Pair]:
    """A document's own pairs: name and heading to text, alias to title."""
    for section in document.sections:
        yield f"{document.title}{section.title}", f"{document.title} {section.title} {document.body(section)}"
        if document.kind == "disease" and len(document.body(section)) > 10:
            yield document.body(section), document.title
    for alias in document.aliases:
        yield alias, document.title


def train_embedder(pairs: Sequence[Pair], recipe: EmbedderRecipe) -> tuple[NDArray[np.int8], NDArray[np.float32], list[float]]:
    """Return the table (rows, dimensions) int8, its row scales (rows,) float32, and the mean loss of every epoch."""
    try:
        import torch
    except ImportError as error:
        raise QizhenError("训练编码器需要 `torch`", "pip install -e '.[finetune]' -c constraints.txt") from error
    torch.manual_seed(recipe.seed)
    shuffler = random.Random(recipe.seed)  # noqa: S311 - a seeded shuffle
    left, right = (_grams([pair[side] for pair in pairs], recipe) for side in (0, 1))
    bag = torch.nn.EmbeddingBag(recipe.rows, recipe.dimensions, mode="sum", sparse=True)
    with torch.no_grad():
        torch.nn.init.normal_(bag.weight, std=recipe.dimensions**-0.5)
        bag.weight *= torch.from_numpy(_inverse_frequency(left + right, recipe.rows))[:, None]
    optimizer = torch.optim.SparseAdam(bag.parameters(), lr=recipe.learning_rate)
    order = list(range(len(pairs)))
    steps = max(1, len(order) // recipe.batch) * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.02, 1 - step / steps))
    losses = []
    for epoch in range(recipe.epochs):
        shuffler.shuffle(order)
        total, batches, started = 0.0, 0, time.perf_counter()
        for start in range(0, max(1, len(order) - recipe.batch + 1), recipe.batch):
            chosen = order[start : start + recipe.batch]
            sides = [torch.nn.functional.normalize(_bagged(bag, [texts[i] for i in chosen]), dim=1) for texts in (left, right)]
            scores = sides[0] @ sides[1].T / recipe.temperature
            target = torch.arange(len(chosen))
            loss = (torch.nn.functional.cross_entropy(scores, target) + torch.nn.functional.cross_entropy(scores.T, target)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total, batches = total + float(loss.detach()), batches + 1
        losses.append(total / batches)
        sys.stderr.write(f"第 {epoch + 1}/{recipe.epochs} 轮  损失 {losses[-1]:.4f}  {time.perf_counter() - started:.0f} 秒\n")
    table, scale = _quantise(bag.weight.detach().numpy())
    return table, scale, losses


def write_embedder(folder: Path, name: str, table: NDArray[np.int8], scale: NDArray[np.float32], made: dict[str, Any]) -> None:
    """Write the weights with a manifest that says what made them."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "table.npy", table, allow_pickle=False)
    np.save(folder / "scale.npy", scale, allow_pickle=False)
    manifest = {"name": name, "digest": weights_digest(table, scale), "dimensions": int(table.shape[1]), **made}
    write_json(folder / "manifest.json", manifest)


def train_from_files(knowledge: Sequence[Path], pair_files: Sequence[Path], folder: Path, recipe: EmbedderRecipe) -> Path:
    """Read everything, train, write `folder`; the whole of `qizhen-finetune embedder`."""
    documents = read_documents(knowledge) if knowledge else []
    pairs = [pair for document in documents for pair in pairs_of(document)]
    pairs += [pair for path in pair_files for pair in read_pairs(path)]
    pairs = list(dict.fromkeys((a, b) for a, b in pairs if any(map(str.isalnum, a)) and any(map(str.isalnum, b))))
    table, scale, losses = train_embedder(pairs, recipe)
    made = {
        "recipe": asdict(recipe),
        "pairs": len(pairs),
        "pairs_digest": hashlib.sha256(json.dumps(pairs, ensure_ascii=False).encode()).hexdigest(),
        "losses": [round(loss, 4) for loss in losses],
    }
    write_embedder(folder, "fast", table, scale, made)
    return folder


def _grams(texts: Sequence[str], recipe: EmbedderRecipe) -> list[NDArray[np.int32]]:
    return [gram_rows(fold(text)[: recipe.longest], recipe.rows).astype(np.int32) for text in texts]


def _inverse_frequency(texts: Sequence[NDArray[np.int32]], rows: int) -> NDArray[np.float32]:
    """BM25's inverse document frequency of every row, scaled to a mean of 1 (Robertson and Zaragoza 2009, section 3.1)."""
    counts = np.zeros(rows, dtype=np.int64)
    for text in texts:
        counts[np.unique(text)] += 1
    weight: NDArray[np.float64] = np.log1p((len(texts) - counts + 0.5) / (counts + 0.5))
    return np.asarray(weight / weight.mean(), dtype=np.float32)


def _bagged(bag: Any, texts: Sequence[NDArray[np.int32]]) -> Any:
    import torch

    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])[:-1]]).astype(np.int64)
    return bag(torch.from_numpy(np.concatenate(texts).astype(np.int64)), torch.from_numpy(offsets))


def _quantise(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    largest = np.abs(weights).max(axis=1)
    scale = np.maximum(largest, 1e-9).astype(np.float32) / 127
    return np.round(weights / scale[:, None]).astype(np.int8), scale
