"""Whether what an earlier answer cited still stands as it was cited."""

from collections.abc import Iterable, MutableMapping
from typing import Any

from app.layout import SUPERSEDED, UPLOADED_GONE, digest_of
from indexer.release import Release


def superseded(release: Release, document_id: str, digest: str) -> str:
    """What a reader is told of a cited document: that the release has another text or none of it; "" where it is the same."""
    document = release.document(document_id)
    if document is None:
        return SUPERSEDED["removed"]
    return "" if not digest or digest_of(document) == digest else SUPERSEDED["changed"]


def mark_rows(release: Release, elements: Iterable[MutableMapping[str, Any]]) -> None:
    """Mark the rows of sources under the answers of a thread that is reopened; the stored rows stay as they are."""
    for element in elements:
        props = element.get("props")
        rows = props.get("rows") if element.get("name") == "Sources" and isinstance(props, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if row.get("uploaded"):
                row["superseded"] = UPLOADED_GONE
            elif row.get("citations"):
                row["superseded"] = superseded(release, str(row["citations"][0].get("document", "")), str(row.get("digest", "")))
