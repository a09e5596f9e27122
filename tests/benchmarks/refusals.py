"""How refusing trades against answering: the share of what cannot be answered that is refused, and of what can, over each threshold.

usage: python tests/benchmarks/refusals.py [--questions FILE] [--index DIR]

Three thresholds decide: `fitting`, how well a sentence of a named drug or disease must fit the question; `shown`, the share of described
signs that a disease must show; `covered`, the share of a question that names nothing held which a passage must hold. Each is moved alone,
the others stay at their defaults. Shares come with Wilson's 95 % interval. `astray`: a held name before a question that is not medical,
which no list of words foresees.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from answers import NOT_MEDICAL

from app import selection, signs, unnamed
from app.answering import ask
from app.questions_file import AskedQuestion, read_questions
from indexer.measure import wilson
from indexer.release import Release, open_release

THRESHOLDS: dict[str, tuple[ModuleType, str, tuple[float, ...]]] = {
    "fitting": (selection, "FITTING", (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)),
    "shown": (signs, "SHOWN", (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
    "covered": (unnamed, "COVERED", (0.3, 0.4, 0.5, 0.62, 0.7, 0.8, 0.9)),
}


def share(refused: Sequence[bool]) -> str:
    """Percent with its interval, and of how many."""
    if not refused:
        return "-"
    low, high = wilson(sum(refused), len(refused))
    return f"{100 * sum(refused) / len(refused):5.1f} ({100 * low:.1f}~{100 * high:.1f}, n={len(refused)})"


def refusals(release: Release, asked: Sequence[AskedQuestion]) -> tuple[list[bool], list[bool]]:
    """Whether each question was refused: of those that cannot be answered, and of those that can."""
    got = [(question.refuse, ask(release, question.question, question.history).status == "refused") for question in asked]
    return [refused for must, refused in got if must], [refused for must, refused in got if not must]


def astray(release: Release) -> list[str]:
    """Held names, drawn with a fixed seed, before questions that are not medical."""
    dice = random.Random(7)
    return [f"{release.names.title(dice.randrange(release.store.documents))} {question}" for question in NOT_MEDICAL for _ in range(4)]


def print_curve(release: Release, asked: Sequence[AskedQuestion], name: str) -> None:
    """One line for each value of a threshold."""
    strays = astray(release)
    module, constant, values = THRESHOLDS[name]
    default = getattr(module, constant)
    sys.stdout.write(f"\n{name}   rightly refused, %   wrongly refused, %   astray refused, %\n")
    for value in values:
        setattr(module, constant, value)
        must, may = refusals(release, asked)
        off = share([ask(release, question).status == "refused" for question in strays])
        sys.stdout.write(f"  {value:.2f}   {share(must)}   {share(may)}   {off}{' <- default' if value == default else ''}\n")
    setattr(module, constant, default)


def main() -> None:
    """Print the shares by category, then one curve a threshold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, default=Path("kb_data/questions/dev.jsonl"))
    parser.add_argument("--index", type=Path, default=Path("var/index"))
    arguments = parser.parse_args()
    release = open_release(arguments.index)
    asked = [question for question in read_questions(arguments.questions) if not question.clarify]
    sys.stdout.write("category   rightly refused, %   wrongly refused, %\n")
    for category in [*sorted({question.category for question in asked}), ""]:
        must, may = refusals(release, [question for question in asked if category in ("", question.category)])
        sys.stdout.write(f"  {category or 'all':<20} {share(must):<26} {share(may)}\n")
    for name in THRESHOLDS:
        print_curve(release, asked, name)


if __name__ == "__main__":
    main()
