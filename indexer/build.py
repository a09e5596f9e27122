"""Documents to a release: beside, checked, then switched to. Killed at any moment it leaves the old release serving."""

import datetime
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.document_store import DocumentStore, write_documents
from indexer.documents import Document
from indexer.embedder import Embedder, shipped_embedder
from indexer.errors import Fault, IndexDamagedError, IndexMismatchError, IndexMissingError, KnowledgeBaseError
from indexer.keyword_index import write_keyword_index
from indexer.lookalikes import LookAlike, dump_look_alikes, read_look_alikes
from indexer.passages import Passage, PassageSettings, passages_of
from indexer.readers import read_knowledge
from indexer.release import (
    DOCUMENTS,
    FORMAT,
    KEYWORDS,
    LOOK_ALIKES,
    SECTIONS,
    VECTORS,
    Manifest,
    check_fit,
    current_id,
    digest_files,
    read_manifest,
    release_folder,
    switch_to,
    sync_folder,
    verify_folder,
    write_lock,
    write_manifest,
    writing,
)
from indexer.sections import SHIPPED, guide_text, load_guide
from indexer.vector_index import VectorIndex, write_vector_index

_BUILDING = "building"
_PASSAGES_AT_ONCE = 2048

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. `release` equals the published one, and nothing was written, where nothing had changed."""

    release: str
    parent: str
    documents: int
    passages: int
    added: int
    changed: int
    removed: int
    seconds: float


@dataclass(frozen=True)
class _Parent:
    """The published release, as far as it can be reused: vectors of documents that have not changed."""

    manifest: Manifest
    digests: dict[str, tuple[str, int, int]]
    vectors: VectorIndex

    def reusable(self, document: Document) -> NDArray[np.int64] | None:
        """Passage positions of the same document in the parent, if its content is the same."""
        digest, first, count = self.digests.get(document.id, ("", 0, 0))
        return np.arange(first, first + count) if digest == document.digest else None


def build_release(
    index: Path,
    knowledge: Sequence[Path],
    *,
    fresh: bool = False,
    embedder: Embedder | None = None,
    settings: PassageSettings | None = None,
    guide_file: Path = SHIPPED,
    progress: Progress | None = None,
    warn: Callable[[Fault], None] | None = None,
) -> BuildReport:
    """Read documents, build a release beside the published one, check it and publish it.

    Vectors of unchanged documents come from the published release, unless `fresh`. Raises KnowledgeBaseError,
    IndexWriteError or IndexDamagedError; then the published release is as before.
    """
    started = time.perf_counter()
    embedder, settings, progress = embedder or shipped_embedder(), settings or PassageSettings(), progress or _no_progress
    documents, pairs = _read(knowledge, warn)
    guide = guide_text(guide_file)
    load_guide(guide, str(guide_file))
    look_alikes = dump_look_alikes(pairs)
    digest = _content_digest(documents, guide + look_alikes, embedder, settings)
    with write_lock(index):
        before, parent = _published(index, embedder, settings, fresh)
        if parent and parent.manifest.content_digest == digest:
            return _report(parent.manifest, started, unchanged=True)
        try:
            with writing(index):
                manifest = _build_beside(index, documents, guide, look_alikes, before, parent, embedder, settings, digest, progress)
        finally:
            shutil.rmtree(index / _BUILDING, ignore_errors=True)
        switch_to(index, manifest.id)
    return _report(manifest, started)


def _read(knowledge: Sequence[Path], warn: Callable[[Fault], None] | None) -> tuple[list[Document], list[LookAlike]]:
    """The documents and the look-alikes beside them. Raises KnowledgeBaseError with the faults of both."""
    pairs, wrong = read_look_alikes(knowledge)
    reading = read_knowledge(knowledge)
    warn = warn or _silent
    for warning in reading.warnings:
        warn(warning)
    if reading.faults or wrong:
        raise KnowledgeBaseError([*reading.faults, *wrong])
    return list(reading.documents), pairs


def _report(manifest: Manifest, started: float, unchanged: bool = False) -> BuildReport:
    changes = (0, 0, 0) if unchanged else (manifest.added, manifest.changed, manifest.removed)
    seconds = round(time.perf_counter() - started, 3)
    return BuildReport(manifest.id, manifest.parent, manifest.documents, manifest.passages, *changes, seconds)


def _silent(_warning: Fault) -> None:
    pass


def _no_progress(step: str, done: int, total: int) -> None:
    pass


def _published(index: Path, embedder: Embedder, settings: PassageSettings, fresh: bool) -> tuple[Manifest | None, _Parent | None]:
    """The published release's manifest, and what of it can be reused."""
    try:
        manifest = read_manifest(index, current_id(index))
    except IndexMissingError:
        return None, None
    except IndexDamagedError as error:
        sys.stderr.write(f"{error.fault}；本次全部重建\n")
        return None, None
    if fresh:
        return manifest, None
    folder = release_folder(index, manifest.id)
    try:
        check_fit(manifest, embedder, settings)
        return manifest, _Parent(manifest, DocumentStore(folder / DOCUMENTS).digests(), VectorIndex(folder / VECTORS))
    except (IndexMismatchError, IndexDamagedError) as error:
        sys.stderr.write(f"{error.fault}；本次全部重建\n")
        return manifest, None


