"""Releases of a knowledge base: opened, listed, checked and switched. build.py makes them.

INDEX/current                 one line, the id of the published release; replaced by an atomic rename
INDEX/releases/<id>/     manifest.json, documents.sqlite, keyword/, vectors.faiss (codes.faiss), sections.toml, lookalikes.json, lines.bin
INDEX/log.jsonl               the record (record.py)
"""

import contextlib
import hashlib
import json
import os
import re
import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from indexer.document_store import DocumentStore
from indexer.documents import Document
from indexer.embedder import Embedder, Prompts, open_embedder, shipped_embedder
from indexer.errors import IndexDamagedError, IndexMismatchError, IndexMissingError, KnowledgeBaseError
from indexer.keyword_index import KeywordIndex, places_of
from indexer.locking import hold_for_reading, sync_folder, write_lock, writing
from indexer.lookalikes import LookAlike, load_look_alikes
from indexer.names import NameIndex
from indexer.passages import PassageSettings
from indexer.record import Action, read_log, record
from indexer.reranker import Reranker, open_reranker
from indexer.sections import SectionGuide, load_guide
from indexer.vector_index import VectorIndex

FORMAT = 6
DOCUMENTS, KEYWORDS, SECTIONS, MANIFEST = "documents.sqlite", "keyword", "sections.toml", "manifest.json"
VECTORS, CODES = "vectors.faiss", "codes.faiss"
LOOK_ALIKES = "lookalikes.json"
LINES = "lines.bin"  # 16 bytes a document: which line of JSON it was read from (intake.py)
_DIGESTED_AT_ONCE = 4_194_304  # bytes
_ID = re.compile(r"[0-9A-Za-z-]{1,80}")


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Size and SHA-256 of one file of a release."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a release is and what made it.

    `parent` is the release that was published before it, or empty. `cut_by` is the digest of the code that cut passages and terms. Of
    `changed` documents, `dated` are those of which only the source changed. `rejected` faults left documents out, `expired` ones left for
    their age. `knowledge` is where it was read from.
    """

    id: str
    parent: str
    created: str
    format: int
    embedder: str
    embedder_digest: str
    cut_by: str
    passage_characters: int
    documents: int
    passages: int
    added: int
    changed: int
    removed: int
    content_digest: str
    files: dict[str, FileDigest]
    dated: int = 0
    rejected: int = 0
    expired: int = 0
    user: str = ""
    why: str = ""
    knowledge: list[str] = field(default_factory=list)
    question_prompt: str = ""
    passage_prompt: str = ""


class Release:
    """One published release, opened for reading. Keep it as long as answers that came from it are in use."""

    def __init__(self, folder: Path, manifest: Manifest, embedder: Embedder) -> None:
        self.manifest = manifest
        self.embedder = embedder
        # Sentences of one document are always compared by the shipped encoder: what fits was measured with it, and others take seconds.
        self.sentence_embedder: Embedder = shipped_embedder()
        self.reranker: Reranker | None = None
        held = hold_for_reading(folder)  # nobody collects it while it is open
        self._let_go = weakref.finalize(self, os.close, held) if held is not None else None
        self.store = DocumentStore(folder / DOCUMENTS)
        self.keywords = KeywordIndex(folder / KEYWORDS, places_of(self.store.places()))
        self.vectors = _vectors(folder, manifest)
        try:
            self.guide: SectionGuide = load_guide((folder / SECTIONS).read_text("utf-8"), str(folder / SECTIONS))
        except (UnicodeDecodeError, KnowledgeBaseError) as error:
            raise IndexDamagedError(
                f"版本 `{manifest.id}` 的 `{SECTIONS}` 损坏：{error}", "用 qizhen index rollback 退回，或重建"
            ) from error

        self.look_alikes = _look_alikes(folder, manifest)

    @property
    def id(self) -> str:
        """The release's id."""
        return self.manifest.id

    @cached_property
    def names(self) -> NameIndex:
        """All names that the release holds."""
        return NameIndex(self.store.names(), self.guide.words)

    @cached_property
    def diseases(self) -> tuple[int, ...]:
        """Positions of the documents about diseases."""
        return self.store.of_kind("disease")

    def prepare(self) -> None:
        """Read what the first question would otherwise wait for."""
        _ = self.names, self.diseases
        self.vectors.prepare()

    def document(self, document_id: str) -> Document | None:
        """The document with this id, if the release has it."""
        position = self.store.position(document_id)
        return None if position is None else self.store.document(position)

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()
        if self._let_go:
            self._let_go()


