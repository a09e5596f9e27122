"""The tokenizer of a folder for training; the same one that answers (app/tokenizer.py)."""

import hashlib
from pathlib import Path

from app.tokenizer import MODEL_FILE, load_tokenizer
from indexer.errors import QizhenError

__all__ = ["MODEL_FILE", "load_tokenizer", "tokenizer_digest"]


def tokenizer_digest(folder: Path | str) -> str:
    """SHA-256 of what decides the ids: `tokenizer.model`, else `tokenizer.json`. Raises QizhenError where neither lies."""
    for name in (MODEL_FILE, "tokenizer.json"):
        if (Path(folder) / name).is_file():
            return hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest()
    raise QizhenError(f"文件夹 `{folder}` 里没有 {MODEL_FILE} 或 tokenizer.json", "写模型或分词器文件夹的路径")
