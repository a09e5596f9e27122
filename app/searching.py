"""Passages for a question as it is read in its conversation."""

from collections.abc import Sequence

from app.following import read_question
from app.question import Turn
from indexer.release import Release
from indexer.search import Hit, find_passages, search


def search_asked(release: Release, text: str, history: Sequence[Turn] = (), limit: int = 10) -> list[Hit]:
    """As `indexer.search.search`; behind other turns, passages of what the conversation is about where the question names nothing."""
    if not history:
        return search(release, text, limit)
    question = read_question(release, text, history)
    about = sorted({position for subject in question.subjects for position in subject.documents})
    return find_passages(release, question.query, limit, about) if about else search(release, text, limit)
