"""A language model's own answers against what is shown of them, and against quoting, on the same questions and the same run.

usage: QIZHEN_LOCAL_MODEL=FOLDER python tests/benchmarks/generators.py --generator local [--questions FILE] [--every N] [--limit N]
       QIZHEN_CHAT_URL=... QIZHEN_CHAT_MODEL=... python tests/benchmarks/generators.py --generator chat

Citation recall and precision are ALCE's; the judge is the claim checker. The model's own text is cut into sentences and its marks read
off as they stand; what is shown has passed the gate (app/checking.py). Times are seconds.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.answering import Answer, Said, ask, ask_by_sentence
from app.checking import QUOTED_BESIDES, QUOTED_INSTEAD, check_against
from app.citation_quality import CitationQuality, Cited, citation_quality
from app.citations import Unit
from app.drafts import read_drafts
from app.generators import Generator, QuotingGenerator
from app.measuring import quality_of
from app.open_generator import open_generator
from app.prompt import is_no_answer
from app.questions_file import AskedQuestion, read_questions
from app.settings import SHIPPED_KNOWLEDGE, model_settings
from app.speaking import ModelGenerator
from indexer.build import build_release
from indexer.errors import ModelError
from indexer.measure import percentile, wilson
from indexer.release import Release, open_release

KNOWLEDGE = Path(SHIPPED_KNOWLEDGE)


@dataclass
class Heard:
    """What a model said to one question, piece by piece with the seconds since it was asked, and the evidence it was given."""

    evidence: Sequence[Unit]
    pieces: list[tuple[float, str]] = field(default_factory=list)
    failed: bool = False


class Recorded:
    """A model generator that keeps what it hears."""

    def __init__(self, generator: ModelGenerator) -> None:
        self.heard: list[Heard] = []
        listen = generator.listen

        def listen_and_keep(question: str, evidence: Sequence[Unit]) -> Iterator[str]:
            heard = Heard(evidence)
            self.heard.append(heard)
            started = time.perf_counter()
            try:
                for piece in listen(question, evidence):
                    heard.pieces.append((time.perf_counter() - started, piece))
                    yield piece
            except ModelError:
                heard.failed = True
                raise

        generator.listen = listen_and_keep  # type: ignore[method-assign]


@dataclass
class Row:
    """One line of the table."""

    quality: CitationQuality = field(default_factory=CitationQuality)
    answered: int = 0
    refused: int = 0
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


def main() -> None:
    """Ask, and print the table."""
    options = _options()
    questions = read_questions(options.questions)[:: options.every][: options.limit]
    generator = open_generator(options.generator, model_settings())
    assert isinstance(generator, ModelGenerator), "a model is wanted: --generator chat or local"
    recorded = Recorded(generator)
    raw, shown, quoted = Row(), Row(), Row()
    fell_back = model_sentences = 0
    with tempfile.TemporaryDirectory() as folder:
        build_release(Path(folder) / "index", [KNOWLEDGE])
        release = open_release(Path(folder) / "index")
        for question in questions:
            if ask(release, question.question, question.history).status != "answered":
                continue  # refused or asked back: no model is asked
            answer = _ask(release, question, generator, shown)
            heard = recorded.heard[-1]
            texts = _read_raw(release, heard, raw)
            _ask(release, question, QuotingGenerator(), quoted)
            fell_back += any(QUOTED_INSTEAD in n or QUOTED_BESIDES in n for n in answer.notices)
            said = {sentence.text for sentence in answer.sentences}
            model_sentences += sum(text in said for text in texts)
            if options.log:
                _log(options.log, question, heard, answer)
        _print(options.generator, len(recorded.heard), {"model": raw, "shown": shown, "quoting": quoted})
    sys.stdout.write(
        f"shown as the model said them: {model_sentences} of {raw.quality.sentences}; with a notice that the model failed: {fell_back}\n"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--generator", default="local", choices=["chat", "local"])
    parser.add_argument("--questions", type=Path, default=KNOWLEDGE / "questions" / "dev.jsonl")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--log", type=Path, default=None, help="write what was said and shown here, one question a line")
    return parser.parse_args()


def _ask(release: Release, question: AskedQuestion, generator: Generator, row: Row) -> Answer:
    started = time.perf_counter()
    first = 0.0
    for step in ask_by_sentence(release, question.question, question.history, generator):
        if isinstance(step, Said) and not first:
            first = time.perf_counter() - started
        if isinstance(step, Answer):
            answer = step
    row.first.append(first)
    row.whole.append(time.perf_counter() - started)
    row.answered += answer.status == "answered"
    row.refused += answer.status == "refused"
    row.quality += quality_of(answer)
    return answer


def _read_raw(release: Release, heard: Heard, row: Row) -> list[str]:
    """The model's own sentences, with the citations it gave them, into its row."""
    clock = 0.0

    def replay() -> Iterator[str]:
        nonlocal clock
        for seconds, piece in heard.pieces:
            clock = seconds
            yield piece

    cited, first = [], 0.0
    for draft in read_drafts(replay()):
        first = first or clock
        if not is_no_answer(draft.text):
            cited.append(Cited(draft.text, tuple(heard.evidence[n] for n in draft.units if 0 <= n < len(heard.evidence))))
    row.quality += citation_quality(cited, lambda text, units: check_against(text, units).verdict)
    row.answered += bool(cited)
    row.refused += not cited and is_no_answer("".join(piece for _, piece in heard.pieces))
    row.first.append(first)
    row.whole.append(heard.pieces[-1][0] if heard.pieces else 0.0)
    return [sentence.text for sentence in cited]


def _log(path: Path, question: AskedQuestion, heard: Heard, answer: Answer) -> None:
    row = {
        "question": question.question,
        "evidence": [unit.text for unit in heard.evidence],
        "said": "".join(piece for _, piece in heard.pieces),
        "shown": [[sentence.text, list(sentence.citations)] for sentence in answer.sentences],
        "notices": list(answer.notices),
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _print(name: str, questions: int, rows: dict[str, Row]) -> None:
    sys.stdout.write(f"{name}: {questions} questions that reached the model\n")
    sys.stdout.write(
        "| | answered | refused | sentences | citation recall | citation precision | contradicted | first | whole p50 / p95 |\n"
    )
    sys.stdout.write("|---|---|---|---|---|---|---|---|---|\n")
    for label, row in rows.items():
        quality = row.quality
        cells = [
            label,
            str(row.answered),
            str(row.refused),
            str(quality.sentences),
            _share(quality.supported, quality.sentences),
            _share(quality.precise, quality.citations),
            _share(quality.contradicted, quality.sentences),
            f"{percentile([t for t in row.first if t], 0.5):.3f}",
            f"{percentile(row.whole, 0.5):.3f} / {percentile(row.whole, 0.95):.3f}",
        ]
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


def _share(successes: int, trials: int) -> str:
    low, high = wilson(successes, trials)
    return f"{100 * successes / trials:.1f} % ({100 * low:.1f}-{100 * high:.1f}; {successes}/{trials})" if trials else "-"


if __name__ == "__main__":
    main()
