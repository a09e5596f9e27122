"""Train the encoder `accurate`: a multilingual E5 cut to Chinese and English, whose upper layers learn from pairs."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.embedder import TrainingFiles, held_out_figures, read_sources
from finetune.encoder_cutting import cut_tokenizer
from finetune.json_files import write_json
from finetune.pairs import PairSource, pairs_digest
from finetune.teacher import teacher_digest
from indexer.embedder import Prompts, shipped_embedder
from indexer.errors import QizhenError
from indexer.terms import fold
from indexer.transformer_encoder import GRAPH, MANIFEST, TOKENIZER, TransformerEncoder, encoder_digest

_PROMPTS = Prompts("query: ", "passage: ")  # what E5 models were trained with (Wang et al. 2024)
_END, _PADDING = 2, 1
_CENTRED_ON = 2_000
_TOLD_EVERY = 20
_WARM_UP = 40


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """How the encoder is trained.

    The lowest `frozen` layers and the word vectors stay as they are. `batch` pairs of one source are each other's negatives, and from
    the share `near_from` of the `steps` on they are pairs of like questions. `temperature` divides the cosines (InfoNCE, van den Oord
    et al. 2018). `question_pieces` and `passage_pieces` are the most word pieces read of each side; `latin` pieces of Latin letters are
    kept; `most_pairs` are taken of each source, by chance.
    """

    steps: int = 900
    batch: int = 64
    learning_rate: float = 5e-5
    temperature: float = 0.03
    frozen: int = 6
    near_from: float = 0.4
    question_pieces: int = 40
    passage_pieces: int = 96
    latin: int = 9_000
    most_pairs: int = 12_000
    seed: int = 7


def train_encoder_from_files(
    files: TrainingFiles, folder: Path, recipe: EncoderRecipe, teacher: Path | None, *, split: bool = False
) -> Path:
    """Read everything, train, write `folder`; the whole of `qizhen-finetune embedder --grade accurate`.

    The figures in the manifest are of questions that training has not seen with `split`, and else of some that it has. Raises QizhenError.
    """
    if teacher is None or not teacher.is_dir():
        raise QizhenError(f"没有教师编码器 `{teacher or ''}`", "--teacher 给出 multilingual-e5-small 的模型文件夹")
    sources, held = read_sources(files, recipe.most_pairs, recipe.seed, split)
    sources = [_folded(source) for source in sources]
    folder.mkdir(parents=True, exist_ok=True)
    student = _Student(teacher, sources, recipe)
    losses = student.train()
    made = {
        "recipe": asdict(recipe),
        "teacher": teacher.name,
        "teacher_digest": teacher_digest(teacher),
        "pairs": {source.name: len(source.pairs) for source in sources},
        "pairs_digest": pairs_digest(sources),
        "losses": losses,
        "held_out": split,
    }
    student.write(folder, made)
    if held:
        encoder = TransformerEncoder(folder)
        student.write(folder, {**made, "figures": {kept.name: held_out_figures(encoder, kept) for kept in held}})
    return folder


def _folded(source: PairSource) -> PairSource:
    return PairSource(source.name, tuple((fold(question), fold(passage)) for question, passage in source.pairs), source.repeats)


class _Student:
    """The teacher with fewer word pieces, and what it learns from."""

    def __init__(self, teacher: Path, sources: Sequence[PairSource], recipe: EncoderRecipe) -> None:
        try:
            import torch
            from transformers import BertModel
        except ImportError as error:
            raise QizhenError("训练编码器需要 `torch` 和 `transformers`", "pip install -e '.[finetune]' -c constraints.txt") from error
        torch.manual_seed(recipe.seed)
        self.recipe, self.dice = recipe, np.random.default_rng(recipe.seed)
        pairs = [pair for source in sources for pair in source.pairs]
        self._spec, kept = cut_tokenizer(teacher, (text for pair in pairs for text in pair), recipe.latin)
        try:
            self.model = BertModel.from_pretrained(teacher, add_pooling_layer=False, local_files_only=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise QizhenError(f"教师编码器 `{teacher}` 读不出来：{error}", "--teacher 给出 multilingual-e5-small 的模型文件夹") from error
        words = torch.nn.Embedding.from_pretrained(self.model.embeddings.word_embeddings.weight.data[torch.from_numpy(kept)])
        self.model.embeddings.word_embeddings = words
        self.model.embeddings.requires_grad_(requires_grad=False)
        for layer in self.model.encoder.layer[: recipe.frozen]:
            layer.requires_grad_(requires_grad=False)
        self._questions = self._cut([_PROMPTS.question + question for question, _ in pairs], recipe.question_pieces)
        self._passages = self._cut([_PROMPTS.passage + passage for _, passage in pairs], recipe.passage_pieces)
        self._answers = _numbered([passage for _, passage in pairs])
        self._batches = _batches(sources, [question for question, _ in pairs], recipe, self.dice)
        self.middle = torch.nn.Parameter(self._middle())

    def _cut(self, texts: Sequence[str], longest: int) -> list[NDArray[np.int64]]:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self._spec)
        ids = (encoding.ids for encoding in tokenizer.encode_batch(list(texts)))
        return [np.array(found if len(found) <= longest else [*found[: longest - 1], _END], dtype=np.int64) for found in ids]

    def _middle(self) -> Any:
        """(width,): the mean of questions and passages alike."""
        import torch

        some = self.dice.choice(len(self._questions), size=min(_CENTRED_ON, len(self._questions)), replace=False)
        with torch.inference_mode():
            found = [
                self._means([side[n] for n in some[start : start + 64]])
                for side in (self._questions, self._passages)
                for start in range(0, len(some), 64)
            ]
        return torch.cat(found).mean(0).clone()

    def _means(self, texts: Sequence[NDArray[np.int64]]) -> Any:
        """(texts, width): the mean of the last layer over each text."""
        import torch

        width = max(map(len, texts))
        ids = torch.full((len(texts), width), _PADDING, dtype=torch.long)
        mask = torch.zeros((len(texts), width), dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.from_numpy(text)
            mask[row, : len(text)] = 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        kept = mask[..., None].float()
        return (hidden.float() * kept).sum(1) / kept.sum(1)

    def _vectors(self, texts: Sequence[NDArray[np.int64]]) -> Any:
        """(texts, width), unit length. The short and the long half are run by themselves: less padding."""
        import torch

        order = np.argsort([len(text) for text in texts], kind="stable")
        halves = [part for part in np.array_split(order, 2) if len(part)]
        means = torch.cat([self._means([texts[n] for n in part]) for part in halves])
        back = torch.from_numpy(np.argsort(np.concatenate(halves), kind="stable"))
        return torch.nn.functional.normalize(means[back] - self.middle, dim=1)

    def train(self) -> list[float]:
        """The mean loss of every twenty steps."""
        import torch

        recipe = self.recipe
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW([*learning, self.middle], lr=recipe.learning_rate, weight_decay=0.01)
        losses, total, started = [], 0.0, time.perf_counter()
        self.model.train()
        for step, chosen in enumerate(self._batches, 1):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * min(1, step / _WARM_UP) * max(0.02, 1 - step / len(self._batches))
            loss = self._loss(chosen)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            total += float(loss.detach())
            if step % _TOLD_EVERY == 0 or step == len(self._batches):
                losses.append(round(total / ((step - 1) % _TOLD_EVERY + 1), 4))
                total = 0.0
                sys.stderr.write(f"第 {step}/{len(self._batches)} 步  损失 {losses[-1]:.4f}  {time.perf_counter() - started:.0f} 秒\n")
        return losses

    def _loss(self, chosen: NDArray[np.int64]) -> Any:
        import torch

        left = self._vectors([self._questions[n] for n in chosen])
        right = self._vectors([self._passages[n] for n in chosen])
        same = torch.from_numpy(self._answers[chosen])
        others = (same[:, None] == same[None]) & ~torch.eye(len(chosen), dtype=torch.bool)
        scores = (left @ right.T / self.recipe.temperature).masked_fill(others, -1e4)
        target = torch.arange(len(chosen))
        return (torch.nn.functional.cross_entropy(scores, target) + torch.nn.functional.cross_entropy(scores.T, target)) / 2

    def write(self, folder: Path, made: dict[str, Any]) -> None:
        """The graph, the tokenizer, and a manifest that says what made them."""
        from finetune.encoder_graph import write_graph

        config = self.model.config
        arrays = {name: tensor.detach().float().numpy() for name, tensor in self.model.state_dict().items()}
        arrays["middle"] = self.middle.detach().numpy()
        write_graph(folder / GRAPH, arrays, config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps)
        (folder / TOKENIZER).write_text(self._spec, "utf-8")
        digest = encoder_digest((folder / GRAPH).read_bytes(), (folder / TOKENIZER).read_bytes())
        manifest = {"name": "accurate", "digest": digest, "dimensions": int(config.hidden_size), **_prompts(), **made}
        write_json(folder / MANIFEST, manifest)


def _prompts() -> dict[str, str]:
    return {"question_prompt": _PROMPTS.question, "passage_prompt": _PROMPTS.passage}


def _numbered(texts: Sequence[str]) -> NDArray[np.int64]:
    """Equal texts get equal numbers."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)


