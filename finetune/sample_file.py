"""The files of samples as they are written: each conversation once, contaminated ones apart."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from finetune.decontaminate import APART, Against, Contamination, asked_in
from finetune.samples import SAMPLES, Sample


class Made(NamedTuple):
    """A sample ready to be written. `why` says what evaluation it gives away, "" for none; `asked` is then its question."""

    digest: int
    kind: str
    split: str
    why: str
    asked: str
    line: bytes


def make(sample: Sample, against: Against) -> Made:
    """The sample as a line, compared with the evaluations."""
    digest, line = sample.as_line()
    why = against.why(sample)
    return Made(int(digest[:16], 16), sample.kind, sample.split, why, asked_in(sample.question) if why else "", line)


class SampleFile:
    """samples.jsonl and contaminated.jsonl of a folder, and what is in the first."""

    def __init__(self, folder: Path, contamination: Contamination, entities_apart: bool) -> None:
        """`entities_apart`: samples about what an evaluation is about are kept apart too, not only flagged."""
        self._file = (folder / SAMPLES).open("wb")
        self._apart = (folder / APART).open("wb") if contamination.against else None
        self._contamination = contamination
        self._reasons_apart = {"question", "overlap", *(["entity"] if entities_apart else [])}
        self._seen: set[int] = set()
        self.kinds: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.repeated = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self._apart:
            self._apart.close()

    def write(self, made: Iterable[Made]) -> None:
        """Append samples; one whose conversation stands there already is left out."""
        for one in made:
            if one.digest in self._seen:
                self.repeated += 1
                continue
            self._seen.add(one.digest)
            apart = one.why in self._reasons_apart
            if one.why:
                self._contamination.note(one.why, apart, f"s-{one.digest:016x}", one.kind, one.asked)
            if apart and self._apart:
                self._apart.write(one.line)
                continue
            self.kinds[one.kind] += 1
            self.splits[one.split] += 1
            self._file.write(one.line)
