"""Training on tiny models: what is learnt, that packed rows do not leak, that a killed run goes on bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.templates import TEMPLATES
from app.tokenizer import load_tokenizer, tokenizer_digest
from app.weights import file_digest, weights_digest
from finetune.checkpoints import begin, check_folder, counts_of, finish, last_checkpoint, seal_checkpoint
from finetune.dry_run import as_text, dry_run
from finetune.encoding import encoder
from finetune.recipe import read_recipe
from finetune.rows import Rows, lay_out
from finetune.train import check_saved, read_training_data, train
from finetune.trained_model import check_components, check_fit, open_model
from finetune.training_log import read_log
from finetune.vocabulary import PieceRecipe, train_pieces
from indexer.errors import QizhenError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
DRUGS = [f"{first}{second}片" for first in "阿贝西达恩非格海" for second in "莫洛平林"]
USES = ["用于治疗高血压。", "用于治疗感冒引起的发热、头痛。", "用于治疗胃溃疡、十二指肠溃疡和反流性食管炎。"]


def sample(number: int, split: str = "train") -> dict[str, Any]:
    drug = DRUGS[number % len(DRUGS)]
    turns = [("user", f"{drug}的适应症是什么？"), ("assistant", drug + USES[number % 3])]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"s-{number}", "kind": "closed", "split": split, "field": "适应症", "messages": messages, "digest": f"{number:04}"}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer, samples, texts and recipes of tiny models, from scratch and LoRA."""
    folder = tmp_path_factory.mktemp("ground")
    texts = [drug + use for drug in DRUGS for use in USES]
    train_pieces(texts, folder / "tokenizer", PieceRecipe(pieces=400))
    write_lines(folder / "samples.jsonl", [sample(n) for n in range(48)] + [sample(n, "dev") for n in range(8)])
    write_lines(folder / "texts.jsonl", [{"text": text} for text in texts])
    shape = "{width: 32, layers: 2, heads: 2, key_value_heads: 1, feed_forward: 64, context: 256}"
    common = "most_tokens: 160\nbatch: {tokens: 640, at_once: 2}\nlearning_rate: 1e-2\nwarm_up: 2\nlog_every: 1\ndtype: fp32\nseed: 3\n"
    (folder / "whole.yaml").write_text(
        f"stage: pretrain\nnew: {shape}\ntokenizer: {folder}/tokenizer\ndata: {{texts: {folder}/texts.jsonl}}\n{common}steps: 12\n", "utf-8"
    )
    (folder / "lora.yaml").write_text(
        f"stage: instruct\nbase: {folder}/base\nadapter: {{rank: 4, alpha: 8, dropout: 0.1}}\n"
        f"data: {{samples: {folder}/samples.jsonl}}\n{common}steps: 12\n",
        "utf-8",
    )
    train(read_recipe(folder / "whole.yaml", [f"out={folder}/base"]))
    return folder


def test_a_model_from_nothing_is_trained_and_saved_with_its_tokenizer(ground: Path) -> None:
    base = ground / "base"
    losses = [row["loss"] for row in read_log(base / "log.jsonl")]
    assert losses[0] > 5.5  # about ln 400: nothing is known
    assert losses[-1] < losses[0] - 1.5
    assert (base / "tokenizer.model").read_bytes() == (ground / "tokenizer" / "tokenizer.model").read_bytes()
    manifest = json.loads((base / "qizhen.json").read_text("utf-8"))
    assert manifest["tokenizer_digest"] == tokenizer_digest(ground / "tokenizer")
    assert manifest["recipe"]["new"]["width"] == 32
    assert "<polyline" in (base / "loss.svg").read_text("utf-8")


def test_a_trained_value_that_is_no_number_is_found(ground: Path, tmp_path: Path) -> None:
    recipe, weights = read_recipe(ground / "whole.yaml", ["out=x"]), weights_of(ground / "base")
    check_saved(ground / "base", recipe)
    weights["model.norm.weight"][5] = torch.nan
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(QizhenError, match=r"`model\.norm\.weight` 里有非数值"):
        check_saved(tmp_path, recipe)


