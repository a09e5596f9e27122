"""The admin pages of releases over HTTP: what they show, what they change, what they refuse."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from site_client import site_client
from test_drug_pages import words

from app.admin_page import Part, entries_of, part_of
from app.rendering import POLICY
from indexer.build import build_release
from indexer.release import list_releases

Write = Callable[..., Path]
HOSTILE = "<script>alert(1)</script>\"&'{{7*7}}"


def drug(name: str, *texts: str) -> dict[str, Any]:
    sections = [{"title": title, "text": text} for title, text in zip(("适应症", "用法用量"), texts, strict=False)]
    return {"id": f"drug/{name}", "kind": "drug", "title": name, "sections": sections}


FIRST = [drug("甲药", "用于痛风。", "口服，一次40mg，一日1次。饭后服。"), drug("乙药", "用于发热。")]
SECOND = [drug("甲药", "用于痛风。", "口服，一次20mg，一日1次。饭后服。"), drug("丙药", HOSTILE)]


@pytest.fixture
def index(tmp_path: Path, write_lines: Write) -> Path:
    index = tmp_path / "index"
    build_release(index, [write_lines(FIRST)], user="张药师", why="首次建立")
    build_release(index, [write_lines(SECOND)], user="李药师", why=HOSTILE, publish=False)
    return index


@pytest.fixture
def client(index: Path) -> Iterator[TestClient]:
    with site_client(index) as client:
        yield client


def ids(index: Path) -> list[str]:
    return [manifest.id for manifest in list_releases(index)]


def test_releases_are_listed_the_newest_first(client: TestClient, index: Path) -> None:
    answer = client.get("/admin")
    first, second = ids(index)
    assert answer.headers["content-security-policy"] == POLICY
    assert re.findall(r'<a href="/admin/releases/([^"]+)">', answer.text) == [second, first]
    assert f"{first}发布中" in words(answer.text)
    assert f"{second}发布中" not in words(answer.text)
    rows = [words(row) for row in re.findall(r"<tr.*?</tr>", answer.text, re.DOTALL)]
    assert "李药师" in rows[1]
    assert HOSTILE.replace(" ", "") in rows[1]
    assert [re.sub(r"\s+", "", unescape(cell)) for cell in re.findall(r'class="number">([^<]*)</td>', answer.text)[:5]] == [
        "2",
        "3",
        "1",
        "1",
        "1",
    ]
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?://", answer.text)


def test_an_empty_index_says_how_to_begin(tmp_path: Path) -> None:
    told = words(site_client(tmp_path / "none").get("/admin").text)
    assert "还没有版本。用qizhenindexbuild建立第一个。" in told
    assert "发布中的版本（无）" in told


def test_a_release_whose_manifest_cannot_be_read_is_named(client: TestClient, index: Path) -> None:
    second = ids(index)[1]
    (index / "releases" / second / "manifest.json").write_text("{", "utf-8")
    told = words(client.get("/admin").text)
    assert f"这些版本的清单读不出来，没有列在下面：{second}。" in told


def test_the_navigation_shows_what_there_is(client: TestClient) -> None:
    site = client.app
    assert isinstance(site, FastAPI)
    shown = re.findall(r'<li><a href="(/admin[^"]*)"', client.get("/admin").text)
    assert shown == [entry.href for entry in entries_of(site)]
    assert shown[0] == "/admin"
    assert entries_of(FastAPI()) == ()


@pytest.mark.parametrize(
    ("number", "part"),
    [(1, Part((1, 2), 1, True)), (2, Part((3, 4), 2, True)), (3, Part((5,), 3, False)), (4, Part((), 4, False))],
)
def test_a_list_is_cut_into_pages(number: int, part: Part[int]) -> None:
    assert part_of([1, 2, 3, 4, 5], number, 2) == part


def test_pages_of_a_list_are_turned(tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    for number in range(51):
        folder = index / "releases" / f"20260101-{number:06}-aaaaaaaa"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(MANIFEST.format(id=folder.name, created=f"2026-01-01T00:00:{number:02}+00:00"), "utf-8")
    client = site_client(index)
    first, second = client.get("/admin?x=1").text, client.get("/admin?page=2").text
    assert first.count("/admin/releases/") == 50
    assert second.count("/admin/releases/") == 1
    assert 'href="?x=1&amp;page=2" rel="next"' in first
    assert 'href="?page=1" rel="prev"' in second
    assert client.get("/admin?page=0").status_code == 422


MANIFEST = """{{"id": "{id}", "parent": "", "created": "{created}", "format": 4, "embedder": "fast", "embedder_digest": "", "cut_by": "",
"passage_characters": 300, "documents": 1, "passages": 1, "added": 1, "changed": 0, "removed": 0, "content_digest": "", "files": {{}}}}"""