def _batches(
    sources: Sequence[PairSource], questions: Sequence[str], recipe: EncoderRecipe, dice: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Pair numbers of every step, each batch of one source: first by chance, then of like questions, which are harder to tell apart.

    A source comes as often as the root of its size says: large ones teach more, small ones are not lost.
    """
    ends = np.cumsum([len(source.pairs) for source in sources])
    shares = np.sqrt([len(source.pairs) * source.repeats for source in sources])
    vectors = shipped_embedder().embed(questions)
    waiting: dict[tuple[int, bool], list[NDArray[np.int64]]] = {}
    batches = []
    for step, source in enumerate(dice.choice(len(sources), size=recipe.steps, p=shares / shares.sum()).tolist()):
        near = step >= recipe.steps * recipe.near_from
        left = waiting.setdefault((source, near), [])
        if not left:
            numbers = np.arange(ends[source] - len(sources[source].pairs), ends[source])
            left += _cuts(numbers, vectors, recipe.batch, dice, near=near)
            left[:] = [left[n] for n in dice.permutation(len(left))]
        batches.append(left.pop())
    return batches


def _cuts(
    numbers: NDArray[np.int64], vectors: NDArray[np.float32], size: int, dice: np.random.Generator, *, near: bool
) -> Iterator[NDArray[np.int64]]:
    """Pieces of `size` or a little more: halved by a direction between two of them as long as they are large, or by chance."""
    if len(numbers) < 2 * size:
        yield numbers[:size] if len(numbers) < size else dice.permutation(numbers)[:size]
        return
    if near:
        one, other = vectors[dice.choice(numbers, 2, replace=False)]
        order = np.argsort(vectors[numbers] @ (one - other), kind="stable")
    else:
        order = dice.permutation(len(numbers))
    half = len(numbers) // 2
    yield from _cuts(numbers[order[:half]], vectors, size, dice, near=near)
    yield from _cuts(numbers[order[half:]], vectors, size, dice, near=near)