def test_a_model_reads_samples_beside_its_texts_and_learns_their_answers_alone(ground: Path) -> None:
    tokenizer = load_tokenizer(ground / "tokenizer")
    texts = read_training_data(read_recipe(ground / "whole.yaml", ["out=x"]), tokenizer).kept
    both = read_recipe(ground / "whole.yaml", ["out=x", f"data.samples={ground}/samples.jsonl", "data.repeats={closed: 2}"])
    asked = read_training_data(replace(both, stage="instruct"), tokenizer).kept
    read = read_training_data(both, tokenizer).kept
    assert [list(one.ids) for one in read] == [list(one.ids) for one in (*texts, *asked)]
    assert len(asked) == 96
    assert {one.told for one in read[: len(texts)]} == {1}
    assert min(one.told for one in read[len(texts) :]) > 5


def test_packed_sequences_do_not_see_one_another(ground: Path) -> None:
    """The loss of every token in a packed row is the loss that it has alone."""
    recipe = read_recipe(ground / "lora.yaml", ["out=x"])
    tokenizer = load_tokenizer(ground / "base")
    model = open_model(recipe, tokenizer).eval()
    data = read_training_data(recipe, tokenizer)
    rows = lay_out(data, recipe)
    assert max(len(row) for row in rows.places) >= 3
    worst = {}
    for attention in ("sdpa", "eager"):
        model.base_model.model.set_attn_implementation(attention)
        chosen = [0, len(rows.places) // 2, len(rows.places) - 1]
        packed = token_losses(model, rows.batch(chosen, 0))
        alone = Rows(data, [[index] for index in range(len(data.kept))])
        single = [loss for row in chosen for place in rows.places[row] for loss in token_losses(model, alone.batch([place], 0))]
        worst[attention] = max(abs(a - b) for a, b in zip(packed, single, strict=True))
    assert max(worst.values()) < 2e-5, worst
    leaking = rows.batch(chosen, 0)
    leaking["position_ids"] = torch.arange(leaking["input_ids"].shape[1]).expand_as(leaking["input_ids"])
    assert max(abs(a - b) for a, b in zip(token_losses(model, leaking), single, strict=True)) > 1e-2  # the test can fail


def token_losses(model: Any, batch: Mapping[str, Any]) -> list[float]:
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="none")
    return [float(loss) for loss in losses[batch["labels"][:, 1:].flatten() != -100]]


