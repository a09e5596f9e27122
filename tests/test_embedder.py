import json
from pathlib import Path

import numpy as np
import pytest

from finetune.embedder import EmbedderRecipe, pairs_of, read_pairs, train_from_files
from indexer.documents import Source, compose
from indexer.embedder import FAST, StaticEmbedder, gram_rows, shipped_embedder
from indexer.errors import IndexDamagedError


def test_grams_are_one_to_three_characters_within_words() -> None:
    assert len(gram_rows("头痛发热", 1024)) == 4 + 3 + 2
    assert len(gram_rows("头痛，发热", 1024)) == 2 * (2 + 1)
    assert len(gram_rows("", 1024)) == len(gram_rows("，。", 1024)) == 0
    assert gram_rows("头痛", 1024).tolist() == gram_rows("头痛", 1024).tolist()
    assert gram_rows("头痛发热", 1024).max() < 1024


def test_vectors_have_unit_length_or_are_zero() -> None:
    vectors = shipped_embedder().embed(["头痛发热", "，。！", "aspirin 100mg"])
    assert vectors.shape == (3, shipped_embedder().dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 1], abs=1e-5)


def test_a_text_has_one_vector_whatever_stands_beside_it() -> None:
    texts = [f"头痛{n}发热" for n in range(600)]
    together = shipped_embedder().embed(texts)
    assert np.array_equal(together[555], shipped_embedder().embed([texts[555]])[0])


def test_a_question_is_nearer_to_its_topic() -> None:
    question, near, far = shipped_embedder().embed(["孩子发烧怎么办", "小儿发热的处理", "骨折后的康复锻炼"])
    assert question @ near > question @ far


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    for name in ("table.npy", "scale.npy", "manifest.json"):
        (tmp_path / name).write_bytes((FAST / name).read_bytes())
    table = np.load(tmp_path / "table.npy")
    table[0, 0] += 1
    np.save(tmp_path / "table.npy", table)
    with pytest.raises(IndexDamagedError, match="的权重与其清单不符"):
        StaticEmbedder(tmp_path)
    (tmp_path / "table.npy").write_bytes(b"x")
    with pytest.raises(IndexDamagedError, match="读不出来"):
        StaticEmbedder(tmp_path)


def test_pairs_come_from_files_and_documents(tmp_path: Path) -> None:
    rows = [
        {"question": "问", "passage": "答", "long": "长问"},
        {"a": "甲", "b": "乙", "same": True},
        {"a": "甲", "b": "丙", "same": False},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert list(read_pairs(path)) == [("问", "答"), ("长问", "答"), ("甲", "乙")]
    document = compose("d", "drug", "药", ["别名"], [("禁忌", "孕妇")], Source())
    assert list(pairs_of(document)) == [("药禁忌", "药 禁忌 孕妇"), ("别名", "药")]


@pytest.mark.slow
def test_training_lowers_the_loss_and_is_repeatable(tmp_path: Path) -> None:
    topics = ["头痛", "发热", "咳嗽", "腹泻", "皮疹", "失眠", "便秘", "心悸"]
    rows = [{"question": f"{t}怎么办{n}", "passage": f"治疗{t}的方法第{n}条"} for t in topics for n in range(16)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    recipe = EmbedderRecipe(rows=4096, dimensions=32, batch=32, epochs=3)
    first = StaticEmbedder(train_from_files([], [path], tmp_path / "one", recipe))
    second = StaticEmbedder(train_from_files([], [path], tmp_path / "two", recipe))
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text("utf-8"))
    assert manifest["losses"][-1] < manifest["losses"][0]
    assert (manifest["pairs"], manifest["recipe"]["rows"]) == (128, 4096)
    assert first.digest == second.digest
