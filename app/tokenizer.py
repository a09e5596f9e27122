"""Load the tokenizer of a model folder so that its ids are the ones that the model was trained on.

Where `tokenizer.model` lies, the ids are SentencePiece's own (app/exact_tokenizer.py), in every one of these cases:

    our own mark in tokenizer_config.json       always
    LLaMA's class or none there                 unless the folder has tokens beyond its pieces other than [PAD], or a chat template

The others (`<|im_start|>` and the like have to be read as tokens) and folders without `tokenizer.model` are AutoTokenizer's; where
pieces of equal score would then be cut otherwise than the model was taught, the folder is refused.

Saved by us, a folder is refused by AutoTokenizer where our class is unknown, instead of being cut wrongly: `tokenizer.json` there
holds no tokenizer but the message. With `trust_remote_code=True` (vLLM: `--trust-remote-code`) AutoTokenizer runs the copy of
exact_tokenizer.py in the folder, and its ids are right. We ourselves never run code out of a model folder.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.weights import file_digest
from indexer.errors import QizhenError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODEL_FILE = "tokenizer.model"
SETTINGS_FILE = "tokenizer_config.json"
OURS = "ExactTokenizer"
_LLAMA = {OURS, "LlamaTokenizer", "LlamaTokenizerFast", None}
_PADDING = "[PAD]"


def load_tokenizer(folder: Path | str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder. Raises QizhenError where there is none, or it cannot be read."""
    folder = Path(folder)
    if not folder.is_dir():
        raise QizhenError(f"没有分词器文件夹 `{folder}`", "写模型或分词器文件夹的路径")
    try:
        return _load(folder, _json_in(folder / SETTINGS_FILE))
    except ImportError as error:
        raise QizhenError(f"缺少组件 `{error.name}`", '安装附加组件：pip install -c constraints.txt -e ".[llm,finetune]"') from error
    except (OSError, ValueError, RuntimeError) as error:
        raise QizhenError(f"文件夹 `{folder}` 里的分词器装不起来：{error}", "检查 tokenizer.model 或 tokenizer.json 是否完整") from error


def _load(folder: Path, settings: dict[str, Any]) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    from app.exact_tokenizer import ExactTokenizer

    added = _added(folder, settings)
    if not _is_exact(folder, settings, added):
        if settings.get("tokenizer_class") in _LLAMA and _has_equal_scores(folder / MODEL_FILE):
            fault = f"文件夹 `{folder}` 的词表有分数相同的词片，又有对话模板或另加的词元（{'、'.join(added)}），AutoTokenizer 会切错"
            raise QizhenError(fault, "删去对话模板和另加的词元，用提示模板提问")
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return ExactTokenizer(
        str(folder / MODEL_FILE),
        adds_bos=settings.get("adds_bos", settings.get("add_bos_token", True)),
        adds_eos=settings.get("adds_eos", settings.get("add_eos_token", False)),
        added=added,
        name_or_path=str(folder),
    )


def tokenizer_digest(folder: Path | str) -> str:
    """SHA-256 of what decides the ids: `tokenizer.model`, else `tokenizer.json`. Raises QizhenError where neither lies."""
    for name in (MODEL_FILE, "tokenizer.json"):
        if (Path(folder) / name).is_file():
            return file_digest(Path(folder) / name)
    raise QizhenError(f"文件夹 `{folder}` 里没有 {MODEL_FILE} 或 tokenizer.json", "写模型或分词器文件夹的路径")


def _is_exact(folder: Path, settings: dict[str, Any], added: Sequence[str]) -> bool:
    if not (folder / MODEL_FILE).is_file() or settings.get("tokenizer_class") not in _LLAMA:
        return False
    chats = settings.get("chat_template") or (folder / "chat_template.jinja").is_file()
    return settings.get("tokenizer_class") == OURS or (set(added) <= {_PADDING} and not chats)


def _added(folder: Path, settings: dict[str, Any]) -> list[str]:
    """Names of the ids beyond the pieces, in the order of ids: our own list, or what older folders say in two places."""
    if not (folder / MODEL_FILE).is_file() or "added" in settings:
        return list(settings.get("added", ()))
    named = {int(number): token["content"] for number, token in settings.get("added_tokens_decoder", {}).items()}
    named |= {int(number): name for name, number in _json_in(folder / "added_tokens.json").items()}
    pieces = len(_scores(folder / MODEL_FILE))
    return [name for number, name in sorted(named.items()) if number >= pieces]


def _has_equal_scores(model: Path) -> bool:
    """Whether two pieces other than bytes and specials share a score, as those appended to LLaMA's do."""
    scores = [score for score in _scores(model) if score is not None]
    return len(set(scores)) < len(scores)


def _scores(model: Path) -> list[float | None]:
    """The score of every piece, None for bytes and specials; empty where there is no SentencePiece model."""
    import sentencepiece

    try:
        pieces: Any = sentencepiece.SentencePieceProcessor(model_file=str(model))
    except (OSError, RuntimeError):
        return []
    kinds = (pieces.is_control, pieces.is_unknown, pieces.is_unused, pieces.is_byte)
    return [None if any(kind(number) for kind in kinds) else pieces.get_score(number) for number in range(pieces.get_piece_size())]


def _json_in(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        read = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise QizhenError(f"`{path}` 不是 JSON：{error}", "恢复这个文件") from error
    return read if isinstance(read, dict) else {}
