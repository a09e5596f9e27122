"""The addresses of our pages. What is looked at stands in the address, so that it can be shared and gone back to."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from indexer.documents import Document


def page_of(document: Document) -> str:
    """The address of a drug's page."""
    return f"/drugs/{quote(document.id, safe='/')}"


def check_of(documents: Sequence[Document]) -> str:
    """The address of the check of these drugs against each other."""
    chosen = urlencode([("drug", document.id) for document in documents], safe="/")
    return "/drugs/interactions" + (f"?{chosen}" if chosen else "")
