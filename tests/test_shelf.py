"""A release that is published while questions are asked: opened beside, then in place."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import shelf
from app.shelf import ReleaseShelf
from indexer.build import build_release
from indexer.errors import IndexDamagedError, IndexMissingError
from indexer.release import Release, open_release, release_folder

Write = Callable[..., Path]


def rows(text: str) -> list[dict[str, Any]]:
    return [{"id": "a", "kind": "drug", "title": "甲硝唑片", "sections": [{"title": "适应症", "text": text}]}]


@pytest.fixture
def index(tmp_path: Path, write_lines: Write) -> Path:
    build_release(tmp_path / "index", [write_lines(rows("用于头痛。"))])
    return tmp_path / "index"


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


def test_a_release_that_opens_slowly_keeps_no_question_waiting(index: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, may_open, openings = ReleaseShelf(index), threading.Event(), []
    first = opened.current()

    def slowly(*arguments: Any, reranker: str) -> Release:
        openings.append(arguments)
        may_open.wait(10)
        return open_release(*arguments)

    monkeypatch.setattr(shelf, "open_release", slowly)
    monkeypatch.setattr(shelf, "_PATIENCE", 0.01)
    second = build_release(index, [write_lines(rows("用于咳嗽。"))]).release
    assert [opened.current() for _ in range(5)] == [first] * 5
    assert opened.get(first.id) is first
    may_open.set()
    assert eventually(lambda: opened.current().id == second)
    assert len(openings) == 1


def test_a_release_that_opens_soon_answers_the_next_question(index: Path, write_lines: Write) -> None:
    opened = ReleaseShelf(index)
    opened.current()
    second = build_release(index, [write_lines(rows("用于咳嗽。"))]).release
    assert opened.current().id == second


def test_a_watching_shelf_opens_what_is_published_before_anybody_asks(
    index: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, openings = ReleaseShelf(index), []
    opened.watch()

    def noted(folder: Path, release_id: str, reranker: str) -> Release:
        openings.append(release_id)
        return open_release(folder, release_id)

    monkeypatch.setattr(shelf, "open_release", noted)
    second = build_release(index, [write_lines(rows("用于咳嗽。"))]).release
    assert eventually(lambda: second in openings)


def test_a_damaged_release_is_told_and_opened_once_it_is_mended(index: Path, write_lines: Write) -> None:
    opened = ReleaseShelf(index)
    opened.current()
    second = build_release(index, [write_lines(rows("用于咳嗽。"))]).release
    vectors = release_folder(index, second) / "vectors.faiss"
    whole = vectors.read_bytes()
    vectors.write_bytes(whole[:-1])
    with pytest.raises(IndexDamagedError, match=r"`vectors\.faiss` 大小为"):
        opened.current()
    vectors.write_bytes(whole)
    assert opened.current().id == second


def test_whoever_asks_for_many_other_releases_never_closes_the_one_in_use(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, openings = ReleaseShelf(index), []
    served = opened.current()

    def noted(folder: Path, release_id: str, reranker: str) -> Release:
        openings.append(release_id)
        return open_release(folder, release_id)

    monkeypatch.setattr(shelf, "open_release", noted)
    for number in range(9):
        with pytest.raises(IndexMissingError):
            opened.get(f"20260101-000000-{number:08x}")
    assert opened.current() is served
    assert served.id not in openings
