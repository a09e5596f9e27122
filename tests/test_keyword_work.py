"""The keyword index is made of documents as they were written, here or in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer import keyword_work
from indexer.build import build_release
from indexer.embedder import shipped_embedder
from indexer.errors import IndexDamagedError
from indexer.keyword_work import KeywordTask, KeywordWork
from indexer.release import current_id, open_release, release_folder, verify_release
from indexer.search import search

ROOT = Path(__file__).parent.parent
Write = Callable[..., Path]
ROWS = [{"id": str(n), "title": f"药{n}", "sections": [{"title": "适应症", "text": f"用于头痛{n}。"}]} for n in range(6)]


@pytest.fixture(params=["here", "apart"])
def release(request: pytest.FixtureRequest, tmp_path: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a release whose keywords were indexed either way."""
    if request.param == "apart":
        monkeypatch.setattr(keyword_work, "APART_FROM", 1)
    index = tmp_path / "index"
    build_release(index, [write_lines(ROWS)], embedder=shipped_embedder())
    assert verify_release(index) == []
    return release_folder(index, current_id(index))


def test_what_is_indexed_is_found(release: Path) -> None:
    assert search(open_release(release.parent.parent), "头痛3", 1)[0].document.id == "3"


def test_a_document_that_is_not_as_it_was_written_is_told(release: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents.sqlite"
    documents.write_bytes((release / "documents.sqlite").read_bytes().replace("用于头痛4".encode(), "用于头晕4".encode()))
    with pytest.raises(IndexDamagedError, match="文档 `4` 的内容与其摘要不符"), KeywordWork(task(documents, tmp_path)) as work:
        work.result()


def test_a_disk_that_fails_is_told(release: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("in the way")
    with pytest.raises(FileExistsError), KeywordWork(task(release / "documents.sqlite", tmp_path)) as work:
        work.result()


def task(documents: Path, folder: Path) -> KeywordTask:
    return KeywordTask(documents, folder / "words", range(6))


KILLED = """
import os, signal, sys, time
from pathlib import Path
from indexer import keyword_work
from indexer.keyword_work import KeywordTask, KeywordWork
keyword_work.APART_FROM = 1
work = KeywordWork(KeywordTask(Path(sys.argv[1]), Path(sys.argv[2]), [0] * 100_000))
print(work._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_it_ends_with_the_build_that_wanted_it(release: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(release / "documents.sqlite"), str(tmp_path / "words")]
    worker = int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout)
    for _ in range(100):
        if not runs(worker):
            return
        time.sleep(0.1)
    pytest.fail(f"process {worker} goes on")


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
