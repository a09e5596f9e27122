"""Encoded sequences laid out in rows for the model, and rows counted into steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finetune.encoding import LEFT_OUT, Sequences
from finetune.recipe import Recipe
from indexer.errors import QizhenError


@dataclass(frozen=True, slots=True)
class Rows:
    """Sequences laid out in rows: `places` says which sequences stand in each row."""

    data: Sequences
    places: Sequence[Sequence[int]]

    @property
    def learnt(self) -> int:
        """Tokens that are learnt in all rows."""
        return sum(sequence.learnt for sequence in self.data.kept)

    def batch(self, chosen: Sequence[int], padding: int) -> dict[str, Any]:
        """Rows as (rows, widest) int64 tensors `input_ids`, `labels`, `position_ids`, and the count of real `tokens`.

        Positions begin anew with every sequence, which is what keeps packed ones apart (see finetune/trainer.py). Padding stands at the
        end, in packed rows as a sequence of its own; behind a single sequence nothing sees it.
        """
        import torch

        rows = [[self.data.kept[place] for place in self.places[row]] for row in chosen]
        sizes = [sum(len(sequence.ids) for sequence in row) for row in rows]
        packed = any(len(row) > 1 for row in rows)
        shape = (len(rows), max(sizes))
        ids, labels, positions = np.full(shape, padding), np.full(shape, LEFT_OUT), np.tile(np.arange(shape[1]), (shape[0], 1))
        for number, row in enumerate(rows):
            start = 0
            for sequence in row:
                end = start + len(sequence.ids)
                ids[number, start:end] = sequence.ids
                labels[number, start:end] = sequence.labels
                positions[number, start:end] = np.arange(end - start)
                start = end
            if packed:
                positions[number, start:] = np.arange(shape[1] - start)
        tensors = {"input_ids": ids, "labels": labels, "position_ids": positions}
        return {name: torch.from_numpy(held.astype(np.int64)) for name, held in tensors.items()} | {"tokens": torch.tensor(sum(sizes))}


@dataclass(frozen=True, slots=True)
class Batching:
    """How rows become steps: `at_once` rows in one process, `accumulated` times, in `processes`."""

    at_once: int
    accumulated: int
    processes: int
    steps: int

    @property
    def rows(self) -> int:
        """Rows of one step over all processes."""
        return self.at_once * self.accumulated * self.processes


def lay_out(data: Sequences, recipe: Recipe) -> Rows:
    """Rows of at most `most_tokens`, packed or one sequence each. Raises QizhenError where nothing is left to learn."""
    if not data.kept:
        raise QizhenError(
            f"没有可学的样本（读到 `{len(data.lengths)}` 个，过长 `{data.too_long}` 个）", "检查 data.kinds、data.fields 与 most_tokens"
        )
    lengths = [len(sequence.ids) for sequence in data.kept]
    return Rows(data, pack(lengths, recipe.most_tokens) if recipe.packing else [[index] for index in range(len(lengths))])


def batching(rows: Rows, recipe: Recipe, processes: int) -> Batching:
    """Rows a step from `batch`: a row holds most_tokens when packed, else the mean sequence."""
    sequences_a_row = len(rows.data.kept) / len(rows.places)
    tokens_a_row = recipe.most_tokens if recipe.packing else rows.data.tokens / len(rows.places)
    wanted = recipe.batch.sequences / sequences_a_row if recipe.batch.sequences else recipe.batch.tokens / tokens_a_row
    share = max(1, round(wanted / processes))
    at_once = min(recipe.batch.at_once or share, share)
    accumulated = max(1, round(share / at_once))
    an_epoch = max(1, -(-len(rows.places) // (at_once * accumulated * processes)))
    return Batching(at_once, accumulated, processes, recipe.steps or max(1, round(recipe.epochs * an_epoch)))


def pack(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Indices of sequences put together in rows of at most `room` tokens: longest first, each where it leaves the least room (best fit).

    No sequence is cut. Rows and their contents depend on the lengths alone.
    """
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(room + 1)]  # rows by the room that is left in them
    some = 0  # bit n: with_room[n] is not empty
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = some >> lengths[index]
        if fitting:
            left = lengths[index] + (fitting & -fitting).bit_length() - 1
            row = with_room[left].pop()
            some ^= (not with_room[left]) << left
        else:
            left, row = room, len(rows)
            rows.append([])
        rows[row].append(index)
        with_room[left - lengths[index]].append(row)
        some |= 1 << (left - lengths[index])
    return rows