def test_the_loss_of_a_step_is_the_mean_over_its_learnt_tokens(ground: Path, tmp_path: Path) -> None:
    """However the step is split into rows, accumulated or packed; the expected value is worked out from the logits."""
    recipe = read_recipe(ground / "lora.yaml", ["out=x", "adapter.dropout=0"])
    tokenizer = load_tokenizer(ground / "base")
    model = open_model(recipe, tokenizer).eval()
    data = read_training_data(recipe, tokenizer)
    losses = [loss for n in range(len(data.kept)) for loss in token_losses(model, Rows(data, [[n]]).batch([0], 0))]
    everything = ["batch.tokens=100000", "steps=1", "adapter.dropout=0"]
    for number, changes in enumerate((["batch.at_once=3"], ["batch.at_once=0"], ["packing=false", "batch.at_once=5"])):
        out = tmp_path / str(number)
        with pytest.raises(QizhenError, match="B 矩阵都是零"):  # the first step of a warm-up moves nothing
            train(read_recipe(ground / "lora.yaml", [f"out={out}", *everything, *changes]))
        assert read_log(out / "log.jsonl")[0]["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def weights_of(out: Path) -> dict[str, Any]:
    return load_file(next(iter(out.glob("*model.safetensors"))))


def run(*arguments: str, kill_at: tuple[Path, int] | None = None) -> int:
    """The command in a process of its own; killed without warning once the log has reached a step."""
    command = [sys.executable, "-c", "from finetune.console import main; main()", "train", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while kill_at and process.poll() is None:
        rows = read_log(kill_at[0] / "log.jsonl")
        if rows and rows[-1]["step"] >= kill_at[1]:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    _, told = process.communicate(timeout=300)
    assert process.returncode in (0, -signal.SIGKILL), told
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["lora", "whole"])
def test_a_killed_run_goes_on_bit_for_bit(ground: Path, tmp_path: Path, recipe: str) -> None:
    """Across a beginning epoch, with dropout, packing, accumulation and evaluation; weights equal tensor for tensor."""
    settings = [str(ground / f"{recipe}.yaml"), "steps=40", "saving.every=4", "saving.keep=1"]
    settings += ["evaluation.every=4"] if recipe == "lora" else []
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*settings, f"out={whole}") == 0
    assert run(*settings, f"out={killed}", kill_at=(killed, 14)) == -signal.SIGKILL
    assert not (killed / "qizhen.json").exists()
    stopped = last_checkpoint(killed)
    assert stopped is not None
    assert run(*settings, f"out={killed}", "--resume") == 0
    left, right = weights_of(whole), weights_of(killed)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    losses = [[(row["step"], row.get("loss"), row.get("eval_loss")) for row in read_log(out / "log.jsonl")] for out in (whole, killed)]
    assert [row for row in losses[0] if row[0] > 16] == [row for row in losses[1] if row[0] > 16]
    assert len(losses[0]) == len(losses[1])


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for step in (4, 8, 12, 16):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "optimizer.pt").write_text("x")
        seal_checkpoint(folder, step, str(folder / "checkpoint-4"), keep=2, counts={"tokens": step})
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-12", "checkpoint-16", "checkpoint-4"]  # 4 is the best one
    (folder / "checkpoint-16" / "whole.json").unlink()  # as a kill leaves it
    last = last_checkpoint(tmp_path)
    assert last is not None
    assert last.name == "checkpoint-12"
    assert counts_of(last) == {"tokens": 12}
    begin(tmp_path, {"recipe": {"seed": 1, "batch": {"tokens": 8}}, "processes": 1}, resume=False)
    check_folder(tmp_path, resume=True)
    with pytest.raises(QizhenError) as caught:
        begin(tmp_path, {"recipe": {"seed": 2, "batch": {"tokens": 9}}, "processes": 1}, resume=True)
    assert "recipe.seed: 原来是 `1`，现在是 `2`" in str(caught.value)
    assert "recipe.batch.tokens: 原来是 `8`，现在是 `9`" in str(caught.value)
    begin(tmp_path, {"recipe": {"seed": 1, "batch": {"tokens": 8}}, "processes": 1}, resume=True)
    assert not (folder / "checkpoint-16").exists()
    finish(tmp_path)
    with pytest.raises(QizhenError, match="已经完成"):
        check_folder(tmp_path, resume=True)
    with pytest.raises(QizhenError, match="没有完整的检查点"):
        check_folder(tmp_path / "elsewhere", resume=True)


@pytest.mark.slow
def test_two_processes_split_the_rows_of_one(ground: Path, tmp_path: Path) -> None:
    """The same rows a step in the same order, so the same losses but for rounding, and one folder written once."""
    settings = [str(ground / "lora.yaml"), "adapter.dropout=0", "steps=6"]
    assert run(*settings, f"out={tmp_path}/one") == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "finetune", "train", *settings, f"out={tmp_path}/two", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["processes"] == 2
    one, two = (read_log(tmp_path / name / "log.jsonl") for name in ("one", "two"))
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], abs=1e-4)
    assert [row["tokens"] for row in two] == [row["tokens"] for row in one]
    left, right = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < 1e-3


def test_a_run_without_progress_ends_and_keeps_the_best_weights(ground: Path, tmp_path: Path) -> None:
    """What is evaluated contradicts what is learnt, so the loss there rises."""
    held = [sample(n) for n in range(8)]
    for row in held:
        row["messages"][-1]["content"] = "莫洛平林"
    write_lines(tmp_path / "held.jsonl", held)
    out = tmp_path / "out"
    changes = ["evaluation.every=2", "evaluation.patience=2", f"evaluation.samples={tmp_path}/held.jsonl", "saving.every=2", "steps=60"]
    trained = train(read_recipe(ground / "lora.yaml", [f"out={out}", *changes]))
    losses = {row["step"]: row["eval_loss"] for row in read_log(out / "log.jsonl") if "eval_loss" in row}
    best = min(losses, key=lambda step: losses[step])
    assert trained.figures["steps"] == best + 4 < 60
    kept = weights_of(out / "checkpoints" / f"checkpoint-{best}")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights_of(out).items())


