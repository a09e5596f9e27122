"""The golden questions and the list of look-alikes keep to the texts they are about."""

import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from indexer.documents import Document
from indexer.readers import read_documents

ROOT = Path(__file__).parent.parent / "kb_data"
SIDES = ("dev", "test", "dialogues-dev", "dialogues-test")


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    return {document.id: document for document in read_documents([ROOT])}


@pytest.fixture(scope="module")
def questions() -> dict[str, list[dict[str, Any]]]:
    return {side: [json.loads(line) for line in (ROOT / "questions" / f"{side}.jsonl").open(encoding="utf-8")] for side in SIDES}


def test_there_are_enough_of_every_kind(questions: dict[str, list[dict[str, Any]]]) -> None:
    rows = [row for side in questions.values() for row in side]
    kinds = Counter(row["category"] for row in rows)
    assert len(rows) >= 800
    assert len({row["id"] for row in rows}) == len(rows)
    assert kinds["follow-up"] >= 60
    assert kinds["look-alike"] >= 80
    assert sum(bool(row.get("refuse")) for row in rows) >= 200
    assert all(row.get("history") for row in rows if row["category"] == "follow-up")
    dialogues = {row["id"].rpartition("-")[0] for row in rows if row["category"] == "dialogue"}
    assert len(dialogues) >= 100


def test_an_entity_is_on_one_side_only(questions: dict[str, list[dict[str, Any]]]) -> None:
    """The first document, in the order of ids, decides the side."""
    sides = {side: {min(row["documents"]) for row in rows if row.get("documents")} for side, rows in questions.items()}
    assert sides["dev"] & sides["test"] == set()


def test_a_dialogue_grows_turn_by_turn(questions: dict[str, list[dict[str, Any]]]) -> None:
    for row in questions["dialogues-dev"] + questions["dialogues-test"]:
        roles = [turn["role"] for turn in row.get("history", [])]
        assert roles == ["user", "assistant"] * (int(row["id"].rpartition("-")[2]) - 1)


def test_expected_documents_spans_and_terms_stand_in_the_texts(
    questions: dict[str, list[dict[str, Any]]], documents: dict[str, Document]
) -> None:
    wrong = []
    for row in [row for side in questions.values() for row in side]:
        held = [documents[name] for name in row.get("documents", []) if name in documents]
        text = "\n".join(document.text for document in held)
        if len(held) != len(row.get("documents", [])) or row.get("span", "") not in text:
            wrong.append(row["id"])
        if any(forms[0] not in text for forms in row.get("terms", [])):
            wrong.append(row["id"])
    assert wrong == []


def test_look_alikes_are_pairs_of_held_drugs(documents: dict[str, Document]) -> None:
    pairs = tomllib.loads((ROOT / "lookalikes.toml").read_text("utf-8"))["pair"]
    titles = {document.title for document in documents.values() if document.kind == "drug"}
    assert len(pairs) >= 40
    assert len({frozenset(pair["names"]) for pair in pairs}) == len(pairs)
    assert [pair for pair in pairs if len(set(pair["names"]) & titles) != 2 or not re.search("[。]$", pair["difference"])] == []


def test_differences_of_look_alikes_state_no_dose() -> None:
    """They are shown without a citation; a dose is not."""
    pairs = tomllib.loads((ROOT / "lookalikes.toml").read_text("utf-8"))["pair"]
    assert [pair for pair in pairs if re.search(r"\d\s*(?:mg|μg|g|mL|片|次)|每日\d|一日\d", pair["difference"])] == []
