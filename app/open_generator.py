"""The generator of a name, set up; what it lacks is told before any question is asked."""

from collections.abc import Callable, Mapping

from app.chat_model import chat_speaker, connect
from app.generators import Generator, QuotingGenerator
from app.local_model import local_speaker
from app.settings import ModelSettings
from app.speaking import ModelGenerator
from indexer.errors import GeneratorError


def _chat(settings: ModelSettings) -> Generator:
    return ModelGenerator("chat", chat_speaker(connect(settings)), settings.seconds)


def _local(settings: ModelSettings) -> Generator:
    return ModelGenerator("local", local_speaker(settings), settings.seconds)


GENERATORS: Mapping[str, Callable[[ModelSettings], Generator]] = {
    QuotingGenerator.name: lambda _settings: QuotingGenerator(),
    "chat": _chat,
    "local": _local,
}


def open_generator(name: str, settings: ModelSettings) -> Generator:
    """The generator of that name. Raises GeneratorError for an unknown one, and for one that is not set up."""
    if name not in GENERATORS:
        raise GeneratorError(f"没有回答方式 `{name}`", f"可用：{'、'.join(GENERATORS)}")
    return GENERATORS[name](settings)
