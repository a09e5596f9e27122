"""The admin pages of releases over HTTP: what they show, what they change, what they refuse."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from site_client import HERE, quoting_service, site_client
from test_drug_pages import words

from app.admin_page import Part, entries_of, part_of
from app.guard import Guard
from app.release_checks import ReleaseChecks
from app.rendering import POLICY
from app.site import create_site
from indexer.build import build_release
from indexer.collecting import collect_releases, going
from indexer.record import read_log
from indexer.release import FORMAT, current_id, list_releases, open_release

Write = Callable[..., Path]
HOSTILE = "<script>alert(1)</script>\"&'{{7*7}}"


def drug(name: str, *texts: str) -> dict[str, Any]:
    sections = [{"title": title, "text": text} for title, text in zip(("适应症", "用法用量"), texts, strict=False)]
    return {"id": f"drug/{name}", "kind": "drug", "title": name, "sections": sections}


FIRST = [drug("甲药", "用于痛风。", "口服，一次40mg，一日1次。饭后服。"), drug("乙药", "用于发热。")]
SECOND = [drug("甲药", "用于痛风。", "口服，一次20mg，一日1次。饭后服。"), drug("丙药", HOSTILE)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, write_lines: Write) -> Path:
    index = tmp_path_factory.mktemp("built") / "index"
    build_release(index, [write_lines(FIRST)], user="张药师", why="首次建立")
    build_release(index, [write_lines(SECOND)], user="李药师", why=HOSTILE, publish=False)
    return index


@pytest.fixture
def index(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(built, tmp_path / "index"))


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
        (folder / "manifest.json").write_text(
            MANIFEST.format(id=folder.name, format=FORMAT, created=f"2026-01-01T00:00:{number:02}+00:00"), "utf-8"
        )
    client = site_client(index)
    first, second = client.get("/admin?x=1").text, client.get("/admin?page=2").text
    assert first.count("/admin/releases/") == 50
    assert second.count("/admin/releases/") == 1
    assert 'href="?x=1&amp;page=2" rel="next"' in first
    assert 'href="?page=1" rel="prev"' in second
    assert client.get("/admin?page=0").status_code == 422


MANIFEST = """{{"id": "{id}", "parent": "", "created": "{created}", "format": {format}, "embedder": "fast", "embedder_digest": "",
"cut_by": "", "passage_characters": 300, "documents": 1, "passages": 1, "added": 1, "changed": 0, "removed": 0, "content_digest": "",
"files": {{}}}}"""


def send(client: TestClient, path: str, **fields: str | list[str]) -> Any:
    return client.post(path, data=fields, follow_redirects=False)


def acts(index: Path) -> list[tuple[str, str, str, str]]:
    return [(entry.user, entry.action, entry.release, entry.why) for entry in read_log(index)]


def test_a_release_shows_what_changed_with_every_difference_marked(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    page = client.get(f"/admin/releases/{second}")
    told = words(page.text)
    assert f"与上一版{first}相比" in told
    assert "新增1·修改1·删除1" in told
    assert "<del>口服，一次<strong>40</strong>mg，一日1次。</del>" in page.text
    assert "<ins>口服，一次<strong>20</strong>mg，一日1次。</ins>" in page.text
    assert list(re.findall(r'<article class="change (\w+)">', page.text)) == ["changed", "removed", "added"]
    assert "修改甲药drug/甲药" in told
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?://", page.text)
    only = client.get(f"/admin/releases/{second}?kind=removed")
    assert re.findall(r'<article class="change (\w+)">', only.text) == ["removed"]
    assert "乙药" in words(only.text)


def test_any_two_releases_are_compared(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    assert "之前没有版本" in words(client.get(f"/admin/releases/{first}").text)
    back = client.get(f"/admin/releases/{first}?against={second}")
    assert f"与版本{second}相比" in words(back.text)
    assert "<ins>口服，一次<strong>40</strong>mg，一日1次。</ins>" in back.text
    for path in ("/admin/releases/nope", f"/admin/releases/{first}?against=nope", "/admin/releases/..%5C..%5Cetc"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "可能已被清除。请从版本列表里选。" in words(answer.text)


def test_a_release_of_another_format_is_not_compared_and_told(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    manifest = index / "releases" / first / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace(f'"format": {FORMAT}', '"format": 1'), "utf-8")
    answer = client.get(f"/admin/releases/{second}")
    assert answer.status_code == 200
    assert f"版本`{first}`的格式是`1`，本程序用的是`{FORMAT}`，不能混用，所以没有比较。" in words(answer.text)


def test_thousands_of_changes_are_paged(tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    build_release(index, [write_lines([drug("甲药", "用于痛风。")])])
    build_release(index, [write_lines([drug("甲药", "用于痛风。"), *(drug(f"药{n}", "用于发热。") for n in range(65))])])
    client, second = site_client(index), ids(index)[1]
    first_page, last_page = (client.get(f"/admin/releases/{second}?page={number}").text for number in (1, 3))
    assert first_page.count('<article class="change added">') == 30
    assert last_page.count('<article class="change added">') == 5
    assert 'href="?page=2" rel="next"' in first_page
    assert "下一页" not in last_page


def test_what_was_left_out_stands_first_with_its_place(tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    expired = {**drug("丁药", "用于咳嗽。"), "source": {"expires": "2020-01-31"}}
    faulty = {"id": "drug/x", "kind": "drug", "title": "", "sections": []}
    build_release(index, [write_lines([*FIRST, expired, faulty], "资料.jsonl")], skip_faulty=True)
    page = site_client(index).get(f"/admin/releases/{ids(index)[0]}").text
    assert "资料.jsonl:4" in words(page)
    assert "丁药（drug/丁药，有效期至2020-01-31）" in words(page)
    assert page.index("没有收录的") < page.index(">操作<")


def test_publishing_asks_for_a_reason_and_is_recorded_with_the_name(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    path = f"/admin/releases/{second}/publish"
    for why in ("", "  \n ", "长" * 301):
        answer = send(client, path, published=first, why=why)
        assert answer.status_code == 422
        assert "所以什么都没有做" in words(answer.text)
    assert current_id(index) == first
    answer = send(client, path, published=first, why=" 两人核对\n无误\x1b[31m ")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/releases/{second}#acts")
    assert current_id(index) == second
    assert acts(index)[-1] == ("local", "publish", second, "两人核对 无误 [31m")
    assert f"之前是{first}" in words(client.get(f"/admin/releases/{second}").text)


def test_publishing_twice_does_it_once(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    for _ in range(2):
        assert send(client, f"/admin/releases/{second}/publish", published=first, why="核对无误").status_code == 303
    assert [act for _, act, _, _ in acts(index)].count("publish") == 2  # the first build's, and this one


def test_what_was_decided_on_an_old_page_is_refused_with_what_happened(client: TestClient, index: Path, write_lines: Write) -> None:
    first, second = ids(index)
    third = build_release(index, [write_lines([drug("戊药", "用于腹痛。")])], user="王药师", why="紧急更正").release
    answer = send(client, f"/admin/releases/{second}/publish", published=first, why="核对无误")
    assert answer.status_code == 409
    assert f"什么都没有做。现在发布的是{third}：" in words(answer.text)
    assert "由王药师发布，缘由：紧急更正" in words(answer.text)
    assert current_id(index) == third
    answer = send(client, "/admin/rollback/confirmed", published=second, why="剂量待确认")
    assert answer.status_code == 409
    assert current_id(index) == third


def test_rolling_back_says_what_changes_and_goes_one_back_however_often_it_is_sent(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    assert "之前没有版本，无法回退" in words(client.get("/admin/rollback").text)
    send(client, f"/admin/releases/{second}/publish", published=first, why="核对无误")
    page = words(client.get("/admin/rollback").text)
    assert f"从发布中的{second}回到{first}" in page
    assert "1篇文档回到之前的文字，回答随之改变" in page
    assert "1篇已经撤下的文档又可以作答" in page
    assert "1篇新收的文档不再作答" in page
    assert send(client, "/admin/rollback/confirmed", published=second, why="").status_code == 422
    for _ in range(2):
        answer = send(client, "/admin/rollback/confirmed", published=second, why="剂量待确认")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/releases/{first}#acts")
    assert acts(index)[-1] == ("local", "rollback", first, "剂量待确认")
    assert [act for _, act, _, _ in acts(index)].count("rollback") == 1


def test_a_damaged_release_is_not_published(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    (index / "releases" / second / "documents.sqlite").write_bytes(b"x")
    answer = send(client, f"/admin/releases/{second}/publish", published=first, why="核对无误")
    assert answer.status_code == 503
    assert "未通过检查，没有发布" in words(answer.text)
    assert current_id(index) == first


def test_a_release_is_verified_in_the_background(index: Path) -> None:
    service = quoting_service(index)
    first, second = ids(index)
    with site_client(service) as client:
        for release_id, told in ((second, "核对：完好"), (first, "核对：有损坏")):
            if release_id == first:
                (index / "releases" / first / "lines.bin").write_bytes(b"x")
            answer = send(client, f"/admin/releases/{release_id}/verify")
            assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/releases/{release_id}#check")
            service.checks.finish()
            assert told in words(client.get(f"/admin/releases/{release_id}").text)
    assert "`lines.bin`内容与清单不符" in words(site_client(service).get(f"/admin/releases/{first}").text)


def test_a_check_that_goes_on_is_shown_as_such(index: Path) -> None:
    let_go = threading.Event()

    def slow(_index: Path, _release_id: str) -> list[str]:
        let_go.wait()
        return []

    service, second = quoting_service(index, checks=ReleaseChecks(slow)), ids(index)[1]
    service.checks.start(index, second)
    page = site_client(service).get(f"/admin/releases/{second}").text
    let_go.set()
    assert "data-pending" in page
    assert "核对这一版</button>" not in page


def test_collecting_shows_what_goes_and_removes_just_that(tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    for number in range(5):
        build_release(index, [write_lines([drug("甲药", f"一次{number + 1}mg。")])])
    first, second, third, *_ = ids(index)
    client = site_client(index)
    page = client.get("/admin/collect?keep=2")
    shown = re.findall(r'name="going" value="([^"]+)"', page.text)
    assert set(shown) == {first, second, third} == set(going(index, 2))
    assert send(client, "/admin/collect/confirmed", keep="2", going=shown, why="").status_code == 422
    stale = send(client, "/admin/collect/confirmed", keep="2", going=shown[:2], why="腾出空间")
    assert stale.status_code == 409
    assert len(ids(index)) == 5
    for _ in range(2):
        answer = send(client, "/admin/collect/confirmed", keep="2", going=shown, why="腾出空间")
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin/collect?keep=2")
    assert first not in ids(index)
    assert len(ids(index)) == 2
    assert {act[2] for act in acts(index) if act[1] == "collect"} == {first, second, third}
    assert acts(index)[-1][3] == "腾出空间"
    assert "没有可以清除的版本" in words(client.get("/admin/collect").text)


def test_a_release_whose_parent_was_collected_is_shown_and_can_be_published(tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    for number in range(3):
        build_release(index, [write_lines([drug("甲药", f"一次{number + 1}mg。")])])
    first, second, third = ids(index)
    collect_releases(index, keep=0)
    client = site_client(index)
    page = client.get(f"/admin/releases/{second}")
    assert page.status_code == 200
    assert f"上一版{first}已被清除，可以与别的版本相比" in words(page.text)
    assert f'href="/admin/releases/{first}"' not in page.text
    assert client.get(f"/admin/releases/{second}?against={first}").status_code == 404
    assert client.get(f"/admin/releases/{second}?against={third}").status_code == 200
    assert send(client, f"/admin/releases/{second}/publish", published=third, why="退到之前").status_code == 303
    assert "上一版已被清除，无法回退" in words(client.get(f"/admin/releases/{second}").text)
    rollback = client.get("/admin/rollback")
    assert rollback.status_code == 200
    assert f"的上一版{first}已被清除，无法回退" in words(rollback.text)
    assert "<form" not in rollback.text.split("<main", 1)[1]
    refused = send(client, "/admin/rollback/confirmed", published=second, why="退到之前")
    assert refused.status_code == 409
    assert "无法回退" in words(refused.text)
    assert str(index) not in refused.text


def test_a_release_that_is_open_stays(tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    for number in range(3):
        build_release(index, [write_lines([drug("甲药", f"一次{number + 1}mg。")])])
    first = ids(index)[0]
    held = open_release(index, first)
    client = site_client(index)
    answer = send(client, "/admin/collect/confirmed", keep="0", going=[first], why="腾出空间")
    assert answer.headers["location"] == "/admin/collect?keep=0&stayed=1"
    assert first in ids(index)
    assert "有人正在用下面的版本，没有清除" in words(client.get(answer.headers["location"]).text)
    held.close()


def test_a_release_is_discarded_once_with_a_reason(client: TestClient, index: Path) -> None:
    first, second = ids(index)
    assert "放弃这一版" in words(client.get(f"/admin/releases/{second}").text)
    assert "放弃这一版" not in words(client.get(f"/admin/releases/{first}").text)
    assert send(client, f"/admin/releases/{second}/discard", why="").status_code == 422
    assert send(client, f"/admin/releases/{first}/discard", why="误点").status_code == 503
    for _ in range(2):
        assert send(client, f"/admin/releases/{second}/discard", why="剂量有误").headers["location"] == "/admin"
    assert ids(index) == [first]
    assert [(entry.action, entry.why) for entry in read_log(index)][-1] == ("collect", "剂量有误")


def test_the_record_is_shown_and_its_chain_checked(client: TestClient, index: Path) -> None:
    page = words(client.get("/admin/log").text)
    assert "3条记录，逐条核对过摘要，没有被改动。" in page
    assert "张药师" in page
    assert "首次建立" in page
    assert "没有这样的记录" in words(client.get("/admin/log?action=rollback").text)
    log = index / "log.jsonl"
    log.write_text(log.read_text("utf-8").replace("首次建立", "另一缘由"), "utf-8")
    page = words(client.get("/admin/log").text)
    assert "3条记录，有改动：" in page
    assert "第1行（第1条）被改动" in page


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"why=x", "application/json", 415),
        (b"why=" + b"x" * 100_001, "application/x-www-form-urlencoded", 413),
        (b"why=%ff", "application/x-www-form-urlencoded", 422),
        (b"why=\xff", "application/x-www-form-urlencoded", 422),
    ],
)
def test_a_form_that_is_none_is_refused(client: TestClient, index: Path, body: bytes, kind: str, status: int) -> None:
    second = ids(index)[1]
    answer = client.post(f"/admin/releases/{second}/publish", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_pages_of_others_change_nothing(index: Path) -> None:
    first, second = ids(index)
    guarded = TestClient(Guard(create_site(quoting_service(index)), {"127.0.0.1"}), "http://127.0.0.1:8000", client=HERE)
    fields = {"published": first, "why": "核对无误", "going": second, "keep": "0"}
    for path in (f"releases/{second}/publish", f"releases/{second}/verify", "rollback/confirmed", "collect/confirmed", "people/add"):
        for origin in ("http://evil.example", "null", "http://127.0.0.1:8001", "http://127.0.0.1.evil.example:8000"):
            assert guarded.post(f"/admin/{path}", data=fields, headers={"origin": origin}).status_code == 403, (path, origin)
    assert (current_id(index), ids(index)) == (first, [first, second])
    own = {"origin": "http://127.0.0.1:8000"}
    assert guarded.post(f"/admin/releases/{second}/publish", data=fields, headers=own, follow_redirects=False).status_code == 303
    assert current_id(index) == second


def test_of_two_who_publish_at_once_one_is_told(index: Path, write_lines: Write) -> None:
    first, second = ids(index)
    third = build_release(index, [write_lines([drug("戊药", "用于腹痛。")])], publish=False).release

    def publish(release_id: str) -> int:
        return int(send(site_client(index), f"/admin/releases/{release_id}/publish", published=first, why="核对无误").status_code)

    with ThreadPoolExecutor(2) as both:
        statuses = dict(zip((second, third), both.map(publish, (second, third)), strict=True))
    assert sorted(statuses.values()) == [303, 409]
    assert statuses[current_id(index)] == 303
    assert [act for _, act, _, _ in acts(index)].count("publish") == 2  # the first build's, and one of these


def test_what_documents_say_is_never_markup(tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    plain = drug("甲药", "一次1mg。")
    hostile = {"title": HOSTILE, "aliases": [HOSTILE], "source": {"publisher": HOSTILE, "url": "javascript:alert(1)"}}
    hostile["sections"] = [{"title": HOSTILE, "text": f"一次2mg。{HOSTILE}"}]
    build_release(index, [write_lines([plain])])
    build_release(index, [write_lines([{**plain, **hostile}])], why=HOSTILE, user=HOSTILE)
    client, second = site_client(index), ids(index)[1]
    for path in ("", f"/releases/{second}", "/rollback", "/collect?keep=0", "/log"):
        page = client.get(f"/admin{path}").text
        assert not re.search(r"<script(?![^>]*\ssrc=)|<[^>]+\son\w+=|href=\"javascript", page), path
    assert "&lt;script&gt;" in client.get(f"/admin/releases/{second}").text
