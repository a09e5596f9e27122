"""The one file that reads the environment."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from indexer.embedder import AUTO, Prompts
from indexer.errors import GeneratorError, ServeError

DEFAULT_INDEX = Path("var/index")
DEFAULT_STATE = Path("var")
MODEL_SECONDS = 30.0
KEEP_DAYS = 365
SHIPPED_KNOWLEDGE = Path(__file__).parent.parent / "kb_data"
# The tuned model in the box: base/ and adapter/.
SHIPPED_MODEL = Path(__file__).parent / "models" / "qizhen-mini"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the server runs with.

    `index` is the index folder; `state` holds accounts, answers, conversations, the signing secret and the prepared web page; `host` is
    the address to listen on, `port` 1-65535. `hosts` are the names that browsers reach it by, beside the address itself; `https` says that
    a proxy before it speaks TLS, so that cookies are sent over nothing else.
    """

    index: Path
    state: Path
    host: str
    port: int
    hosts: tuple[str, ...] = ()
    https: bool = False

    def export(self) -> None:
        """Hand the folders to the chat module, which Chainlit loads by path and cannot be given arguments."""
        os.environ["QIZHEN_INDEX"] = str(self.index.resolve())
        os.environ["QIZHEN_STATE"] = str(self.state.resolve())

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a request may bear as its host."""
        return tuple(dict.fromkeys(("127.0.0.1", "localhost", "::1", self.host, *self.hosts)))

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of our own pages."""
        written = [f"[{name}]" if ":" in name else name for name in self.names]
        plain = [f"http://{name}:{self.port}" for name in written]
        return (*plain, *(f"https://{name}" for name in self.hosts)) if self.https else tuple(plain)


def server_settings() -> ServerSettings:
    """The settings that `export` handed over, with what the environment says of the network; defaults where nothing was."""
    return ServerSettings(
        index=Path(os.environ.get("QIZHEN_INDEX", DEFAULT_INDEX)),
        state=Path(os.environ.get("QIZHEN_STATE", "var")),
        host="127.0.0.1",
        port=8000,
        hosts=tuple(name.strip().lower() for name in os.environ.get("QIZHEN_HOSTS", "").split(",") if name.strip()),
        https=os.environ.get("QIZHEN_HTTPS", "") == "1",
    )


def database_url(state: Path) -> str:
    """Where accounts and answers are kept: a file of the state folder where no database is named."""
    return os.environ.get("QIZHEN_DATABASE", "") or f"sqlite:///{(state / 'qizhen.sqlite').resolve()}"


def history_url(state: Path) -> str:
    """Where the chat's conversations are kept: a file of the state folder, or the PostgreSQL that everything else is in."""
    named = os.environ.get("QIZHEN_DATABASE", "")
    return named if named.startswith("postgres") else f"sqlite:///{(state / 'chat.sqlite').resolve()}"


def questions_file() -> str:
    """The file of golden questions that a release built on the admin's pages is tried with; "" for none."""
    return os.environ.get("QIZHEN_QUESTIONS", "")


def keep_days() -> int:
    """How many days answers and conversations are kept; 0: until somebody removes them. Raises ServeError for what is no number."""
    days = os.environ.get("QIZHEN_KEEP_DAYS", "") or str(KEEP_DAYS)
    if not (days.isascii() and days.isdigit() and len(days) < 7):
        raise ServeError(f"QIZHEN_KEEP_DAYS 是 `{days}`", "写天数，例如 365；0 表示不自动清除")
    return int(days)


def answers_apart() -> bool:
    """Whether quotes are found in a process beside the server; not where there is one processor only, or less memory is wanted."""
    return os.environ.get("QIZHEN_ANSWER_PROCESS", "") != "0" and (os.cpu_count() or 1) > 1


def export_font() -> str:
    """The file of the font for PDF files; "" for the best that this machine has."""
    return os.environ.get("QIZHEN_FONT", "")


def log_questions() -> bool:
    """Whether the log may hold the text of questions; it may hold what patients told."""
    return os.environ.get("QIZHEN_LOG_QUESTIONS", "") == "1"


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What the next release is built with: `fast`, `accurate`, `auto` (the one or the other, by how much there is to embed), or a model of
    sentence-transformers, with what stands before its texts. An existing release is always read with the encoder that it was built with.
    """

    name: str = AUTO
    prompts: Prompts = field(default_factory=Prompts)


def encoder_settings() -> EncoderSettings:
    """The settings of the encoder."""
    return EncoderSettings(
        os.environ.get("QIZHEN_EMBEDDER", "") or AUTO,
        Prompts(os.environ.get("QIZHEN_EMBEDDER_QUESTION_PROMPT", ""), os.environ.get("QIZHEN_EMBEDDER_PASSAGE_PROMPT", "")),
    )


def reranker_name() -> str:
    """The folder of the cross-encoder that orders the best passages anew; "" for none."""
    return os.environ.get("QIZHEN_RERANKER", "")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which generator answers, and where its language model is.

    `generator` is what the server answers with. `chat_url` is the base of an OpenAI-compatible interface, `chat_model` the name it
    knows the model by, `chat_key` may be empty. `local_model` is a folder in Hugging Face form, `local_adapter` a PEFT adapter's or
    empty. `seconds` (above 0) is how long a model may take for one answer; then the rest is quoted.
    """

    generator: str = "quoting"
    chat_url: str = ""
    chat_model: str = ""
    chat_key: str = ""
    local_model: str = ""
    local_adapter: str = ""
    seconds: float = MODEL_SECONDS

    @property
    def local_name(self) -> str:
        """What people call the local model: its folder's name."""
        folder = Path(self.local_model)
        return folder.parent.name if folder.parent == SHIPPED_MODEL else folder.name


def model_settings() -> ModelSettings:
    """The settings of language models; the shipped one where no local one is named. Raises GeneratorError for a time that is none."""
    seconds = os.environ.get("QIZHEN_MODEL_SECONDS", "") or str(MODEL_SECONDS)
    try:
        allowed = float(seconds)
    except ValueError:
        allowed = 0.0
    if not 0 < allowed < float("inf"):
        raise GeneratorError(f"QIZHEN_MODEL_SECONDS 是 `{seconds}`", "写一个大于 0 的秒数，例如 30")
    local = os.environ.get("QIZHEN_LOCAL_MODEL", "")
    return ModelSettings(
        generator=os.environ.get("QIZHEN_GENERATOR", "") or "quoting",
        chat_url=os.environ.get("QIZHEN_CHAT_URL", ""),
        chat_model=os.environ.get("QIZHEN_CHAT_MODEL", ""),
        chat_key=os.environ.get("QIZHEN_CHAT_KEY", ""),
        local_model=local or str(SHIPPED_MODEL / "base"),
        local_adapter=os.environ.get("QIZHEN_LOCAL_ADAPTER", "") or ("" if local else str(SHIPPED_MODEL / "adapter")),
        seconds=allowed,
    )
