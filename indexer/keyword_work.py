"""The keyword index of a release, made of its documents as they were written: each is read back and checked on the way.

Much of it is done in a process of its own, beside the embedding: two threads of one interpreter wait for each other.
"""

import errno
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from indexer.document_store import DocumentStore
from indexer.errors import IndexDamagedError
from indexer.keyword_index import document_key, update_keyword_index, write_keyword_index
from indexer.passages import searchable

# From so many documents on another process is worth the third of a second that it takes to start.
APART_FROM = 5_000
_ROOT = str(Path(__file__).parent.parent)


@dataclass(frozen=True, slots=True)
class KeywordTask:
    """`folder` becomes an index of the documents at `positions` of the file `documents`; or, where `gone` are the keys of documents that an
    index there loses (None: there is none yet), it gets them.
    """

    documents: Path
    folder: Path
    positions: Sequence[int]
    gone: Sequence[int] | None = None

    @property
    def is_large(self) -> bool:
        """Whether it is worth a process of its own."""
        return len(self.positions) >= APART_FROM


def index_words(task: KeywordTask) -> list[str]:
    """Do it, and return what is wrong with the documents that were read. Raises OSError where the disk fails, IndexDamagedError."""
    wrong: list[str] = []
    store = DocumentStore(task.documents)
    try:
        rows = _rows(store, task.positions, wrong)
        if task.gone is None:
            write_keyword_index(task.folder, rows)
        elif task.gone or task.positions:
            update_keyword_index(task.folder, task.gone, rows)
    finally:
        store.close()
    return wrong


def _rows(store: DocumentStore, positions: Sequence[int], wrong: list[str]) -> Iterator[tuple[int, int, str]]:
    for document, passages, faults in store.read_back(positions):
        wrong += faults
        key = document_key(document.id)
        if not faults:
            for number, passage in enumerate(passages):
                yield key, number, searchable(document, passage)


class KeywordWork:
    """A task, under way in a process of its own if it is a large one. Leaving the context without the result gives it up."""

    def __init__(self, task: KeywordTask) -> None:
        self._task = task
        self._process: subprocess.Popen[str] | None = None
        if task.is_large:
            command = [sys.executable, "-m", "indexer.keyword_work"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8")
            _tell(self._process.stdin, task)

    def __enter__(self) -> "KeywordWork":
        return self

    def result(self) -> list[str]:
        """As `index_words`."""
        if self._process is None:
            return index_words(self._task)
        told, trouble = _heard(self._process)
        if "wrong" in told:
            return list(told["wrong"])
        if "damaged" in told:
            raise IndexDamagedError(*told["damaged"])
        raise OSError(told.get("errno", errno.EIO), str(told.get("failed") or trouble.strip() or "关键词进程中断"))

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _tell(pipe: IO[str] | None, task: KeywordTask) -> None:
    """The pipe stays open: when it ends, so has the build, and the process ends itself."""
    if pipe is None:
        raise ValueError("a process without a pipe")
    paths = [str(task.documents.resolve()), str(task.folder.resolve())]
    pipe.write(json.dumps([*paths, list(task.positions), None if task.gone is None else list(task.gone)]) + "\n")
    pipe.flush()


def _heard(process: "subprocess.Popen[str]") -> "tuple[dict[str, list[str]], str]":
    if process.stdout is None or process.stderr is None:
        raise ValueError("a process without pipes")
    line, trouble = process.stdout.readline(), ""
    if not line:
        trouble = process.stderr.read()
    process.communicate()
    told: dict[str, list[str]] = json.loads(line) if line else {}
    return told, trouble


def _work() -> None:
    documents, folder, positions, gone = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_build, daemon=True).start()
    task = KeywordTask(Path(documents), Path(folder), positions, gone)
    try:
        told: dict[str, object] = {"wrong": index_words(task)}
    except IndexDamagedError as error:
        told = {"damaged": [error.fault, error.hint]}
    except OSError as error:
        told = {"failed": str(error), "errno": error.errno}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _end_with_the_build() -> None:
    import os

    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    _work()
