import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.build import build_release
from indexer.comparing import compare_releases, plan_build
from indexer.errors import IndexMissingError
from indexer.release import current_id

Write = Callable[..., Path]


def row(name: str, text: str = "用于头痛。", **source: str) -> dict[str, Any]:
    return {"id": name, "kind": "drug", "title": f"药品{name}", "sections": [{"title": "适应症", "text": text}], "source": source}


OLD = [row("a"), row("b"), row("c", revised="2025-01-01"), row("d")]
NEW = [row("a"), row("b", "用于发热。"), row("c", revised="2025-06-01"), row("e")]


@pytest.fixture
def index(tmp_path: Path, write_lines: Write) -> Path:
    build_release(tmp_path / "index", [write_lines(OLD)])
    return tmp_path / "index"


def named(changes: Any) -> list[tuple[str, str]]:
    return [(change.document, change.change) for change in changes]


EXPECTED = [("b", "changed"), ("c", "dated"), ("e", "added"), ("d", "removed")]


def test_a_plan_says_what_the_build_then_does(index: Path, write_lines: Write) -> None:
    before = {path: path.read_bytes() for path in index.rglob("*") if path.is_file()}
    knowledge = write_lines(NEW)
    plan = plan_build(index, [knowledge])
    assert {path: path.read_bytes() for path in index.rglob("*") if path.is_file()} == before
    assert (plan.comparison.old, plan.comparison.documents, plan.rejected) == (current_id(index), 4, ())
    assert named(plan.comparison.changes) == EXPECTED
    assert plan.comparison.counts == {"added": 1, "changed": 2, "dated": 1, "removed": 1}
    built = build_release(index, [knowledge])
    assert (built.added, built.changed, built.dated, built.removed) == (1, 2, 1, 1)
    compared = compare_releases(index, built.parent, built.release)
    assert (compared.changes, compared.counts) == (plan.comparison.changes, plan.comparison.counts)


def test_releases_compare_both_ways(index: Path, write_lines: Write) -> None:
    built = build_release(index, [write_lines(NEW)])
    back = compare_releases(index, built.release, built.parent)
    assert named(back.changes) == [("b", "changed"), ("c", "dated"), ("d", "added"), ("e", "removed")]
    assert compare_releases(index, built.release, built.release).changes == ()
    with pytest.raises(IndexMissingError, match="里没有版本 `x`"):
        compare_releases(index, "x", built.release)


def test_a_plan_without_a_release_adds_everything(tmp_path: Path, write_lines: Write) -> None:
    plan = plan_build(tmp_path / "none", [write_lines(OLD)])
    assert (plan.comparison.old, plan.comparison.counts["added"]) == ("", 4)
    assert not (tmp_path / "none").exists()


def test_a_plan_names_what_is_rejected_and_what_is_expired(index: Path, write_lines: Write) -> None:
    knowledge = write_lines([row("a"), row("b", ""), row("c", expires="2026-01-01"), row("d", expires="2026-01-02")])
    plan = plan_build(index, [knowledge], today=datetime.date(2026, 1, 2))
    assert [str(fault) for fault in plan.rejected] == [f"{knowledge}:2: sections[0]: 章节“适应症”没有正文"]
    assert [(gone.document, gone.title, gone.expires) for gone in plan.expired] == [("c", "药品c", "2026-01-01")]
    assert named(plan.comparison.changes) == [("d", "dated"), ("b", "removed"), ("c", "removed")]


@pytest.mark.parametrize("size", [5, 40])
def test_known_lines_are_recalled_and_changed_ones_read(tmp_path: Path, size: int) -> None:
    """Only one line in the file differs, and what comes of it is as if everything had been read."""
    index, path = tmp_path / "index", tmp_path / "kb.jsonl"
    rows = [row(str(n), f"用于头痛{n}。") for n in range(size)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    build_release(index, [path])
    rows[2] = row("2", "用于发热。")
    rows[3], rows[4] = rows[4], rows[3]
    path.write_text("\n\n".join(json.dumps(r) for r in rows) + "\n", "utf-8")
    assert named(plan_build(index, [path]).comparison.changes) == [("2", "changed")]
    path.write_text("\n".join(json.dumps(r) for r in [*rows, rows[0]]), "utf-8")
    assert [str(fault) for fault in plan_build(index, [path]).rejected] == [f"{path}:{size + 1}: id: `0` 与 {path}:1 重复"]


def test_a_recalled_document_expires_too(tmp_path: Path, write_lines: Write) -> None:
    knowledge = write_lines([row("a"), row("b", expires="2026-06-30")])
    build_release(tmp_path / "index", [knowledge], today=datetime.date(2026, 6, 30))
    built = build_release(tmp_path / "index", [knowledge], today=datetime.date(2026, 7, 1))
    assert (built.documents, built.removed, [gone.title for gone in built.expired]) == (1, 1, ["药品b"])
