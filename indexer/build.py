"""Documents to a release: beside, checked, then switched to. Killed at any moment it leaves the old release serving."""

import contextlib
import datetime
import gc
import hashlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.carrying import Run, assemble_documents, carried_blocks, carried_passages, copy_keyword_index, runs_of
from indexer.document_store import DocumentStore, write_documents
from indexer.documents import Document
from indexer.embedder import Embedder, embedder_for
from indexer.embedding_work import WORK, embed_in_pieces
from indexer.errors import Fault, IndexDamagedError, IndexMismatchError, IndexMissingError, KnowledgeBaseError
from indexer.intake import Before, Expired, Intake, Item, code_digest, take_in
from indexer.keyword_index import KeywordIndex, deleted_passages, document_key
from indexer.keyword_work import KeywordTask, KeywordWork
from indexer.locking import READERS, sync_folder, write_lock, writing
from indexer.lookalikes import dump_look_alikes
from indexer.passages import Passage, PassageSettings, passages_of, searchable
from indexer.record import local_user, record
from indexer.release import (
    CODES,
    DOCUMENTS,
    FORMAT,
    KEYWORDS,
    LINES,
    LOOK_ALIKES,
    SECTIONS,
    VECTORS,
    FileDigest,
    Manifest,
    check_fit,
    check_format,
    current_id,
    digest_file,
    digest_files,
    read_manifest,
    record_act,
    release_folder,
    switch_to,
    verify_counts,
    write_manifest,
)
from indexer.sections import SHIPPED, guide_text, load_guide
from indexer.vector_index import CODES_FROM, stored_vectors, write_codes, write_vector_index

_BUILDING = "building"
# Deleted passages stay in tantivy's mean length of a passage (and cost time) until its segment is merged: beyond this share of all the
# index is written anew.
_STALE_SHARE = 0.05
_FAULTS_RECORDED = 50

