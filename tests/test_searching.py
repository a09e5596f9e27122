"""Passages behind other turns: of what the conversation is about."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.console import main
from app.question import Turn
from app.searching import search_asked
from indexer.release import Release
from indexer.search import search

TALK = (Turn("user", "头孢克洛胶囊的适应症是什么？"), Turn("assistant", "1、中耳炎。"))


def found(hits: list) -> set[str]:
    return {hit.document.id for hit in hits}


def test_a_question_that_names_nothing_is_about_what_was_spoken_of(sample: Release) -> None:
    assert found(search_asked(sample, "孕妇呢？", TALK)) == {"drug/a"}
    assert found(search_asked(sample, "孕妇呢？")) != {"drug/a"}


def test_a_name_of_its_own_counts_and_a_first_question_is_searched_as_it_stands(sample: Release) -> None:
    assert found(search_asked(sample, "头孢克肟胶囊怎么吃？", TALK)) == {"drug/b"}
    assert search_asked(sample, "头孢克肟胶囊怎么吃？") == search(sample, "头孢克肟胶囊怎么吃？")


def test_the_command_reads_the_history_of_a_questions_file(
    sample_index: Path, write_lines: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": "1", "question": "孕妇呢？", "history": [{"role": turn.role, "content": turn.content} for turn in TALK]}]
    words = ["search", "--questions", write_lines(rows, "talk.jsonl"), "--index", sample_index, "--json"]
    monkeypatch.setattr("sys.argv", ["qizhen", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert {hit["document"] for hit in json.loads(capsys.readouterr().out)["hits"]} == {"drug/a"}


def test_a_score_is_the_sum_of_its_parts_and_the_command_tells_them(
    sample: Release, sample_index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = search(sample, "头孢克洛胶囊的禁忌")
    assert [(hit.section, hit.parts.section) for hit in hits if hit.parts.section] == [("禁忌", 1.0)]
    assert hits[0].parts.keyword == pytest.approx(0.4)  # the best by keywords has their whole weight
    assert all(hit.parts.vector == pytest.approx(0.6 * hit.similarity) for hit in hits)
    words = ["search", "头孢克洛胶囊的禁忌", "--index", str(sample_index), "--explain"]
    for form in ("", "--json"):
        monkeypatch.setattr("sys.argv", ["qizhen", *words, *([form] if form else [])])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
    text, line = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert "关键词 0.400 + 向量" in text
    for hit in json.loads(line)["hits"]:
        parts = hit["explain"]
        assert hit["score"] == pytest.approx(parts["keyword"] + parts["vector"] + parts["section"], abs=2e-6)
