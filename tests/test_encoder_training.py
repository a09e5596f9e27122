import json

import numpy as np
import pytest

from finetune.embedder import TrainingFiles
from finetune.encoder_training import EncoderRecipe, _batches, train_encoder_from_files
from finetune.pairs import PairSource
from indexer.errors import QizhenError
from indexer.transformer_encoder import TransformerEncoder

torch = pytest.importorskip("torch")

RECIPE = EncoderRecipe(steps=6, batch=4, frozen=1, latin=3, learning_rate=1e-3)


def write_tokenizer(path, unigram=True):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "▁",
        *"发热头痛用于口服药品甲乙丙丁适应症孕妇禁一日三次是什么怎么吃",
        "發",
        "▁mg",
        "tablet",
        "capsule",
        "stück",
        "ing",
        "х",
    ]
    model = models.Unigram([(piece, -float(n)) for n, piece in enumerate(pieces)], unk_id=3) if unigram else models.BPE()
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.save(str(path))
    return len(pieces)


@pytest.fixture
def teacher(tmp_path):
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    folder = tmp_path / "teacher"
    folder.mkdir()
    size = write_tokenizer(folder / "tokenizer.json")
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 200}
    model = BertModel(BertConfig(vocab_size=size, **shape, layer_norm_eps=1e-12), add_pooling_layer=False)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def files(tmp_path):
    kb = tmp_path / "kb.jsonl"
    rows = [
        {
            "id": f"d{n}",
            "kind": "drug",
            "title": f"药品{n}甲",
            "sections": [{"title": "适应症", "text": f"用于发热头痛{n}。孕妇禁用{n}。一日三次口服{n}。"}],
        }
        for n in "甲乙丙丁一三"
    ]
    kb.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "kb.jsonl").write_text(kb.read_text("utf-8"), "utf-8")
    asked = [{"question": f"头痛怎么吃{n}", "documents": [f"d{n}"]} for n in "甲乙丙丁一三"]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in asked), "utf-8")
    return TrainingFiles(knowledge=[kb], sets=[folder])


def test_what_is_written_embeds_as_what_was_trained(teacher, files, tmp_path):
    out = train_encoder_from_files(files, tmp_path / "out", RECIPE, teacher, split=True)
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert set(manifest["figures"]["set"]) == {"hit@1", "hit@10", "nDCG@10"}
    assert len(manifest["losses"]) == 1
    assert manifest["held_out"] is True
    pieces = [piece for piece, _ in json.loads((out / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]]
    assert "發" not in pieces, "Traditional characters are folded before"
    assert "х" not in pieces, "Cyrillic"
    assert {"▁mg", "tablet", "热"} <= set(pieces)
    encoder = TransformerEncoder(out)
    vectors = encoder.embed(["药品甲适应症用于发热", "孕妇禁用"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_the_graph_gives_what_the_model_gives(teacher, tmp_path):
    from onnxruntime import InferenceSession
    from transformers import BertModel

    from finetune.encoder_graph import write_graph

    model = BertModel.from_pretrained(teacher, add_pooling_layer=False).eval()
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    arrays["middle"] = np.full(32, 0.1, dtype=np.float32)
    write_graph(tmp_path / "graph.onnx", arrays, 2, 2, 1e-12)
    ids = np.array([[0, 7, 8, 9, 2], [0, 9, 2, 1, 1]])
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with torch.inference_mode():
        hidden = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state.numpy()
    means = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True) - 0.1
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    session = InferenceSession(str(tmp_path / "graph.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(None, {"ids": ids, "mask": mask.astype(np.int32)})[0]
    assert ((found * expected).sum(1) > 0.98).all()


def test_frozen_layers_and_words_stay_and_the_others_learn(teacher, files, tmp_path):
    out = train_encoder_from_files(files, tmp_path / "out", RECIPE, teacher)
    still = train_encoder_from_files(files, tmp_path / "still", EncoderRecipe(steps=0, batch=4, frozen=1, latin=3), teacher)
    texts = ["药品甲适应症用于发热", "孕妇禁用"]
    assert not np.allclose(TransformerEncoder(out).embed(texts), TransformerEncoder(still).embed(texts), atol=1e-2)


def test_batches_hold_like_questions_in_the_end():
    questions = [f"{subject}{n}" for subject in ("布洛芬一次吃多少片", "肺炎有什么表现和体征") for n in range(64)]
    source = PairSource("s", tuple((question, f"答{n}") for n, question in enumerate(questions)))
    recipe = EncoderRecipe(steps=40, batch=32, near_from=0.5)
    batches = _batches([source], questions, recipe, np.random.default_rng(3))
    mixed = [0 < np.mean(batch < 64) < 1 for batch in batches]
    assert [len(batch) for batch in batches] == [32] * 40
    assert np.mean(mixed[:20]) == 1
    assert np.mean(mixed[20:]) < 0.5


@pytest.mark.parametrize("given", [None, "nowhere"])
def test_no_teacher_is_said_with_the_next_step(files, tmp_path, given):
    with pytest.raises(QizhenError, match="没有教师编码器") as caught:
        train_encoder_from_files(files, tmp_path / "out", RECIPE, tmp_path / given if given else None)
    assert "multilingual-e5-small" in caught.value.hint


def test_a_tokenizer_of_another_kind_is_refused(teacher, files, tmp_path):
    write_tokenizer(teacher / "tokenizer.json", unigram=False)
    with pytest.raises(QizhenError, match=r"分词器 `.*tokenizer.json` 读不出来：类型是 BPE，要的是 Unigram"):
        train_encoder_from_files(files, tmp_path / "out", RECIPE, teacher)
