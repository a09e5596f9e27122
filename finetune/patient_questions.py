"""Samples from files of doctors' and patients' questions: cleaned, put where their drug or disease belongs, near-duplicates left out."""

import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from ahocorasick_rs import AhoCorasick, MatchKind
from numpy.typing import NDArray

from finetune.decontaminate import Against
from finetune.facts import Entity, Shares
from finetune.near_duplicates import gram_hashes, near_duplicates
from finetune.ordered_work import in_order
from finetune.question_files import Columns, Pair, Rows, pairs_of, read_rows
from finetune.sample_file import Made, make
from finetune.samples import Sample
from indexer.errors import Fault, QizhenError
from indexer.terms import fold

_SPLITS_HELD_FIRST = ("test", "dev", "train")
_MOST_TOLD = 200


@dataclass(frozen=True, slots=True)
class PairRules:
    """What is needed to make samples of pairs. `answers` are texts by document id, `bearers` entities by folded name."""

    columns: Columns
    answers: Mapping[str, str]
    bearers: Mapping[str, Entity]
    shares: Shares
    against: Against


@dataclass(frozen=True)
class _MakePairs:
    rules: PairRules

    @cached_property
    def _names(self) -> tuple[list[str], AhoCorasick]:
        surfaces = sorted(self.rules.bearers)
        return surfaces, AhoCorasick(surfaces, matchkind=MatchKind.LeftmostLongest)

    def __call__(self, rows: Rows) -> "_Cleaned":
        cleaned = _Cleaned()
        kept: list[str] = []
        for found in pairs_of(rows, self.rules.columns, self.rules.answers):
            if isinstance(found, Fault):
                cleaned.faults.append(found)
            elif isinstance(found, str):
                cleaned.left_out[found] += 1
            else:
                cleaned.made.append(make(self._sample(found), self.rules.against))
                kept.append(found.question)
        cleaned.grams, cleaned.counts = gram_hashes(kept)
        return cleaned

    def _sample(self, pair: Pair) -> Sample:
        """In the split of what it asks about; where that is several, of the one held out; where nothing held, by the question itself."""
        surfaces, finder = self._names
        folded = fold(pair.question)
        about = [self.rules.bearers[surfaces[number]] for number, _, _ in finder.find_matches_as_indexes(folded)]
        entity = min(about, key=lambda one: _SPLITS_HELD_FIRST.index(one.split), default=Entity("", self.rules.shares.split_of(folded)))
        messages = (("user", pair.question), ("assistant", pair.answer))
        return Sample("question", entity.split, entity.name, "", "", messages, file=pair.file, line=pair.line)


@dataclass
class _Cleaned:
    made: list[Made] = field(default_factory=list)
    grams: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    left_out: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)


@dataclass
class PairSamples:
    """Samples waiting in a file beside; `left_out` counts by reason, `faults` are the lines that could not be read."""

    path: Path
    repeated: NDArray[np.bool_]
    left_out: Counter[str]
    faults: list[Fault]

    def __iter__(self) -> Iterator[list[Made]]:
        """The samples that are no near-duplicates, in the order of the files."""
        row = 0
        with self.path.open("rb") as file:
            while row < len(self.repeated):
                made: list[Made] = pickle.load(file)  # noqa: S301 written a moment ago by this process
                yield [one for one, repeated in zip(made, self.repeated[row : row + len(made)], strict=True) if not repeated]
                row += len(made)


def read_pairs(
    paths: Sequence[Path], rules: PairRules, beside: Path, workers: int, skip_faulty: bool, progress: Callable[[int], None]
) -> PairSamples:
    """Read, clean and compare all files. Raises QizhenError with every faulty line of every file, unless they are to be skipped."""
    faults: list[Fault] = []
    left_out: Counter[str] = Counter()
    grams, counts = [], []
    read = 0
    jobs = (rows for path in paths for rows in read_rows(path, rules.columns, faults))
    with beside.open("wb") as file:
        for cleaned in in_order(_MakePairs(rules), jobs, workers):
            if cleaned.made:
                pickle.dump(cleaned.made, file, protocol=pickle.HIGHEST_PROTOCOL)
            grams.append(cleaned.grams)
            counts.append(cleaned.counts)
            left_out += cleaned.left_out
            faults += cleaned.faults
            read += len(cleaned.made) + cleaned.left_out.total() + len(cleaned.faults)
            progress(read)
    faults.sort(key=lambda fault: ([str(path) for path in paths].index(fault.path), fault.line))
    if faults and not skip_faulty:
        more = f"\n……另有 {len(faults) - _MOST_TOLD} 处" if len(faults) > _MOST_TOLD else ""
        listed = "\n".join(map(str, faults[:_MOST_TOLD])) + more
        raise QizhenError(f"问答文件有 `{len(faults)}` 处错误：\n{listed}", "改正以上各处，或加 --skip-faulty 略过它们")
    repeated = near_duplicates(np.concatenate(grams), np.concatenate(counts)) if grams else np.zeros(0, dtype=bool)
    left_out["near duplicate"] += int(repeated.sum())
    return PairSamples(beside, repeated, +left_out, faults)
