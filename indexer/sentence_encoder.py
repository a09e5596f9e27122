"""Any encoder of the sentence-transformers library in place of the shipped one. Needs the extra `encoders`.

It is heavier by one to three orders of magnitude, and nobody here has measured it on your texts: compare it before you publish
(`qizhen index build --no-publish`, `qizhen measure`).
"""

import hashlib
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.embedder import Prompts
from indexer.errors import EncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Sentences that have nothing to do with one another: how near to each other an encoder puts them is where its cosines begin.
_UNRELATED = (
    "口服，一次0.5g，一日3次。",
    "多见于中老年女性，起病缓慢。",
    "密封，在阴凉干燥处保存。",
    "孩子半夜突然咳得像狗叫",
    "拍片显示骨折线清楚，断端没有移位",
    "对青霉素过敏者禁用。",
    "饭后总是反酸，夜里躺下更厉害",
    "化验提示血小板减少",
    "手术后第三天可以下床活动",
    "眼压升高，视野缺损",
    "本品为白色片，无臭，味苦。",
    "定期去口腔科洗牙",
)


class SentenceEncoder:
    """A model in a folder, or one that the library knows by name. `prompts` stand before questions and before passages: E5 models want
    `query: ` and `passage: `.
    """

    def __init__(self, name: str, prompts: Prompts, *, may_download: bool) -> None:
        """Load it. Raises EncoderError."""
        self.name, self.prompts = name, prompts
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._model = _load(name, may_download=may_download)
        except ImportError as error:
            fault = f"编码器 `{name}` 缺少组件 `{error.name}`"
            raise EncoderError(fault, '安装附加组件 encoders：pip install -c constraints.txt -e ".[encoders]"') from error
        except Exception as error:  # whatever is wrong with a folder, libraries tell it in their own ways
            hint = "写 sentence-transformers 格式的模型文件夹，或模型库里的名称；内置编码器写 fast"
            raise EncoderError(f"编码器 `{name}` 装不起来：{error}", hint) from error
        self.dimensions = int(self._model.get_embedding_dimension() or 0)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions) float32, unit length."""
        return self._encode([self.prompts.passage + text for text in texts])

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """(dimensions,) float32, unit length."""
        vector: NDArray[np.float32] = self._encode([self.prompts.question + text])[0]
        return vector

    @cached_property
    def floor(self) -> float:
        """The mean cosine of unrelated sentences, under 1."""
        vectors = self.embed(_UNRELATED)
        cosines = vectors @ vectors.T
        count = len(vectors)
        return min(0.99, float((cosines.sum() - count) / (count * (count - 1))))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its weights and prompts, as 64 hexadecimal digits."""
        digest = hashlib.sha256(f"{self.prompts.question}\0{self.prompts.passage}".encode())
        for name, weights in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(weights.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return digest.hexdigest()

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = self._model.encode(list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32).reshape(len(texts), -1)


def _load(name: str, *, may_download: bool) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(name, trust_remote_code=False, local_files_only=not may_download)
