"""Files to documents. Every fault of every file is found before anything is said."""

import csv
import gzip
import io
import json
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from indexer.documents import KINDS, Document, compose
from indexer.errors import Fault, KnowledgeBaseError
from indexer.extraction import ExtractionError, decode
from indexer.extraction_worker import ExtractionLimits
from indexer.formats import NAMED
from indexer.hospital_files import HospitalFile, read_file
from indexer.source_fields import source_of

_FRONT_FIELDS = {"id", "kind", "title", "aliases", "source"}
_NO_SPACE = re.compile(r"^#{1,6}[^#\s]")
_HEADING = re.compile(r"^##\s+(.+?)\s*#*\s*$")
_LONGEST_ID = 200
_BOMB_RATIO, _BOMB_BYTES = 200, 10_000_000
# Files beside the documents that are no documents.
_SKIPPED_FOLDERS = {"questions", "vectors"}
_SKIPPED_NAMES = re.compile(r"README(\..+)?\.md|questions\.jsonl(\.gz)?", re.IGNORECASE)

_READABLE = ".md .jsonl .jsonl.gz .csv .tsv .pdf .docx .html .txt .zip"

Report = Callable[[int, str, str], None]


@dataclass(frozen=True, slots=True)
class _Chart:
    """The TOML file beside a table. `read` raises FileNotFoundError where there is none, or OSError."""

    name: str
    read: Callable[[], bytes]


