"""The shipped encoder `accurate`: a small transformer in 8-bit integers, run by onnxruntime, beside the table of `fast`."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from tokenizers import Tokenizer

from indexer.embedder import Embedder, Prompts
from indexer.errors import IndexDamagedError

GRAPH, TOKENIZER, MANIFEST = "encoder.onnx", "tokenizer.json", "manifest.json"
_LONGEST = 160  # word pieces: about 260 characters of Chinese; what stands behind them is left to `fast` and to keywords
_LONGEST_CHARACTERS = 400
_END = 2
_SLOWER = ["SkipLayerNormFusion"]  # onnxruntime's one operator for a sum and its norm takes nine times as long as the two
_KEPT_AS = np.float16  # so that a vector that was kept and one made again are the same
_DIGEST_BYTES = 16
# The table's share of a cosine; it and the keywords' were chosen on half of the questions of four sets.
_TABLE_SHARE = 0.1


class TransformerEncoder:
    """Word pieces through the transformer, their mean at unit length. Every text is run alone: 8-bit activations are scaled by what they
    stand with, and a text must have one vector whatever it is embedded with.
    """

    floor = 0.0
    keyword_share = 0.1

    def __init__(self, folder: Path, known: Path | None = None) -> None:
        """Read a folder's `encoder.onnx`, `tokenizer.json` and `manifest.json`; vectors of passages that the file `known` holds (as
        `write_known` wrote it) are taken from there. Raises IndexDamagedError.
        """
        try:
            manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
            graph, pieces = (folder / GRAPH).read_bytes(), (folder / TOKENIZER).read_bytes()
            self.digest = encoder_digest(graph, pieces)
            if self.digest != manifest["digest"]:
                raise IndexDamagedError(f"编码器 `{folder}` 的权重与其清单不符", "重新安装本项目")
            options = SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            self._session = InferenceSession(graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER)
            self._tokenizer = Tokenizer.from_str(pieces.decode("utf-8"))
        except (OSError, ValueError, KeyError) as error:
            raise IndexDamagedError(f"编码器 `{folder}` 读不出来：{error}", "重新安装本项目，或检查设置中的编码器文件夹") from error
        self.name, self.dimensions = str(manifest["name"]), int(manifest["dimensions"])
        self.prompts = Prompts(str(manifest["question_prompt"]), str(manifest["passage_prompt"]))
        self._known_file = known

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions) float32, unit length; all zeros for a text without letters or digits. Many texts take all cores."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        known = [self._known.get(_text_digest(text)) for text in texts]
        new = [row for row, vector in enumerate(known) if vector is None]
        for row, vector in enumerate(known):
            vectors[row] = 0 if vector is None else vector
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            embedded = threads.map(partial(self._embed, self.prompts.passage), [texts[row] for row in new])
            for row, made in zip(new, embedded, strict=True):
                vectors[row] = made
        return vectors

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """(dimensions,) float32, unit length; all zeros for a text without letters or digits."""
        return self._embed(self.prompts.question, text)

    def _embed(self, prompt: str, text: str) -> NDArray[np.float32]:
        if not any(map(str.isalnum, text)):
            return np.zeros(self.dimensions, dtype=np.float32)
        ids = self._tokenizer.encode(prompt + text[:_LONGEST_CHARACTERS]).ids
        ids = ids if len(ids) <= _LONGEST else [*ids[: _LONGEST - 1], _END]
        inputs = {"ids": np.array([ids], dtype=np.int64), "mask": np.ones((1, len(ids)), dtype=np.int32)}
        vector: NDArray[np.float32] = self._session.run(None, inputs)[0][0]
        return vector.astype(_KEPT_AS).astype(np.float32)

    @cached_property
    def _known(self) -> dict[bytes, NDArray[np.float16]]:
        """Vectors by digest of their text; none where the file is another encoder's."""
        if self._known_file is None or not self._known_file.is_file():
            return {}
        with np.load(self._known_file, allow_pickle=False) as file:
            if str(file["encoder"]) != self.digest:
                return {}
            return dict(zip(map(bytes, file["texts"]), file["vectors"], strict=True))


class BlendedEmbedder:
    """Two encoders as one: their vectors side by side, so that a cosine is the weighted mean of theirs."""

    prompts = Prompts()
    floor = 0.0
    keyword_share = 0.1

    def __init__(self, name: str, table: Embedder, transformer: Embedder) -> None:
        self.name = name
        self.dimensions = table.dimensions + transformer.dimensions
        self.digest = hashlib.sha256(f"{table.digest} {transformer.digest} {_TABLE_SHARE}".encode()).hexdigest()
        self._table, self._transformer = table, transformer
        self._weights = np.sqrt(np.array([_TABLE_SHARE, 1 - _TABLE_SHARE], dtype=np.float32))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions) float32, unit length; all zeros for a text without letters or digits."""
        first, second = self._weights
        return np.hstack([self._table.embed(texts) * first, self._transformer.embed(texts) * second])

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """(dimensions,) float32, unit length; all zeros for a text without letters or digits."""
        first, second = self._weights
        return np.concatenate([self._table.embed_question(text) * first, self._transformer.embed_question(text) * second])


def write_known(path: Path, encoder: TransformerEncoder, texts: Iterable[str]) -> int:
    """Write the vectors of passages for those who embed them again, by digest of the text. Returns how many there are."""
    passages = {_text_digest(text): text for text in texts}
    path.parent.mkdir(parents=True, exist_ok=True)
    digests = np.array([list(digest) for digest in passages], dtype=np.uint8)
    vectors = encoder.embed(list(passages.values())).astype(_KEPT_AS)
    np.savez(path, encoder=np.array(encoder.digest), texts=digests, vectors=vectors)
    return len(passages)


def _text_digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]


def encoder_digest(graph: bytes, tokenizer: bytes) -> str:
    """SHA-256 of both files' digests, as 64 hexadecimal digits."""
    return hashlib.sha256(hashlib.sha256(graph).digest() + hashlib.sha256(tokenizer).digest()).hexdigest()
