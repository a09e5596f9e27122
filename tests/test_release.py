import contextlib
import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import build, release
from indexer.build import build_release
from indexer.carrying import Run, assemble_documents
from indexer.embedder import ACCURATE, open_embedder
from indexer.errors import IndexDamagedError, IndexMismatchError, IndexMissingError, IndexWriteError, KnowledgeBaseError
from indexer.passages import PassageSettings
from indexer.release import (
    current_id,
    list_releases,
    open_release,
    publish_release,
    read_manifest,
    release_folder,
    rollback_release,
    verify_release,
    write_lock,
)
from indexer.search import search
from indexer.transformer_encoder import BlendedEmbedder

Write = Callable[..., Path]
ROOT = Path(__file__).parent.parent


def row(name: str, text: str = "用于头痛。") -> dict[str, Any]:
    return {"id": name, "kind": "drug", "title": f"药品{name}", "sections": [{"title": "适应症", "text": text}]}


@pytest.fixture
def index(tmp_path: Path, write_lines: Write) -> Path:
    build_release(tmp_path / "index", [write_lines([row("a"), row("b")])])
    return tmp_path / "index"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but the record of what was tried and who last held the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("lock", "log.jsonl", "log.head"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_build_reports_what_changed(index: Path, write_lines: Write) -> None:
    first = current_id(index)
    report = build_release(index, [write_lines([row("a"), row("b", "用于发热。"), row("c")])])
    assert (report.parent, report.documents, report.added, report.changed, report.removed) == (first, 3, 1, 1, 0)
    assert current_id(index) == report.release
    report = build_release(index, [write_lines([row("c")])])
    assert (report.added, report.changed, report.removed) == (0, 0, 2)


def test_a_build_of_the_same_documents_changes_nothing(index: Path, write_lines: Write) -> None:
    before = tree(index)
    report = build_release(index, [write_lines([row("a"), row("b")])])
    assert (report.release, report.added, report.changed, report.removed) == (current_id(index), 0, 0, 0)
    assert tree(index) == before


def test_a_fresh_build_makes_a_release_even_of_the_same_documents(index: Path, write_lines: Write) -> None:
    first = current_id(index)
    report = build_release(index, [write_lines([row("a"), row("b")])], fresh=True)
    assert report.parent == first != report.release
    assert (report.added, report.changed, report.removed) == (0, 0, 0)


class CountingEmbedder(BlendedEmbedder):
    """The shipped encoder of a small knowledge base, noting what it is asked to embed."""

    def __init__(self) -> None:
        self.__dict__.update(open_embedder(ACCURATE).__dict__)
        self.texts: list[str] = []

    def embed(self, texts: Any) -> Any:
        self.texts.extend(texts)
        return super().embed(texts)


def test_unchanged_documents_keep_their_vectors(index: Path, write_lines: Write) -> None:
    embedder = CountingEmbedder()
    build_release(index, [write_lines([row("b"), row("c"), row("a")])], embedder=embedder)
    assert embedder.texts == ["药品c 适应症 用于头痛。"]
    opened = open_release(index)
    expected = open_embedder(ACCURATE).embed([f"药品{name} 适应症 用于头痛。" for name in "bca"])
    assert np.array_equal(opened.vectors.vectors(np.arange(3)), expected)


def test_new_text_is_found_and_old_text_is_gone(index: Path, write_lines: Write) -> None:
    build_release(index, [write_lines([row("a", "用于荨麻疹。")])])
    hits = search(open_release(index), "头痛 荨麻疹 发热")
    assert {hit.text for hit in hits} == {"用于荨麻疹。"}


def test_publish_and_rollback_switch_between_releases(index: Path, write_lines: Write) -> None:
    first = current_id(index)
    second = build_release(index, [write_lines([row("a")])]).release
    assert rollback_release(index) == first == current_id(index)
    assert publish_release(index, second) == first
    assert current_id(index) == second
    assert [manifest.id for manifest in list_releases(index)] == [first, second]


def test_a_reader_keeps_its_release_while_another_is_published(index: Path, write_lines: Write) -> None:
    opened = open_release(index)
    build_release(index, [write_lines([row("c")])])
    assert {hit.document.id for hit in search(opened, "头痛")} == {"a", "b"}


def test_faulty_documents_publish_nothing(index: Path, write_lines: Write) -> None:
    before = tree(index)
    with pytest.raises(KnowledgeBaseError):
        build_release(index, [write_lines([row("a"), row("a")])])
    assert tree(index) == before


def test_every_damaged_file_is_named(index: Path) -> None:
    folder = release_folder(index, current_id(index))
    assert verify_release(index) == []
    for name in read_manifest(index, current_id(index)).files:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        assert f"`{name}` 内容与清单不符" in verify_release(index)
        with pytest.raises(IndexDamagedError, match=rf"`{name}` 大小为 \d+，应为 \d+ 字节"):
            open_release(index)
        (folder / name).unlink()
        assert f"`{name}` 缺失" in verify_release(index)
        with pytest.raises(IndexDamagedError, match=rf"`{name}` 缺失"):
            open_release(index)
        (folder / name).write_bytes(whole)
    assert verify_release(index) == []


def test_a_damaged_release_is_not_published_and_the_next_build_starts_anew(index: Path, write_lines: Write) -> None:
    first = current_id(index)
    second = build_release(index, [write_lines([row("a")])]).release
    (release_folder(index, first) / "vectors.faiss").write_bytes(b"x")
    with pytest.raises(IndexDamagedError, match=r"未通过检查，没有发布：`vectors\.faiss` 内容与清单不符"):
        rollback_release(index)
    assert current_id(index) == second
    (release_folder(index, second) / "documents.sqlite").write_bytes(b"x" * 100)
    report = build_release(index, [write_lines([row("a"), row("d")])])
    assert verify_release(index) == []
    assert report.parent == second


@pytest.mark.parametrize("name", ["vectors.faiss", "lines.bin", "documents.sqlite"])
def test_nothing_is_taken_over_from_a_release_with_a_byte_changed(
    index: Path, write_lines: Write, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """It is found while the documents are read, and they are read again."""
    before = current_id(index)
    path = release_folder(index, before) / name
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    embedder = CountingEmbedder()
    report = build_release(index, [write_lines([row("a"), row("b"), row("c")])], embedder=embedder)
    assert (report.documents, len(embedder.texts)) == (3, 3)
    assert capsys.readouterr().err == f"版本 `{before}` 已损坏（用 qizhen index verify 查看）；本次全部重建\n"
    assert verify_release(index) == []


def test_documents_that_were_laid_wrong_are_not_published(index: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def laid_wrong(path: Path, published: Path, fresh: Path, runs: list[Run]) -> None:
        assemble_documents(path, published, fresh, runs)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript("UPDATE documents SET id = 'x' WHERE position = 0")

    before = current_id(index)
    monkeypatch.setattr(build, "assemble_documents", laid_wrong)
    with pytest.raises(IndexDamagedError, match="新版本未通过检查，没有发布：文档的编号或次序不符"):
        build_release(index, [write_lines([row("a"), row("b"), row("c")])])
    assert current_id(index) == before
    assert not (index / "building").exists()


def test_a_damaged_manifest_is_told(index: Path) -> None:
    (release_folder(index, current_id(index)) / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(IndexDamagedError, match=r"的清单 .* 损坏"):
        open_release(index)
    assert "损坏" in verify_release(index)[0]


def test_a_release_of_another_encoder_is_refused_by_name(index: Path, write_lines: Write) -> None:
    other = CountingEmbedder()
    other.digest = "0" * 64
    with pytest.raises(IndexMismatchError, match=r"的编码器是 `accurate \w+`，本程序用的是 `accurate 0+`") as caught:
        open_release(index, embedder=other)
    assert caught.value.hint == "运行 qizhen index build 重建索引"
    report = build_release(index, [write_lines([row("a"), row("b")])], embedder=other)
    assert (report.added, report.changed, len(other.texts)) == (0, 0, 2)


def test_nothing_is_taken_over_from_a_release_that_was_cut_by_other_code(
    index: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "_cut_by", lambda: "another")
    embedder, before = CountingEmbedder(), current_id(index)
    report = build_release(index, [write_lines([row("a"), row("b"), row("c")])], embedder=embedder)
    assert (report.added, report.changed, len(embedder.texts)) == (1, 0, 3)
    assert capsys.readouterr().err == f"版本 `{before}` 的片段和关键词是另一版程序切分的；本次全部重建\n"


def test_a_release_of_another_format_or_passage_length_is_refused(index: Path) -> None:
    manifest = read_manifest(index, current_id(index))
    with pytest.raises(IndexMismatchError, match="的格式是 `0`"):
        release.check_fit(replace(manifest, format=0), open_embedder(ACCURATE), PassageSettings())
    with pytest.raises(IndexMismatchError, match="的片段长度是 `300`，本程序用的是 `200`"):
        release.check_fit(manifest, open_embedder(ACCURATE), PassageSettings(200))


def test_what_is_not_there_is_said(tmp_path: Path, index: Path) -> None:
    with pytest.raises(IndexMissingError, match="里还没有发布的知识库"):
        open_release(tmp_path / "none")
    for wrong in ("nope", "../../etc", ""):
        with pytest.raises(IndexMissingError, match="里没有版本"):
            publish_release(index, wrong)
    with pytest.raises(IndexMissingError, match="之前没有版本，无法退回"):
        rollback_release(index)


def test_a_second_writer_is_refused(index: Path, write_lines: Write) -> None:
    with write_lock(index), pytest.raises(IndexWriteError, match="另一个进程正在写"):
        build_release(index, [write_lines([row("c")])])


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "磁盘已满"), (errno.EROFS, "文件系统只读"), (errno.EACCES, "没有写权限"), (errno.EFBIG, "文件超过系统允许的大小")],
)
@pytest.mark.parametrize("step", ["write_documents", "write_vector_index", "KeywordWork", "write_manifest", "sync_folder"])
def test_a_fault_of_the_disk_leaves_the_published_release(
    index: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch, step: str, number: int, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    before = current_id(index)
    monkeypatch.setattr(build, step, fail)
    with pytest.raises(IndexWriteError, match=f"{reason}；已发布的版本没有改动"):
        build_release(index, [write_lines([row("c")])])
    monkeypatch.undo()
    assert current_id(index) == before
    assert verify_release(index) == []
    assert build_release(index, [write_lines([row("c")])]).documents == 1


STEPS = [
    "write_documents",
    "write_vector_index",
    "KeywordWork",
    "embed_in_pieces",
    "digest_files",
    "write_manifest",
    "verify_counts",
    "_sync",
    "record_act",
    "switch_to",
]
KILL = """
import os, signal, sys
from pathlib import Path
from indexer import build
step, when, index, knowledge = sys.argv[1:]
original = getattr(build, step)
def stop(*arguments, **named):
    if when == "after":
        original(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(build, step, stop)
build.build_release(Path(index), [Path(knowledge)])
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_build_killed_at_any_step_leaves_a_whole_release(index: Path, write_lines: Write, step: str, when: str) -> None:
    before = current_id(index)
    knowledge = write_lines([row("c")])
    killed = subprocess.run(
        [sys.executable, "-c", KILL, step, when, str(index), str(knowledge)], cwd=ROOT, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    switched = (step, when) == ("switch_to", "after")
    assert (current_id(index) == before) is not switched
    assert verify_release(index) == []
    assert {hit.document.id for hit in search(open_release(index), "头痛")} == ({"c"} if switched else {"a", "b"})
    assert build_release(index, [knowledge]).documents == 1
    assert not (index / "building").exists()


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = ["qizhen", "index", "build", "--kb", {knowledge!r}, "--index", {index!r}]
from app.console import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 20_000, 200_000, 260_000])
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, write_lines: Write, limit: int) -> None:
    """A limit on file size stands in for the disk: the write itself fails, not a stand-in function."""
    index, many = tmp_path / "index", write_lines([row(str(n), "用于头痛。" * 20) for n in range(400)])
    build_release(index, [write_lines([row("a")])])
    before = current_id(index)
    limited = LIMITED.format(limit=limit, knowledge=str(many), index=str(index))
    run = subprocess.run([sys.executable, "-c", limited], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "写不进" in run.stderr
    assert "Traceback" not in run.stderr
    assert current_id(index) == before
    assert verify_release(index) == []


def test_a_release_is_searched_where_it_cannot_be_written(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of these tests may write anywhere, so the question whether it can is answered for it."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    copy = index.parent / "copy"
    shutil.copytree(index, copy)
    before = tree(copy)
    assert search(open_release(copy), "头痛")
    assert tree(copy) == before


def test_the_manifest_says_what_made_the_release(index: Path) -> None:
    manifest = json.loads((release_folder(index, current_id(index)) / "manifest.json").read_text("utf-8"))
    assert manifest["embedder_digest"] == open_embedder(ACCURATE).digest
    assert (manifest["documents"], manifest["passages"], manifest["passage_characters"]) == (2, 2, 300)


def test_a_text_altered_on_disk_is_not_quoted(index: Path) -> None:
    path = release_folder(index, current_id(index)) / "documents.sqlite"
    path.write_bytes(path.read_bytes().replace("用于头痛。".encode(), "用于头晕。".encode()))
    with pytest.raises(IndexDamagedError, match="的内容与其摘要不符"):
        search(open_release(index), "药品a的适应症")


def test_a_release_of_another_encoder_is_not_published(index: Path, write_lines: Write) -> None:
    first = current_id(index)
    other = CountingEmbedder()
    other.digest = "0" * 64
    second = build_release(index, [write_lines([row("a")])], embedder=other).release
    publish_release(index, first)
    with pytest.raises(IndexMismatchError):
        publish_release(index, second)
    assert current_id(index) == first
