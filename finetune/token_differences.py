"""Where two ways of cutting the same texts into tokens differ."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from app.tokenizer import MODEL_FILE, load_tokenizer
from indexer.errors import QizhenError

Way = Literal["exact", "sentencepiece", "rust", "auto"]
WAYS: tuple[Way, ...] = get_args(Way)
Cutter = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A line cut in two ways. `left` and `right` are the pieces from the first that differs, five at most."""

    line: int
    text: str
    token: int
    left: tuple[str, ...]
    right: tuple[str, ...]


@dataclass
class Differences:
    """Lines read and lines that differ, the first few of them shown, and characters a token on each side."""

    lines: int = 0
    differing: int = 0
    characters: int = 0
    left_tokens: int = 0
    right_tokens: int = 0
    shown: list[Difference] = field(default_factory=list)

    @property
    def left_characters_per_token(self) -> float:
        """How much text a token of the left side covers."""
        return self.characters / max(self.left_tokens, 1)

    @property
    def right_characters_per_token(self) -> float:
        """How much text a token of the right side covers."""
        return self.characters / max(self.right_tokens, 1)


def compare(left: Cutter, right: Cutter, lines: Iterable[str], show: int = 5) -> Differences:
    """Cut every line both ways; `show` differing lines are kept with their pieces."""
    found = Differences()
    for number, line in enumerate(lines, 1):
        one, other = left(line), right(line)
        found.lines += 1
        found.characters += len(line)
        found.left_tokens += len(one)
        found.right_tokens += len(other)
        if one != other:
            found.differing += 1
            if len(found.shown) < show:
                found.shown.append(first_difference(number, line, one, other))
    return found


def first_difference(number: int, line: str, one: list[str], other: list[str]) -> Difference:
    """From the first piece that differs."""
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return Difference(number, line, at, tuple(one[at : at + 5]), tuple(other[at : at + 5]))


def cutter(folder: Path, way: Way) -> Cutter:
    """A way of cutting text into pieces, by the ids that it gives; no BOS, no EOS.

    exact: `load_tokenizer`. sentencepiece: the library itself. rust: transformers' LlamaTokenizer on `tokenizer.model` alone. auto:
    AutoTokenizer on the folder as it is. Raises QizhenError.
    """
    if way in {"sentencepiece", "rust"} and not (folder / MODEL_FILE).is_file():
        raise QizhenError(f"`{folder}` 里没有 {MODEL_FILE}，不能用 `{way}` 的方式", f"换一个文件夹，或换一种方式：{'、'.join(WAYS)}")
    try:
        if way == "sentencepiece":
            import sentencepiece

            model = sentencepiece.SentencePieceProcessor(model_file=str(folder / MODEL_FILE))
            return lambda text: [model.id_to_piece(number) for number in model.encode(text)]
        tokenizer: Any = _tokenizer(folder, way)
    except (ImportError, OSError, ValueError) as error:
        raise QizhenError(f"`{folder}` 不能用 `{way}` 的方式装载：{error}", "检查文件夹是否完整") from error
    return lambda text: list(tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False).input_ids))


def _tokenizer(folder: Path, way: Way) -> Any:
    if way == "exact":
        return load_tokenizer(folder)
    from transformers import AutoTokenizer, LlamaTokenizer

    if way == "auto":
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with tempfile.TemporaryDirectory() as alone:
        shutil.copyfile(folder / MODEL_FILE, Path(alone) / MODEL_FILE)
        return LlamaTokenizer.from_pretrained(alone)
