"""The generator of a name, set up; what it lacks is told before any question is asked."""

import importlib.util
from collections.abc import Callable, Mapping
from functools import cache

from app.chat_model import chat_speaker, connect
from app.generators import Generator, QuotingGenerator
from app.local_model import is_model, local_speaker
from app.settings import ModelSettings
from app.speaking import ModelGenerator
from indexer.errors import GeneratorError


def _chat(settings: ModelSettings) -> Generator:
    return ModelGenerator("chat", chat_speaker(connect(settings)), settings.seconds)


def _local(settings: ModelSettings) -> Generator:
    speaker = local_speaker(settings)
    return ModelGenerator("local", speaker, settings.seconds, speaker.most_evidence)


GENERATORS: Mapping[str, Callable[[ModelSettings], Generator]] = {
    QuotingGenerator.name: lambda _settings: QuotingGenerator(),
    "chat": _chat,
    "local": _local,
}


def on_offer(settings: ModelSettings) -> dict[str, str]:
    """What a person may choose to be answered by, the configured one first: name to label. Nothing is loaded to find out."""
    labels = {QuotingGenerator.name: "原文摘录"}
    if is_model(settings.local_model) and _installed("torch", "transformers", "peft"):
        labels["local"] = f"本机模型 {settings.local_name}"
    if settings.chat_url and _installed("langchain_openai"):
        labels["chat"] = f"模型服务 {settings.chat_model}"
    return {name: labels[name] for name in sorted(labels, key=lambda name: name != settings.generator)}


@cache
def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def open_generator(name: str, settings: ModelSettings) -> Generator:
    """The generator of that name. Raises GeneratorError for an unknown one, and for one that is not set up."""
    if name not in GENERATORS:
        raise GeneratorError(f"没有回答方式 `{name}`", f"可用：{'、'.join(GENERATORS)}")
    return GENERATORS[name](settings)
