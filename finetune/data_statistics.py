"""What a data folder holds: counts by kind, split, field and template, lengths, repetitions, refusals."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from finetune.decontaminate import asked_in
from finetune.samples import SAMPLES, sample_of, sample_rows
from indexer.errors import QizhenError

_BIN = 100


@dataclass(frozen=True, slots=True)
class Statistics:
    """`question_characters` and `answer_characters` are histograms: how many are from the key up to the next hundred characters.

    `repeated_questions` are bare questions asked more than once, `repeated_answers` answers given more than once; `contradicted` are bare
    questions with several answers; `refusals` is a share of all.
    """

    samples: int
    kinds: Mapping[str, int]
    splits: Mapping[str, int]
    fields: Mapping[str, int]
    templates: Mapping[str, int]
    entities: Mapping[str, int]
    question_characters: Mapping[int, int]
    answer_characters: Mapping[int, int]
    longest: int
    repeated_questions: int
    repeated_answers: int
    contradicted: int
    refusals: float


def statistics(folder: Path) -> Statistics:
    """Count the samples of a folder, reading them one by one. Raises QizhenError where there are none."""
    path = folder / SAMPLES
    if not path.is_file():
        raise QizhenError(f"`{folder}` 里没有 {SAMPLES}", "先运行 qizhen-finetune data build")
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    entities: defaultdict[str, set[str]] = defaultdict(set)
    questions, answers = Counter[int](), Counter[int]()
    asked, answered = Counter[bytes](), Counter[bytes]()
    replies: defaultdict[bytes, set[bytes]] = defaultdict(set)
    longest = 0
    for _, row in sample_rows(path):
        sample = sample_of(row)
        for name, value in (("kind", sample.kind), ("split", sample.split), ("field", sample.field), ("template", sample.template)):
            counts[name][value] += 1
        entities[sample.split].add(sample.entity)
        size = sum(len(content) for _, content in sample.messages)
        longest = max(longest, size)
        questions[(size - len(sample.answer)) // _BIN * _BIN] += 1
        answers[len(sample.answer) // _BIN * _BIN] += 1
        if sample.kind not in ("cited", "contrast", "dialogue") and asked_in(sample.question) == sample.question:
            asked[_key(sample.question)] += 1
            replies[_key(sample.question)].add(_key(sample.answer))
        answered[_key(sample.answer)] += 1
    whole = counts["kind"].total()
    return Statistics(
        samples=whole,
        kinds=_sorted(counts["kind"]),
        splits=_sorted(counts["split"]),
        fields=_sorted(counts["field"]),
        templates=_sorted(counts["template"]),
        entities={split: len(held) for split, held in sorted(entities.items())},
        question_characters=dict(sorted(questions.items())),
        answer_characters=dict(sorted(answers.items())),
        longest=longest,
        repeated_questions=sum(count > 1 for count in asked.values()),
        repeated_answers=sum(count > 1 for count in answered.values()),
        contradicted=sum(len(held) > 1 for held in replies.values()),
        refusals=round(counts["kind"]["refusal"] / whole, 4) if whole else 0.0,
    )


def _key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
