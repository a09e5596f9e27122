"""Load the tokenizer of a model folder so that its ids are the ones that the model was trained on."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.errors import QizhenError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODEL_FILE = "tokenizer.model"
OURS = "ExactTokenizer"
_LLAMA = {"LlamaTokenizer", "LlamaTokenizerFast"}


def load_tokenizer(folder: Path | str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder: SentencePiece's own ids where `tokenizer.model` lies there, else what AutoTokenizer makes of it."""
    folder = Path(folder)
    try:
        from transformers import AutoTokenizer

        from finetune.exact_tokenizer import ExactTokenizer
    except ImportError as error:
        raise QizhenError(f"缺少组件 `{error.name}`", '安装附加组件：pip install -c constraints.txt -e ".[finetune]"') from error
    settings = _settings(folder)
    if not (folder / MODEL_FILE).is_file():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return ExactTokenizer(
        str(folder / MODEL_FILE),
        adds_bos=settings.get("adds_bos", settings.get("add_bos_token", True)),
        adds_eos=settings.get("adds_eos", settings.get("add_eos_token", False)),
        added=settings.get("added", ()),
        name_or_path=str(folder),
    )


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    settings = json.loads(path.read_text("utf-8"))
    return settings if isinstance(settings, dict) else {}
