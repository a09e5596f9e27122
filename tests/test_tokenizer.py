"""Tokens: exactly SentencePiece's, in text, out of it, saved and loaded, extended and resized."""

import io
import json
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.tokenizer import load_tokenizer, tokenizer_digest
from finetune.console import app
from finetune.resizing import check_model, resize_model
from finetune.token_differences import compare, cutter
from finetune.vocabulary import (
    PieceRecipe,
    extend_pieces,
    load_pieces,
    old_pieces_of_new,
    texts_of,
    train_pieces,
)
from indexer.errors import QizhenError
from indexer.readers import read_documents

sentencepiece = pytest.importorskip("sentencepiece")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).parent.parent
PAPERS = sorted((ROOT / "kb_data" / "drugs").glob("*.md"))[::8] + sorted((ROOT / "kb_data" / "diseases").glob("*.md"))[::8]
LINES = [line for document in read_documents(PAPERS) for line in texts_of(document)]
ODD = [
    "</s>",
    "<s>",
    "<unk>",
    "[PAD]",
    "<0x0A>",
    " ",
    "  ",
    "\n",
    "\t",
    "▁",
    "½",
    "²",
    "μg",
    "Ａ",
    "𠮷",
    "🩺",
    "e\u0301",
    "\u200b",
    "400mg",
    "0.5~1g",
]
MIXED = st.lists(
    st.one_of(
        st.sampled_from(ODD),
        st.text(max_size=6),
        st.builds(
            lambda line, start, size: line[start % (len(line) or 1) :][:size],
            st.sampled_from(LINES),
            st.integers(0, 99),
            st.integers(1, 40),
        ),
    ),
    max_size=8,
).map("".join)
RELAXED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def piece_model(lines: Sequence[str], pieces: int, **settings: Any) -> bytes:
    """A model trained by SentencePiece itself."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, vocab_size=pieces, minloglevel=2, num_threads=1, **settings
    )
    return written.getvalue()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as LLaMA's: BPE, identity, byte fallback, a space before every text; few Chinese characters of its own."""
    folder = tmp_path_factory.mktemp("host")
    latin = [word for line in LINES for word in re.findall(r"[A-Za-z0-9 ,.()/-]{3,}", line)]
    model = piece_model(
        [*latin, *LINES[:60]],
        900,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        character_coverage=0.98,
    )
    (folder / "tokenizer.model").write_bytes(model)
    return folder


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A piece model as Chinese-LLaMA's own: unigram, nmt_nfkc."""
    path = tmp_path_factory.mktemp("chinese") / "chinese_sp.model"
    path.write_bytes(piece_model(LINES, 2500, model_type="unigram", character_coverage=0.9995))
    return path


