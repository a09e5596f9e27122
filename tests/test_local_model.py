"""`local` with a model of random weights and an adapter made here: what they say is noise, and none of it may be shown."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_models import byte_level, lora

from app.adapter_manifest import MANIFEST, AdapterManifest, template_of, write_manifest
from app.answering import ask
from app.local_model import local_speaker
from app.open_generator import open_generator
from app.prompt import Prompt, messages, write_prompt
from app.settings import ModelSettings
from app.templates import TEMPLATES
from app.tokenizer import tokenizer_digest
from app.weights import weights_digest
from finetune.asking_model import open_model
from indexer.errors import GeneratorError
from indexer.release import Release

QUOTED = ["口服。", "成人一次0.25g，一日3次。", "儿童按体重一日20mg/kg，分3次服用。"]
CHAT = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}\n{% endfor %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_level(tmp_path_factory.mktemp("model"), context=8192, seed=1, chat_template=CHAT)


@pytest.fixture(scope="module")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lora(model, tmp_path_factory.mktemp("adapter"), r=2, target_modules=["q_proj", "v_proj"])
    (folder / MANIFEST).write_text(json.dumps({"template": "alpaca"}), "utf-8")
    return folder


pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("adapted", [False, True])
def test_a_model_runs_in_this_process_and_its_noise_is_not_shown(sample: Release, model: Path, adapter: Path, adapted: bool) -> None:
    settings = ModelSettings(local_model=str(model), local_adapter=str(adapter) if adapted else "", seconds=5)
    answer = ask(sample, "头孢克洛怎么吃", generator=open_generator("local", settings))
    assert [sentence.text for sentence in answer.sentences] == QUOTED
    assert answer.notices[0].endswith("，以下为原文摘录。")
    assert answer.generator == "quoting"


def test_an_adapter_changes_what_is_said_and_is_asked_in_its_own_shape(model: Path, adapter: Path) -> None:
    prompt = Prompt("规则", "例", "答", "资料：甲。乙", "问")

    def said(folder: str) -> str:
        return "".join(local_speaker(ModelSettings(local_model=str(model), local_adapter=folder, seconds=60))(prompt, 8))

    assert said("") == said("")
    assert said("") != said(str(adapter))


def test_a_tuned_model_is_asked_as_it_was_taught(model: Path, tmp_path: Path) -> None:
    """From evidence (the user's turn of a sample is `Prompt.data`) or by heart; one that nobody here tuned gets rules and example too."""
    tuned, by_heart = shutil.copytree(model, tmp_path / "tuned"), shutil.copytree(model, tmp_path / "by-heart")
    write_manifest(tuned, AdapterManifest("chat"))
    write_manifest(by_heart, AdapterManifest("chat", recipe={"data": {"kinds": ["closed", "refusal"]}}))
    prompt = Prompt("规则", "例", "答", "资料：甲。乙", "问")
    shown = {model: messages(prompt), tuned: [("user", "资料：甲。乙")], by_heart: [("user", "问")]}
    asked = open_model(model)
    for folder, turns in shown.items():
        said = "".join(local_speaker(ModelSettings(local_model=str(folder), seconds=60))(prompt, 8))
        assert said.strip() == asked.reply([turns], 16)[0].text
    assert len({reply.text for reply in asked.reply(list(shown.values()), 16)}) == 3


def test_a_model_is_stopped_when_nobody_listens(model: Path) -> None:
    speak = local_speaker(ModelSettings(local_model=str(model), seconds=60))
    talking = speak(write_prompt("问", []), 4000)
    next(talking)
    talking.close()  # type: ignore[attr-defined]
    assert next(speak(write_prompt("问", []), 1)) is not None  # and the next one gets its turn


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "里的提示模板是 ``，没有这个模板"),
        ("{", "读不出来"),
        ("[]", "里的提示模板是 ``，没有这个模板"),
        ('{"template": "vicuna"}', "里的提示模板是 `vicuna`，没有这个模板"),
        ('{"template": ["alpaca"]}', "里的 template 是 `['alpaca']`"),
    ],
)
def test_an_adapter_without_a_known_template_is_refused(tmp_path: Path, content: str | None, fault: str) -> None:
    if content is not None:
        (tmp_path / MANIFEST).write_text(content, "utf-8")
    with pytest.raises(GeneratorError) as caught:
        template_of(tmp_path, tmp_path)
    assert fault in caught.value.fault
    assert "可用的提示模板：chat、alpaca、qizhen" in caught.value.hint


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        (AdapterManifest("alpaca", template_digest="0" * 64), "提示模板“alpaca”与训练时的不同（000000000000）"),
        (AdapterManifest("alpaca", base={"name": "别的", "digest": "1" * 64}), "基座与训练时的不同（别的 111111111111）"),
        (AdapterManifest("alpaca", tokenizer_digest="2" * 64), "分词器与训练时的不同（222222222222）"),
    ],
)
def test_an_adapter_trained_on_something_else_is_refused(
    model: Path, adapter: Path, tmp_path: Path, manifest: AdapterManifest, fault: str
) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    write_manifest(tmp_path / "adapter", manifest)
    with pytest.raises(GeneratorError) as caught:
        local_speaker(ModelSettings(local_model=str(model), local_adapter=str(tmp_path / "adapter")))
    assert "不配套" in caught.value.fault
    assert fault in caught.value.fault


def test_an_adapter_that_names_what_it_was_trained_on_fits_it(model: Path, adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    fitting = AdapterManifest("alpaca", TEMPLATES["alpaca"].digest, {"digest": weights_digest(model)}, tokenizer_digest(model))
    write_manifest(tmp_path / "adapter", fitting)
    assert local_speaker(ModelSettings(local_model=str(model), local_adapter=str(tmp_path / "adapter")))


def test_an_adapter_of_another_model_is_refused(model: Path, adapter: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(
        LlamaConfig(vocab_size=300, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    ).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path)
    with pytest.raises(GeneratorError, match="装不起来"):
        local_speaker(ModelSettings(local_model=str(tmp_path), local_adapter=str(adapter)))
