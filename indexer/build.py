"""Documents to a release: beside, checked, then switched to. Killed at any moment it leaves the old release serving."""

import contextlib
import datetime
import gc
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

from indexer.carrying import Row, assemble_documents, carried_blocks, copy_keyword_index
from indexer.document_store import write_documents
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
    Manifest,
    check_fit,
    check_format,
    current_id,
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

    @property
    def digest(self) -> str:
        """One digest of everything that decides what a release holds."""
        lists = hashlib.sha256((self.guide + self.look_alikes).encode()).hexdigest()
        whole = hashlib.sha256(f"{FORMAT} {self.embedder.digest} {self.settings.characters} {lists}".encode())
        for item in self.intake.items:
            whole.update(item.digest.encode())
        return whole.hexdigest()

    def words_held(self, item: Item) -> bool:
        """Whether an item's passages are taken over."""
        return self.held is not None and item.held >= 0

    def is_kept(self, item: Item) -> bool:
        """Whether an item is taken over whole."""
        return self.words_held(item) and item.state == "same"

    def document(self, item: Item) -> Document:
        """The document of an item. Raises IndexDamagedError."""
        if item.document is not None:
            return item.document
        if self.held is None:
            raise ValueError(f"`{item.id}` was not read")
        return self.held.store.document(item.held)

    def cut(self, items: Sequence[Item]) -> Iterator[tuple[Document, list[Passage]]]:
        """Documents with their passages, one in memory at a time."""
        for item in items:
            document = self.document(item)
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
    load_guide(guide, str(guide_file))
    with write_lock(index, "建立版本", user):
        parent, before, held = _published(index, embedder, settings, fresh)
        progress("读取", 0, 1)
        with _uncollected():
            intake = take_in(knowledge, before, recall=held is not None, today=today)
        progress("读取", 1, 1)
        _refuse_faulty(index, intake, skip_faulty, user, why)
        made_of = _Ingredients(intake, before, held, parent, guide, embedder, settings, user or local_user(), why, tuple(knowledge))
        if held and held.manifest.content_digest == made_of.digest:
            return _report(held.manifest, started, intake, unchanged=True)
        try:
            with writing(index):
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
    """Without Python's search for cycles, which goes through all documents again and again while they are made: they hold none."""
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
    if digest_files(before.folder) != manifest.files:
        sys.stderr.write(f"版本 `{release_id}` 已损坏（用 qizhen index verify 查看）；本次全部重建\n")
        return release_id, _readable(before), None
    return release_id, before, before


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
    with ThreadPoolExecutor(1) as durable:  # files are made durable while the next are written
        waiting: dict[Path, Future[None]] = {}
        rows = _write_parts(index, beside, made_of, progress, lambda path: waiting.update({path: durable.submit(_sync_file, path)}))
        manifest = _manifest(index, beside, made_of, rows)
        write_manifest(beside, manifest)
        progress("检查", 0, 1)
        _check(beside, manifest, made_of)
        progress("检查", 1, 1)
        for done in waiting.values():
            done.result()
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


def _write_parts(index: Path, beside: Path, made_of: _Ingredients, progress: Progress, written: Callable[[Path], None]) -> list[Row]:
    """All files of a release but its manifest; each is announced to `written` when nothing more is written to it."""
    items = made_of.intake.items
    _refuse_equal_keys(items)
    (beside / READERS).touch()
    (beside / SECTIONS).write_text(made_of.guide, "utf-8")
    (beside / LOOK_ALIKES).write_text(made_of.look_alikes, "utf-8")
    (beside / LINES).write_bytes(b"".join(item.line for item in items))
    rows, fresh_counts = _write_documents(beside, made_of)
    written(beside / DOCUMENTS)
    with KeywordWork(_keyword_task(beside, made_of)) as keywords:
        _write_vectors(index, beside, made_of, rows, fresh_counts, progress)
        written(beside / VECTORS)
        progress("关键词", 0, 1)
        _refuse_wrong(keywords.result())
    for path in sorted((beside / KEYWORDS).glob("*.*")):
        written(path)
    progress("关键词", 1, 1)
    return rows


def _refuse_equal_keys(items: Sequence[Item]) -> None:
    """Two ids of one key in the keyword index would answer for one another: 1 in 10 thousand million for 100,000 documents."""
    known: dict[int, str] = {}
    for item in items:
        other = known.setdefault(document_key(item.id), item.id)
        if other != item.id:
            raise KnowledgeBaseError([Fault(item.id, 0, "id", f"与 `{other}` 的内部编号相同，请改其中一个的 id")])


def _write_documents(beside: Path, made_of: _Ingredients) -> tuple[list[Row], list[int]]:
    """Write the documents and say where each came from; also the number of passages of every document with new words, in order."""
    fresh: list[Item] = [item for item in made_of.intake.items if not made_of.is_kept(item)]
    counts: list[int] = []

    def cut() -> Iterator[tuple[Document, list[Passage]]]:
        for item in fresh:
            document = made_of.document(item)
            passages = [] if made_of.words_held(item) else list(passages_of(document, made_of.settings))
            counts.append(len(passages))
            yield document, passages

    if made_of.held is None:
        write_documents(beside / DOCUMENTS, cut())
        starts = [0, *accumulate(counts)]
        return [
            Row(is_new=True, row=at, words_new=True, words=at, first=starts[at], count=count) for at, count in enumerate(counts)
        ], counts
    aside = beside / "fresh.sqlite"
    write_documents(aside, cut())
    rows = _rows(made_of, counts)
    assemble_documents(beside / DOCUMENTS, made_of.held.folder / DOCUMENTS, aside, rows)
    aside.unlink()
    return rows, counts


