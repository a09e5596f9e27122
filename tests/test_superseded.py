from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.answering import ask
from app.layout import SUPERSEDED, digest_of, panel, source_rows
from app.shelf import ReleaseShelf
from app.superseded import mark_rows, superseded
from indexer.build import build_release
from indexer.collecting import collect_releases
from indexer.errors import IndexMissingError
from indexer.release import publish_release

Write = Callable[..., Path]


def row(name: str, text: str, **source: str) -> dict[str, Any]:
    return {"id": name, "kind": "drug", "title": name, "sections": [{"title": "适应症", "text": text}], "source": source}


@pytest.fixture
def index(tmp_path: Path, write_lines: Write) -> Path:
    build_release(
        tmp_path / "index", [write_lines([row("甲硝唑片", "用于头痛。"), row("乙酰唑胺片", "用于青光眼。"), row("丙泊酚", "用于麻醉。")])]
    )
    return tmp_path / "index"


def test_a_running_shelf_takes_a_release_over_and_keeps_open_citations(index: Path, write_lines: Write) -> None:
    shelf = ReleaseShelf(index)
    old = shelf.current()
    answer = ask(old, "甲硝唑片的适应症")
    [citation] = answer.citations
    build_release(index, [write_lines([row("甲硝唑片", "用于咳嗽。"), row("丙泊酚", "用于麻醉。")])])
    new = shelf.current()
    assert (old.id, ask(new, "甲硝唑片的适应症").citations[0].quote) == (answer.release, "用于咳嗽。")
    kept = shelf.get(citation.release).document(citation.unit.document.id)
    assert kept is not None
    assert kept.text[citation.unit.start : citation.unit.end] == "用于头痛。"
    assert ask(new, "乙酰唑胺片的适应症").citations == ()  # deleted: answers nothing at once
    assert ask(old, "乙酰唑胺片的适应症").citations != ()  # a question that began before ends on its release


def test_what_is_cited_is_marked_when_it_changed_or_went(index: Path, write_lines: Write) -> None:
    shelf = ReleaseShelf(index)
    old = shelf.current()
    rows = [source_rows(ask(old, f"{name}的适应症"))[0] for name in ("甲硝唑片", "乙酰唑胺片", "丙泊酚")]
    elements = [{"name": "Sources", "props": {"rows": rows}}, {"name": "Candidates", "props": {}}, {"name": "Sources", "props": None}]
    mark_rows(shelf.current(), elements)
    assert [row["superseded"] for row in rows] == ["", "", ""]
    build_release(index, [write_lines([row("甲硝唑片", "用于咳嗽。"), row("丙泊酚", "用于麻醉。")])])
    mark_rows(shelf.current(), elements)
    assert [row["superseded"] for row in rows] == [SUPERSEDED["changed"], SUPERSEDED["removed"], ""]
    document = old.document("甲硝唑片")
    assert document is not None
    told = superseded(shelf.current(), document.id, digest_of(document))
    section = document.sections[0]
    shown = panel(old, document, section.start, section.end, whole=False, superseded=told)
    assert shown is not None
    assert (shown["superseded"], shown["sections"][0]["cited"]) == (SUPERSEDED["changed"], "用于头痛。")


def test_a_release_collected_under_a_closed_shelf_is_told_missing(index: Path, write_lines: Write) -> None:
    shelf = ReleaseShelf(index)
    first = build_release(index, [write_lines([row("甲硝唑片", "用于咳嗽。")])]).parent
    second = build_release(index, [write_lines([row("甲硝唑片", "用于发热。")])]).parent
    publish_release(index, second)
    publish_release(index, build_release(index, [write_lines([row("甲硝唑片", "用于腹痛。")])]).release)
    assert first in collect_releases(index, keep=0).removed
    with pytest.raises(IndexMissingError, match=f"里没有版本 `{first}`"):
        shelf.get(first)
    assert shelf.current().document("甲硝唑片") is not None


def test_an_expired_source_is_named_with_its_date(tmp_path: Path, write_lines: Write) -> None:
    today = date.today()  # noqa: DTZ011 - the day of this machine, as the admin means it
    gone, last = (today - timedelta(days=1)).isoformat(), today.isoformat()
    knowledge = write_lines([row("甲硝唑片", "用于头痛。", expires=gone), row("丙泊酚", "用于麻醉。", expires=last)])
    build_release(tmp_path / "index", [knowledge], today=today - timedelta(days=30))
    release = ReleaseShelf(tmp_path / "index").current()
    assert f"引用的资料“甲硝唑片”有效期至 {gone}，已经过期，请核对现行版本。" in ask(release, "甲硝唑片的适应症").notices
    assert not [notice for notice in ask(release, "丙泊酚的适应症").notices if "过期" in notice]
