"""Releases of a knowledge base: opened, listed, checked and switched. build.py makes them.

INDEX/current                 one line, the id of the published release; replaced by an atomic rename
INDEX/releases/<id>/          manifest.json, documents.sqlite, keyword/, vectors.faiss, sections.toml, lookalikes.json
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from indexer.document_store import DocumentStore
from indexer.documents import Document
from indexer.embedder import Embedder, shipped_embedder
from indexer.errors import IndexDamagedError, IndexMismatchError, IndexMissingError, IndexWriteError, KnowledgeBaseError
from indexer.keyword_index import KeywordIndex
from indexer.lookalikes import LookAlike, load_look_alikes
from indexer.names import NameIndex
from indexer.passages import PassageSettings
from indexer.sections import SectionGuide, load_guide
from indexer.vector_index import VectorIndex

FORMAT = 3
DOCUMENTS, KEYWORDS, VECTORS, SECTIONS, MANIFEST = "documents.sqlite", "keyword", "vectors.faiss", "sections.toml", "manifest.json"
LOOK_ALIKES = "lookalikes.json"
_ID = re.compile(r"[0-9A-Za-z-]{1,80}")


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Size and SHA-256 of one file of a release."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a release is and what made it. `parent` is the release that was published before it, or empty."""

    id: str
    parent: str
    created: str
    format: int
    embedder: str
    embedder_digest: str
    passage_characters: int
    documents: int
    passages: int
    added: int
    changed: int
    removed: int
    content_digest: str
    files: dict[str, FileDigest]


class Release:
    """One published release, opened for reading. Keep it as long as answers that came from it are in use."""

    def __init__(self, folder: Path, manifest: Manifest, embedder: Embedder) -> None:
        self.manifest = manifest
        self.embedder = embedder
        self.store = DocumentStore(folder / DOCUMENTS)
        self.keywords = KeywordIndex(folder / KEYWORDS)
        self.vectors = VectorIndex(folder / VECTORS)
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
        return tuple(document.position for document in self.store.names() if document.kind == "disease")

    def document(self, document_id: str) -> Document | None:
        """The document with this id, if the release has it."""
        position = self.store.position(document_id)
        return None if position is None else self.store.document(position)

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()


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


def open_release(index: Path, release_id: str = "", embedder: Embedder | None = None) -> Release:
    """Open a release, the published one by default.

    Raises IndexMissingError, IndexDamagedError (a file is missing or of the wrong size) or IndexMismatchError.
    """
    embedder = embedder or shipped_embedder()
    manifest = read_manifest(index, release_id or current_id(index))
    folder = release_folder(index, manifest.id)
    check_fit(manifest, embedder, PassageSettings())
    for name, digest in manifest.files.items():
        actual = (folder / name).stat().st_size if (folder / name).is_file() else -1
        if actual != digest.bytes:
            state = "缺失" if actual < 0 else f"大小为 {actual}，应为 {digest.bytes} 字节"
            raise IndexDamagedError(
                f"版本 `{manifest.id}` 的文件 `{name}` {state}",
                "运行 qizhen index verify 查看损坏处，再用 qizhen index rollback 退回或 qizhen index build --fresh 重建",
            )
    return Release(folder, manifest, embedder)


