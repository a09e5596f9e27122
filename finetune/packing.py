"""A base and its adapter as they are handed on: OUT/base and OUT/adapter with what is needed to ask them, and nothing of how they came.

Checkpoints, logs and the code that other programs run for our tokenizer stay behind; the adapter names its base as it lies beside it.
"""

import json
import shutil
from pathlib import Path

from app.adapter_manifest import MANIFEST, misfits
from finetune.json_files import write_json
from indexer.errors import QizhenError

_BASE = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    MANIFEST,
)
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", MANIFEST)


def pack(base: Path, adapter: Path, out: Path) -> int:
    """Write OUT/base and OUT/adapter anew; other files in OUT stay. Returns the bytes written.

    Raises QizhenError for everything that is missing or does not fit together, before anything is written.
    """
    wanted = {base / name: out / "base" / name for name in _BASE} | {adapter / name: out / "adapter" / name for name in _ADAPTER}
    faults = [f"没有 `{path}`" for path in wanted if not path.is_file()] or misfits(base, adapter, "")
    if faults:
        raise QizhenError("不能打包：" + "；".join(faults), "写 qizhen-finetune train 训练完的文件夹")
    for folder in ("base", "adapter"):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir(parents=True)
    for source, target in wanted.items():
        shutil.copyfile(source, target)
    _without(out / "base" / "tokenizer_config.json", "auto_map")
    _without(out / "adapter" / "adapter_config.json", "base_model_name_or_path", base_model_name_or_path="../base")
    return sum(target.stat().st_size for target in wanted.values())


def _without(path: Path, key: str, **instead: str) -> None:
    content = json.loads(path.read_text("utf-8"))
    content.pop(key, None)
    write_json(path, content | instead)
