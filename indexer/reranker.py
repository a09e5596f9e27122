"""A cross-encoder that reads question and passage together and orders the best passages anew. Needs the extra `encoders`.

Slower by two to three orders of magnitude than everything before it, so only the first fifty passages are read, and only where one is
chosen.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.errors import EncoderError


class Reranker(Protocol):
    """Tells how well passages answer a question."""

    name: str

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts,) float32, 0 to 1."""
        ...


class CrossEncoderReranker:
    """A cross-encoder of sentence-transformers with one output, by its folder or its name in the hub."""

    def __init__(self, name: str) -> None:
        """Load it; nothing is downloaded. Raises EncoderError."""
        self.name = name
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._model = _load(name)
        except ImportError as error:
            fault = f"重排模型 `{name}` 缺少组件 `{error.name}`"
            raise EncoderError(fault, '安装附加组件 encoders：pip install -c constraints.txt -e ".[encoders]"') from error
        except Exception as error:  # whatever is wrong with a folder, libraries tell it in their own ways
            hint = "QIZHEN_RERANKER 写本机上 sentence-transformers 的 CrossEncoder 模型文件夹；不用重排就留空"
            raise EncoderError(f"重排模型 `{name}` 装不起来：{error}", hint) from error
        if self._model.num_labels != 1:
            raise EncoderError(f"重排模型 `{name}` 有 {self._model.num_labels} 个输出，应为 1 个", "换一个给出相关程度的模型")

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts,) float32, 0 to 1."""
        if not texts:
            return np.zeros(0, dtype=np.float32)
        logits = self._model.predict([(question, text) for text in texts], activation_fn=_as_is, show_progress_bar=False)
        return (1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))).astype(np.float32)


def _as_is(values: Any) -> Any:
    return values


def _load(name: str) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(name, device="cpu", local_files_only=True, trust_remote_code=False)


@cache
def open_reranker(name: str) -> Reranker | None:
    """The reranker of a name; none for "". Raises EncoderError."""
    return CrossEncoderReranker(name) if name else None
