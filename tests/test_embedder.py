import json
from pathlib import Path

import numpy as np
import pytest

from finetune.embedder import EmbedderRecipe, TrainingFiles, train_from_files
from finetune.pairs import is_held_out
from indexer.embedder import FAST, StaticEmbedder, shipped_embedder
from indexer.errors import IndexDamagedError, QizhenError


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
    for name in ("grams.npy", "table.npy", "scale.npy", "manifest.json"):
        (tmp_path / name).write_bytes((FAST / name).read_bytes())
    table = np.load(tmp_path / "table.npy")
    table[0, 0] += 1
    np.save(tmp_path / "table.npy", table)
    with pytest.raises(IndexDamagedError, match="的权重与其清单不符"):
        StaticEmbedder(tmp_path)
    (tmp_path / "table.npy").write_bytes(b"x")
    with pytest.raises(IndexDamagedError, match="读不出来"):
        StaticEmbedder(tmp_path)


def test_a_teacher_that_is_not_there_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(QizhenError, match=r"没有教师编码器 `.*teacher`"):
        train_from_files(TrainingFiles(pairs=[tmp_path / "none.jsonl"]), tmp_path, EmbedderRecipe(), tmp_path / "teacher")


def test_training_on_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QizhenError, match="没有训练数据"):
        train_from_files(TrainingFiles(), tmp_path, EmbedderRecipe())


@pytest.mark.slow
def test_training_lowers_the_loss_and_is_repeatable(tmp_path: Path) -> None:
    topics = ["头痛", "发热", "咳嗽", "腹泻", "皮疹", "失眠", "便秘", "心悸"]
    rows = [{"question": f"{t}怎么办{n}", "passage": f"治疗{t}的方法第{n}条"} for t in topics for n in range(16)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    recipe = EmbedderRecipe(grams=4096, dimensions=32, batch=32, epochs=3)
    first = StaticEmbedder(train_from_files(TrainingFiles(pairs=[path]), tmp_path / "one", recipe))
    second = StaticEmbedder(train_from_files(TrainingFiles(pairs=[path]), tmp_path / "two", recipe))
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text("utf-8"))
    assert manifest["losses"][-1] < manifest["losses"][0]
    assert (manifest["pairs"], manifest["recipe"]["grams"]) == ({"pairs.jsonl": 128}, 4096)
    assert first.digest == second.digest


@pytest.mark.slow
def test_a_split_set_is_measured_on_questions_that_training_has_not_seen(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    words = ["头痛", "发热", "咳嗽", "腹泻", "皮疹", "失眠", "便秘", "心悸", "耳鸣", "牙痛"]
    documents = [
        {"id": f"d{n}", "kind": "text", "title": word, "sections": [{"title": "正文", "text": f"{word}的处理"}]}
        for n, word in enumerate(words)
    ]
    questions = [{"id": f"q{n}", "question": f"{word}怎么办", "documents": [f"d{n}"]} for n, word in enumerate(words)]
    (folder / "kb.jsonl").write_text("\n".join(map(json.dumps, documents)), "utf-8")
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)), "utf-8")
    held = sum(is_held_out(row["question"]) for row in questions)
    train_from_files(TrainingFiles(sets=[folder]), tmp_path / "out", EmbedderRecipe(grams=256, dimensions=16, epochs=1), split=True)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert 0 < held < len(words)
    assert (manifest["pairs"], manifest["held_out"]) == ({"set": len(words) - held}, True)
    assert manifest["figures"]["set"]["hit@10"] == 1.0  # ten texts
