"""The one file that reads the environment."""

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_INDEX = Path("var/index")
SHIPPED_KNOWLEDGE = Path(__file__).parent.parent / "kb_data"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the server runs with.

    `index` is the index folder; `state` holds chat history, the signing secret and the prepared web page; `host` must be a loopback
    address; `port` is 1-65535.
    """

    index: Path
    state: Path
    host: str
    port: int

    def export(self) -> None:
        """Hand the settings to the chat module, which Chainlit loads by path and cannot be given arguments."""
        os.environ["QIZHEN_INDEX"] = str(self.index.resolve())
        os.environ["QIZHEN_STATE"] = str(self.state.resolve())
        os.environ["QIZHEN_HOST"] = self.host
        os.environ["QIZHEN_PORT"] = str(self.port)


def server_settings() -> ServerSettings:
    """The settings that `export` handed over; defaults where nothing was."""
    return ServerSettings(
        index=Path(os.environ.get("QIZHEN_INDEX", DEFAULT_INDEX)),
        state=Path(os.environ.get("QIZHEN_STATE", "var")),
        host=os.environ.get("QIZHEN_HOST", "127.0.0.1"),
        port=int(os.environ.get("QIZHEN_PORT", "8000")),
    )