def _vectors(folder: Path, manifest: Manifest) -> VectorIndex:
    """The release's vectors, with codes where it was large enough for them."""
    return VectorIndex(folder / VECTORS, folder / CODES if CODES in manifest.files else None)


def _look_alikes(folder: Path, manifest: Manifest) -> tuple[LookAlike, ...]:
    """The release's pairs of look-alike names; a release made before there were any has none."""
    if LOOK_ALIKES not in manifest.files:
        return ()
    try:
        return load_look_alikes((folder / LOOK_ALIKES).read_text("utf-8"))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise IndexDamagedError(
            f"版本 `{manifest.id}` 的 `{LOOK_ALIKES}` 损坏：{error!r}", "用 qizhen index rollback 退回，或重建"
        ) from error


def open_release(index: Path, release_id: str = "", embedder: Embedder | None = None, reranker: str = "") -> Release:
    """Open a release, the published one by default; `reranker` names the model that orders its best passages anew, if any.

    Raises IndexMissingError, IndexDamagedError (a file is missing or of the wrong size), IndexMismatchError or EncoderError.
    """
    chosen = open_reranker(reranker)
    manifest = read_manifest(index, release_id or current_id(index))
    folder = release_folder(index, manifest.id)
    embedder = embedder or _embedder_of(manifest)
    check_fit(manifest, embedder, PassageSettings())
    for name, digest in manifest.files.items():
        actual = (folder / name).stat().st_size if (folder / name).is_file() else -1
        if actual != digest.bytes:
            state = "缺失" if actual < 0 else f"大小为 {actual}，应为 {digest.bytes} 字节"
            raise IndexDamagedError(
                f"版本 `{manifest.id}` 的文件 `{name}` {state}",
                "运行 qizhen index verify 查看损坏处，再用 qizhen index rollback 退回或 qizhen index build --fresh 重建",
            )
    release = Release(folder, manifest, embedder)
    release.reranker = chosen
    return release


def _embedder_of(manifest: Manifest) -> Embedder:
    """The encoder that a release was made with, by name; check_fit tells whether it is still the same. Raises EncoderError."""
    check_format(manifest)
    return open_embedder(manifest.embedder, Prompts(manifest.question_prompt, manifest.passage_prompt))


def check_fit(manifest: Manifest, embedder: Embedder, settings: PassageSettings) -> None:
    """Raise IndexMismatchError where a release was made with other parts than these."""
    check_format(manifest)
    made_with = {
        "编码器": (f"{manifest.embedder} {manifest.embedder_digest[:12]}", f"{embedder.name} {embedder.digest[:12]}"),
        "片段长度": (manifest.passage_characters, settings.characters),
    }
    for what, (made, running) in made_with.items():
        if made != running:
            raise _mismatch(manifest, what, made, running)


def check_format(manifest: Manifest) -> None:
    """Raise IndexMismatchError where a release is laid out in another way than this program reads."""
    if manifest.format != FORMAT:
        raise _mismatch(manifest, "格式", manifest.format, FORMAT)


def _mismatch(manifest: Manifest, what: str, made: object, running: object) -> IndexMismatchError:
    return IndexMismatchError(
        f"版本 `{manifest.id}` 的{what}是 `{made}`，本程序用的是 `{running}`，不能混用", "运行 qizhen index build 重建索引"
    )


