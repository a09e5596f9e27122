"""What the next release is made of: where the published one came from, and the files that admins have uploaded."""

import datetime
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.problems import Problem
from app.settings import SHIPPED_KNOWLEDGE
from indexer.errors import IndexFolderError
from indexer.formats import READ
from indexer.record import record
from indexer.release import current_id, read_manifest

MOST_FILE_BYTES, MOST_BYTES, MOST_FILES = 50_000_000, 200_000_000, 20
# What is read of a knowledge base, with the charts that stand beside tables.
ENDINGS = (*(f".{kind}" for kind in READ), ".md", ".jsonl", ".jsonl.gz", ".csv", ".tsv", ".toml")
_LONGEST_NAME = 120
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


@dataclass(frozen=True, slots=True)
class KnowledgeFile:
    """An uploaded file: its name, its size, and when it came (UTC, ISO 8601)."""

    name: str
    bytes: int
    at: str


@dataclass(frozen=True, slots=True)
class KnowledgeFiles:
    """The files of one folder, in one index's record."""

    folder: Path
    index: Path

    def all(self) -> list[KnowledgeFile]:
        """The uploaded files by name."""
        if not self.folder.is_dir():
            return []
        found = [(path.name, path.stat()) for path in sorted(self.folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
        return [KnowledgeFile(name, stat.st_size, _moment(stat.st_mtime)) for name, stat in found]

    def origins(self) -> list[Path]:
        """Where the published release came from, uploads aside; the shipped knowledge base where there is none."""
        try:
            paths = [Path(path) for path in read_manifest(self.index, current_id(self.index)).knowledge]
        except IndexFolderError:
            paths = []
        return [path for path in paths if path.resolve() != self.folder.resolve()] or [SHIPPED_KNOWLEDGE]

    def knowledge(self) -> list[Path]:
        """What a build reads."""
        return [*self.origins(), *([self.folder] if self.all() else [])]

    async def put(self, name: str, parts: AsyncIterator[bytes], user: str, why: str) -> KnowledgeFile:
        """Keep a file, in the place of one of that name, whole or not at all. Raises Problem 413, 415 or 422."""
        name = safe_name(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{secrets.token_hex(8)}"
        digest, size = hashlib.sha256(), 0
        try:
            with beside.open("xb") as file:
                async for part in parts:
                    size += len(part)
                    if size > MOST_FILE_BYTES:
                        raise Problem(413, f"`{name}` 超过 {MOST_FILE_BYTES // 1_000_000} MB 的上限，没有收下。请拆成几个文件。")
                    digest.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            if not size:
                raise Problem(422, f"`{name}` 是空文件，没有收下。")
            record(self.index, "upload", user=user, why=why, details={"file": name, "bytes": size, "sha256": digest.hexdigest()})
            beside.replace(self.folder / name)
        finally:
            beside.unlink(missing_ok=True)
        return KnowledgeFile(name, size, _moment((self.folder / name).stat().st_mtime))

    def remove(self, name: str, user: str, why: str) -> None:
        """Take a file away; what was built with it stays until the next build. Raises Problem 404."""
        if name not in {file.name for file in self.all()}:
            raise Problem(404, f"没有上传的文件 `{name[:80]}`，可能已经移除。")
        record(self.index, "remove", user=user, why=why, details={"file": name})
        (self.folder / name).unlink()


def safe_name(given: str) -> str:
    """The name a file is kept under: its last part, whatever folders were written before it. Raises Problem 415 or 422."""
    name = PurePosixPath(given.replace("\\", "/")).name.strip()
    if not name or name.startswith((".", "~")) or _UNFIT.search(name) or len(name) > _LONGEST_NAME:
        raise Problem(422, f"文件名 `{given[:80]}` 不能用，没有收下。请改用 {_LONGEST_NAME} 字以内、不以点开头的名称。")
    if not name.lower().endswith(ENDINGS):
        raise Problem(415, f"`{name}` 不是能收录的文件（{' '.join(ENDINGS)}），没有收下。")
    return name


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
