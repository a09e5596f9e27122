"""Tokens a second of training: ours, plain TRL and a bare PyTorch loop, on the same model and samples in one run.

usage: python tests/benchmarks/training.py [--samples 384] [--width 192] [--layers 4] [--dtype bf16] [--threads 1]

Counted are real tokens, padding left out, by the wall clock and by the processor's time (which other jobs on the machine disturb
less). Every way sees the same samples once, in steps of 32 samples or as many tokens; the first two steps are not timed.

    ours             finetune/train.py: packed rows, output layer on learnt tokens
    ours, unpacked   the same, packing off
    TRL              SFTTrainer as it comes: padded, activations recomputed
    TRL, kept        the same without recomputing
    TRL, packed      its own packing (bfd), without recomputing: a whole batch becomes one row
    bare loop        padded batches, the model's own loss, AdamW
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets import utils as progress
from transformers import TrainerCallback, set_seed
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from app.templates import TEMPLATES
from app.tokenizer import load_tokenizer
from finetune.recipe import Recipe, read_recipe
from finetune.rows import batching, lay_out
from finetune.train import read_training_data
from finetune.trained_model import open_model
from finetune.trainer import make_trainer
from finetune.vocabulary import PieceRecipe, texts_of, train_pieces
from indexer.readers import read_documents

ROOT = Path(__file__).parents[2]
ASKED = ("{}的{}", "请问{}的{}是什么？", "{}{}说明")
AT_ONCE = 32
UNTIMED = 2


class Clock(TrainerCallback):
    """Wall and processor time at the end of every step."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def mark(self) -> None:
        self.marks.append((time.perf_counter(), time.process_time()))

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.mark()