_Reader = Callable[[str, _Chart, Report], Iterator[tuple[int, Document]]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: documents without fault in the order of their paths, what is wrong with the others, and what to look at.

    A warning loses nothing silently: a page without text, a running head taken out, a file of a kind that cannot be read.
    """

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = ()


def read_documents(paths: Sequence[Path]) -> list[Document]:
    """Read every document under the given files and folders, in the order of their paths.

    Raises KnowledgeBaseError with all faults: unreadable files, fields that are missing or of the wrong type, duplicate ids,
    and a path without any document.
    """
    reading = read_knowledge(paths)
    if reading.faults:
        raise KnowledgeBaseError(reading.faults)
    return list(reading.documents)


def read_knowledge(paths: Sequence[Path], limits: ExtractionLimits | None = None) -> Reading:
    """As `read_documents`, with the faults beside the documents. Of documents of one id the first is kept."""
    faults: list[Fault] = []
    warnings: list[Fault] = []
    documents: list[Document] = []
    first_seen: dict[str, str] = {}
    for path in paths:
        files = list(document_files(path, warnings))
        if not files:
            reason = f"文件夹里没有文档（{_READABLE}）" if path.is_dir() else f"没有这个文件，或不是 {_READABLE}"
            faults.append(Fault(str(path), 0, "", reason))
        for file in files:
            name = file.relative_to(path).as_posix() if file != path else file.name
            for place, line, document in _documents_in(file, name, limits or ExtractionLimits(), faults, warnings):
                if document.id in first_seen:
                    faults.append(Fault(place, line, "id", f"`{document.id}` 与 {first_seen[document.id]} 重复"))
                    continue
                first_seen[document.id] = f"{place}:{line}" if line else place
                documents.append(document)
    return Reading(tuple(documents), tuple(faults), tuple(warnings))


def _documents_in(
    file: Path, name: str, limits: ExtractionLimits, faults: list[Fault], warnings: list[Fault]
) -> Iterator[tuple[str, int, Document]]:
    if _reader(file.name):
        for line, document in _read_file(file, faults):
            yield str(file), line, document
        return
    try:
        size = file.stat().st_size
        data = file.read_bytes() if size <= limits.file_bytes else b""
    except OSError as error:
        faults.append(Fault(str(file), 0, "", f"读不出来：{error}"))
        return
    if size > limits.file_bytes:
        faults.append(
            Fault(str(file), 0, "", f"有 {size / 1e6:.0f} MB，超过 {limits.file_bytes / 1e6:.0f} MB 的上限，没有读：请拆成几个文件")
        )
        return
    sidecar = file.with_suffix(".toml")
    written = sidecar.read_bytes() if sidecar.is_file() else b""
    yield from read_file(HospitalFile(str(file), name, data, written), limits, faults, warnings, _read_member)


def _read_member(place: str, data: bytes, chart: bytes | None, faults: list[Fault]) -> Iterator[tuple[int, Document]] | None:
    """The documents of a file of ours in an archive; None for a file of another kind."""

    def read() -> bytes:
        if chart is None:
            raise FileNotFoundError
        return chart

    path = PurePosixPath(place)
    if _SKIPPED_NAMES.fullmatch(path.name):
        return iter(())
    return _read_plain(place, data, _Chart(path.with_suffix(".toml").name, read), faults) if _reader(place) else None


def document_files(path: Path, warnings: list[Fault] | None = None) -> Iterator[Path]:
    """The files that are read of a file or a folder, in order; what is passed over is told to `warnings`."""
    if path.is_file():
        if _reader(path.name) or _ending(path) in NAMED:
            yield path
        return
    for file in sorted(path.rglob("*")):
        below = file.relative_to(path).parts
        hidden = any(part.startswith((".", "~$")) for part in below)
        skipped = _SKIPPED_FOLDERS & set(below[:-1]) or _SKIPPED_NAMES.fullmatch(file.name)
        if hidden or skipped or not file.is_file() or not (_reader(file.name) or _ending(file) in NAMED):
            continue
        if not file.resolve().is_relative_to(path.resolve()):
            if warnings is not None:
                warnings.append(Fault(str(file), 0, "", "是指向文件夹之外的链接，没有收录：请放入文件本身"))
        else:
            yield file


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _reader(name: str) -> _Reader | None:
    name = name.lower()
    if name.endswith((".jsonl", ".jsonl.gz")):
        return _read_json_lines
    return {".md": _read_markdown, ".csv": _read_csv, ".tsv": _read_csv}.get(PurePosixPath(name).suffix)


def _read_file(path: Path, faults: list[Fault]) -> Iterator[tuple[int, Document]]:
    chart = path.with_suffix(".toml")
    try:
        data = path.read_bytes()
    except OSError as error:
        faults.append(Fault(str(path), 0, "", f"读不出来：{error}"))
        return
    yield from _read_plain(str(path), data, _Chart(chart.name, chart.read_bytes), faults)


def _read_plain(place: str, data: bytes, chart: _Chart, faults: list[Fault]) -> Iterator[tuple[int, Document]]:
    """The documents of a file of ours, each with its line; `place` is how faults name it."""

    def report(line: int, field: str, message: str) -> None:
        faults.append(Fault(place, line, field, message))

    reader = _reader(place)
    if reader is None:
        return
    try:
        if place.lower().endswith(".gz"):
            data = _unpacked(data)
        text = decode(data) if reader is _read_csv else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        report(line, "", f"不是 UTF-8 编码（第 {error.start} 字节 0x{data[error.start]:02x}），请另存为 UTF-8")
    except ExtractionError as error:
        report(0, "", str(error))
    except (OSError, EOFError, zlib.error) as error:
        report(0, "", f"读不出来：{error}")
    else:
        yield from reader(text, chart, report)


def _unpacked(data: bytes) -> bytes:
    """The content of a gzip file. Raises ExtractionError for one that swells as no text does, OSError, EOFError or zlib.error."""
    most = max(_BOMB_BYTES, _BOMB_RATIO * len(data))
    with gzip.open(io.BytesIO(data)) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ExtractionError(f"展开后超过压缩后的 {_BOMB_RATIO} 倍，像是压缩炸弹，没有读：请核对文件来源")
    return content


def _read_markdown(text: str, _chart: _Chart, report: Report) -> Iterator[tuple[int, Document]]:
    """One document: YAML front matter between --- lines, then a `## ` heading for every section."""
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    closing = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), 0)
    if lines[0].rstrip() != "---" or not closing:
        report(1, "", "开头缺少 --- 之间的 YAML 文件头")
        return
    try:
        fields = yaml.safe_load("\n".join(lines[1:closing]))
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        report((mark.line if mark else 0) + 2, "", f"YAML 无法解析：{getattr(error, 'problem', error)}")
        return
    if not isinstance(fields, dict):
        report(2, "", "文件头应为“字段: 值”")
        return
    for unknown in sorted(set(map(str, fields)) - _FRONT_FIELDS):
        report(2, unknown, f"不认识的字段，可用：{'、'.join(sorted(_FRONT_FIELDS))}")
    sections, places = _markdown_sections(lines, closing + 1, report)
    document = _document(fields, sections, lambda field, message: report(places.get(field, 2), field, message))
    if document:
        yield 1, document


def _markdown_sections(lines: Sequence[str], start: int, report: Report) -> tuple[list[dict[str, str]], dict[str, int]]:
    """The sections, and the line of each by the field name that faults use."""
    sections: list[dict[str, str]] = []
    places: dict[str, int] = {}
    body: list[str] = []
    for number, line in enumerate([*lines[start:], "## end"], start + 1):
        heading = _HEADING.match(line)
        if _NO_SPACE.match(line):
            report(number, "", f"标题的 # 与文字之间缺空格：{line[:20]}")
        if not heading:
            body.append(line)
            continue
        content = "\n".join(body).strip()
        if sections:
            sections[-1]["text"] = content
        elif content:
            report(start + 1, "", "第一个“## 章节”之前有正文")
        places[f"sections[{len(sections)}]"] = number
        sections.append({"title": heading[1], "text": ""})
        body = []
    return sections[:-1], places


def _read_json_lines(text: str, _chart: _Chart, report: Report) -> Iterator[tuple[int, Document]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            report(number, "", f"JSON 无法解析：{error}")
            continue
        if not isinstance(fields, dict):
            report(number, "", "一行应为一个 JSON 对象")
            continue
        document = _document(fields, fields.get("sections"), lambda field, message, at=number: report(at, field, message))  # type: ignore[misc]
        if document:
            yield number, document


def _read_csv(text: str, chart: _Chart, report: Report) -> Iterator[tuple[int, Document]]:
    """One document a row; a TOML file of the same name says which column is what.

    kind = "drug"
    id = "编号"
    title = "通用名"
    aliases = ["商品名", "英文名"]
    [sections]
    "适应症" = "适应症列"
    [source]
    publisher = "某医院药剂科"
    """
    try:
        columns = tomllib.loads(chart.read().decode("utf-8-sig"))
        needed = [columns["id"], columns["title"], *columns.get("aliases", []), *columns["sections"].values()]
    except FileNotFoundError:
        report(0, "", f"缺少列对照文件 `{chart.name}`（写明 id、title、[sections] 各是哪一列）")
        return
    except (KeyError, AttributeError, TypeError) as error:
        report(0, "", f"列对照文件 `{chart.name}` 缺少或写错：{error}（需要 id、title 和 [sections]）")
        return
    except (OSError, ValueError) as error:
        report(0, "", f"列对照文件 `{chart.name}` 读不出来：{error}")
        return
    head = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in head and "," not in head else ",")
    absent = [str(column) for column in needed if column not in (rows.fieldnames or [])]
    if absent:
        report(1, "", f"没有这些列：{'、'.join(f'`{column}`' for column in absent)}；现有：{'、'.join(rows.fieldnames or [])}")
        return
    try:
        for row in rows:
            yield from _csv_document(row, columns, rows.line_num, report)
    except csv.Error as error:
        report(rows.line_num, "", f"CSV 无法解析：{error}")


def _csv_document(row: Mapping[str, str | None], columns: Mapping[str, Any], line: int, report: Report) -> Iterator[tuple[int, Document]]:
    if None in row or None in row.values():
        report(line, "", "单元格的数目与列数不同（单元格里有逗号时要用引号括起来）")
        return
    cells = {name: (value or "").strip() for name, value in row.items() if name is not None and not isinstance(value, list)}
    named = ((title, cells.get(column, "")) for title, column in columns["sections"].items())
    fields = {
        "id": cells.get(columns["id"], ""),
        "kind": columns.get("kind", "text"),
        "title": cells.get(columns["title"], ""),
        "aliases": [cells[column] for column in columns.get("aliases", []) if cells.get(column)],
        "source": columns.get("source", {}),
    }
    # A table has a cell for every column, so an empty one means that the row has no such section.
    sections = [{"title": title, "text": text} for title, text in named if text]
    document = _document(fields, sections, lambda field, message: report(line, field, message))
    if document:
        yield line, document


def _document(fields: Mapping[str, Any], sections: Any, report: Callable[[str, str], None]) -> Document | None:
    """Check one document's fields and build it; None, with every fault reported, if it cannot be."""
    faulty = False

    def fault(field: str, message: str) -> None:
        nonlocal faulty
        faulty = True
        report(field, message)

    document_id, title = (_text(fields.get(name), name, fault) for name in ("id", "title"))
    if document_id and (re.search(r"\s", document_id) or len(document_id) > _LONGEST_ID):
        fault("id", f"`{document_id[:60]}` 含空白或超过 {_LONGEST_ID} 字")
    kind = fields.get("kind", "text")
    if kind not in KINDS:
        fault("kind", f"`{kind}` 应为 {' | '.join(KINDS)}")
    aliases = fields.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        fault("aliases", f"`{aliases}` 应为名称的列表")
    parts = _parts(sections, fault)
    source = source_of(fields.get("source") or {}, fault)
    if faulty:
        return None
    return compose(document_id, kind, title, [alias.strip() for alias in aliases if alias.strip()], parts, source)


def _text(value: Any, field: str, fault: Callable[[str, str], None]) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        fault(field, "缺少")
    elif not isinstance(value, str):
        fault(field, f"`{value}` 应为文字")
    else:
        return value.strip() if field in ("id", "title") else value
    return ""


def _parts(sections: Any, fault: Callable[[str, str], None]) -> list[tuple[str, str]]:
    if not isinstance(sections, list) or not sections:
        fault("sections", "缺少，至少要有一个有正文的章节")
        return []
    parts = []
    for number, section in enumerate(sections):
        place = f"sections[{number}]"
        if not isinstance(section, dict):
            fault(place, "应为 {title, text}")
            continue
        heading = section.get("title")
        if not isinstance(heading, str) or not heading.strip():
            fault(f"{place}", "章节没有标题")
            continue
        body = section.get("text")
        if not isinstance(body, str) or not body.strip():
            fault(f"{place}", f"章节“{heading}”没有正文")
        else:
            parts.append((heading.strip(), body))
    return parts