def release_folder(index: Path, release_id: str) -> Path:
    """Where a release lies. Raises IndexMissingError for an id that could not be one."""
    if not _ID.fullmatch(release_id):
        raise _no_such(index, release_id)
    return index / "releases" / release_id


def current_id(index: Path) -> str:
    """The id of the published release. Raises IndexMissingError if there is none."""
    try:
        return (index / "current").read_text("utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        raise IndexMissingError(f"`{index}` 里还没有发布的知识库", "运行 qizhen index build 建立索引，或用 --index 指定位置") from None
    except (OSError, UnicodeDecodeError) as error:
        raise IndexDamagedError(f"`{index / 'current'}` 读不出来：{error}", "用 qizhen index publish 版本号 重新指定") from error


def read_manifest(index: Path, release_id: str) -> Manifest:
    """The manifest of a release. Raises IndexMissingError or IndexDamagedError."""
    path = release_folder(index, release_id) / MANIFEST
    try:
        raw = json.loads(path.read_text("utf-8"))
        files = {name: FileDigest(**entry) for name, entry in raw.pop("files").items()}
        return Manifest(**raw, files=files)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_such(index, release_id) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IndexDamagedError(
            f"版本 `{release_id}` 的清单 `{path}` 损坏：{error}", "用 qizhen index rollback 退回，或 qizhen index build --fresh 重建"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest into a release that is being built."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=1) + "\n", "utf-8")


def release_ids(index: Path) -> list[str]:
    """Ids of all releases on disk in their own order, which is that of the seconds they were made in."""
    folder = index / "releases"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def list_releases(index: Path) -> list[Manifest]:
    """Manifests of all releases whose manifest can be read, oldest first."""
    manifests = []
    for release_id in release_ids(index):
        with contextlib.suppress(IndexDamagedError, IndexMissingError):
            manifests.append(read_manifest(index, release_id))
    return sorted(manifests, key=lambda manifest: (manifest.created, manifest.id))


def digest_files(folder: Path, known: Mapping[Path, FileDigest] | None = None) -> dict[str, FileDigest]:
    """Size and digest of every file of a release but its manifest; lock files hold nothing and do not count. Files whose digest is `known`
    are not read.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and not name.endswith(".lock"):
            found[name] = known[path] if known and path in known else digest_file(path)
    return found


def digest_file(path: Path) -> FileDigest:
    """Size and digest of a file, in pieces so large that other threads seldom wait for it."""
    digest, piece, size = hashlib.sha256(), bytearray(_DIGESTED_AT_ONCE), 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            digest.update(memoryview(piece)[:count])
            size += count
    return FileDigest(size, digest.hexdigest())


def verify_release(index: Path, release_id: str = "") -> list[str]:
    """Check a release's digests, counts and offsets; return what is wrong, worded for an admin. Empty means sound."""
    release_id = release_id or current_id(index)
    try:
        manifest = read_manifest(index, release_id)
    except IndexDamagedError as error:
        return [error.fault]
    folder = release_folder(index, release_id)
    return verify_folder(folder, manifest)


def verify_folder(folder: Path, manifest: Manifest) -> list[str]:
    """As `verify_release`, for a release that may not lie in its place yet."""
    actual = digest_files(folder)
    wrong = [f"`{name}` 缺失" for name in manifest.files if name not in actual]
    wrong += [f"`{name}` 内容与清单不符" for name, digest in actual.items() if manifest.files.get(name, digest) != digest]
    wrong += [f"`{name}` 不在清单中" for name in actual if name not in manifest.files]
    return wrong or [*verify_counts(folder, manifest), *verify_documents(folder / DOCUMENTS)]


def verify_counts(folder: Path, manifest: Manifest) -> list[str]:
    """Compare how much a release's parts hold with its manifest; return what is wrong."""
    try:
        store = DocumentStore(folder / DOCUMENTS)
        counts = {
            "文档": (store.documents, manifest.documents),
            "片段": (store.passages, manifest.passages),
            "按文档相加的片段": (store.passages_by_document(), manifest.passages),
            "关键词索引的片段": (KeywordIndex(folder / KEYWORDS).passages, manifest.passages),
            "向量": (_vectors(folder, manifest).passages, manifest.passages),
        }
        store.close()
    except IndexDamagedError as error:
        return [error.fault]
    return [f"{what}有 {found} 个，清单为 {expected} 个" for what, (found, expected) in counts.items() if found != expected]


def verify_documents(path: Path) -> list[str]:
    """Read every document of a release back, with its digest and its offsets; return what is wrong."""
    try:
        store = DocumentStore(path)
        wrong = [fault for _, _, faults in store.read_back(range(store.documents)) for fault in faults]
        store.close()
    except IndexDamagedError as error:
        return [error.fault]
    return wrong


def publish_release(index: Path, release_id: str, *, user: str = "", why: str = "") -> str:
    """Make a sound release the published one; return the id that was published before, or "".

    Raises IndexMissingError, IndexDamagedError (nothing is switched) or IndexWriteError.
    """
    return _publish(index, release_id, "publish", user, why)


def rollback_release(index: Path, *, user: str = "", why: str = "") -> str:
    """Publish the parent of the published release again; return its id. Raises IndexMissingError if it has none."""
    manifest = read_manifest(index, current_id(index))
    if not manifest.parent:
        raise IndexMissingError(f"版本 `{manifest.id}` 之前没有版本，无法退回", "用 qizhen index releases 查看全部版本")
    _publish(index, manifest.parent, "rollback", user, why)
    return manifest.parent


def _publish(index: Path, release_id: str, action: Action, user: str, why: str) -> str:
    manifest = read_manifest(index, release_id)
    wrong = verify_folder(release_folder(index, release_id), manifest)
    if wrong:
        listed = "；".join(wrong[:5])
        raise IndexDamagedError(f"版本 `{release_id}` 未通过检查，没有发布：{listed}", "发布别的版本，或重建：qizhen index build --fresh")
    check_fit(manifest, _embedder_of(manifest), PassageSettings())
    with write_lock(index, "发布", user):
        read_manifest(index, release_id)  # it may have been collected since
        before = published_id(index)
        record_act(index, action, release_id, user=user, why=why, details={"before": before, "content_digest": manifest.content_digest})
        switch_to(index, release_id)
    return before


def published_id(index: Path) -> str:
    """The id of the published release, or "" where there is none. Raises IndexDamagedError."""
    try:
        return current_id(index)
    except IndexMissingError:
        return ""


def record_act(index: Path, action: Action, release_id: str, *, user: str = "", why: str = "", details: Mapping[str, Any]) -> None:
    """Record what is about to be done; first, where the published release is not the recorded one, that it was found so.

    Called by whoever holds the write lock. Raises IndexWriteError.
    """
    switches = [entry for entry in read_log(index) if entry.action in ("publish", "rollback", "found")]
    known, actual = switches[-1].release if switches else "", ""
    with contextlib.suppress(IndexDamagedError):
        actual = published_id(index)
    with writing(index):
        if known != actual:
            record(index, "found", actual, user=user, details={"recorded": known})
        record(index, action, release_id, user=user, why=why, details=details)


def switch_to(index: Path, release_id: str) -> None:
    """Name the published release; readers see the old name or the new one, never part of either."""
    temporary = index / "current.new"
    with writing(index):
        with temporary.open("w", encoding="utf-8") as file:
            file.write(release_id + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(index / "current")
        sync_folder(index)


def _no_such(index: Path, release_id: str) -> IndexMissingError:
    known = "、".join(release_ids(index)[-5:]) or "无"
    return IndexMissingError(f"`{index}` 里没有版本 `{release_id}`（最近的版本：{known}）", "用 qizhen index releases 查看全部版本")
