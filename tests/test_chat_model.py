"""`chat` against a server on this machine that speaks the OpenAI protocol, well and badly."""

import socket
import sys
import time
from dataclasses import replace

import pytest
from langchain_core.language_models import FakeListChatModel
from openai_server import OpenAIServer

from app.answering import Answer, ask
from app.chat_model import chat_speaker
from app.checking import QUOTED_BESIDES, QUOTED_INSTEAD
from app.generators import Generator
from app.open_generator import open_generator
from app.settings import SHIPPED_MODEL, ModelSettings, model_settings
from app.speaking import ModelGenerator
from indexer.errors import GeneratorError, ModelDownError, ModelRamblingError, ModelSlowError
from indexer.release import Release

QUOTED = ["口服。", "成人一次0.25g，一日3次。", "儿童按体重一日20mg/kg，分3次服用。"]
FIRST = "成人一次0.25g，一日3次。[2]\n"


def chat(url: str, seconds: float = 10, key: str = "") -> Generator:
    return open_generator("chat", ModelSettings(chat_url=url, chat_model="stand-in", chat_key=key, seconds=seconds))


def dose(sample: Release, generator: Generator) -> tuple[list[str], Answer]:
    answer = ask(sample, "头孢克洛怎么吃", generator=generator)
    return [sentence.text for sentence in answer.sentences], answer


def test_a_stream_becomes_checked_sentences(sample: Release) -> None:
    with OpenAIServer([*FIRST, "儿童一次2g。[3]"]) as server:
        texts, answer = dose(sample, chat(server.url, key="secret"))
    assert texts == [QUOTED[1], QUOTED[0], QUOTED[2]]
    assert answer.generator == "chat"
    [request] = server.requests
    assert (request["model"], request["stream"], request["temperature"]) == ("stand-in", True, 0)
    assert [message["role"] for message in request["messages"]] == ["system", "user", "assistant", "user"]
    assert "[2] 成人一次0.25g，一日3次。" in request["messages"][-1]["content"]
    assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (OpenAIServer(status=500), ModelDownError.told),
        (OpenAIServer(status=401), ModelDownError.told),
        (OpenAIServer(status=404), ModelDownError.told),
        (OpenAIServer([b"data: {not json\n\n"]), ModelDownError.told),
        (OpenAIServer([b'data: {"error": {"message": "out of memory"}}\n\n']), ModelDownError.told),
        (OpenAIServer([b'data: {"choices": 7}\n\n']), ModelDownError.told),
        (OpenAIServer([3.0, FIRST]), ModelSlowError.told),
        (OpenAIServer(["请耐心等待。"] * 50), ModelRamblingError.told),
        (OpenAIServer([f"第{n}条建议是多喝水{n}{n}" for n in range(200)]), ModelRamblingError.told),
    ],
    ids=["500", "401", "404", "malformed", "error event", "wrong shape", "slow", "circles", "endless"],
)
def test_whatever_a_server_does_the_answer_is_quoted(sample: Release, server: OpenAIServer, told: str) -> None:
    started = time.monotonic()
    with server:
        texts, answer = dose(sample, chat(server.url, seconds=0.7))
    assert time.monotonic() - started < 5
    assert texts == QUOTED
    assert answer.notices[0] == told + QUOTED_INSTEAD
    assert answer.generator == "quoting"


@pytest.mark.parametrize(
    ("script", "ends", "told"),
    [([FIRST, "儿童按", 3.0], True, ModelSlowError.told), ([FIRST, "儿童按"], False, ModelDownError.told)],
    ids=["slow between pieces", "cut off"],
)
def test_what_was_shown_before_a_fault_stays(sample: Release, script: list[str | float | bytes], ends: bool, told: str) -> None:
    with OpenAIServer(script, ends=ends) as server:
        texts, answer = dose(sample, chat(server.url, seconds=1))
    assert texts == [QUOTED[1], QUOTED[0], QUOTED[2]]
    assert answer.notices[0] == told + QUOTED_BESIDES


def test_nobody_at_the_address_is_told(sample: Release) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    texts, answer = dose(sample, chat(url))
    assert (texts, answer.notices[0]) == (QUOTED, ModelDownError.told + QUOTED_INSTEAD)


def test_a_server_is_not_kept_talking_to_nobody(sample: Release) -> None:
    with OpenAIServer(["请", 0.05] * 200) as server:
        dose(sample, chat(server.url, seconds=0.3))
        assert server.dropped.wait(5)


def test_any_langchain_model_will_do(sample: Release) -> None:
    model = FakeListChatModel(responses=[FIRST])
    texts, _ = dose(sample, ModelGenerator("chat", chat_speaker(model), 5))
    assert texts == [QUOTED[1], QUOTED[0], QUOTED[2]]


SET_UP = ModelSettings(chat_url="http://127.0.0.1:1/v1", chat_model="m")


@pytest.mark.parametrize(
    ("name", "settings", "fault"),
    [
        ("oracle", SET_UP, "没有回答方式 `oracle`"),
        ("chat", ModelSettings(), "回答方式 `chat` 还没有设置 `QIZHEN_CHAT_URL、QIZHEN_CHAT_MODEL`"),
        ("chat", replace(SET_UP, chat_model=""), "回答方式 `chat` 还没有设置 `QIZHEN_CHAT_MODEL`"),
        ("chat", replace(SET_UP, chat_url="127.0.0.1:1"), "QIZHEN_CHAT_URL 是 `127.0.0.1:1`"),
        ("local", SET_UP, "回答方式 `local` 还没有设置 `QIZHEN_LOCAL_MODEL`"),
        ("local", ModelSettings(local_model="/nowhere"), "`/nowhere` 里没有模型（config.json）"),
    ],
)
def test_what_is_not_set_up_is_told_at_once(name: str, settings: ModelSettings, fault: str) -> None:
    with pytest.raises(GeneratorError) as caught:
        open_generator(name, settings)
    assert caught.value.fault.startswith(fault)
    assert caught.value.hint


def test_a_missing_extra_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_openai", None)
    with pytest.raises(GeneratorError, match=r'缺少组件 `langchain_openai`[\s\S]*pip install -c constraints.txt -e "\.\[llm\]"'):
        open_generator("chat", SET_UP)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GENERATOR", "CHAT_URL", "CHAT_MODEL", "CHAT_KEY", "LOCAL_MODEL", "LOCAL_ADAPTER", "MODEL_SECONDS"):
        monkeypatch.delenv(f"QIZHEN_{name}", raising=False)
    in_the_box = {"local_model": str(SHIPPED_MODEL / "base"), "local_adapter": str(SHIPPED_MODEL / "adapter")}
    assert model_settings() == ModelSettings(**in_the_box)
    monkeypatch.setenv("QIZHEN_GENERATOR", "chat")
    monkeypatch.setenv("QIZHEN_CHAT_URL", "http://h/v1")
    monkeypatch.setenv("QIZHEN_MODEL_SECONDS", "2.5")
    assert model_settings() == ModelSettings(generator="chat", chat_url="http://h/v1", seconds=2.5, **in_the_box)
    monkeypatch.setenv("QIZHEN_LOCAL_MODEL", "/m")
    assert (model_settings().local_model, model_settings().local_adapter) == ("/m", "")
    for wrong in ("0", "-1", "nan", "inf", "soon"):
        monkeypatch.setenv("QIZHEN_MODEL_SECONDS", wrong)
        with pytest.raises(GeneratorError, match=f"QIZHEN_MODEL_SECONDS 是 `{wrong}`"):
            model_settings()
