"""A chat model behind an OpenAI-compatible server (vLLM, Ollama, `transformers serve`), through LangChain. Needs the extra `llm`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.prompt import Prompt, messages
from app.settings import ModelSettings
from app.speaking import Speaker
from indexer.errors import GeneratorError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def connect(settings: ModelSettings) -> "BaseChatModel":
    """The configured server's model; nothing is sent yet. Raises GeneratorError where it is not set up."""
    missing = [name for name, value in (("QIZHEN_CHAT_URL", settings.chat_url), ("QIZHEN_CHAT_MODEL", settings.chat_model)) if not value]
    if missing:
        raise GeneratorError(
            f"回答方式 `chat` 还没有设置 `{'、'.join(missing)}`",
            "例如 QIZHEN_CHAT_URL=http://127.0.0.1:11434/v1 QIZHEN_CHAT_MODEL=qwen2.5:7b（OpenAI 兼容接口）",
        )
    if not settings.chat_url.startswith(("http://", "https://")):
        raise GeneratorError(f"QIZHEN_CHAT_URL 是 `{settings.chat_url}`", "写以 http:// 或 https:// 开头的地址，通常以 /v1 结尾")
    try:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr
    except ImportError as error:
        raise GeneratorError(
            f"回答方式 `chat` 缺少组件 `{error.name}`", '安装附加组件 llm：pip install -c constraints.txt -e ".[llm]"'
        ) from error
    return ChatOpenAI(
        base_url=settings.chat_url,
        model=settings.chat_model,
        api_key=SecretStr(settings.chat_key or "none"),  # the client wants one; servers of one's own do not
        temperature=0,
        max_retries=0,
        timeout=settings.seconds + 1,  # the time for the whole answer is kept by whoever listens
        stream_usage=False,
    )


def chat_speaker(model: "BaseChatModel") -> Speaker:
    """Any LangChain chat model as something that speaks."""

    def speak(prompt: Prompt, most: int) -> Iterator[str]:
        # A character is at most about two tokens; the listener counts characters, this only spares the server.
        for chunk in model.stream(messages(prompt), max_tokens=2 * most):
            yield chunk.text

    return speak
