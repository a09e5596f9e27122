"""The tokenizer's files in a model's or an adapter's folder: which they are, how many ids they give, what a merge copies."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.tokenizer import MODEL_FILE, SETTINGS_FILE
from indexer.errors import WeightsError

_PATTERNS = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "chat_template*", "exact_tokenizer.py")
_WHOLE = "tokenizer.json"


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return (folder / MODEL_FILE).is_file() or (folder / _WHOLE).is_file()


def tokenizer_files(folder: Path) -> list[Path]:
    """Every file of a folder that belongs to its tokenizer, by name."""
    return sorted({path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()})


def tokenizer_size(folder: Path) -> int:
    """How many rows of embeddings a tokenizer needs: its largest id and one. Raises WeightsError."""
    return 1 + max(_ids(folder), default=-1)


def chat_template(folder: Path) -> str:
    """The tokenizer's own chat template, empty where it has none."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text("utf-8")
    return str(_json(folder / SETTINGS_FILE).get("chat_template") or "")


def copy_tokenizer(folders: Sequence[Path], out: Path) -> list[str]:
    """Copy the tokenizer of the last folder that has one into `out`; the names of the files copied.

    Where transformers saved it without tokenizer.model, that file is taken from an earlier folder if its pieces have the same ids.
    """
    having = [folder for folder in folders if has_tokenizer(folder)]
    if not having:
        return []
    sources = tokenizer_files(having[-1])
    if not (having[-1] / MODEL_FILE).is_file():
        kept = [folder / MODEL_FILE for folder in reversed(having) if (folder / MODEL_FILE).is_file()]
        sources += [path for path in kept[:1] if _same_ids(path, having[-1] / _WHOLE)]
    for path in sources:
        shutil.copyfile(path, out / path.name)
    return sorted(path.name for path in sources)


def _ids(folder: Path) -> Iterator[int]:
    settings = _json(folder / SETTINGS_FILE)
    if (folder / MODEL_FILE).is_file():
        yield _pieces(folder / MODEL_FILE).get_piece_size() + len(settings.get("added", ())) - 1
    whole = _json(folder / _WHOLE)
    yield from _vocabulary(whole).values()
    yield from (token["id"] for token in whole.get("added_tokens", []))
    yield from _json(folder / "added_tokens.json").values()
    yield from map(int, settings.get("added_tokens_decoder", {}))


def _vocabulary(whole: Mapping[str, Any]) -> dict[str, int]:
    held = (whole.get("model") or {}).get("vocab") or {}
    return held if isinstance(held, dict) else {entry[0]: number for number, entry in enumerate(held)}


def _same_ids(pieces: Path, whole: Path) -> bool:
    model, held = _pieces(pieces), _vocabulary(_json(whole))
    return all(held.get(model.id_to_piece(number)) == number for number in range(model.get_piece_size()))


def _pieces(path: Path) -> Any:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise WeightsError(f"读 `{path}` 需要 `sentencepiece`", 'pip install -c constraints.txt -e ".[finetune]"') from error
    try:
        return SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"分词模型 `{path}` 读不出来：{error}", "重新下载") from error


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"`{path}` 读不出来：{error}", "重新下载") from error
    return content if isinstance(content, dict) else {}
