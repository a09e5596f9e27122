"""What admins upload, how a build goes beside the server, and the documents of a release."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_drug_pages
from fastapi.testclient import TestClient
from site_client import quoting_service, site_client

from app import knowledge_files
from app.build_job import BuildJob
from app.knowledge_files import KnowledgeFiles, safe_name
from app.problems import Problem
from indexer.build import build_release
from indexer.record import read_log
from indexer.release import current_id, list_releases, publish_release

Write = Callable[..., Path]
WHY = "补充院内制剂"


def words(page: str) -> str:
    """What a page says, without spaces."""
    return test_drug_pages.words(page).replace(" ", "")


def drug(name: str, text: str) -> dict[str, Any]:
    return {"id": f"drug/{name}", "kind": "drug", "title": name, "sections": [{"title": "适应症", "text": text}]}


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    (folder / "kb.jsonl").write_bytes(lines(drug("甲药", "用于痛风。"), drug("乙药", "用于发热。")))
    build_release(folder / "index", [folder / "kb.jsonl"], user="root", why="首次建立")
    return folder / "index"


@pytest.fixture
def index(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "index"))


@pytest.fixture
def client(index: Path, tmp_path: Path) -> Iterator[TestClient]:
    service = quoting_service(index, uploads=tmp_path / "state" / "knowledge", builds=BuildJob(tmp_path / "build.json"))
    with site_client(service) as client:
        client.follow_redirects = False
        yield client


def upload(client: TestClient, *files: tuple[str, bytes], why: str = WHY) -> Any:
    return client.post("/admin/knowledge/upload", data={"why": why}, files=[("file", file) for file in files])


def build(client: TestClient, **fields: str) -> str:
    """Start a build and wait for its end; the words of its page."""
    answer = client.post("/admin/knowledge/build", data={"why": WHY, **fields})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/knowledge/build")
    for _ in range(300):
        page = client.get("/admin/knowledge/build")
        if "data-pending" not in page.text:
            return words(page.text)
        time.sleep(0.1)
    raise AssertionError("the build does not end")


def test_a_file_is_kept_with_who_and_why(client: TestClient, index: Path, tmp_path: Path) -> None:
    content = lines(drug("丙药", "用于咳嗽。"))
    assert upload(client, ("制剂.jsonl", content)).headers["location"] == "/admin/knowledge#files"
    assert (tmp_path / "state" / "knowledge" / "制剂.jsonl").read_bytes() == content
    entry = read_log(index)[-1]
    assert (entry.action, entry.user, entry.why, entry.details["file"], entry.details["bytes"]) == (
        "upload",
        "local",
        WHY,
        "制剂.jsonl",
        len(content),
    )
    assert "制剂.jsonl" in words(client.get("/admin/knowledge").text)


def test_a_file_is_removed_with_who_and_why(client: TestClient, index: Path, tmp_path: Path) -> None:
    upload(client, ("a.jsonl", lines(drug("丙药", "用于咳嗽。"))))
    assert client.post("/admin/knowledge/remove", data={"name": "../kb.jsonl", "why": WHY}).status_code == 404
    assert client.post("/admin/knowledge/remove", data={"name": "a.jsonl"}).status_code == 422
    assert client.post("/admin/knowledge/remove", data={"name": "a.jsonl", "why": "重复"}).status_code == 303
    assert list((tmp_path / "state" / "knowledge").iterdir()) == []
    assert (read_log(index)[-1].action, read_log(index)[-1].why) == ("remove", "重复")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a.md", "a.md"), ("../../etc/a.md", "a.md"), ("C:\\Users\\x\\说明书.PDF", "说明书.PDF"), ("/a/b.jsonl.gz", "b.jsonl.gz")],
)
def test_a_name_leads_nowhere_else(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@pytest.mark.parametrize("given", ["", ".md", "..", ".hidden.md", "~$a.docx", "a\0b.md", "a?.md", "x" * 130 + ".md", "a.exe", "a", "a.md/"])
def test_a_name_that_is_none_is_refused(given: str) -> None:
    if given == "a.md/":
        assert safe_name(given) == "a.md"
        return
    with pytest.raises(Problem, match="没有收下"):
        safe_name(given)


def test_what_is_wrong_with_files_is_told_together_and_the_sound_ones_stay(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge_files, "MOST_FILE_BYTES", 1000)
    answer = upload(client, ("a.exe", b"MZ"), ("empty.md", b""), ("big.md", b"x" * 1001), ("good.md", b"---\n---\n"))
    assert answer.status_code == 422
    told = words(answer.text)
    assert all(part in told for part in ("`a.exe`不是能收录的文件", "`empty.md`是空文件", "`big.md`超过", "其余1个已收下"))
    assert [path.name for path in (tmp_path / "state" / "knowledge").iterdir()] == ["good.md"]


def test_nothing_is_kept_without_a_reason_or_a_file(client: TestClient, tmp_path: Path) -> None:
    assert upload(client, ("a.md", b"x"), why=" ").status_code == 422
    assert client.post("/admin/knowledge/upload", data={"why": WHY}).status_code == 422
    assert client.post("/admin/knowledge/upload", content=b"x", headers={"content-type": "multipart/form-data"}).status_code in (400, 422)
    assert not (tmp_path / "state" / "knowledge").exists()


def test_the_plan_says_what_would_change_and_writes_nothing(client: TestClient, index: Path) -> None:
    upload(client, ("a.jsonl", lines(drug("丙药", "用于咳嗽。"))), ("bad.jsonl", b'{"id": "x"}\n'))
    before = sorted(path.name for path in index.rglob("*"))
    told = words(client.get("/admin/knowledge/plan").text)
    assert "新增1·修改0·删除0·拒收" in told
    assert "bad.jsonl:1" in told
    assert told.index("拒收") < told.index("丙药")
    assert sorted(path.name for path in index.rglob("*")) == before


@pytest.mark.slow
def test_a_build_is_looked_at_before_it_is_published(client: TestClient, index: Path) -> None:
    first = current_id(index)
    upload(client, ("a.jsonl", lines(drug("丙药", "用于咳嗽。"))))
    told = build(client)
    assert "3篇文档，新增1·修改0·删除0" in told
    assert current_id(index) == first
    new = list_releases(index)[-1]
    assert (new.user, new.why, new.parent) == ("local", WHY, first)
    publish_release(index, new.id)
    assert "没有变化，没有建立新版本" in build(client)


@pytest.mark.slow
def test_a_build_with_faults_publishes_nothing_unless_they_are_passed_over(client: TestClient, index: Path) -> None:
    upload(client, ("a.jsonl", lines(drug("丙药", "用于咳嗽。"))), ("bad.jsonl", b'{"id": "x"}\n'))
    told = build(client)
    assert "没有建成" in told
    assert "bad.jsonl:1" in told
    assert len(list_releases(index)) == 1
    assert "拒收" in build(client, skip="1")
    assert len(list_releases(index)) == 2


@pytest.mark.slow
def test_a_build_that_is_killed_loses_nothing(client: TestClient, index: Path, tmp_path: Path) -> None:
    first = current_id(index)
    many = [drug(f"药{n}", f"用于第{n}种病。") for n in range(20_000)]
    upload(client, ("many.jsonl", lines(*many)))
    job = client.app.state.service.builds
    client.post("/admin/knowledge/build", data={"why": WHY})
    assert client.post("/admin/knowledge/build", data={"why": "再点一次"}).status_code == 303
    assert job.last.why == WHY  # one at a time
    assert client.post("/api/v1/ask", json={"question": "甲药的适应症是什么？"}).json()["status"] == "answered"
    assert "正在建立" in words(client.get("/admin/knowledge").text)
    again = BuildJob(tmp_path / "build.json")  # as a server that was started anew finds it
    assert (again.last.status, "中断了" in again.last.line) == ("cut off", True)
    job._process.kill()
    for _ in range(100):
        if not job.last.is_running:
            break
        time.sleep(0.1)
    assert (job.last.status, "进程中断了" in job.last.line) == ("failed", True)
    assert current_id(index) == first


@pytest.mark.slow
def test_a_build_is_stopped(client: TestClient, index: Path) -> None:
    upload(client, ("many.jsonl", lines(*(drug(f"药{n}", f"用于第{n}种病。") for n in range(20_000)))))
    client.post("/admin/knowledge/build", data={"why": WHY})
    job = client.app.state.service.builds
    for _ in range(200):
        if job.last.step not in ("", "准备"):
            break
        time.sleep(0.05)
    client.post("/admin/knowledge/stop")
    for _ in range(200):
        if not job.last.is_running:
            break
        time.sleep(0.1)
    assert job.last.status == "stopped"
    assert len(list_releases(index)) == 1


def test_documents_are_found_by_name_and_read(client: TestClient) -> None:
    assert all(name in words(client.get("/admin/documents").text) for name in ("甲药", "乙药"))
    found = words(client.get("/admin/documents", params={"q": "甲"}).text)
    assert "甲药" in found
    assert "乙药" not in found
    assert "没有名称、别名或编号含有“%”的文档" in words(client.get("/admin/documents", params={"q": "%"}).text)
    shown = words(client.get("/admin/documents/drug/甲药").text)
    assert all(part in shown for part in ("甲药", "drug/甲药", "适应症", "用于痛风。"))
    assert client.get("/admin/documents/drug/没有").status_code == 404


def test_the_next_release_is_made_of_what_the_published_one_was(index: Path, tmp_path: Path, built: Path) -> None:
    files = KnowledgeFiles(tmp_path / "uploads", index)
    assert files.knowledge() == [built.parent / "kb.jsonl"]
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "a.md").write_text("x")
    assert files.knowledge() == [built.parent / "kb.jsonl", tmp_path / "uploads"]
