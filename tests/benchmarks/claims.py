"""The claim checker beside the checks that others use, on claims made false and claims reworded by rule from real sentences.

usage: python tests/benchmarks/claims.py [--data FOLDER] [--most N]

Texts: the shipped knowledge base and, where FOLDER holds them, real labels (drug_labels/). Peers, run here on the same claims:
    numbers    every number of the claim stands in the evidence (how product checkers test doses)
    words      at least 0.8 of the claim's character bigrams stand in the evidence (overlap, the usual stand-in for entailment)
    both       the two together
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from perturbing import FAITHFUL, FALSE, Case, Text, made, texts_of

from app.claims import check_claim
from indexer.measure import wilson
from indexer.readers import read_documents
from indexer.terms import fold, terms

KNOWLEDGE = Path(__file__).parent.parent.parent / "kb_data"


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def numbers(case: Case) -> bool:
    """Whether every number of the claim stands in its evidence."""
    return set(re.findall(r"\d+(?:\.\d+)?", fold(case.claim))) <= set(re.findall(r"\d+(?:\.\d+)?", fold(case.evidence)))


def words(case: Case) -> bool:
    """Whether most of the claim's bigrams stand in its evidence."""
    wanted = set(terms(fold(case.claim)))
    return len(wanted & set(terms(fold(f"{case.evidence} {case.title}")))) >= 0.8 * len(wanted)


CHECKERS: dict[str, Callable[[Case], bool]] = {
    "QiZhen": lambda case: check_claim(case.claim, case.evidence, (case.title,)).verdict == "supported",
    "numbers": numbers,
    "words": words,
    "both": lambda case: numbers(case) and words(case),
}


def verbatim(texts: Iterable[Text], most: int) -> list[Case]:
    """Sentences as they stand."""
    return [Case("verbatim", sentence, text.text, text.title) for text in texts for sentence in text.sentences][:most]


def table(name: str, cases: list[Case], wanted: bool) -> None:
    """Share of each kind that every checker judges rightly, and the time QiZhen takes."""
    right: dict[str, Counter[str]] = {checker: Counter() for checker in CHECKERS}
    total = Counter(case.kind for case in cases)
    spent = 0.0
    for case in cases:
        for checker, supports in CHECKERS.items():
            started = time.perf_counter()
            right[checker][case.kind] += supports(case) == wanted
            spent += (time.perf_counter() - started) if checker == "QiZhen" else 0
    say(
        f"\n{name}: {'kept' if wanted else 'rejected'}, per cent\n{'':18s}" + "".join(f"{checker:>9s}" for checker in CHECKERS) + "       n"
    )
    for kind in total:
        say(f"{kind:18s}" + "".join(f"{100 * right[c][kind] / total[kind]:9.1f}" for c in CHECKERS) + f"{total[kind]:8d}")
    whole = total.total()
    say(f"{'all':18s}" + "".join(f"{100 * right[c].total() / whole:9.2f}" for c in CHECKERS) + f"{whole:8d}")
    low, high = wilson(right["QiZhen"].total(), whole)
    say(f"QiZhen {100 * low:.2f} to {100 * high:.2f} (Wilson, 95 %), {1000 * spent / whole:.2f} ms a claim")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--most", type=int, default=200)
    chosen = parser.parse_args()
    folders = {"shipped texts": [KNOWLEDGE / "drugs", KNOWLEDGE / "diseases"], "real labels": [chosen.data / "drug_labels"]}
    for name, paths in folders.items():
        if not all(path.exists() for path in paths):
            say(f"\n{name}: not at hand")
            continue
        texts = texts_of(read_documents(paths))
        table(f"{name}, made false", list(made(FALSE, texts, chosen.most)), wanted=False)
        table(f"{name}, reworded", list(made(FAITHFUL, texts, chosen.most)), wanted=True)
        table(f"{name}, verbatim", verbatim(texts, 4000), wanted=True)


if __name__ == "__main__":
    main()
