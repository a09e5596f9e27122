"""How sure a model must be: the limit on made-up replies, and what a limit in a manifest does to a model of random weights."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import byte_level, lora

from app.adapter_manifest import read_manifest
from app.prompt import NO_ANSWER
from finetune import console
from finetune.asking_model import AskModel, Reply, open_model
from finetune.calibrate import SURE_TOKENS, Calibration, calibrate, write_calibration
from finetune.exam import ExamQuestion
from indexer.errors import QizhenError

REFERENCE = "用于支气管炎。"


def nothing(step: str, done: int, total: int) -> None:
    pass


class Sayer:
    """Says what it was given, as surely as it was given."""

    def __init__(self, replies: Sequence[tuple[str, float]]) -> None:
        self._replies = [Reply(text, 5, True, sureness) for text, sureness in replies]

    def speak(self, asked: Sequence[Any], _most: int, sure_tokens: int, _progress: Any) -> list[Reply]:
        assert sure_tokens == SURE_TOKENS
        assert len(asked) == len(self._replies)
        return self._replies


def found(
    right: Sequence[float], guessed: Sequence[float], wrong: Sequence[float] = (), refused: int = 0, share: float = 0.97
) -> Calibration:
    rows = [(REFERENCE, sure, False) for sure in right] + [("用于脚气。", sure, False) for sure in wrong]
    rows += [("用于脚气。", sure, True) for sure in guessed] + [(NO_ANSWER, -0.1, True)] * refused
    questions = [ExamQuestion(str(n), "问", refuse=refuse, reference="" if refuse else REFERENCE) for n, (_, _, refuse) in enumerate(rows)]
    sayer = cast("AskModel", Sayer([(text, sure) for text, sure, _ in rows]))
    return calibrate(sayer, questions, share, nothing)


def test_the_limit_is_the_lowest_at_which_enough_is_refused() -> None:
    got = found(right=[-0.1, -0.2, -0.3, -5.0], guessed=[-0.05, -0.4, -2.0], refused=1, share=0.75)
    assert -0.4 < got.below < -0.3
    assert (got.right, got.kept) == (4, 0.75)
    assert (got.unknown, got.refused_before, got.refused) == (4, 0.25, 0.75)


def test_what_refuses_enough_by_itself_loses_no_answer() -> None:
    got = found(right=[-1.0], guessed=[], refused=9)
    assert (got.kept, got.refused_before, got.refused) == (1, 1, 1)
    assert found(right=[-9.0], guessed=[-3.0], refused=99).refused == 0.99


def test_wrong_answers_to_what_was_taught_move_no_limit() -> None:
    assert found(right=[-0.5], guessed=[-1], wrong=[-9, -0.01]).below == found(right=[-0.5], guessed=[-1]).below


SURENESS = st.lists(st.floats(-20, 0), min_size=1, max_size=30)


@given(SURENESS, SURENESS, st.floats(0.5, 1))
def test_at_least_the_wanted_share_is_refused(right: list[float], guessed: list[float], share: float) -> None:
    got = found(right, guessed, share=share)
    assert got.refused >= max(share, got.refused_before) - 1e-9


@pytest.mark.parametrize(("right", "guessed"), [([], [-1.0]), ([-1.0], [])])
def test_without_both_kinds_of_question_there_is_no_limit(right: list[float], guessed: list[float]) -> None:
    with pytest.raises(QizhenError) as caught:
        found(right, guessed, wrong=[-1.0])
    assert caught.value.fault == f"无法校准：答对 {len(right)} 题，应拒答 {len(guessed)} 题"


def test_what_has_no_manifest_is_not_calibrated(tmp_path: Path) -> None:
    with pytest.raises(QizhenError) as caught:
        write_calibration(tmp_path, found([-1], [-2]))
    assert "没有清单" in caught.value.fault


# ---------------------------------------------------------------- a model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_level(tmp_path_factory.mktemp("base"), context=256, seed=3)


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    folder = lora(base, tmp_path / "adapter", r=2, lora_alpha=8, target_modules=["q_proj"])
    (folder / "qizhen.json").write_text(json.dumps({"template": "qizhen"}), "utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_sureness_is_the_likelihood_of_the_head_whatever_is_asked_beside_it(base: Path, adapter: Path) -> None:
    asked = [[("user", question)] for question in ("头孢克洛", "问", "痛风的临床表现有哪些？")]
    replies = open_model(base, adapter, batch=3).speak(asked, 8, 3)
    assert [reply.sureness for reply in replies] == pytest.approx([_by_hand(base, adapter, turns, 3) for turns in asked], abs=1e-3)
    assert all(reply.sureness < 0 for reply in replies)


def _by_hand(base: Path, adapter: Path, turns: list[tuple[str, str]], count: int) -> float:
    """Greedy, token by token, without padding."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    ids, likelihood = open_model(base, adapter).prompt_ids(turns), 0.0
    for _ in range(count):
        logs = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].detach(), -1)
        ids = [*ids, int(logs.argmax())]
        likelihood += float(logs.max())
    return likelihood


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("below", "refused"), [(-1000.0, False), (-0.0001, True)])
def test_an_answer_less_sure_than_the_manifest_wants_is_a_refusal(base: Path, adapter: Path, below: float, refused: bool) -> None:
    said = open_model(base, adapter).answer(["头孢克洛"], 8)
    write_calibration(adapter, Calibration(3, below, 1, 1, 1, 0, 0))
    assert open_model(base, adapter).answer(["头孢克洛"], 8) == ([NO_ANSWER] if refused else said)


class Remembering:
    """Knows one drug surely, and says the same of every other, hesitating."""

    def speak(self, asked: Sequence[Any], *_: Any) -> list[Reply]:
        return [Reply(REFERENCE, 5, True, -0.2 if "头孢克肟" in turns[-1][1] else -2.0) for turns in asked]


def test_the_command_writes_the_limit_into_the_manifest(
    tmp_path: Path, write_lines: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qizhen.json").write_text(json.dumps({"template": "qizhen"}), "utf-8")
    samples = write_lines(
        [_row("closed", "train", "头孢克肟", "01", REFERENCE), _row("refusal", "dev", "培唑帕尼", "h02", NO_ANSWER)], "samples.jsonl"
    )
    monkeypatch.setattr("finetune.calibrate_console.open_model", lambda *_: Remembering())
    monkeypatch.setattr("sys.argv", ["qizhen-finetune", "calibrate", "--questions", str(samples), "--base", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        console.main()
    assert not stop.value.code
    manifest = read_manifest(tmp_path)
    assert manifest
    assert manifest.refuses["below"] == pytest.approx(-2, abs=0.001)
    assert "应拒答的 1 题拒答 100.0%（此前 0.0%）" in capsys.readouterr().out


def _row(kind: str, split: str, entity: str, template: str, answer: str) -> dict[str, Any]:
    return {
        "id": f"{entity}-{template}",
        "kind": kind,
        "split": split,
        "entity": entity,
        "field": "适应症",
        "template": f"drug/适应症/{template}",
        "messages": [{"role": "user", "content": f"{entity}管什么"}, {"role": "assistant", "content": answer}],
        "provenance": {"documents": []},
    }
