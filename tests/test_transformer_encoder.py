import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from indexer import embedder as embedders
from indexer.embedder import ACCURATE, AUTO, FAST, KNOWN_VECTORS, embedder_for, encoder_folder, open_embedder, shipped_embedder
from indexer.errors import IndexDamagedError
from indexer.passages import PassageSettings, passages_of, searchable
from indexer.readers import read_documents
from indexer.transformer_encoder import TransformerEncoder, write_known

TEXTS = ["发热、头痛、全身酸痛。", "用于缓解轻至中度疼痛。", "Ibuprofen 300 mg", "。，", "本品" * 400]


@pytest.fixture(scope="module")
def encoder() -> TransformerEncoder:
    return TransformerEncoder(encoder_folder(ACCURATE))


def test_vectors_have_unit_length_but_for_texts_that_say_nothing(encoder):
    assert np.allclose(np.linalg.norm(encoder.embed(TEXTS), axis=1), [1, 1, 1, 0, 1], atol=1e-3)
    assert encoder.embed([]).shape == (0, encoder.dimensions)


def test_a_text_has_one_vector_whatever_it_is_embedded_with(encoder):
    together = encoder.embed(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.array_equal(encoder.embed([text])[0], vector)


def test_words_that_share_no_character_are_near_where_they_mean_the_same(encoder):
    near, far = encoder.embed(["发热伴寒战", "密封，置阴凉干燥处保存"]) @ encoder.embed_question("高烧打摆子")
    assert near > far + 0.05


def test_a_question_is_not_embedded_as_a_passage(encoder):
    assert encoder.embed_question("发热") @ encoder.embed(["发热"])[0] < 0.999


def test_the_blend_s_cosine_is_the_weighted_mean(encoder):
    blend, table = open_embedder(ACCURATE), shipped_embedder()
    share = float(blend.embed([TEXTS[0]])[0][: table.dimensions] @ blend.embed([TEXTS[0]])[0][: table.dimensions])
    cosines = blend.embed(TEXTS[:2]) @ blend.embed_question("头痛吃什么")
    ours = share * (table.embed(TEXTS[:2]) @ table.embed_question("头痛吃什么"))
    theirs = (1 - share) * (encoder.embed(TEXTS[:2]) @ encoder.embed_question("头痛吃什么"))
    assert 0 < share < 1
    assert np.allclose(cosines, ours + theirs, atol=1e-3)


def test_vectors_that_are_kept_are_the_ones_that_would_be_made(encoder, tmp_path):
    kept = tmp_path / "vectors.npz"
    assert write_known(kept, encoder, TEXTS[:2]) == 2
    remembering = TransformerEncoder(encoder_folder(ACCURATE), kept)
    assert np.array_equal(remembering.embed(TEXTS), encoder.embed(TEXTS))


def test_kept_vectors_are_looked_up_by_their_text_and_only_for_their_encoder(encoder, tmp_path):
    kept = tmp_path / "vectors.npz"
    write_known(kept, encoder, TEXTS[:1])
    with np.load(kept) as file:
        parts = dict(file)
    marked = np.zeros_like(parts["vectors"])
    marked[0, 0] = 1
    np.savez(kept, **{**parts, "vectors": marked})
    assert TransformerEncoder(encoder_folder(ACCURATE), kept).embed(TEXTS[:2])[0].tolist() == marked[0].tolist()
    np.savez(kept, **{**parts, "vectors": marked, "encoder": np.array("another")})
    assert np.array_equal(TransformerEncoder(encoder_folder(ACCURATE), kept).embed(TEXTS[:1]), encoder.embed(TEXTS[:1]))


def test_every_passage_of_the_shipped_knowledge_base_has_its_vector(encoder):
    """Where this fails, texts have changed: `make vectors`."""
    texts = [searchable(d, p) for d in read_documents([KNOWN_VECTORS.parent.parent]) for p in passages_of(d, PassageSettings())]
    with np.load(KNOWN_VECTORS) as file:
        assert str(file["encoder"]) == encoder.digest
        assert len(file["texts"]) == len(set(texts))
    remembering = TransformerEncoder(encoder_folder(ACCURATE), KNOWN_VECTORS)
    remembering._session = None  # nothing may be left to embed
    assert len(remembering.embed(texts)) == len(texts)


@pytest.mark.parametrize("damage", ["graph", "manifest", "missing"])
def test_a_damaged_encoder_is_refused_by_its_folder(tmp_path, damage):
    folder = tmp_path / "accurate"
    shutil.copytree(encoder_folder(ACCURATE), folder)
    if damage == "graph":
        (folder / "encoder.onnx").write_bytes((folder / "encoder.onnx").read_bytes()[:-1] + b"x")
    elif damage == "manifest":
        (folder / "manifest.json").write_text(json.dumps({"name": "accurate"}))
    else:
        (folder / "tokenizer.json").unlink()
    with pytest.raises(IndexDamagedError, match=str(folder)) as caught:
        TransformerEncoder(folder)
    assert caught.value.hint.startswith("重新安装本项目")


def test_much_text_is_left_to_the_fast_encoder(tmp_path, monkeypatch):
    path = tmp_path / "kb.jsonl"
    path.write_text("x" * 100)
    monkeypatch.setattr(embedders, "_ACCURATE_UP_TO", 100)
    assert embedder_for([tmp_path]).name == ACCURATE
    path.write_text("x" * 101)
    assert embedder_for([tmp_path]).name == FAST
    assert embedder_for([tmp_path], ACCURATE).name == ACCURATE
    assert embedder_for([Path("nowhere")], AUTO).name == ACCURATE