def main() -> None:
    progress.disable_progress_bars()
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=384)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--threads", type=int, default=1, help="more than one is disturbed by every other job on the machine")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        ground = Path(folder)
        write_ground(ground, given.samples)
        recipe = read_recipe(write_recipe(ground, given))
        tokenizer = load_tokenizer(ground / "tokenizer")
        lengths = [len(sequence.ids) for sequence in read_training_data(recipe, tokenizer).kept]
        quarters = statistics.quantiles(lengths, n=4)
        say(f"{len(lengths)} samples, {sum(lengths)} tokens; length min {min(lengths)}, quartiles {quarters}, max {max(lengths)}")
        say(f"threads {torch.get_num_threads()}, {given.dtype}, width {given.width}, layers {given.layers}")
        ways: dict[str, Callable[[], tuple[Clock, float]]] = {
            "ours": lambda: ours(recipe, tokenizer, ground / "a"),
            "ours, unpacked": lambda: ours(
                read_recipe(ground / "r.yaml", ["packing=false", "batch.tokens=0", f"batch.sequences={AT_ONCE}"]), tokenizer, ground / "b"
            ),
            "TRL": lambda: plain(recipe, tokenizer, ground, packing=False, recompute=True),
            "TRL, kept": lambda: plain(recipe, tokenizer, ground, packing=False, recompute=False),
            "TRL, packed": lambda: plain(recipe, tokenizer, ground, packing=True, recompute=False),
            "bare loop": lambda: bare(recipe, tokenizer),
        }
        for name, way in ways.items():
            clock, tokens_a_step = way()
            (wall, processor), (wall_end, processor_end) = clock.marks[UNTIMED - 1], clock.marks[-1]
            tokens = tokens_a_step * (len(clock.marks) - UNTIMED)
            say(f"{name:<16} {tokens / (wall_end - wall):>8.0f} tokens/s {tokens / (processor_end - processor):>8.0f} a processor second")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_ground(ground: Path, samples: int) -> None:
    """A tokenizer, and questions with the shipped knowledge base's sections as answers."""
    documents = read_documents([ROOT / "kb_data"])
    train_pieces([line for document in documents for line in texts_of(document)], ground / "tokenizer", PieceRecipe(pieces=4000))
    chooser = random.Random(7)
    pairs = [(document.title, section.title, document.body(section)) for document in documents for section in document.sections]
    rows = []
    for number, (name, field, answer) in enumerate(chooser.sample(pairs, samples)):
        asked = chooser.choice(ASKED).format(name, field)
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        rows.append({"id": f"s-{number}", "kind": "closed", "split": "train", "field": field, "messages": turns})
    (ground / "s.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def write_recipe(ground: Path, given: argparse.Namespace) -> Path:
    path = ground / "r.yaml"
    path.write_text(
        f"stage: instruct\nnew: {{width: {given.width}, layers: {given.layers}, heads: 3, key_value_heads: 3, "
        f"feed_forward: {3 * given.width}}}\ntokenizer: {ground}/tokenizer\ndata: {{samples: {ground}/s.jsonl}}\nout: {ground}/out\n"
        f"most_tokens: 512\nbatch: {{tokens: 4096}}\nepochs: 1\nwarm_up: 0.1\ndtype: {given.dtype}\n",
        "utf-8",
    )
    return path


def ours(recipe: Recipe, tokenizer: Any, out: Path) -> tuple[Clock, float]:
    out.mkdir()
    rows = lay_out(read_training_data(recipe, tokenizer), recipe)
    plan = batching(rows, recipe, 1)
    set_seed(1)
    clock, counts = Clock(), {"tokens": 0}
    trainer = make_trainer(recipe, open_model(recipe, tokenizer), tokenizer, rows, None, plan, counts)
    trainer.add_callback(clock)
    trainer.train()
    return clock, counts["tokens"] / len(clock.marks)


def plain(recipe: Recipe, tokenizer: Any, ground: Path, *, packing: bool, recompute: bool) -> tuple[Clock, float]:
    """SFTTrainer on prompts and completions; a packed step holds as many tokens as ours."""
    rows = [json.loads(line)["messages"] for line in (ground / "s.jsonl").read_text("utf-8").splitlines()]
    prompts = [TEMPLATES[recipe.template].render([("user", asked["content"])]) for asked, _ in rows]
    data = Dataset.from_dict({"prompt": prompts, "completion": [answer["content"] for _, answer in rows]})
    set_seed(1)
    clock = Clock()
    settings = SFTConfig(
        output_dir=str(ground / "trl"),
        per_device_train_batch_size=8 if packing else AT_ONCE,
        num_train_epochs=1,
        max_length=recipe.most_tokens,
        packing=packing,
        use_cpu=True,
        bf16=recipe.dtype == "bf16",
        gradient_checkpointing=recompute,
        learning_rate=recipe.learning_rate,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = SFTTrainer(open_model(recipe, tokenizer), args=settings, train_dataset=data, processing_class=tokenizer, callbacks=[clock])
    trainer.remove_callback(PrinterCallback)
    tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset)
    trainer.train()
    return clock, tokens / len(clock.marks)


def bare(recipe: Recipe, tokenizer: Any) -> tuple[Clock, float]:
    """What one writes by hand: padded batches in a random order, the model's own loss."""
    kept = list(read_training_data(recipe, tokenizer).kept)
    random.Random(7).shuffle(kept)
    set_seed(1)
    model, clock = open_model(recipe, tokenizer).train(), Clock()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)
    for start in range(0, len(kept), AT_ONCE):
        chosen: Sequence[Any] = kept[start : start + AT_ONCE]
        ids, labels, mask = (
            torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in part], batch_first=True, padding_value=padding).long()
            for part, padding in (
                ([held.ids for held in chosen], 0),
                ([held.labels for held in chosen], -100),
                ([[1] * len(held.ids) for held in chosen], 0),
            )
        )
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.dtype == "bf16"):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.mark()
    return clock, sum(len(held.ids) for held in kept) / len(clock.marks)


if __name__ == "__main__":
    main()