def _rows(made_of: _Ingredients, counts: Sequence[int]) -> list[Row]:
    """Where each document and its passages come from; `counts` are the passages of the documents in the fresh file."""
    rows: list[Row] = []
    fresh = first = 0
    for item in made_of.intake.items:
        words_held, kept = made_of.words_held(item), made_of.is_kept(item)
        count = made_of.held.places[item.held][2] if made_of.held and words_held else counts[fresh]
        rows.append(Row(not kept, item.held if kept else fresh, not words_held, item.held if words_held else fresh, first, count))
        first += count
        fresh += not kept
    return rows


def _write_vectors(
    index: Path, beside: Path, made_of: _Ingredients, rows: Sequence[Row], counts: Sequence[int], progress: Progress
) -> None:
    """The vectors of all passages: those of new words embedded, the others taken over."""
    embedder = made_of.embedder
    new = [item for item in made_of.intake.items if not made_of.words_held(item)]
    texts = (searchable(document, passage) for document, passages in made_of.cut(new) for passage in passages)
    embedded = embed_in_pieces(index / WORK, texts, sum(counts), embedder, lambda done, total: progress("编码", done, total))
    held = stored_vectors(made_of.held.folder / VECTORS, embedder.dimensions) if made_of.held else embedded
    held_first = [first for _, first, _ in made_of.held.places] if made_of.held else []
    blocks = carried_blocks(rows, held, held_first, embedded, [0, *accumulate(counts)])
    count = write_vector_index(beside / VECTORS, embedder.dimensions, blocks)
    if count >= CODES_FROM:
        known = made_of.held.folder / CODES if made_of.held and CODES in made_of.held.manifest.files else None
        write_codes(beside / CODES, stored_vectors(beside / VECTORS, embedder.dimensions), known)


def _keyword_task(beside: Path, made_of: _Ingredients) -> KeywordTask:
    """The published keyword index with the changes, or a new one where that would carry too much that is gone.

    What was taken over was checked by digest before, so documents are read back where their words are new; all of them by `verify`.
    """
    held, items, folder = made_of.held, made_of.intake.items, beside / KEYWORDS
    new = [at for at, item in enumerate(items) if not made_of.words_held(item)]
    if held is None:
        return KeywordTask(beside / DOCUMENTS, folder, new)
    kept = {item.id for item in items if made_of.words_held(item)}
    gone = [(document_id, count) for document_id, _, count in held.places if document_id not in kept]
    stale = deleted_passages(held.folder / KEYWORDS) + sum(count for _, count in gone)
    if stale > _STALE_SHARE * held.manifest.passages or len(new) > len(kept):
        return KeywordTask(beside / DOCUMENTS, folder, range(len(items)))
    copy_keyword_index(held.folder / KEYWORDS, folder)
    return KeywordTask(beside / DOCUMENTS, folder, new, [document_key(document_id) for document_id, _ in gone])


def _manifest(index: Path, beside: Path, made_of: _Ingredients, rows: Sequence[Row]) -> Manifest:
    created = datetime.datetime.now(datetime.UTC)
    items, before, digest = made_of.intake.items, made_of.before, made_of.digest
    states = [item.state for item in items]
    ids = {item.id for item in items}
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
        passages=sum(row.count for row in rows),
        added=states.count("added"),
        changed=states.count("changed") + states.count("dated"),
        removed=sum(document_id not in ids for document_id in before.positions) if before else 0,
        content_digest=digest,
        files=digest_files(beside),
        dated=states.count("dated"),
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


def _check(beside: Path, manifest: Manifest, made_of: _Ingredients) -> None:
    """Raise IndexDamagedError unless the new release holds just what it was made of."""
    items = made_of.intake.items
    wrong = verify_counts(beside, manifest)
    if not wrong:
        written = Before(beside, manifest)
        if [document_id for document_id, _, _ in written.places] != [item.id for item in items]:
            wrong.append("文档的编号或次序不符")
        wrong += [f"文档 `{item.id}` 的摘要不符" for item, digest in zip(items, written.digests, strict=False) if item.digest != digest]
        wrong += _gone_but_found(beside, written, made_of)
        written.store.close()
    _refuse_wrong(wrong)


def _refuse_wrong(wrong: Sequence[str]) -> None:
    if wrong:
        raise IndexDamagedError(f"新版本未通过检查，没有发布：{'；'.join(wrong[:5])}", "检查磁盘后重新运行 qizhen index build")


def _gone_but_found(beside: Path, written: Before, made_of: _Ingredients) -> list[str]:
    """What the keyword index still, or doubly, holds of documents that were removed or changed."""
    if made_of.held is None:
        return []
    new = [at for at, item in enumerate(made_of.intake.items) if not made_of.words_held(item)]
    kept = {item.id for item in made_of.intake.items if made_of.words_held(item)}
    touched = {document_id for document_id, _, _ in made_of.held.places if document_id not in kept} | {written.places[at][0] for at in new}
    found = KeywordIndex(beside / KEYWORDS).holds([document_key(document_id) for document_id in touched])
    expected = sum(written.places[at][2] for at in new)
    return [] if found == expected else [f"关键词索引里改动过的文档有 {found} 个片段，应为 {expected} 个"]


def _sync_file(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # tantivy's own lock files come and go
        os.fsync(file.fileno())


def _sync(folder: Path, done: Collection[Path]) -> None:
    """Make every file of a folder durable but those that are."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        elif path not in done:
            _sync_file(path)
    sync_folder(folder)
