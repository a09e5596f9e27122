"""The checker against thousands of claims made false by rule, and as many that are true: from shipped texts, and real labels if at hand."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import pytest
from perturbing import FAITHFUL, FALSE, Case, Text, made, texts_of

from app.claims import check_claim
from indexer.readers import read_documents

SHIPPED = Path(__file__).parent.parent / "kb_data"
REAL = Path("../shared/data/drug_labels")
SOURCES = [
    pytest.param(SHIPPED, id="shipped"),
    pytest.param(REAL, id="real", marks=pytest.mark.skipif(not REAL.exists(), reason="no real labels at hand")),
]
MOST = 160


@cache
def texts(folder: Path) -> list[Text]:
    return texts_of(read_documents([folder / "drugs", folder / "diseases"] if folder == SHIPPED else [folder]))


def supported(cases: Iterable[Case]) -> tuple[Counter[str], Counter[str]]:
    """How many cases of each kind there are, and how many of them the checker supports."""
    total: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for case in cases:
        total[case.kind] += 1
        kept[case.kind] += check_claim(case.claim, case.evidence, (case.title,)).verdict == "supported"
    return total, kept


@pytest.mark.slow
@pytest.mark.parametrize("folder", SOURCES)
def test_claims_made_false_are_not_supported(folder: Path) -> None:
    total, kept = supported(made(FALSE, texts(folder), MOST))
    assert sum(total.values()) >= (3000 if folder == SHIPPED else 2000)
    assert set(total) == set(FALSE)
    assert sum(kept.values()) <= 0.005 * sum(total.values()), {kind: f"{kept[kind]}/{total[kind]}" for kind in kept if kept[kind]}


@pytest.mark.slow
@pytest.mark.parametrize("folder", SOURCES)
def test_faithful_rewordings_are_supported(folder: Path) -> None:
    total, kept = supported(made(FAITHFUL, texts(folder), MOST))
    assert sum(total.values()) >= 800
    lost = {kind: f"{kept[kind]}/{total[kind]}" for kind in total if kept[kind] < total[kind]}
    assert sum(kept.values()) >= 0.98 * sum(total.values()), lost


@pytest.mark.parametrize("folder", SOURCES)
def test_every_verbatim_sentence_is_supported(folder: Path) -> None:
    lost = [s for text in texts(folder)[::5] for s in text.sentences if check_claim(s, text.text).verdict != "supported"]
    assert not lost, lost[:5]


@pytest.mark.parametrize("changes", [FALSE, FAITHFUL], ids=["false", "faithful"])
def test_cases_are_the_same_every_time(changes: dict[str, object]) -> None:
    some: Sequence[Text] = texts(SHIPPED)[:60]
    assert list(made(changes, some, 3)) == list(made(changes, some, 3))  # type: ignore[arg-type]