Progress = Callable[[str, int, int], None]
# Looks at a release that is built and not yet published; returns remarks, or raises ReleaseRejectedError.
Trial = Callable[[Path, str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. `release` equals the published one, and nothing was written, where nothing had changed.

    Of `changed` documents, `dated` are those of which only the source changed. `rejected` is why documents were left out, `expired` which
    for their age; `warnings` is what to look at in what was read; `remarks` is what the trial of the release said.
    """

    release: str
    parent: str
    documents: int
    passages: int
    added: int
    changed: int
    removed: int
    seconds: float
    dated: int = 0
    published: bool = True
    rejected: tuple[Fault, ...] = ()
    expired: tuple[Expired, ...] = ()
    warnings: tuple[Fault, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Ingredients:
    """What a release is made of.

    `before` is the published release where it can be read, `held` the same where its parts can be taken over; `parent` is its id.
    """

    intake: Intake
    before: Before | None
    held: Before | None
    parent: str
    guide: str
    embedder: Embedder
    settings: PassageSettings
    user: str
    why: str
    knowledge: tuple[Path, ...]

    @property
    def look_alikes(self) -> str:
        """The look-alike pairs as the release keeps them."""
        return dump_look_alikes(self.intake.look_alikes)

    @cached_property
    def digest(self) -> str:
        """One digest of everything that decides what a release holds."""
        lists = hashlib.sha256((self.guide + self.look_alikes).encode()).hexdigest()
        whole = hashlib.sha256(f"{FORMAT} {self.embedder.digest} {self.settings.characters} {lists}".encode())
        whole.update("".join(item.digest for item in self.intake.items).encode())
        return whole.hexdigest()

    @cached_property
    def held_at(self) -> NDArray[np.int64]:
        """(items,): where in the published release an item's passages are taken over from, or -1."""
        return np.array([item.held for item in self.intake.items], dtype=np.int64)

    @cached_property
    def new(self) -> list[int]:
        """Numbers of the items whose words are new."""
        found: list[int] = np.flatnonzero(self.held_at < 0).tolist()
        return found

    @cached_property
    def gone(self) -> list[tuple[str, int]]:
        """(id, number of passages) of the documents of the published release that are not taken over."""
        if self.held is None:
            return []
        is_gone = np.ones(len(self.held.places), dtype=bool)
        is_gone[self.held_at[self.held_at >= 0]] = False
        return [(self.held.places[at][0], self.held.places[at][2]) for at in np.flatnonzero(is_gone).tolist()]

    def document(self, item: Item) -> Document:
        """The document of an item. Raises IndexDamagedError."""
        if item.document is not None:
            return item.document
        if self.held is None:
            raise ValueError(f"`{item.id}` was not read")
        return self.held.store.document(item.held)

    def cut(self) -> Iterator[tuple[Document, list[Passage]]]:
        """The documents whose words are new, with their passages, one in memory at a time."""
        for at in self.new:
            document = self.document(self.intake.items[at])
            yield document, list(passages_of(document, self.settings))


def build_release(
    index: Path,
    knowledge: Sequence[Path],
    *,
    fresh: bool = False,
    publish: bool = True,
    skip_faulty: bool = False,
    user: str = "",
    why: str = "",
    trial: Trial | None = None,
    today: datetime.date | None = None,
    embedder: Embedder | None = None,
    settings: PassageSettings | None = None,
    guide_file: Path = SHIPPED,
    progress: Progress | None = None,
) -> BuildReport:
    """Read documents, build a release beside the published one, check it, try it and publish it.

    What has not changed is taken over from the published release, unless `fresh`. With `skip_faulty`, documents with faults are left out
    and told instead of stopping the build; `trial` looks at the release before it is published. Documents that expired before `today` are
    left out. Raises KnowledgeBaseError, IndexWriteError, IndexDamagedError or what `trial` raises; then the published release is as before.
    """
    started = time.perf_counter()
    embedder = embedder or embedder_for(knowledge)
    settings, progress = settings or PassageSettings(), progress or _no_progress
    guide = guide_text(guide_file)
    with write_lock(index, "建立版本", user):
        parent, before, held = _published(index, embedder, settings, fresh)
        if held is None or held.manifest.files[SECTIONS].sha256 != hashlib.sha256(guide.encode()).hexdigest():
            load_guide(guide, str(guide_file))  # else it was read when that release was built
        progress("读取", 0, 1)
        with _uncollected():
            intake, before, held = _taken_in(knowledge, before, held, today)
        progress("读取", 1, 1)
        _refuse_faulty(index, intake, skip_faulty, user, why)
        made_of = _Ingredients(intake, before, held, parent, guide, embedder, settings, user or local_user(), why, tuple(knowledge))
        if held and held.manifest.content_digest == made_of.digest:
            return _report(held.manifest, started, intake, unchanged=True)
        try:
            with writing(index), _uncollected():
                manifest = _build_beside(index, made_of, progress)
                shutil.rmtree(index / WORK, ignore_errors=True)
        finally:
            shutil.rmtree(index / _BUILDING, ignore_errors=True)
        remarks = _try(index, manifest, trial, user)
        if publish:
            details = {"before": parent, "content_digest": manifest.content_digest}
            record_act(index, "publish", manifest.id, user=user, why=why, details=details)
            switch_to(index, manifest.id)
    return _report(manifest, started, intake, published=publish, remarks=remarks)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles, which goes through all documents again and again while there come more: they hold none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _refuse_faulty(index: Path, intake: Intake, skip_faulty: bool, user: str, why: str) -> None:
    """Raise KnowledgeBaseError for faults that may not be skipped; record the rejection."""
    if not intake.faults or (skip_faulty and intake.items):
        return
    error = KnowledgeBaseError(intake.faults)
    try:
        record(index, "reject", user=user, why=why, details=_faults_recorded(intake))
    except OSError as unwritten:
        sys.stderr.write(f"这次拒绝没有记入 `{index}`：{unwritten.strerror}\n")
    raise error


def _faults_recorded(intake: Intake) -> dict[str, object]:
    return {"faults": len(intake.faults), "first": [str(fault) for fault in intake.faults[:_FAULTS_RECORDED]]}


def _try(index: Path, manifest: Manifest, trial: Trial | None, user: str) -> tuple[str, ...]:
    """What the trial says; a rejection is recorded, and the release stays unpublished."""
    if trial is None:
        return ()
    try:
        return tuple(trial(index, manifest.id))
    except Exception as error:
        with writing(index):
            record(index, "reject", manifest.id, user=user, details={"reason": str(error)})
        raise


def _report(
    manifest: Manifest, started: float, intake: Intake, *, unchanged: bool = False, published: bool = True, remarks: tuple[str, ...] = ()
) -> BuildReport:
    changes = (0, 0, 0) if unchanged else (manifest.added, manifest.changed, manifest.removed)
    return BuildReport(
        manifest.id,
        manifest.parent,
        manifest.documents,
        manifest.passages,
        *changes,
        seconds=round(time.perf_counter() - started, 3),
        dated=0 if unchanged else manifest.dated,
        published=published,
        rejected=intake.faults,
        expired=intake.expired,
        warnings=intake.warnings,
        remarks=remarks,
    )


def _no_progress(step: str, done: int, total: int) -> None:
    pass


def _published(index: Path, embedder: Embedder, settings: PassageSettings, fresh: bool) -> tuple[str, Before | None, Before | None]:
    """The published release's id, what the new one is compared with, and the same where its parts are sound and fit to be taken over.

    What stands in the way is told on stderr.
    """
    release_id, before = "", None
    try:
        release_id = current_id(index)
        manifest = read_manifest(index, release_id)
        check_format(manifest)
        before = Before(release_folder(index, release_id), manifest)
        if fresh:
            return release_id, before, None
        check_fit(manifest, embedder, settings)
    except IndexMissingError:
        return "", None, None
    except (IndexDamagedError, IndexMismatchError) as error:
        sys.stderr.write(f"{error.fault}；本次全部重建\n")
        return release_id, before, None
    if manifest.cut_by != _cut_by():
        sys.stderr.write(f"版本 `{release_id}` 的片段和关键词是另一版程序切分的；本次全部重建\n")
        return release_id, before, None
    return release_id, before, before


def _taken_in(
    knowledge: Sequence[Path], before: Before | None, held: Before | None, today: datetime.date | None
) -> tuple[Intake, Before | None, Before | None]:
    """The documents read, what they are compared with, and what they are taken over from: while they are read, the published release is
    held against its digests, and where it is damaged, which is told on stderr, all is read again without it.
    """
    if held is None:
        return take_in(knowledge, before, recall=False, today=today), before, None
    with ThreadPoolExecutor(1) as beside:
        digests = beside.submit(digest_files, held.folder)
        with contextlib.suppress(IndexDamagedError):
            intake = take_in(knowledge, held, recall=True, today=today)
            if digests.result() == held.manifest.files:
                return intake, held, held
    sys.stderr.write(f"版本 `{held.manifest.id}` 已损坏（用 qizhen index verify 查看）；本次全部重建\n")
    before = _readable(held)
    return take_in(knowledge, before, recall=False, today=today), before, None


@cache
def _cut_by() -> str:
    """Digest of what cuts texts into passages and terms: of another cutting nothing is taken over."""
    return code_digest("passages.py", "terms.py", "keyword_index.py").hex()


def _readable(before: Before) -> Before | None:
    """A damaged release, if every document can still be read from it: what is compared must be what it held."""
    try:
        for position in range(len(before.places)):
            before.store.document(position)
    except IndexDamagedError:
        return None
    return before


def _build_beside(index: Path, made_of: _Ingredients, progress: Progress) -> Manifest:
    """Write a whole release into a folder of its own, check it, and move it to its place in one rename."""
    beside = index / _BUILDING
    shutil.rmtree(beside, ignore_errors=True)  # what a killed build left
    beside.mkdir(parents=True)
    with ThreadPoolExecutor(2) as durable:  # files are made durable and digested while the next are written
        waiting: dict[Path, Future[FileDigest]] = {}
        runs = _write_parts(index, beside, made_of, progress, lambda path: waiting.update({path: durable.submit(_made_durable, path)}))
        progress("检查", 0, 1)
        _refuse_wrong(_gone_but_found(beside, made_of, runs))
        manifest = _manifest(index, beside, made_of, runs, {path: done.result() for path, done in waiting.items()})
        write_manifest(beside, manifest)
    _refuse_wrong(verify_counts(beside, manifest))
    progress("检查", 1, 1)
    _sync(beside, waiting)
    details = {key: value for key, value in asdict(manifest).items() if key not in ("id", "files", "user", "why")}
    digests = {"files": {name: file.sha256 for name, file in manifest.files.items()}}
    record_act(index, "build", manifest.id, user=made_of.user, why=made_of.why, details={**details, **digests, **_left_out(made_of.intake)})
    home = release_folder(index, manifest.id)
    home.parent.mkdir(exist_ok=True)
    beside.replace(home)
    sync_folder(home.parent)
    return manifest


def _left_out(intake: Intake) -> dict[str, object]:
    """What a release was built without, faults and expired documents by name; and how many warnings there were."""
    gone = [asdict(expired) for expired in intake.expired]
    return {"left_out": _faults_recorded(intake), "expired_documents": gone, "warnings": len(intake.warnings)}


def _write_parts(index: Path, beside: Path, made_of: _Ingredients, progress: Progress, written: Callable[[Path], None]) -> list[Run]:
    """All files of a release but its manifest; each is announced to `written` when nothing more is written to it."""
    _refuse_equal_keys(made_of)
    (beside / READERS).touch()
    (beside / SECTIONS).write_text(made_of.guide, "utf-8")
    (beside / LOOK_ALIKES).write_text(made_of.look_alikes, "utf-8")
    (beside / LINES).write_bytes(b"".join(item.line for item in made_of.intake.items))
    with ThreadPoolExecutor(1) as laying:
        runs, laid = _write_documents(beside, made_of, laying)
        wrong = laying.submit(_documents_wrong, beside, made_of)
        task = _keyword_task(beside, made_of)
        if task.is_large:  # it reads the documents as soon as it begins
            laid.result()
        with KeywordWork(task) as keywords:
            _write_vectors(index, beside, made_of, runs, progress)
            written(beside / VECTORS)
            laid.result()
            written(beside / DOCUMENTS)
            progress("关键词", 0, 1)
            _refuse_wrong([*keywords.result(), *wrong.result()])
    for path in sorted((beside / KEYWORDS).glob("*.*")):
        if path.suffix != ".lock":  # tantivy's own come and go
            written(path)
    progress("关键词", 1, 1)
    return runs


def _refuse_equal_keys(made_of: _Ingredients) -> None:
    """Two ids of one key in the keyword index would answer for one another: 1 in 10 thousand million for 100,000 documents."""
    items = made_of.intake.items
    if made_of.held and not any(item.state == "added" for item in items):
        return  # the ids stood together before
    known: dict[int, str] = {}
    for item in items:
        other = known.setdefault(document_key(item.id), item.id)
        if other != item.id:
            raise KnowledgeBaseError([Fault(item.id, 0, "id", f"与 `{other}` 的内部编号相同，请改其中一个的 id")])


def _write_documents(beside: Path, made_of: _Ingredients, laying: ThreadPoolExecutor) -> "tuple[list[Run], Future[None]]":
    """Write the documents, and say where each comes from and what to wait for until they lie in the release."""
    kept = np.array([item.is_kept for item in made_of.intake.items], dtype=bool)
    counts: list[int] = []

    def cut() -> Iterator[tuple[Document, list[Passage]]]:
        for at in np.flatnonzero(~kept).tolist():
            item = made_of.intake.items[at]
            document = made_of.document(item)
            passages = [] if item.held >= 0 else list(passages_of(document, made_of.settings))
            counts.append(len(passages))
            yield document, passages

    held = made_of.held
    fresh = beside / ("fresh.sqlite" if held else DOCUMENTS)
    write_documents(fresh, cut())
    held_counts = np.array([count for _, _, count in held.places] if held else [], dtype=np.int64)
    runs = runs_of(kept, made_of.held_at, held_counts, np.array(counts, dtype=np.int64))

    def lay() -> None:
        if held:
            assemble_documents(beside / DOCUMENTS, held.folder / DOCUMENTS, fresh, runs)
            fresh.unlink()

    return runs, laying.submit(lay)


def _write_vectors(index: Path, beside: Path, made_of: _Ingredients, runs: Sequence[Run], progress: Progress) -> None:
    """The vectors of all passages: those of new words embedded, the others taken over."""
    embedder, held = made_of.embedder, made_of.held
    texts = (searchable(document, passage) for document, passages in made_of.cut() for passage in passages)
    total = sum(run.passages for run in runs if run.words_new)
    fresh = embed_in_pieces(index / WORK, texts, total, embedder, lambda done, total: progress("编码", done, total))
    known = stored_vectors(held.folder / VECTORS, embedder.dimensions) if held else fresh
    count = write_vector_index(beside / VECTORS, embedder.dimensions, carried_blocks(runs, known, fresh))
    if count >= CODES_FROM:
        like = held.folder / CODES if held and CODES in held.manifest.files else None
        same = carried_passages(runs) if like else None
        write_codes(beside / CODES, stored_vectors(beside / VECTORS, embedder.dimensions), like, same)


def _keyword_task(beside: Path, made_of: _Ingredients) -> KeywordTask:
    """The published keyword index with the changes, or a new one where that would carry too much that is gone.

    What was taken over was checked by digest before, so documents are read back where their words are new; all of them by `verify`.
    """
    held, folder = made_of.held, beside / KEYWORDS
    if held is None:
        return KeywordTask(beside / DOCUMENTS, folder, made_of.new)
    stale = deleted_passages(held.folder / KEYWORDS) + sum(count for _, count in made_of.gone)
    documents = len(made_of.intake.items)
    if stale > _STALE_SHARE * held.manifest.passages or 2 * len(made_of.new) > documents:
        return KeywordTask(beside / DOCUMENTS, folder, range(documents))
    copy_keyword_index(held.folder / KEYWORDS, folder)
    return KeywordTask(beside / DOCUMENTS, folder, made_of.new, [document_key(document_id) for document_id, _ in made_of.gone])


def _manifest(index: Path, beside: Path, made_of: _Ingredients, runs: Sequence[Run], digests: Mapping[Path, FileDigest]) -> Manifest:
    created = datetime.datetime.now(datetime.UTC)
    items, before, digest = made_of.intake.items, made_of.before, made_of.digest
    states = Counter(item.state for item in items)
    return Manifest(
        id=_new_id(index, created, digest),
        parent=made_of.parent,
        created=created.isoformat(timespec="milliseconds"),
        format=FORMAT,
        embedder=made_of.embedder.name,
        embedder_digest=made_of.embedder.digest,
        question_prompt=made_of.embedder.prompts.question,
        passage_prompt=made_of.embedder.prompts.passage,
        cut_by=_cut_by(),
        passage_characters=made_of.settings.characters,
        documents=len(items),
        passages=sum(run.passages for run in runs),
        added=states["added"],
        changed=states["changed"] + states["dated"],
        removed=len(before.positions.keys() - {item.id for item in items}) if before else 0,
        content_digest=digest,
        files=digest_files(beside, digests),
        dated=states["dated"],
        rejected=len(made_of.intake.faults),
        expired=len(made_of.intake.expired),
        user=made_of.user,
        why=made_of.why,
        knowledge=[str(path.absolute()) for path in made_of.knowledge],
    )


def _new_id(index: Path, created: datetime.datetime, digest: str) -> str:
    plain = f"{created:%Y%m%d-%H%M%S}-{digest[:8]}"
    numbered = (plain if n == 1 else f"{plain}-{n}" for n in range(1, 1000))
    return next(name for name in numbered if not release_folder(index, name).exists())


def _documents_wrong(beside: Path, made_of: _Ingredients) -> list[str]:
    """What of the new release's documents is not as it was made."""
    items = made_of.intake.items
    try:
        store = DocumentStore(beside / DOCUMENTS)
        places, digests = store.places_and_digests()
        store.close()
    except IndexDamagedError as error:
        return [error.fault]
    if [document_id for document_id, _, _ in places] != [item.id for item in items]:
        return ["文档的编号或次序不符"]
    return [f"文档 `{item.id}` 的摘要不符" for item, digest in zip(items, digests, strict=True) if item.digest != digest]


def _refuse_wrong(wrong: Sequence[str]) -> None:
    if wrong:
        raise IndexDamagedError(f"新版本未通过检查，没有发布：{'；'.join(wrong[:5])}", "检查磁盘后重新运行 qizhen index build")


def _gone_but_found(beside: Path, made_of: _Ingredients, runs: Sequence[Run]) -> list[str]:
    """What the keyword index still, or doubly, holds of documents that were removed or changed."""
    if made_of.held is None:
        return []
    touched = {document_id for document_id, _ in made_of.gone} | {made_of.intake.items[at].id for at in made_of.new}
    found = KeywordIndex(beside / KEYWORDS).holds([document_key(document_id) for document_id in touched])
    expected = sum(run.passages for run in runs if run.words_new)
    return [] if found == expected else [f"关键词索引里改动过的文档有 {found} 个片段，应为 {expected} 个"]


def _made_durable(path: Path) -> FileDigest:
    """The digest of a file that is on the disk."""
    _sync_file(path)
    return digest_file(path)


def _sync_file(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # tantivy's lock files
        os.fsync(file.fileno())


def _sync(folder: Path, done: Collection[Path]) -> None:
    """Make every file of a folder durable but those that are."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        elif path not in done:
            _sync_file(path)
    sync_folder(folder)
