"""The admin pages of recorded answers and of gaps over HTTP."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from site_client import recording_client, site_client
from test_drug_pages import words

from app.rendering import POLICY

HOSTILE = "<script>alert(1)</script>\"&'{{7*7}} 头孢克洛的禁忌是什么？"


@pytest.fixture
def client(sample_index: Path, tmp_path: Path) -> Iterator[TestClient]:
    with recording_client(sample_index, tmp_path / "q.sqlite") as client:
        yield client


def ask(client: TestClient, question: str) -> str:
    return str(client.post("/api/v1/ask", json={"question": question}).json()["record"])


def rate(client: TestClient, record: str, rating: int, comment: str = "") -> None:
    assert client.post(f"/api/v1/answers/{record}/rating", json={"rating": rating, "comment": comment}).status_code == 200


def listed(client: TestClient, **wanted: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/admin/answers/([^"]+)">', client.get("/admin/answers", params=wanted).text)


def test_gaps_are_listed_with_what_was_asked_and_said(client: TestClient) -> None:
    ask(client, "奥司他韦的禁忌？")
    latest = ask(client, "奥司他韦怎么用？")
    disliked = ask(client, "头孢克洛能治什么病？")
    rate(client, disliked, -1, HOSTILE[:25])
    page = client.get("/admin/gaps")
    assert page.headers["content-security-policy"] == POLICY
    rows = [words(row) for row in re.findall(r"<tr>.*?</tr>", page.text, re.DOTALL)][1:]
    assert rows[0].startswith("奥司他韦没有收录200")
    assert "奥司他韦怎么用？" in rows[0]
    assert f'href="/admin/answers/{latest}"' in page.text
    assert "<script>alert(1)</script>" in rows[1]
    assert "<script>alert" not in page.text
    assert "头孢克洛" not in words(client.get("/admin/gaps?kind=not_held").text)
    assert client.get("/admin/gaps?kind=x").status_code == 422


def test_without_gaps_that_is_told(client: TestClient) -> None:
    ask(client, "头孢克洛的禁忌是什么？")
    assert "没有缺口" in words(client.get("/admin/gaps").text)


def test_answers_are_listed_newest_first_and_chosen(client: TestClient) -> None:
    answered, refused = ask(client, "头孢克洛的禁忌是什么？"), ask(client, "奥司他韦的禁忌？")
    rate(client, answered, 1)
    assert listed(client) == [refused, answered]
    assert listed(client, status="refused", rating="", days="7", person="") == [refused]
    assert listed(client, rating="1") == [answered]
    assert listed(client, rating="-1") == []
    assert listed(client, person="nobody") == []
    assert listed(client, person=" local ") == [refused, answered]
    assert client.get("/admin/answers", params={"status": "x"}).status_code == 422


def test_an_answer_is_found_by_its_id_as_people_type_it(client: TestClient) -> None:
    record = ask(client, "头孢克洛的禁忌是什么？")
    found = client.get("/admin/answers", params={"id": f" {record.lower().replace('-', '')}"}, follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, f"/admin/answers/{record}")
    missing = client.get("/admin/answers", params={"id": "//evil.example/x"})
    assert missing.status_code == 404
    assert str(missing.url).startswith("http://testserver/admin/answers/")


def test_an_answer_shows_the_words_it_rests_on_and_what_was_found_of_it(client: TestClient) -> None:
    record = ask(client, HOSTILE)
    page = client.get(f"/admin/answers/{record}")
    told = words(page.text)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "[1]对头孢菌素过敏者禁用。" in told
    assert "头孢克洛胶囊·禁忌·甲药厂·2025-01-02·drug/a" in told
    assert re.search(r"逐句核对有依据\d句", told)
    assert 'href="#cite1"' in page.text
    assert 'id="cite1"' in page.text


def test_an_answer_is_replayed(client: TestClient, tmp_path: Path) -> None:
    record = ask(client, "头孢克洛的禁忌是什么？")
    same = client.post(f"/admin/answers/{record}/replay")
    assert "重放：与记录相同" in words(same.text)
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        database.execute("UPDATE answers SET sentences = replace(sentences, '禁用', '慎用')")
    other = client.post(f"/admin/answers/{record}/replay")
    assert "重放：与记录不同" in words(other.text)
    assert re.search(r"<del>[^<]*慎用", other.text)
    assert re.search(r"<ins>[^<]*禁用", other.text)


def test_an_answer_whose_release_is_gone_shows_its_places(client: TestClient, tmp_path: Path) -> None:
    record = ask(client, "头孢克洛的禁忌是什么？")
    with sqlite3.connect(tmp_path / "q.sqlite") as database:
        database.execute("UPDATE answers SET release = '20200101-000000-aaaaaaaa'")
    page = client.get(f"/admin/answers/{record}")
    assert page.status_code == 200
    assert "已经清除，不能重放。引用的位置还在：[1]drug/a" in words(page.text)
    gone = client.post(f"/admin/answers/{record}/replay")
    assert gone.status_code == 410
    assert "已经清除，不能重放" in words(gone.text)


def test_without_a_database_that_is_told(sample_index: Path) -> None:
    client = site_client(sample_index)
    for path in ("/admin/gaps", "/admin/answers"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "这个服务没有数据库，不记录回答。" in words(answer.text)
