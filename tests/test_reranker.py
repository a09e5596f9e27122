import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.console import main
from app.contract import hit_json
from indexer.errors import EncoderError
from indexer.release import Release, open_release
from indexer.reranker import CrossEncoderReranker, open_reranker
from indexer.search import search

QUESTION = "头痛发热吃什么"


class LongestFirst:
    """Says of every passage how long it is."""

    name = "longest"

    def scores(self, question, texts):
        return np.array([len(text) / 1000 for text in texts], dtype=np.float32)


@pytest.fixture
def reranked(sample_index: Path) -> Release:
    release = open_release(sample_index)
    release.reranker = LongestFirst()
    return release


def test_the_best_passages_are_ordered_by_what_the_reranker_adds(sample: Release, reranked: Release) -> None:
    before, after = search(sample, QUESTION, 50), search(reranked, QUESTION, 50)
    assert len(before) > 3
    assert {(hit.document.id, hit.start) for hit in before} == {(hit.document.id, hit.start) for hit in after}
    assert [hit.score for hit in after] == sorted((hit.score for hit in after), reverse=True)
    for hit in after:
        told = len(f"{hit.document.title} {hit.section} {hit.text}") / 1000
        assert hit.parts.reranker == pytest.approx(1 + told)
        explained = hit_json(hit, explained=True)["explain"]
        assert explained["keyword"] + explained["vector"] + explained["section"] + explained["reranker"] == pytest.approx(
            hit.score, abs=1e-5
        )


def test_few_hits_are_the_best_of_the_fifty(reranked: Release) -> None:
    assert search(reranked, QUESTION, 2) == search(reranked, QUESTION, 50)[:2]


def test_none_is_opened_where_none_is_chosen() -> None:
    assert open_reranker("") is None


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one layer that knows nothing."""
    pytest.importorskip("sentence_transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("cross")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"头痛发热吃什么用于口服"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special).save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertForSequenceClassification(BertConfig(vocab_size=len(words), num_labels=1, **shape)).save_pretrained(folder)
    return folder


def test_a_real_cross_encoder_says_shares(model_folder: Path) -> None:
    reranker = CrossEncoderReranker(str(model_folder))
    scores = reranker.scores(QUESTION, ["用于头痛", "口服"])
    assert scores.shape == (2,)
    assert ((scores > 0) & (scores < 1)).all()
    assert reranker.scores(QUESTION, []).shape == (0,)


def test_the_command_tells_what_the_reranker_added(
    model_folder: Path, sample_index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QIZHEN_RERANKER", str(model_folder))
    monkeypatch.setattr("sys.argv", ["qizhen", "search", QUESTION, "--index", str(sample_index), "--explain"])
    with pytest.raises(SystemExit):
        main()
    assert " + 重排 1." in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["nowhere", "broken", "three outputs"])
def test_a_model_that_is_none_is_named_with_the_next_step(model_folder: Path, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "model"
    if fault != "nowhere":
        shutil.copytree(model_folder, folder)
        config = json.loads((folder / "config.json").read_text())
        config["id2label"] = {"0": "a", "1": "b", "2": "c"}
        (folder / "config.json").write_text("{" if fault == "broken" else json.dumps(config))
    with pytest.raises(EncoderError, match=f"重排模型 `{folder}`") as caught:
        open_reranker(str(folder))
    assert caught.value.hint
