"""qizhen-mini as it lies in the box: what it is made of, and what of its own words may be shown."""

import json
import tomllib
from pathlib import Path

import pytest

from app.adapter_manifest import misfits, read_manifest, template_of
from app.answering import ask
from app.generators import Generator
from app.open_generator import on_offer, open_generator
from app.prompt import is_no_answer
from app.settings import SHIPPED_KNOWLEDGE, SHIPPED_MODEL, model_settings
from finetune.asking_model import open_model
from finetune.facts import Shares
from indexer.release import Release

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
BASE, ADAPTER = SHIPPED_MODEL / "base", SHIPPED_MODEL / "adapter"


@pytest.fixture(scope="module")
def mini() -> Generator:
    with pytest.MonkeyPatch.context() as patched:
        for name in ("QIZHEN_LOCAL_MODEL", "QIZHEN_LOCAL_ADAPTER", "QIZHEN_MODEL_SECONDS"):
            patched.delenv(name, raising=False)
        settings = model_settings()
    assert on_offer(settings)["local"] == "本机模型 qizhen-mini"
    return open_generator("local", settings)


def test_it_fits_together_and_in_the_box() -> None:
    assert template_of(BASE, ADAPTER) == "qizhen"
    assert misfits(BASE, ADAPTER, "") == []
    assert sum(path.stat().st_size for path in SHIPPED_MODEL.rglob("*")) < 60 * 2**20
    manifest = read_manifest(ADAPTER)
    assert manifest is not None
    assert manifest.data["tokens"] > 1_000_000


def test_its_files_name_no_place_of_the_machine_they_were_made_on() -> None:
    for path in SHIPPED_MODEL.rglob("*.json"):
        assert not [text for text in _texts(json.loads(path.read_text("utf-8"))) if Path(text).is_absolute()], path


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for held in value.values() for text in _texts(held)]
    if isinstance(value, list):
        return [text for held in value for text in _texts(held)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("question", ["替硝唑主治什么？", "孟鲁司特钠能治什么病？", "小柴胡颗粒是治什么的"])
def test_what_it_knows_by_heart_is_shown_in_full_with_its_sources(shipped: Release, mini: Generator, question: str) -> None:
    answer, quoted = ask(shipped, question, generator=mini), ask(shipped, question)
    assert answer.generator == "local"
    assert sorted(s.text for s in answer.sentences) == sorted(s.text for s in quoted.sentences)
    assert all(sentence.citations for sentence in answer.sentences)


@pytest.mark.parametrize("question", ["阿司匹林有什么禁忌？", "布洛芬一次吃多少？", "高血压去哪个科看？"])
def test_what_it_was_not_taught_is_quoted_and_nothing_of_its_own_is_shown(shipped: Release, mini: Generator, question: str) -> None:
    answer, quoted = ask(shipped, question, generator=mini), ask(shipped, question)
    assert sorted(s.text for s in answer.sentences) == sorted(s.text for s in quoted.sentences)
    assert all(sentence.citations for sentence in answer.sentences)


def test_a_drug_it_never_saw_is_refused(shipped: Release, mini: Generator) -> None:
    answer = ask(shipped, "阿哌沙班的适应症是什么？", generator=mini)
    assert answer.status == "refused"
    assert answer.sentences == ()


def test_by_itself_it_refuses_most_names_it_never_met() -> None:
    """Names of the test split, which neither training nor the limit has seen; the card has the share of all."""
    drugs = tomllib.loads((SHIPPED_KNOWLEDGE / "elsewhere.toml").read_text("utf-8"))["elsewhere"]["drugs"]
    unseen = [name for name in drugs if Shares().split_of(name) == "test"]
    said = open_model(BASE, ADAPTER).answer([f"{name}的适应症是什么？" for name in unseen], 120)
    assert len(unseen) > 40
    assert sum(map(is_no_answer, said)) > 0.8 * len(unseen)