def check_fit(manifest: Manifest, embedder: Embedder, settings: PassageSettings) -> None:
    """Raise IndexMismatchError where a release was made with other parts than these."""
    made_with = {
        "格式": (manifest.format, FORMAT),
        "编码器": (f"{manifest.embedder} {manifest.embedder_digest[:12]}", f"{embedder.name} {embedder.digest[:12]}"),
        "片段长度": (manifest.passage_characters, settings.characters),
    }
    for what, (made, running) in made_with.items():
        if made != running:
            raise IndexMismatchError(
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
    """Ids of all releases on disk, oldest first."""
    folder = index / "releases"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def list_releases(index: Path) -> list[Manifest]:
    """Manifests of all releases whose manifest can be read, oldest first."""
    manifests = []
    for release_id in release_ids(index):
        with contextlib.suppress(IndexDamagedError, IndexMissingError):
            manifests.append(read_manifest(index, release_id))
    return sorted(manifests, key=lambda manifest: (manifest.created, manifest.id))


def digest_files(folder: Path) -> dict[str, FileDigest]:
    """Size and digest of every file of a release but its manifest; lock files hold nothing and do not count."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and not name.endswith(".lock"):
            with path.open("rb") as file:
                found[name] = FileDigest(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
    return found


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
    return wrong or _verify_content(folder, manifest)


def _verify_content(folder: Path, manifest: Manifest) -> list[str]:
    try:
        store = DocumentStore(folder / DOCUMENTS)
        counts = {
            "文档": (store.documents, manifest.documents),
            "片段": (store.passages, manifest.passages),
            "关键词索引的片段": (KeywordIndex(folder / KEYWORDS).passages, manifest.passages),
            "向量": (VectorIndex(folder / VECTORS).passages, manifest.passages),
        }
        wrong = [f"{what}有 {found} 个，清单为 {expected} 个" for what, (found, expected) in counts.items() if found != expected]
        for position in range(store.documents):
            document = store.document(position)
            for number, passage in store.passages_of(position):
                section = document.sections[passage.section] if passage.section < len(document.sections) else None
                if not passage.text or section is None or not section.start <= passage.start < passage.end <= section.end:
                    wrong.append(f"文档 `{document.id}` 的片段 {number} 不在其章节之内")
        store.close()
    except IndexDamagedError as error:
        return [error.fault]
    return wrong


def publish_release(index: Path, release_id: str) -> str:
    """Make a sound release the published one; return the id that was published before, or "".

    Raises IndexMissingError, IndexDamagedError (nothing is switched) or IndexWriteError.
    """
    manifest = read_manifest(index, release_id)
    wrong = verify_folder(release_folder(index, release_id), manifest)
    if wrong:
        listed = "；".join(wrong[:5])
        raise IndexDamagedError(f"版本 `{release_id}` 未通过检查，没有发布：{listed}", "发布别的版本，或重建：qizhen index build --fresh")
    check_fit(manifest, shipped_embedder(), PassageSettings())
    with write_lock(index):
        try:
            before = current_id(index)
        except IndexMissingError:
            before = ""
        switch_to(index, release_id)
    return before


def rollback_release(index: Path) -> str:
    """Publish the parent of the published release again; return its id. Raises IndexMissingError if it has none."""
    manifest = read_manifest(index, current_id(index))
    if not manifest.parent:
        raise IndexMissingError(f"版本 `{manifest.id}` 之前没有版本，无法退回", "用 qizhen index releases 查看全部版本")
    publish_release(index, manifest.parent)
    return manifest.parent


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


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_lock(index: Path) -> Iterator[None]:
    """Hold the index for writing. Raises IndexWriteError if another process holds it; the lock dies with its process."""
    with writing(index):
        index.mkdir(parents=True, exist_ok=True)
        lock = (index / "lock").open("a", encoding="utf-8")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IndexWriteError(f"另一个进程正在写 `{index}`", "等它结束后再运行") from None
        yield


@contextlib.contextmanager
def writing(index: Path) -> Iterator[None]:
    """Word the faults of writing below an index folder."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: ("磁盘已满", "腾出空间后重新运行"),
            errno.EDQUOT: ("磁盘配额已满", "腾出空间后重新运行"),
            errno.EFBIG: ("文件超过系统允许的大小", "调整系统限制后重新运行"),
            errno.EIO: (f"磁盘读写失败或已满（{error.strerror}）", "检查磁盘空间和磁盘状态后重新运行"),
            errno.EROFS: ("文件系统只读", "换一个可写的位置：--index 文件夹"),
            errno.EACCES: ("没有写权限", "改正权限，或换一个位置：--index 文件夹"),
            errno.EPERM: ("没有写权限", "改正权限，或换一个位置：--index 文件夹"),
        }
        reason, hint = reasons.get(error.errno or 0, (str(error), "检查该位置后重新运行"))
        raise IndexWriteError(f"写不进 `{index}`：{reason}；已发布的版本没有改动", hint) from error


def _no_such(index: Path, release_id: str) -> IndexMissingError:
    known = "、".join(release_ids(index)[-5:]) or "无"
    return IndexMissingError(f"`{index}` 里没有版本 `{release_id}`（最近的版本：{known}）", "用 qizhen index releases 查看全部版本")