def test_the_adapter_is_small_and_says_how_it_is_asked(ground: Path, tmp_path: Path) -> None:
    """No embeddings by accident, even after a resize; base, template and tokenizer by their digests."""
    out = tmp_path / "out"
    train(read_recipe(ground / "lora.yaml", [f"out={out}"]))
    assert {name.rpartition(".lora_")[1] for name in weights_of(out)} == {".lora_"}
    manifest = json.loads((out / "qizhen.json").read_text("utf-8"))
    assert (manifest["template"], manifest["template_digest"]) == ("qizhen", TEMPLATES["qizhen"].digest)
    assert manifest["base"] == {"name": "base", "digest": weights_digest(ground / "base")}
    assert manifest["data"]["samples"] == 48
    assert manifest["data"]["digest"] == file_digest(ground / "samples.jsonl")
    assert manifest["made"]["seed"] == 3
    assert (out / "tokenizer.model").is_file()
    with pytest.raises(QizhenError, match="已有内容"):
        train(read_recipe(ground / "lora.yaml", [f"out={out}"]))
    further = train(read_recipe(ground / "lora.yaml", [f"out={tmp_path}/further", f"adapter.start_from={out}", "steps=3"]))
    assert read_log(further.out / "log.jsonl")[0]["loss"] < read_log(out / "log.jsonl")[0]["loss"] - 0.3
    with pytest.raises(QizhenError, match="是用 `qizhen` 训练的"):
        train(read_recipe(ground / "lora.yaml", [f"out={tmp_path}/x", f"adapter.start_from={out}", "template=alpaca"]))


def test_variants_of_lora_are_saved_whole(ground: Path, tmp_path: Path) -> None:
    changes = [
        "adapter.rank_stabilised=true",
        "adapter.dora=true",
        "adapter.modules_to_save=[embed_tokens]",
        "adapter.targets=[q_proj, v_proj]",
    ]
    train(read_recipe(ground / "lora.yaml", [f"out={tmp_path}/out", "steps=3", *changes]))
    names = weights_of(tmp_path / "out")
    assert any("embed_tokens" in name for name in names)
    assert sum("lora_magnitude_vector" in name for name in names) == 4  # two layers, two targets
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text("utf-8"))["use_rslora"] is True


def test_half_precision_with_recomputed_activations_learns_too(ground: Path, tmp_path: Path) -> None:
    changes = ["recompute=true", "dtype=bf16", "base_weights=bf16", "packing=false", "adapter.dropout=0"]
    train(read_recipe(ground / "lora.yaml", [f"out={tmp_path}/out", *changes]))
    losses = [row["loss"] for row in read_log(tmp_path / "out" / "log.jsonl")]
    assert losses[-1] < losses[0] - 0.5


def test_the_recipe_of_the_original_chain_runs_on_a_small_llama(ground: Path, tmp_path: Path) -> None:
    """As shipped but for length and rate; its template alone has 140 English characters, which this vocabulary has no words for."""
    changes = [f"base={ground}/base", f"data.samples={ground}/samples.jsonl", f"out={tmp_path}/out", "most_tokens=256", "batch.tokens=2048"]
    changes += ["learning_rate=1e-2", "log_every=1", "evaluation={every: 6}", "saving={every: 6}", "steps=12"]
    train(read_recipe(Path("chinese-llama-plus-7b"), changes))
    losses = [row["loss"] for row in read_log(tmp_path / "out" / "log.jsonl") if "loss" in row]
    assert losses[-1] < losses[0] - 0.3
    assert json.loads((tmp_path / "out" / "qizhen.json").read_text("utf-8"))["template"] == "alpaca"


CHAT = "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"