def _build_beside(
    index: Path,
    documents: Sequence[Document],
    guide: str,
    look_alikes: str,
    before: Manifest | None,
    parent: _Parent | None,
    embedder: Embedder,
    settings: PassageSettings,
    digest: str,
    progress: Progress,
) -> Manifest:
    """Write a whole release into a folder of its own, check it, and move it to its place in one rename."""
    created = datetime.datetime.now(datetime.UTC)
    release_id = _new_id(index, created, digest)
    beside = index / _BUILDING
    shutil.rmtree(beside, ignore_errors=True)  # what a killed build left
    beside.mkdir(parents=True)
    cut = [list(passages_of(document, settings)) for document in documents]
    write_documents(beside / DOCUMENTS, zip(documents, cut, strict=True))
    (beside / SECTIONS).write_text(guide, "utf-8")
    (beside / LOOK_ALIKES).write_text(look_alikes, "utf-8")
    vectors = _embed(documents, cut, parent, embedder, progress)
    write_vector_index(beside / VECTORS, vectors)
    write_keyword_index(beside / KEYWORDS, _indexed(documents, cut))
    known = _known_digests(index, before)
    ids = {document.id for document in documents}
    manifest = Manifest(
        id=release_id,
        parent=before.id if before else "",
        created=created.isoformat(timespec="seconds"),
        format=FORMAT,
        embedder=embedder.name,
        embedder_digest=embedder.digest,
        passage_characters=settings.characters,
        documents=len(documents),
        passages=len(vectors),
        added=sum(document.id not in known for document in documents),
        changed=sum(known.get(document.id, document.digest) != document.digest for document in documents),
        removed=sum(document_id not in ids for document_id in known),
        content_digest=digest,
        files=digest_files(beside),
    )
    write_manifest(beside, manifest)
    progress("检查", 0, 1)
    wrong = verify_folder(beside, manifest)
    if wrong:
        raise IndexDamagedError(f"新版本未通过检查，没有发布：{'；'.join(wrong[:5])}", "检查磁盘后重新运行 qizhen index build")
    _sync(beside)
    home = release_folder(index, release_id)
    home.parent.mkdir(exist_ok=True)
    beside.replace(home)
    sync_folder(home.parent)
    return manifest


def _new_id(index: Path, created: datetime.datetime, digest: str) -> str:
    plain = f"{created:%Y%m%d-%H%M%S}-{digest[:8]}"
    numbered = (plain if n == 1 else f"{plain}-{n}" for n in range(1, 1000))
    return next(name for name in numbered if not release_folder(index, name).exists())


def _known_digests(index: Path, before: Manifest | None) -> dict[str, str]:
    """Document digests of the published release, by id; empty where it cannot be read."""
    if before is None:
        return {}
    try:
        store = DocumentStore(release_folder(index, before.id) / DOCUMENTS)
        return {document_id: digest for document_id, (digest, _, _) in store.digests().items()}
    except IndexDamagedError:
        return {}


def _embed(
    documents: Sequence[Document],
    cut: Sequence[Sequence[Passage]],
    parent: _Parent | None,
    embedder: Embedder,
    progress: Progress,
) -> NDArray[np.float32]:
    """(passages, dimensions): vectors of all passages, those of unchanged documents taken from the parent."""
    total = sum(map(len, cut))
    vectors = np.zeros((total, embedder.dimensions), dtype=np.float32)
    waiting: list[tuple[int, str]] = []
    at = 0
    for document, passages in zip(documents, cut, strict=True):
        held = parent.reusable(document) if parent else None
        if parent and held is not None and len(held) == len(passages):
            vectors[at : at + len(held)] = parent.vectors.vectors(held)
        else:
            waiting.extend((at + i, searchable(document, passage)) for i, passage in enumerate(passages))
        at += len(passages)
    for start in range(0, len(waiting), _PASSAGES_AT_ONCE):
        chunk = waiting[start : start + _PASSAGES_AT_ONCE]
        vectors[[position for position, _ in chunk]] = embedder.embed([text for _, text in chunk])
        progress("编码", min(start + _PASSAGES_AT_ONCE, len(waiting)), len(waiting))
    return vectors


def searchable(document: Document, passage: Passage) -> str:
    """What is indexed for a passage: the document's title and the section's heading in front of its text."""
    return f"{document.title} {document.sections[passage.section].title} {passage.text}"


def _indexed(documents: Sequence[Document], cut: Sequence[Sequence[Passage]]) -> Iterator[tuple[int, int, str]]:
    at = 0
    for position, (document, passages) in enumerate(zip(documents, cut, strict=True)):
        for passage in passages:
            yield at, position, searchable(document, passage)
            at += 1


def _content_digest(documents: Sequence[Document], lists: str, embedder: Embedder, settings: PassageSettings) -> str:
    """One digest of everything that decides what a release holds; `lists` are the section names and the look-alikes."""
    whole = hashlib.sha256(f"{FORMAT} {embedder.digest} {settings.characters} {hashlib.sha256(lists.encode()).hexdigest()}".encode())
    for document in documents:
        whole.update(document.digest.encode())
    return whole.hexdigest()


def _sync(folder: Path) -> None:
    """Make every file of a folder durable."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)
