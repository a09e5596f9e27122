"""The search as a LangChain retriever, for chains that want one. Needs the extra `llm`."""

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from indexer.release import Release
from indexer.search import search


class QizhenRetriever(BaseRetriever):
    """Passages of one release; `limit` of them for a question, best first."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    release: Release
    limit: int = 10

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun | None = None,  # noqa: ARG002 - LangChain passes it by name
        **_: Any,
    ) -> list[LangChainDocument]:
        return [
            LangChainDocument(
                page_content=hit.text,
                metadata={
                    "release": self.release.id,
                    "document": hit.document.id,
                    "title": hit.document.title,
                    "section": hit.section,
                    "start": hit.start,
                    "end": hit.end,
                    "score": hit.score,
                },
            )
            for hit in search(self.release, query, self.limit)
        ]
