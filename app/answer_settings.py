"""What the text of an answer depends on beside question, history and release: the program, the reranker, the model."""

import importlib.metadata
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from app.adapter_manifest import MANIFEST
from app.settings import ModelSettings
from app.weights import file_digest, weights_digest
from indexer.errors import WeightsError

_LOCK = threading.Lock()  # a model's weights are read once, not by everybody who waits for them


def settings_of(generator: str, reranker: str, models: ModelSettings) -> Mapping[str, str]:
    """The settings behind answers of a generator. Digests are SHA-256; the first time, a local model's files are read whole for them."""
    told = {"program": _program(), "reranker": reranker}
    if generator == "chat":
        told |= {"service": models.chat_url, "model": models.chat_model}
    if generator == "local":
        told |= {"model": models.local_name, "seconds": f"{models.seconds:g}"}
        with _LOCK:
            told |= _digests(models.local_model, models.local_adapter)
    return told


@cache
def _program() -> str:
    return importlib.metadata.version("qizhen")


@cache
def _digests(model: str, adapter: str) -> Mapping[str, str]:
    digests = {"model_digest": _weights(Path(model))}
    if adapter:
        manifest = Path(adapter) / MANIFEST
        digests["adapter_digest"] = _weights(Path(adapter))
        digests["adapter_manifest"] = file_digest(manifest) if manifest.is_file() else ""
    return digests


def _weights(folder: Path) -> str:
    try:
        return weights_digest(folder)
    except WeightsError:
        return ""
