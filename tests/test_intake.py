"""Files that are given again: lines that the published release knows are not read again, and nothing else comes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer import intake
from indexer.build import build_release
from indexer.intake import Before, Intake, take_in
from indexer.readers import Reading, read_knowledge
from indexer.release import current_id, read_manifest, release_folder

Write = Callable[..., Path]


def line(name: str, text: str = "用于头痛。") -> str:
    row = {"id": name, "kind": "drug", "title": f"药品{name}", "sections": [{"title": "适应症", "text": text}] if text else []}
    return json.dumps(row, ensure_ascii=False)


@pytest.fixture
def before(tmp_path: Path) -> Before:
    """A release of a and b, while a third line was faulty."""
    build_release(tmp_path / "index", [written(tmp_path, line("a"), line("c", ""), line("b"))], skip_faulty=True)
    release_id = current_id(tmp_path / "index")
    return Before(release_folder(tmp_path / "index", release_id), read_manifest(tmp_path / "index", release_id))


def written(folder: Path, *lines: str) -> Path:
    path = folder / "kb.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def told(found: Intake) -> tuple[list[tuple[str, str, str]], list[str]]:
    return [(item.id, item.state, item.digest) for item in found.items], [str(fault) for fault in found.faults]


@pytest.mark.parametrize(
    "lines",
    [
        [line("a"), line("b")],
        [line("b"), "", line("c", ""), line("a", "用于发热。"), line("d")],
        [line("a"), line("a"), line("b")],
        [line("a"), line("d"), line("d"), line("b")],
        [line("a"), line("a", "用于发热。")],
        [line("a"), "{", "　", line("b")],
        ["\ufeff" + line("a"), line("b")],
        [line("c", "")],
    ],
)
def test_what_is_recalled_is_what_would_be_read(before: Before, tmp_path: Path, lines: list[str]) -> None:
    path = written(tmp_path, *lines)
    assert told(take_in([path], before, recall=True)) == told(take_in([path], before, recall=False))


def test_known_lines_are_not_read_again_even_beside_faulty_ones(before: Before, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(paths: Any) -> Reading:
        reading = read_knowledge(paths)
        read.extend(document.id for document in reading.documents)
        return reading

    monkeypatch.setattr(intake, "read_knowledge", noted)
    path = written(tmp_path, line("c", ""), line("a"), line("d"), line("b"))
    found = take_in([path], before, recall=True)
    assert read == ["d"]
    assert [(item.id, item.state, item.document is None) for item in found.items] == [
        ("a", "same", True),
        ("d", "added", False),
        ("b", "same", True),
    ]
    assert [str(fault) for fault in found.faults] == [f"{path}:1: sections: 缺少，至少要有一个有正文的章节"]


def test_a_line_that_is_not_utf_8_is_told_at_its_place(before: Before, tmp_path: Path) -> None:
    path = written(tmp_path, line("a"))
    path.write_bytes(path.read_bytes() + line("d").encode("gb18030") + b"\n")
    [fault] = take_in([path], before, recall=True).faults
    assert (fault.path, fault.line) == (str(path), 2)
    assert "不是 UTF-8 编码" in fault.message


def test_a_file_written_while_it_is_read_is_not_remembered_wrongly(before: Before, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest kept of a line is of what was read, whatever stands in the file by then."""
    path = written(tmp_path, line("d", "用于头痛。"))

    def changed_meanwhile(paths: Any) -> Reading:
        written(tmp_path, line("d", "用于发热。"))
        return read_knowledge(paths)

    monkeypatch.setattr(intake, "read_knowledge", changed_meanwhile)
    [first] = take_in([path], before, recall=True).items
    monkeypatch.undo()
    [second] = take_in([path], before, recall=True).items
    assert (first.line != second.line, first.digest != second.digest) == (True, True)