def write_qwen(folder: Path, kind: str) -> None:
    """A tiny model of Qwen's structure with random weights, a byte vocabulary without a beginning mark, and a chat template."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT
    ).save_pretrained(folder)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    marks = {"bos_token_id": None, "eos_token_id": 258, "pad_token_id": 256}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=272, head_dim=16, max_position_embeddings=1024, tie_word_embeddings=True, **shape, **marks
    )
    torch.manual_seed(0)
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "kind"), [("qwen3-0.6b", "Qwen3"), ("qwen3-4b", "Qwen3"), ("qwen3-8b", "Qwen3"), ("qwen2.5-coder-0.5b", "Qwen2")]
)
def test_the_recipes_for_qwen_run_on_its_structure(ground: Path, tmp_path: Path, name: str, kind: str) -> None:
    """As shipped but for size, length and rate; packed sequences keep apart there too, and the template's end mark is learnt."""
    write_qwen(tmp_path / "base", kind)
    changes = [f"base={tmp_path}/base", f"data.samples={ground}/samples.jsonl", f"out={tmp_path}/out", "batch.tokens=2048", "steps=12"]
    changes += ["learning_rate=1e-2", "log_every=1", "evaluation={every: 6}", "saving={every: 6}", "most_tokens=512"]
    train(read_recipe(Path(name), changes))
    losses = [row["loss"] for row in read_log(tmp_path / "out" / "log.jsonl") if "loss" in row]
    assert losses[-1] < losses[0] - 0.1
    exact = read_recipe(Path(name), [*changes, "base_weights=fp32"])
    tokenizer = load_tokenizer(tmp_path / "base")
    model, data = open_model(exact, tokenizer).eval(), read_training_data(exact, tokenizer)
    assert {int(sequence.ids[-1]) for sequence in data.kept} == {258}
    rows, alone = lay_out(data, exact), Rows(data, [[index] for index in range(len(data.kept))])
    assert len(rows.places[0]) > 1
    single = [loss for place in rows.places[0] for loss in token_losses(model, alone.batch([place], 0))]
    assert token_losses(model, rows.batch([0], 0)) == pytest.approx(single, abs=2e-5)


def test_what_does_not_belong_together_is_refused_at_once(ground: Path, tmp_path: Path) -> None:
    train_pieces([drug + use for drug in DRUGS for use in USES] * 2, tmp_path / "other", PieceRecipe(pieces=420))
    recipe = read_recipe(ground / "lora.yaml", ["out=x", f"tokenizer={tmp_path}/other", "most_tokens=500", "template=chat"])
    with pytest.raises(QizhenError) as caught:
        check_fit(recipe, load_tokenizer(tmp_path / "other"))
    for told in ("`420` 个词", "`500` 大于底座的上下文 `256`", "没有；可用", "不是同一个"):
        assert told in str(caught.value)
    missing = read_recipe(ground / "lora.yaml", ["out=x", "base=/nowhere", "data.samples=[/none.jsonl]"])
    with pytest.raises(QizhenError) as caught:
        train(missing)
    assert "base: 没有文件夹 `/nowhere`" in str(caught.value)
    assert "data.samples: 没有文件 `/none.jsonl`" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_four_bits_without_a_gpu_are_refused_by_name(ground: Path) -> None:
    with pytest.raises(QizhenError, match="需要 NVIDIA GPU"):
        check_components(read_recipe(ground / "lora.yaml", ["out=x", "adapter.quantised=true", "base_weights=bf16"]))


def test_a_dry_run_tells_what_would_be_learnt_and_writes_nothing(ground: Path) -> None:
    before = sorted(path.relative_to(ground) for path in ground.rglob("*"))
    recipe = read_recipe(ground / "lora.yaml", [f"out={ground}/never", "most_tokens=48", "data.too_long=cut"])
    found = dry_run(recipe)
    assert sorted(path.relative_to(ground) for path in ground.rglob("*")) == before
    tokenizer = load_tokenizer(ground / "base")
    answer = sample(0)["messages"][1]["content"]
    learnt = [text for text, is_learnt in found.samples[0].tokens if is_learnt]
    assert learnt[-1] == "</s>"
    assert len(learnt) == 1 + len(tokenizer.encode(answer, add_special_tokens=False))
    assert "".join(piece for piece in learnt[:-1] if not piece.startswith("<0x")) in answer
    assert sum(count for *_, count in found.histogram) == found.sequences == 48
    lengths = [
        len(encoder(tokenizer, "qizhen")([("user", s["messages"][0]["content"])], s["messages"][1]["content"]).ids)
        for s in map(sample, range(48))
    ]
    assert found.cut_ends == sum(length > 48 for length in lengths)
    assert found.cut_share == found.cut_ends / 48
    # Of every layer q and o (32 in, 32 out), k and v (32, 16), gate and up (32, 64), down (64, 32), each at rank 4.
    assert found.trainable == 2 * 4 * (2 * 64 + 2 * 48 + 2 * 96 + 96)
    assert found.timed
    assert found.seconds > 0
    assert "【" in as_text(found, recipe)
    assert json.loads(json.dumps(found.as_json()))["batching"]["steps"] == 12
