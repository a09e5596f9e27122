import pytest

from indexer.release import Release
from indexer.retriever import QizhenRetriever


@pytest.mark.filterwarnings("ignore")
def test_the_retriever_gives_passages_with_their_place(sample: Release) -> None:
    [first, *_] = found = QizhenRetriever(release=sample, limit=3).invoke("头孢克洛怎么吃")
    assert len(found) == 3
    document = sample.document(first.metadata["document"])
    assert document is not None
    assert document.text[first.metadata["start"] : first.metadata["end"]] == first.page_content
    assert (first.metadata["section"], first.metadata["release"]) == ("用法用量", sample.id)
