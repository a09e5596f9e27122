"""The samples in the shapes that other training tools read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from finetune.samples import SAMPLES, SPLITS, Sample, sample_of, sample_rows
from indexer.errors import QizhenError

DATASET_INFO = "dataset_info.json"


def _alpaca(sample: Sample) -> dict[str, Any]:
    contents = [content for _, content in sample.messages]
    history = [list(pair) for pair in zip(contents[:-2:2], contents[1:-2:2], strict=True)]
    return {"instruction": sample.question, "input": "", "output": sample.answer, "system": "", "history": history}


def _sharegpt(sample: Sample) -> dict[str, Any]:
    speakers = {"user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": speakers[role], "value": content} for role, content in sample.messages]}


def _messages(sample: Sample) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in sample.messages]}


FORMS: Mapping[str, Callable[[Sample], dict[str, Any]]] = {"alpaca": _alpaca, "sharegpt": _sharegpt, "messages": _messages}
# How LLaMA-Factory is told what the columns of each shape are.
_COLUMNS: Mapping[str, dict[str, Any]] = {
    "alpaca": {
        "formatting": "alpaca",
        "columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"},
    },
    "sharegpt": {"formatting": "sharegpt", "columns": {"messages": "conversations"}},
    "messages": {
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    },
}


def export(folder: Path, form: str, out: Path) -> dict[str, int]:
    """Write <form>-<split>.jsonl for every split of a data folder, with a dataset_info.json; the number of samples by file.

    Raises QizhenError for an unknown form and for a folder without samples.
    """
    if form not in FORMS:
        raise QizhenError(f"没有格式 `{form}`", f"可用：{'、'.join(FORMS)}")
    source = folder / SAMPLES
    if not source.is_file():
        raise QizhenError(f"`{folder}` 里没有 {SAMPLES}", "先运行 qizhen-finetune data build")
    out.mkdir(parents=True, exist_ok=True)
    names = {split: f"{form}-{split}.jsonl" for split in SPLITS}
    counts = dict.fromkeys(names.values(), 0)
    files: dict[str, BinaryIO] = {split: (out / name).open("wb") for split, name in names.items()}
    try:
        for _, row in sample_rows(source):
            sample = sample_of(row)
            files[sample.split].write((json.dumps(FORMS[form](sample), ensure_ascii=False) + "\n").encode())
            counts[names[sample.split]] += 1
    finally:
        for file in files.values():
            file.close()
    info = {f"qizhen_{split}": {"file_name": name, **_COLUMNS[form]} for split, name in names.items()}
    (out / DATASET_INFO).write_text(json.dumps(info, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return counts
