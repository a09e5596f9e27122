"""Files as hospitals have them (PDF, Word, HTML, text, archives of them) to documents. Everything wrong or doubtful is told by file."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from indexer.archives import members_of
from indexer.documents import KINDS, Document, compose
from indexer.errors import Fault
from indexer.extraction import Extract, ExtractionError
from indexer.extraction_worker import ExtractionLimits, extract_apart
from indexer.formats import NAMED, READ, sniff
from indexer.layouts import Layout, Piece, layouts
from indexer.source_fields import source_of

_LONGEST_ID = 200
_FIELDS = {"id", "kind", "title", "aliases", "source"}


@dataclass(frozen=True, slots=True)
class HospitalFile:
    """`place` is how faults name it, `name` its path below what was given, `sidecar` the TOML beside it (may be empty)."""

    place: str
    name: str
    data: bytes
    sidecar: bytes = b""


# Reads a file of ours found in an archive (place, bytes, the TOML beside it, faults), or says None to a file of another kind.
ReadMember = Callable[[str, bytes, bytes | None, list[Fault]], Iterator[tuple[int, Document]] | None]


def read_file(
    file: HospitalFile, limits: ExtractionLimits, faults: list[Fault], warnings: list[Fault], ours: ReadMember, depth: int = 1
) -> Iterator[tuple[str, int, Document]]:
    """The documents of a file, each with the place and the line (0 for none) where it stands."""
    kind, why = sniff(file.data)
    expected = READ.get(PurePosixPath(file.name).suffix.lower().removeprefix("."), "")
    if not kind or (kind == "txt" and expected != "txt"):
        faults.append(Fault(file.place, 0, "", why or "内容与扩展名不符：里面是普通文字，请核对文件"))
        return
    if kind != expected:
        warnings.append(Fault(file.place, 0, "", f"扩展名与内容不符，按内容当作 {kind} 读取，请改正扩展名"))
    if kind == "zip":
        yield from _archive(file, limits, faults, warnings, ours, depth)
        return
    try:
        found = extract_apart(kind, file.data, limits)
    except ExtractionError as error:
        faults.append(Fault(file.place, 0, "", str(error)))
        return
    warnings += [Fault(file.place, 0, f"第 {page} 页" if page else "", message) for page, message in found.warnings]
    try:
        documents = _documents(file, found, faults)
    except ExtractionError as error:
        faults.append(Fault(file.place, 0, "", str(error)))
        return
    yield from ((file.place, 0, document) for document in documents)


def _archive(
    file: HospitalFile, limits: ExtractionLimits, faults: list[Fault], warnings: list[Fault], ours: ReadMember, depth: int
) -> Iterator[tuple[str, int, Document]]:
    if depth > limits.depth:
        faults.append(Fault(file.place, 0, "", f"压缩包套了 {depth} 层，超过 {limits.depth} 层的上限，没有读：请解开"))
        return
    members = {}
    for member in members_of(file.data, limits):
        if member.fault:
            faults.append(Fault(f"{file.place}/{member.name}" if member.name else file.place, 0, "", member.fault))
        else:
            members[member.name] = member.data
    read = 0
    for name, data in members.items():
        path = PurePosixPath(name)
        if any(part.startswith((".", "~$", "__MACOSX")) for part in path.parts) or path.suffix.lower() == ".toml":
            continue
        place = f"{file.place}/{name}"
        beside = members.get(str(path.with_suffix(".toml")))
        plain = ours(place, data, beside, faults)
        if plain is None and path.suffix.lower().removeprefix(".") not in NAMED:
            warnings.append(Fault(place, 0, "", "是读不了的种类，没有收录：请另存为 PDF、Word、HTML 或文本"))
            continue
        read += 1
        if plain is not None:
            yield from ((place, line, document) for line, document in plain)
            continue
        inner = HospitalFile(place, f"{file.name}/{name}", data, beside or b"")
        yield from read_file(inner, limits, faults, warnings, ours, depth + 1)
    if not read and not any(fault.path.startswith(file.place) for fault in faults):
        faults.append(Fault(file.place, 0, "", "压缩包里没有可以收录的文件"))


def _documents(file: HospitalFile, found: Extract, faults: list[Fault]) -> list[Document]:
    fields = _sidecar(file, faults)
    if fields is None:
        return []
    parts = [part for part in layouts(found.lines, found.title, PurePosixPath(file.name).stem) if part.pieces]
    if not parts:
        faults.append(Fault(file.place, 0, "", "没有读出文字：请核对文件，扫描件要先做文字识别（OCR）"))
        return []
    wrong: list[Fault] = []
    source = source_of(fields.get("source") or {}, lambda field, message: wrong.append(Fault(file.place, 0, field, message)))
    faults += wrong
    if wrong:
        return []
    if len(parts) == 1:
        told = {name: fields[name] for name in ("kind", "title") if name in fields}
        aliases = tuple(dict.fromkeys([*fields.get("aliases", ()), *parts[0].aliases]))
        parts = [replace(parts[0], aliases=aliases, **told)]
    source = source if source.title else replace(source, title=PurePosixPath(file.name).name)
    identity = fields.get("id") or _identity(file.name)
    return [_document(identity + (f"#{_solid(part.part)}" if part.part else ""), part, source, found.pages) for part in parts]


def _sidecar(file: HospitalFile, faults: list[Fault]) -> dict[str, Any] | None:
    """What the TOML beside the file says of it; None, with the fault told, where it cannot be used."""
    if not file.sidecar:
        return {}
    beside = PurePosixPath(file.name).with_suffix(".toml").name
    try:
        fields = tomllib.loads(file.sidecar.decode("utf-8-sig"))
    except ValueError as error:
        faults.append(Fault(file.place, 0, "", f"旁边的 `{beside}` 无法解析：{error}"))
        return None
    wrong = [f"不认识的字段 `{name}`，可用：{'、'.join(sorted(_FIELDS))}" for name in fields if name not in _FIELDS]
    wrong += [f"`{name}` 应为文字" for name in ("id", "title") if not isinstance(fields.get(name, ""), str)]
    wrong += [f"`{fields['kind']}` 应为 {' | '.join(KINDS)}"] if fields.get("kind", "text") not in KINDS else []
    if not isinstance(fields.get("aliases", []), list) or not all(isinstance(alias, str) for alias in fields.get("aliases", [])):
        wrong.append(f"`{fields['aliases']}` 应为名称的列表")
    faults += [Fault(file.place, 0, "", f"旁边的 `{beside}`：{message}") for message in wrong]
    return None if wrong else fields


def _identity(name: str) -> str:
    """An id that depends on where the file lies alone, so that a changed file is the same document."""
    return _solid(f"file/{name}")


def _solid(text: str) -> str:
    solid = re.sub(r"\s+", "_", text)
    if len(solid) <= _LONGEST_ID // 2:
        return solid
    return f"{solid[:60]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _document(identity: str, part: Layout, source: Any, pages: int) -> Document:
    document = compose(identity, part.kind, part.title, part.aliases, [(piece.heading, piece.text) for piece in part.pieces], source)  # type: ignore[arg-type]
    return replace(document, pages=_page_starts(document, part.pieces, pages)) if pages else document


def _page_starts(document: Document, pieces: tuple[Piece, ...], pages: int) -> tuple[int, ...]:
    """Where each page starts in the text; a page without text starts where the next one does."""
    starts: dict[int, int] = {}
    for section, piece in zip(document.sections, pieces, strict=True):
        at = section.start
        for line in piece.lines:
            starts.setdefault(line.page, at)
            at += len(line.text) + 1
    found: list[int] = []
    following = len(document.text)
    for page in range(pages, 0, -1):
        following = min(following, starts.get(page, following))
        found.append(following)
    return tuple(reversed(found))
