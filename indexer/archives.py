"""Files of a zip archive, unpacked in memory and never onto the disk."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from indexer.extraction_worker import ExtractionLimits

_BOMB_RATIO = 200
_BOMB_BYTES = 10_000_000
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive, by its name in it; `fault` says why it cannot be had."""

    name: str
    data: bytes
    fault: str = ""


def members_of(data: bytes, limits: ExtractionLimits) -> Iterator[Member]:
    """Every file, in the order of their names. What one archive unpacks to is bounded by the limits."""
    spent = 0
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = sorted((_name(entry), entry) for entry in archive.infolist() if not entry.is_dir())
        if len(entries) > limits.members:
            yield Member("", b"", f"压缩包里有 {len(entries)} 个文件，超过 {limits.members} 个的上限，没有读：请拆开")
            return
        for name, entry in entries:
            fault = _refusal(name, entry, limits.archive_bytes - spent, limits)
            content = b""
            if not fault:
                content, fault = _content(archive, entry)
            spent += len(content)
            yield Member(name, content, fault)


def _name(entry: zipfile.ZipInfo) -> str:
    """The name, in the encoding that Chinese Windows writes where the archive does not say."""
    if entry.flag_bits & _UTF8_NAME:
        return entry.filename
    raw = entry.filename.encode("cp437", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")


def _refusal(name: str, entry: zipfile.ZipInfo, left: int, limits: ExtractionLimits) -> str:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        return "文件名指向压缩包之外，没有读：请核对压缩包的来源"
    if (entry.external_attr >> 16) & 0o170000 == 0o120000:
        return "是链接，没有读：请放入文件本身"
    if entry.flag_bits & _ENCRYPTED:
        return "压缩包有密码，打不开：请重新压缩，不要加密"
    if entry.file_size > _BOMB_BYTES and entry.file_size > _BOMB_RATIO * max(entry.compress_size, 1):
        return f"展开后是压缩后的 {entry.file_size // max(entry.compress_size, 1)} 倍，像是压缩炸弹，没有读：请核对文件来源"
    if entry.file_size > min(left, limits.file_bytes):
        return f"展开后有 {entry.file_size / 1e6:.0f} MB，超过上限，没有读：请拆成几个文件"
    return ""


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[bytes, str]:
    """The bytes, no more than the entry declares; or why not."""
    try:
        with archive.open(entry) as stream:
            data = stream.read(entry.file_size + 1)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        return b"", f"在压缩包里已损坏，读不出来（{error}）：请重新压缩"
    return data, ""