@pytest.fixture(scope="module")
def extended(host: Path, chinese: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extended")
    extend_pieces(host, chinese, folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_pieces(LINES, folder, PieceRecipe(pieces=2400, coverage=0.999))
    return folder


def processor(folder: Path) -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.mark.parametrize("folder", ["host", "extended", "trained"])
@RELAXED
@given(text=MIXED)
def test_ids_and_text_are_those_of_sentencepiece(folder: str, text: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(folder)
    tokenizer, model = _loaded(path), processor_of(path)
    ids = model.encode(text)
    assert tokenizer.encode(text, add_special_tokens=False) == ids
    assert tokenizer.encode(text) == [1, *ids]
    assert tokenizer([text, "药"]).input_ids[0] == [1, *ids]
    assert tokenizer.tokenize(text) == model.encode(text, out_type=str)
    assert tokenizer.decode([1, *ids, 2], skip_special_tokens=True) == model.decode(ids)
    assert tokenizer.decode(ids, skip_special_tokens=False) == model.decode(ids)
    assert tokenizer.decode([1, *ids, 2]) == f"<s>{model.decode(ids)}</s>"


_LOADED: dict[Path, tuple[Any, Any]] = {}


def _loaded(folder: Path) -> Any:
    return _LOADED.setdefault(folder, (load_tokenizer(folder), processor(folder)))[0]


def processor_of(folder: Path) -> Any:
    _loaded(folder)
    return _LOADED[folder][1]


def test_no_line_of_the_knowledge_base_is_cut_otherwise_but_the_rust_tokenizer_cuts_many_otherwise(extended: Path) -> None:
    """The second half is the reason for this tokenizer: when it fails, transformers can do it, and ours can go."""
    exact = compare(cutter(extended, "exact"), cutter(extended, "sentencepiece"), LINES)
    assert (exact.lines, exact.differing) == (len(LINES), 0)
    assert compare(cutter(extended, "rust"), cutter(extended, "sentencepiece"), LINES).differing > 100


def test_names_of_special_tokens_in_text_are_text(extended: Path) -> None:
    tokenizer: Any = load_tokenizer(extended)
    for name in ("<s>", "</s>", "<unk>", "[PAD]"):
        ids = tokenizer(f"孕妇{name}禁用").input_ids
        assert ids[0] == 1
        assert not {0, 1, 2} & set(ids[1:])
        assert tokenizer.decode(ids, skip_special_tokens=True) == f"孕妇{name}禁用"


def test_the_ends_are_as_set(host: Path, tmp_path: Path) -> None:
    plain: Any = load_tokenizer(host)
    text = processor(host).encode("abc")
    assert plain("abc").input_ids == [1, *text]
    assert plain("abc", "abc").input_ids == [1, *text, *text]
    shutil.copy(host / "tokenizer.model", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false, "add_eos_token": true, "tokenizer_class": "LlamaTokenizer"}')
    ended: Any = load_tokenizer(tmp_path)
    assert ended("abc").input_ids == [*text, 2]
    assert ended("abc", return_special_tokens_mask=True).special_tokens_mask == [0] * len(text) + [1]
    ended.save_pretrained(tmp_path / "saved")
    again: Any = load_tokenizer(tmp_path / "saved")
    assert again("abc").input_ids == [*text, 2]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_the_unknown_piece_and_masks_come_from_lengths(host: Path, side: str) -> None:
    tokenizer: Any = load_tokenizer(host)
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, len(tokenizer)) == (0, 0, 900)
    tokenizer.padding_side = side
    short, long = (processor(host).encode(text) for text in ("a", "a long line"))
    batch = tokenizer(["a", "a long line"], padding=True, return_tensors="pt")
    missing = [0] * (len(long) - len(short))
    row, mask = [1, *short], [1] * (len(short) + 1)
    assert batch["input_ids"].tolist() == [[*missing, *row] if side == "left" else [*row, *missing], [1, *long]]
    assert batch["attention_mask"][0].tolist() == ([*missing, *mask] if side == "left" else [*mask, *missing])


def test_a_long_text_is_cut_where_asked(host: Path) -> None:
    tokenizer: Any = load_tokenizer(host)
    assert tokenizer("a long line", truncation=True, max_length=3).input_ids == [1, *processor(host).encode("a long line")][:3]


def test_the_chinese_alpaca_padding_is_the_last_id(host: Path, chinese: Path, tmp_path: Path) -> None:
    made = extend_pieces(host, chinese, tmp_path / "own", padding=True)
    tokenizer: Any = load_tokenizer(tmp_path / "own")
    assert (tokenizer.pad_token, tokenizer.pad_token_id, len(tokenizer)) == ("[PAD]", made.pieces, made.pieces + 1)
    assert made.pieces not in tokenizer("一日[PAD]").input_ids
    assert tokenizer.decode([made.pieces, *tokenizer("口服").input_ids], skip_special_tokens=True) == "口服"
    older = tmp_path / "older"
    older.mkdir()
    shutil.copy(tmp_path / "own" / "tokenizer.model", older)
    (older / "added_tokens.json").write_text(json.dumps({"[PAD]": made.pieces}))
    assert load_tokenizer(older).pad_token_id == made.pieces


def test_a_saved_tokenizer_is_the_same_one(extended: Path, tmp_path: Path) -> None:
    original = (extended / "tokenizer.model").read_bytes()
    lent = tmp_path / "lent"
    shutil.copytree(extended, lent)
    tokenizer: Any = load_tokenizer(lent)
    shutil.rmtree(lent)
    tokenizer.save_pretrained(tmp_path / "one")
    load_tokenizer(tmp_path / "one").save_pretrained(tmp_path / "two")
    again: Any = load_tokenizer(tmp_path / "two")
    sent: Any = pickle.loads(pickle.dumps(again))
    assert (tmp_path / "two" / "tokenizer.model").read_bytes() == original
    assert tokenizer_digest(tmp_path / "two") == tokenizer_digest(extended)
    for line in LINES[::50]:
        assert again(line).input_ids == sent(line).input_ids == tokenizer(line).input_ids


@pytest.mark.slow
def test_a_loader_without_our_class_refuses_the_folder_or_runs_its_copy(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    load_tokenizer(trained).save_pretrained(folder)
    transformers.LlamaConfig(vocab_size=2400).save_pretrained(folder)
    code = f"""
import sys
from transformers import AutoTokenizer

try:
    AutoTokenizer.from_pretrained({str(folder)!r})
except ValueError as error:
    assert "trust_remote_code=True" in str(error)
    print(AutoTokenizer.from_pretrained({str(folder)!r}, trust_remote_code=True)("一日3次</s>").input_ids, file=sys.stderr)
"""
    settings = {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=settings, input="", capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == [1, *processor(trained).encode("一日3次</s>")]


def test_the_rust_tokenizers_refuse_a_saved_folder(trained: Path, tmp_path: Path) -> None:
    load_tokenizer(trained).save_pretrained(tmp_path)
    for loader in (transformers.LlamaTokenizer, transformers.PreTrainedTokenizerFast):
        with pytest.raises(Exception, match="load_tokenizer"):
            loader.from_pretrained(tmp_path)


@RELAXED
@given(text=MIXED)
def test_a_stream_shows_the_whole_text(text: str, trained: Path) -> None:
    tokenizer = _loaded(trained)
    streamer = transformers.TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    ids = tokenizer.encode(text, add_special_tokens=False)
    for put in ([1, 5, 6], *([number] for number in ids), [2]):
        streamer.put(torch.tensor(put))
    streamer.end()
    assert "".join(streamer) == text.replace("▁", " ")  # SentencePiece's own sign for a space


@given(left=MIXED, right=MIXED)
@RELAXED
def test_a_trained_vocabulary_joins_at_every_seam(left: str, right: str, trained: Path) -> None:
    tokenizer = _loaded(trained)
    ids = [*tokenizer.encode(left, add_special_tokens=False), *tokenizer.encode(right, add_special_tokens=False)]
    assert tokenizer.decode(ids) == (left + right).replace("▁", " ")


def test_no_two_digits_share_a_trained_piece(trained: Path) -> None:
    model = processor(trained)
    pieces = [model.id_to_piece(number) for number in range(259, model.get_piece_size())]
    assert [piece for piece in pieces if len(piece) > 1 and re.search(r"[0-9０-９]", piece)] == []
    assert model.encode("400mg", out_type=str)[:3] == ["4", "0", "0"]
    assert model.encode("40mg", out_type=str) == ["4", "0", *model.encode("mg", out_type=str)]


def test_the_same_texts_make_the_same_vocabulary(tmp_path: Path) -> None:
    one, two = (train_pieces(LINES[:400], tmp_path / name, PieceRecipe(pieces=1000, coverage=0.98)) for name in "ab")
    assert one.tokenizer_digest == two.tokenizer_digest
    assert one.texts_digest == two.texts_digest
    assert one.characters == sum(map(len, LINES[:400]))
    made = json.loads((tmp_path / "a" / "vocabulary.json").read_text("utf-8"))
    assert made["recipe"] == {"pieces": 1000, "coverage": 0.98, "longest": 8}
    assert made["made"]["tokenizer_digest"] == one.tokenizer_digest


def test_faults_of_training_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(QizhenError) as caught:
        train_pieces([], tmp_path, PieceRecipe(pieces=100, coverage=0.5))
    assert [word in str(caught.value) for word in ("没有文本", "`100`", "`0.5`")] == [True] * 3
    with pytest.raises(QizhenError, match="`9000`"):
        train_pieces(["一日三次"], tmp_path, PieceRecipe(pieces=9000))
    assert list(tmp_path.iterdir()) == []


def test_extension_appends_what_the_host_lacks(host: Path, chinese: Path, extended: Path, tmp_path: Path) -> None:
    old, other, new = (load_pieces(path).pieces for path in (host / "tokenizer.model", chinese, extended / "tokenizer.model"))
    lacking = [piece.piece for piece in other if piece.piece not in {one.piece for one in old}]
    assert [(piece.piece, piece.score) for piece in new[900:]] == [(piece, 0.0) for piece in lacking]
    assert [(piece.piece, piece.score, piece.type) for piece in new[:900]] == [(piece.piece, piece.score, piece.type) for piece in old]
    made = extend_pieces(extended, chinese, tmp_path)
    assert (made.added_pieces, made.pieces) == (0, 900 + len(lacking))
    assert made.tokenizer_digest == tokenizer_digest(extended)


def test_a_new_piece_is_spelt_without_the_space_before_a_text(host: Path, extended: Path) -> None:
    spelt = old_pieces_of_new(host, extended)
    old, new = load_pieces(host / "tokenizer.model").pieces, load_pieces(extended / "tokenizer.model").pieces
    for ids, piece in zip(spelt, new[900:], strict=True):
        characters = b"".join(
            bytes([int(old[number].piece[3:5], 16)]) if old[number].type == old[number].BYTE else old[number].piece.encode()
            for number in ids
        )
        assert characters.decode() == piece.piece
    with pytest.raises(QizhenError, match="不是在"):
        old_pieces_of_new(extended, host)


def tiny_model(folder: Path, tied: bool, shards: bool = False, rows: int = 900) -> Any:
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=rows,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=tied,
        pad_token_id=None,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(folder, max_shard_size="40kB" if shards else "5GB")
    return model


@pytest.mark.parametrize(("tied", "shards"), [(True, False), (False, False), (False, True)])
def test_a_resized_model_keeps_its_rows_and_means_the_new_ones(
    tied: bool, shards: bool, host: Path, extended: Path, tmp_path: Path
) -> None:
    old = tiny_model(tmp_path / "old", tied, shards)
    assert len(list((tmp_path / "old").glob("*.safetensors"))) == (3 if shards else 1)
    spelt = old_pieces_of_new(host, extended)
    made = resize_model(tmp_path / "old", tmp_path / "new", 900, spelt)
    new, told = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert made.rows == new.config.vocab_size == 900 + len(spelt)
    assert len(made.tensors) == (1 if tied else 2)
    for before, after in (
        (old.get_input_embeddings(), new.get_input_embeddings()),
        (old.get_output_embeddings(), new.get_output_embeddings()),
    ):
        assert torch.equal(after.weight[:900], before.weight)
        for row, ids in enumerate(spelt[:40], 900):
            assert torch.allclose(after.weight[row], sum(before.weight[number] for number in ids) / len(ids), atol=1e-6)
    assert (new.get_output_embeddings().weight is new.get_input_embeddings().weight) == tied
    ids = torch.tensor([[1, 300, 400, 500]])
    with torch.no_grad():
        assert torch.equal(new.eval()(ids).logits[..., :900], old(ids).logits)
    reference = old.resize_token_embeddings(made.rows, mean_resizing=False)
    assert reference.weight.shape == new.get_input_embeddings().weight.shape


def test_filler_rows_are_dropped_and_half_precision_stays(tmp_path: Path) -> None:
    tiny_model(tmp_path / "full", tied=False, rows=912)
    half = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "full", dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    (tmp_path / "old" / "config.json").write_text(json.dumps(config | {"pad_token_id": -1}))
    made = resize_model(tmp_path / "old", tmp_path / "new", 900, [[3, 4]])
    new = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new", dtype="auto")
    assert (made.rows_before, made.rows, new.dtype, new.config.pad_token_id) == (912, 901, torch.bfloat16, 0)
    table = half.get_input_embeddings().weight
    assert torch.equal(new.get_input_embeddings().weight[900], table[[3, 4]].float().mean(dim=0).bfloat16())


def test_a_model_of_another_vocabulary_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    tiny_model(tmp_path / "old", tied=False, rows=800)
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    (tmp_path / "old" / "config.json").write_text(json.dumps(config | {"vocab_size": 801}))
    with pytest.raises(QizhenError) as caught:
        resize_model(tmp_path / "old", tmp_path / "new", 900, [[1]])
    assert [word in str(caught.value) for word in ("lm_head.weight 有 `800` 行", "embed_tokens.weight 有 `800` 行", "`900` 个词元")] == [
        True
    ] * 3
    assert not (tmp_path / "new").exists()
    (tmp_path / "old" / "model.safetensors").unlink()
    with pytest.raises(QizhenError, match=r"model\.safetensors"):
        check_model(tmp_path / "old", 800)


def test_differences_are_counted_and_the_first_is_shown() -> None:
    found = compare(list, lambda text: re.findall(r"[0-9]+|.", text), ["口服", "一次40mg", "一日3次"])
    assert (found.lines, found.differing, found.left_tokens, found.right_tokens) == (3, 1, 12, 11)
    assert found.shown[0].line == 2
    assert (found.shown[0].token, found.shown[0].left, found.shown[0].right) == (2, ("4", "0", "m", "g"), ("40", "m", "g"))
    assert found.left_characters_per_token == 1
    shorter = compare(list, lambda text: list(text)[:-1], ["口服"])
    assert (shorter.shown[0].left, shorter.shown[0].right) == (("服",), ())


def test_other_folders_are_autotokenizers_or_refused(host: Path, extended: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    (tmp_path / "json").mkdir()
    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(tmp_path / "json" / "tokenizer.json"))
    assert load_tokenizer(tmp_path / "json").is_fast
    chat = tmp_path / "chat"
    chat.mkdir()
    shutil.copy(host / "tokenizer.model", chat)
    (chat / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": {"900": {"content": "<|im_start|>", "special": True}}})
    )
    assert load_tokenizer(chat).is_fast
    shutil.copy(extended / "tokenizer.model", chat)
    (chat / "tokenizer_config.json").write_text(json.dumps({"chat_template": "x", "tokenizer_class": "LlamaTokenizer"}))
    with pytest.raises(QizhenError, match="分数相同"):
        load_tokenizer(chat)


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    with pytest.raises(QizhenError, match=re.escape(f"没有分词器文件夹 `{tmp_path / 'no'}`")):
        load_tokenizer(tmp_path / "no")
    (tmp_path / "tokenizer.model").write_bytes(b"no pieces here")
    with pytest.raises(QizhenError, match="装不起来"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(QizhenError, match="不是 JSON"):
        load_tokenizer(tmp_path)
    with pytest.raises(QizhenError, match=r"没有 tokenizer\.model"):
        tokenizer_digest(tmp_path / "no")


@pytest.mark.slow
def test_trainer_and_generation_work_with_it(trained: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer: Any = load_tokenizer(trained)
    tiny_model(tmp_path / "model", tied=True, rows=len(tokenizer))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    settings = SFTConfig(
        str(tmp_path / "run"),
        max_steps=2,
        report_to="none",
        use_cpu=True,
        max_length=64,
        save_strategy="no",
        bf16=False,
        gradient_checkpointing=None,
    )
    trainer = SFTTrainer(
        model, settings, train_dataset=Dataset.from_list([tokenizer(line).data for line in LINES[:16]]), processing_class=tokenizer
    )
    trainer.train()
    seen = trainer.train_dataset[0]["input_ids"]
    assert seen[0] == 1
    assert processor(trained).decode(seen) == LINES[0]
    trainer.save_model(str(tmp_path / "saved"))
    assert tokenizer_digest(tmp_path / "saved") == tokenizer_digest(trained)
    tokenizer.padding_side = "left"
    batch = tokenizer(["一日", "一日三次，口服"], return_tensors="pt", padding=True)
    told = model.generate(**batch, max_new_tokens=3, do_sample=False)
    alone = model.generate(**tokenizer("一日", return_tensors="pt"), max_new_tokens=3, do_sample=False)
    assert told[0].tolist()[-3:] == alone[0].tolist()[-3:]


def test_the_commands_do_it_all(host: Path, chinese: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*words: object) -> tuple[int, Any]:
        code = app(["tokenizer", *map(str, words), "--json"], standalone_mode=False)
        return int(code or 0), json.loads(capsys.readouterr().out)

    papers = [word for path in PAPERS[:12] for word in ("--kb", path)]
    code, made = asked("train", *papers, "--pieces", 1500, "--coverage", 0.98, "--out", tmp_path / "trained")
    assert (code, made["pieces"]) == (0, 1500)
    tiny_model(tmp_path / "model", tied=False)
    code, made = asked("extend", "--host", host, "--pieces", chinese, "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert made["pieces"] == made["host_pieces"] + made["added_pieces"] == made["model"]["rows"]
    (tmp_path / "lines.jsonl").write_text(json.dumps({"text": "一日3次\n\n孕妇禁用"}) + "\n", "utf-8")
    code, found = asked("compare", tmp_path / "out", "--texts", tmp_path / "lines.jsonl")
    assert (code, found["lines"], found["differing"]) == (0, 2, 0)
    code, found = asked("compare", tmp_path / "out", host, "--texts", tmp_path / "lines.jsonl", "--right-way", "exact")
    assert (code, found["shown"][0]["text"]) == (1, "孕妇禁用")
    with pytest.raises(QizhenError) as caught:
        asked("extend", "--host", tmp_path / "a", "--pieces", tmp_path / "b", "--model", tmp_path / "c", "--out", tmp_path / "c")
    assert str(caught.value).count(str(tmp_path)) == 4
    (tmp_path / "lines.jsonl").write_text('{"text": 1}\nno\n', "utf-8")
    with pytest.raises(QizhenError) as caught:
        asked("train", "--texts", tmp_path / "lines.jsonl", "--texts", tmp_path / "none", "--out", tmp_path / "x")
    assert [f"lines.jsonl:{number}" in str(caught.value) for number in (1, 2)] == [True, True]
    assert "none" in str(caught.value)
