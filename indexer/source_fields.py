"""The fields of a source, checked alike in every format that carries one."""

import datetime
from collections.abc import Callable
from typing import Any

from indexer.documents import Source

_SOURCE_FIELDS = tuple(Source.__dataclass_fields__)


def source_of(raw: Any, fault: Callable[[str, str], None]) -> Source:
    """A source from what was written; `fault` is told the field and what is wrong with it."""
    if not isinstance(raw, dict):
        fault("source", f"`{raw}` 应为 {{{', '.join(_SOURCE_FIELDS)}}}")
        return Source()
    values = {}
    for name in _SOURCE_FIELDS:
        value = raw.get(name)
        if isinstance(value, datetime.date):
            value = value.isoformat()
        if value is not None and not isinstance(value, str):
            fault(f"source.{name}", f"`{value}` 应为文字")
        else:
            values[name] = value or ""
    for name in ("revised", "expires"):
        try:
            datetime.date.fromisoformat(values.get(name) or "2000-01-01")
        except ValueError:
            fault(f"source.{name}", f"`{values[name]}` 应为 YYYY-MM-DD")
    return Source(**values)
