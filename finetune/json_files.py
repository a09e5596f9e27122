"""JSON as it lies in files: written for people to read, and lines of it, plain or gzipped."""

import gzip
import json
from pathlib import Path
from typing import Any, TextIO


def open_lines(path: Path) -> TextIO:
    """A text file in UTF-8, unpacked where it is .gz; a mark of the byte order at its beginning is passed over."""
    return gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, indented."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")
