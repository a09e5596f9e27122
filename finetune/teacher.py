"""Vectors of a larger encoder, from which smaller ones learn."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import QizhenError
from indexer.grams import text_of

_GRAMS_AT_ONCE = 512


def gram_vectors(folder: Path, grams: NDArray[np.uint64]) -> NDArray[np.float32]:
    """(n-grams, width): the mean of the teacher's last layer over each n-gram alone, at unit length."""
    model, tokenizer = _load(folder)
    texts = [text_of(int(key)) for key in grams]
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), _GRAMS_AT_ONCE):
        chunk = order[start : start + _GRAMS_AT_ONCE]
        vectors[chunk] = _mean_vectors(model, tokenizer([texts[n] for n in chunk], padding=True, return_tensors="pt"))
        if start % (32 * _GRAMS_AT_ONCE) == 0:
            sys.stderr.write(f"教师编码器：{start}/{len(order)} 个词片\n")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def teacher_digest(folder: Path) -> str:
    """SHA-256 of the teacher's weights; "" where it has none in the safetensors format."""
    digest = hashlib.sha256()
    files = sorted(folder.glob("*.safetensors"))
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest() if files else ""


def _load(folder: Path) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.bfloat16).eval()
        return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except ImportError as error:
        raise QizhenError("教师编码器需要 `transformers`", "pip install -e '.[finetune]' -c constraints.txt") from error
    except (OSError, ValueError) as error:
        raise QizhenError(f"教师编码器 `{folder}` 读不出来：{error}", "--teacher 给出 Hugging Face 格式的模型文件夹") from error


def _mean_vectors(model: Any, inputs: Any) -> NDArray[np.float32]:
    import torch

    mask = inputs["attention_mask"][..., None]
    with torch.inference_mode():
        hidden = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state.float()
        pooled: NDArray[np.float32] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    return pooled
