"""What is easily taken for the right evidence: by our own encoder and our own tables of look-alike names, once a fact."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.facts import Fact, Knowledge
from indexer.embedder import shipped_embedder
from indexer.lookalikes import read_look_alikes
from indexer.names import NameIndex
from indexer.terms import bare, fold

NEAREST = 6
# Texts nearer than this say the same; evidence that answers the question is no distractor. On kb_data and 430 labels pairs from 0.95 up
# were one maker's wording of one thing.
_SAME = 0.95
_LONGEST_EMBEDDED = 400
_ROWS_AT_ONCE = 1024


def look_alike_documents(knowledge: Knowledge, names: NameIndex, paths: Sequence[Path]) -> dict[int, tuple[int, ...]]:
    """By position of a document: those of other drugs with names that people mix up with its own, listed pairs first."""
    pairs, _ = read_look_alikes(paths)
    found: defaultdict[int, list[int]] = defaultdict(list)
    for pair in pairs:
        first, second = (names.exact(fold(name)) for name in pair.names)
        for a in first:
            for b in second:
                found[a].append(b)
                found[b].append(a)
    for position, document in enumerate(knowledge.documents):
        if document.kind == "drug":
            found[position] += names.one_edit_apart(position)
    return {
        position: tuple(dict.fromkeys(o for o in others if knowledge.entities[o] != knowledge.entities[position]))
        for position, others in found.items()
    }


def nearest_facts(knowledge: Knowledge) -> list[tuple[int, ...]]:
    """By number of a fact: facts of other entities' same field that read most like it, nearest first, none that says the same."""
    near: list[tuple[int, ...]] = [()] * len(knowledge.facts)
    groups: defaultdict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in knowledge.facts:
        kind = knowledge.document(fact).kind
        if kind != "text":
            groups[kind, fact.field].append(fact)
    embedder = shipped_embedder()
    for facts in groups.values():
        bodies = [knowledge.document(fact).body(fact.section)[:_LONGEST_EMBEDDED] for fact in facts]
        vectors = embedder.embed(bodies)
        spoken = [bare(body) for body in bodies]
        for start in range(0, len(facts), _ROWS_AT_ONCE):
            block = vectors[start : start + _ROWS_AT_ONCE] @ vectors.T
            for row, fact in enumerate(facts[start : start + _ROWS_AT_ONCE]):
                near[fact.number] = _others(knowledge, facts, start + row, block[row], spoken)
    return near


def _others(knowledge: Knowledge, facts: Sequence[Fact], own: int, likeness: NDArray[np.float32], spoken: Sequence[str]) -> tuple[int, ...]:
    count = min(4 * NEAREST, len(facts))
    order = np.argpartition(-likeness, count - 1)[:count]
    order = order[np.lexsort((order, -likeness[order]))]
    entity = knowledge.entity(facts[own])
    other = (int(n) for n in order if knowledge.entity(facts[int(n)]) != entity)
    different = [facts[n].number for n in other if likeness[n] < _SAME and spoken[n] != spoken[own]]
    return tuple(different[:NEAREST])


def look_alike_facts(knowledge: Knowledge, documents: Mapping[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    """By number of a fact: the same field of its document's look-alikes, where it says something else."""
    found = {}
    for position, others in documents.items():
        for number in knowledge.facts_of[position]:
            fact = knowledge.facts[number]
            own = bare(knowledge.document(fact).body(fact.section))
            same_field = [
                other
                for alike in others
                for other in knowledge.facts_of[alike]
                if knowledge.facts[other].field == fact.field
                and bare(knowledge.documents[alike].body(knowledge.facts[other].section)) != own
            ]
            if same_field:
                found[number] = tuple(same_field)
    return found
