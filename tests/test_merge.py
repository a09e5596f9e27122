"""Merging: PEFT's values bit for bit, every adapter tensor used once, nothing half done."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_models import ALL, as_old_peft, by_peft, edit_json, llama, lora
from typer.testing import CliRunner

from app.adapter_manifest import AdapterManifest, read_manifest, write_manifest
from app.weights import stored_tensors, weights_digest
from finetune.console import app
from finetune.merge import MERGE_MANIFEST, merge
from finetune.merge_console import size_in_bytes
from finetune.merge_plan import plan_merge
from indexer.errors import QizhenError, WeightsError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def merged(base: Path, adapters: list[Path], out: Path, dtype: str = "", **how: Any) -> dict[str, Any]:
    """Merge, and read what was written with the safetensors library."""
    from safetensors.torch import load_file

    merge(plan_merge(base, adapters, dtype=dtype), out, **how)
    return {name: tensor for path in out.glob("*.safetensors") for name, tensor in load_file(path).items()}


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    import torch

    assert ours.keys() == theirs.keys()
    assert [n for n, t in ours.items() if t.dtype != theirs[n].dtype or not torch.equal(t, theirs[n])] == []


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def first(base: Path) -> Path:
    return lora(base, base.parent / "first")


KINDS = {
    "plain": {},
    "rank-stabilised": {"use_rslora": True, "r": 3},
    "patterns": {
        "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 5},
        "alpha_pattern": {"layers.0.self_attn.q_proj": 7, "down_proj": 3},
    },
    "dora": {"use_dora": True},
    "fan_in_fan_out": {"fan_in_fan_out": True},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "dora of embeddings": {"use_dora": True, "target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "whole modules": {"modules_to_save": ["embed_tokens", "lm_head", "model.norm"]},
    "one layer": {"layers_to_transform": [1]},
    "all linear": {"target_modules": "all-linear"},
    "a pattern": {"target_modules": r".*\.(q|v)_proj"},
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_adapter_gives_what_peft_gives(base: Path, tmp_path: Path, kind: str, dtype: str) -> None:
    adapter = lora(base, tmp_path / "adapter", **KINDS[kind])
    same(merged(base, [adapter], tmp_path / "out", dtype), by_peft(base, [adapter], dtype))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_two_adapters_and_a_larger_vocabulary_give_what_peft_gives(base: Path, tmp_path: Path, dtype: str) -> None:
    """The QiZhen chain: Chinese-LLaMA-Plus brings rows and whole embeddings, a second adapter goes on top."""
    import torch
    from transformers import LlamaForCausalLM

    plus = as_old_peft(lora(base, tmp_path / "plus", rows=53, modules_to_save=["embed_tokens", "lm_head"]))
    middle = tmp_path / "middle"
    merge(plan_merge(base, [plus]), middle)
    tuned = lora(middle, tmp_path / "tuned", seed=3, r=2, use_dora=True)
    ours = merged(base, [plus, tuned], tmp_path / "out", dtype)
    same(ours, by_peft(base, [plus, tuned], dtype))
    loaded = LlamaForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert loaded.config.vocab_size == 53
    assert loaded.dtype == getattr(torch, dtype)
    same(dict(loaded.state_dict()), ours)


def test_a_base_in_half_precision_and_an_adapter_in_half_precision(tmp_path: Path) -> None:
    base = llama(tmp_path / "base", dtype="float16")
    adapter = lora(base, tmp_path / "adapter", dtype="float16")
    assert {tensor.dtype for tensor in stored_tensors(adapter).values()} == {"F16"}
    same(merged(base, [adapter], tmp_path / "out"), by_peft(base, [adapter], "float16"))


def test_embeddings_saved_after_a_resize_without_being_asked(base: Path, tmp_path: Path) -> None:
    adapter = lora(base, tmp_path / "adapter", rows=48)
    assert "base_model.model.lm_head.weight" in stored_tensors(adapter)
    same(merged(base, [adapter], tmp_path / "out"), by_peft(base, [adapter], "float32"))


def test_conv1d_layers_are_merged_the_other_way_round(tmp_path: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=32)).save_pretrained(tmp_path / "base")
    adapter = lora(tmp_path / "base", tmp_path / "adapter", target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
    turned = lora(tmp_path / "base", tmp_path / "dora", target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, use_dora=True)
    theirs = by_peft(tmp_path / "base", [adapter, turned], "bfloat16")
    theirs.pop("lm_head.weight")  # the embedding, stored once
    same(merged(tmp_path / "base", [adapter, turned], tmp_path / "out", "bfloat16"), theirs)


def test_pickles_and_shards_go_in_and_bounded_shards_come_out(base: Path, first: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    held = load_file(base / "model.safetensors")
    held["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)  # as old shards have it; models compute it
    held["lm_head.weight"] = held["lm_head.weight"].T.contiguous().T  # a view
    names = sorted(held)
    old = tmp_path / "old"
    old.mkdir()
    (old / "config.json").write_bytes((base / "config.json").read_bytes())
    for number, part in enumerate((names[:9], names[9:]), 1):
        torch.save({name: held[name] for name in part}, old / f"pytorch_model-{number:05}-of-00002.bin")
    out = tmp_path / "out"
    ours = merged(old, [first], out, shard_bytes=9000)
    same(ours, by_peft(base, [first], "float32"))
    sizes = [sum(t.size for t in stored_tensors(path).values()) for path in sorted(out.glob("*.safetensors"))]
    assert len(sizes) > 3
    assert max(sizes) <= 9000
    index = json.loads((out / "model.safetensors.index.json").read_text("utf-8"))
    assert index["metadata"]["total_size"] == sum(sizes)
    assert index["weight_map"].keys() == ours.keys()
    assert weights_digest(out) == json.loads((out / MERGE_MANIFEST).read_text("utf-8"))["digest"]
    (old / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(WeightsError, match="应有 `00002` 个分片，只有 `1` 个"):
        plan_merge(old, [first])


def test_without_an_adapter_only_the_container_and_the_dtype_change(base: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    ours = merged(base, [], tmp_path / "out", "bfloat16")
    same(ours, {name: tensor.to(torch.bfloat16) for name, tensor in load_file(base / "model.safetensors").items()})


class TestTied:
    """A model whose head is its embedding."""

    @pytest.fixture
    def tied(self, tmp_path: Path) -> Path:
        return llama(tmp_path / "tied", tie_word_embeddings=True)

    def test_adapters_of_other_layers_leave_it_tied(self, tied: Path, tmp_path: Path) -> None:
        adapter = lora(tied, tmp_path / "adapter")
        ours = merged(tied, [adapter], tmp_path / "out")
        theirs = by_peft(tied, [adapter], "float32")
        same(ours | {"lm_head.weight": ours["model.embed_tokens.weight"]}, theirs)
        assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["tie_word_embeddings"] is True

    def test_a_resize_leaves_it_tied(self, tied: Path, tmp_path: Path) -> None:
        adapter = lora(tied, tmp_path / "adapter", rows=48)
        ours = merged(tied, [adapter], tmp_path / "out")
        assert ours["model.embed_tokens.weight"].shape == (48, 32)
        same(ours | {"lm_head.weight": ours["model.embed_tokens.weight"]}, by_peft(tied, [adapter], "float32"))

    def test_two_tables_that_differ_do_not_stay_one(self, tied: Path, tmp_path: Path) -> None:
        adapter = lora(tied, tmp_path / "adapter", rows=48)
        rewrite(adapter, lambda held: held["base_model.model.lm_head.weight"].add_(1))
        with pytest.raises(WeightsError, match=r"另存了 `model\.embed_tokens\.weight、lm_head\.weight`"):
            plan_merge(tied, [adapter])

    def test_an_adapter_that_names_its_base_goes_into_every_layout(self, tied: Path, tmp_path: Path) -> None:
        first = lora(tied, tmp_path / "first")
        merge(plan_merge(tied, [first]), tmp_path / "middle")
        second = lora(tmp_path / "middle", tmp_path / "second", seed=9)
        write_manifest(second, AdapterManifest(base={"digest": weights_digest(tmp_path / "middle")}))
        for form in ("hf", "pth"):
            assert merge(plan_merge(tied, [first, second]), tmp_path / form, form=form).adapters == 2

    @pytest.mark.parametrize(
        ("settings", "fault"),
        [
            ({"target_modules": ["q_proj", "lm_head"]}, "有 LoRA；加 --untie"),
            ({"modules_to_save": ["embed_tokens"]}, "另存了 `model.embed_tokens.weight`；加 --untie"),
            ({"modules_to_save": ["lm_head"]}, "另存了 `lm_head.weight`；加 --untie"),
        ],
    )
    def test_what_touches_one_of_the_two_is_refused_or_untied(self, tied: Path, tmp_path: Path, settings: dict, fault: str) -> None:
        from safetensors.torch import load_file, save_file

        adapter = lora(tied, tmp_path / "adapter", **settings)
        with pytest.raises(WeightsError) as caught:
            plan_merge(tied, [adapter])
        assert fault in caught.value.fault
        merge(plan_merge(tied, [adapter], untie=True), tmp_path / "out")
        untied = tmp_path / "untied"
        shutil.copytree(tied, untied)
        edit_json(untied / "config.json", tie_word_embeddings=False)
        held = load_file(tied / "model.safetensors")
        save_file({**held, "lm_head.weight": held["model.embed_tokens.weight"].clone()}, untied / "model.safetensors", {"format": "pt"})
        same(load_file(tmp_path / "out" / "model.safetensors"), by_peft(untied, [adapter], "float32"))


class TestMetaLayout:
    """consolidated.NN.pth and params.json."""

    def test_values_come_back(self, tmp_path: Path) -> None:
        import torch

        base = llama(tmp_path / "base", num_key_value_heads=2)
        adapter = lora(base, tmp_path / "adapter")
        merge(plan_merge(base, [adapter], dtype="float16"), tmp_path / "out", form="pth")
        held = torch.load(tmp_path / "out" / "consolidated.00.pth", weights_only=True, mmap=True)
        assert all(tensor.data_ptr() % 64 == 0 for tensor in held.values())
        back = {}
        for name, theirs in by_peft(base, [adapter], "float16").items():
            meta = _META[name] if name in _META else f"layers.{name.split('.')[2]}.{_META[name.split('.', 3)[3]]}"
            values = held.pop(meta)
            if heads := {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2]):
                # The way from Meta to Hugging Face: transformers, convert_llama_weights_to_hf.py, `permute`.
                values = values.view(heads, len(values) // heads // 2, 2, 32).transpose(1, 2).reshape(len(values), 32)
            back[name] = values
            assert theirs.dtype == values.dtype
        assert held == {}
        same(back, by_peft(base, [adapter], "float16"))
        wanted = {"dim": 32, "n_heads": 4, "n_kv_heads": 2, "n_layers": 2, "norm_eps": 1e-6, "vocab_size": -1}
        params = json.loads((tmp_path / "out" / "params.json").read_text("utf-8"))
        assert {key: params[key] for key in wanted} == wanted
        inner = int(int(8 * 32 / 3) * params.get("ffn_dim_multiplier", 1))
        assert -(-inner // params["multiple_of"]) * params["multiple_of"] == 48
        assert weights_digest(tmp_path / "out") == json.loads((tmp_path / "out" / MERGE_MANIFEST).read_text("utf-8"))["digest"]

    def test_larger_models_lie_in_several_files(self) -> None:
        import torch

        from finetune.meta_layout import meta_layout, params
        from finetune.tensor_files import TensorEntry

        config = {"hidden_size": 5120, "num_attention_heads": 40, "intermediate_size": 13824, "num_hidden_layers": 40, "rms_norm_eps": 1e-6}
        layout = meta_layout(config)
        names = [e.name for e in layout.entries(TensorEntry("model.layers.3.mlp.down_proj.weight", "F16", (5120, 13824)))]
        assert names == ["layers.3.feed_forward.w2.weight"] * 2
        head = [e.shape for e in layout.entries(TensorEntry("lm_head.weight", "F16", (49953, 5120)))]
        assert head == [(24976, 5120), (24977, 5120)]  # as the first Chinese merge scripts cut it
        matrix = torch.arange(24.0).view(4, 6)
        first, second = layout.parts("model.layers.3.mlp.down_proj.weight", matrix)
        assert torch.equal(torch.cat([first, second], 1), matrix)
        first, second = layout.parts("model.layers.3.input_layernorm.weight", matrix[0])
        assert torch.equal(first, second)
        assert params(config)["multiple_of"] == 256

    def test_two_files_together_hold_what_one_would(self, base: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        merge(plan_merge(base, [first]), tmp_path / "one", form="pth")
        monkeypatch.setattr("finetune.meta_layout._FILES", {32: 2})
        report = merge(plan_merge(base, [first]), tmp_path / "two", form="pth")
        assert report.digest == weights_digest(tmp_path / "two")
        whole = torch.load(tmp_path / "one" / "consolidated.00.pth", weights_only=True)
        halves = [torch.load(tmp_path / "two" / f"consolidated.{number:02}.pth", weights_only=True) for number in range(2)]
        for name, values in whole.items():
            left, right = (half[name] for half in halves)
            across = 1 if name.endswith(("tok_embeddings.weight", "wo.weight", "w2.weight")) else 0
            assert torch.equal(left if "norm" in name else torch.cat([left, right], across), values)

    def test_a_tied_head_is_written_out(self, tmp_path: Path) -> None:
        import torch

        base = llama(tmp_path / "base", tie_word_embeddings=True)
        merge(plan_merge(base, [lora(base, tmp_path / "adapter")]), tmp_path / "out", form="pth")
        held = torch.load(tmp_path / "out" / "consolidated.00.pth", weights_only=True)
        assert torch.equal(held["output.weight"], held["tok_embeddings.weight"])

    def test_other_models_are_refused(self, tmp_path: Path, base: Path, first: Path) -> None:
        plan = plan_merge(base, [first])
        for changed, fault in (({"model_type": "qwen3"}, "模型类型是 `qwen3`"), ({"rope_scaling": {"rope_type": "llama3"}}, "`llama3`")):
            edited = type(plan.base)(
                plan.base.folder, {**plan.base.config, "rope_parameters": None, **changed}, plan.base.tensors, [], tied=False
            )
            with pytest.raises(WeightsError, match=fault):
                merge(type(plan)(edited, plan.adapters, plan.tensors, tied=False), tmp_path / "out", form="pth")
        assert list(tmp_path.iterdir()) == []


_META = {
    "model.embed_tokens.weight": "tok_embeddings.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "output.weight",
    "self_attn.q_proj.weight": "attention.wq.weight",
    "self_attn.k_proj.weight": "attention.wk.weight",
    "self_attn.v_proj.weight": "attention.wv.weight",
    "self_attn.o_proj.weight": "attention.wo.weight",
    "mlp.gate_proj.weight": "feed_forward.w1.weight",
    "mlp.down_proj.weight": "feed_forward.w2.weight",
    "mlp.up_proj.weight": "feed_forward.w3.weight",
    "input_layernorm.weight": "attention_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
}


def tokenizer(folder: Path, size: int) -> None:
    """A tokenizer.json of `size` words, the last an added one."""
    words = {f"w{number}": number for number in range(size - 1)}
    added = [{"id": size - 1, "content": "</s>", "special": True}]
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": words}, "added_tokens": added}), "utf-8")


def rewrite(adapter: Path, change: Any) -> None:
    """Change an adapter's tensors in place."""
    from safetensors.torch import load_file, save_file

    held = load_file(adapter / "adapter_model.safetensors")
    change(held)
    save_file({name: tensor.contiguous() for name, tensor in held.items()}, adapter / "adapter_model.safetensors")


_Q = "base_model.model.model.layers.0.self_attn.q_proj"


class TestRefused:
    """Everything that does not fit is told at once, and nothing is written."""

    def test_all_faults_are_told_together(self, base: Path, tmp_path: Path) -> None:
        import torch

        def spoil(held: dict) -> None:
            held["base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight"] = torch.ones(4, 32)
            held["base_model.model.model.layers.7.self_attn.q_proj.lora_B.weight"] = torch.ones(32, 4)
            held["base_model.model.extra.weight"] = torch.ones(3)
            held[f"{_Q}.lora_A.weight"] = torch.ones(4, 31)
            for half in "AB":
                del held[f"base_model.model.model.layers.1.mlp.up_proj.lora_{half}.weight"]

        one, two = lora(base, tmp_path / "one"), lora(base, tmp_path / "two", seed=5, r=2)
        rewrite(one, spoil)
        write_manifest(one, AdapterManifest(template="alpaca", base={"digest": "0" * 64}, tokenizer_digest="1" * 64))
        write_manifest(two, AdapterManifest(template="qizhen", template_digest="2" * 64))
        tokenizer(two, 41)
        with pytest.raises(WeightsError) as caught:
            plan_merge(base, [one, two])
        for part in (
            "`base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight` 在基座里没有对应的张量",
            "`base_model.model.model.layers.7.self_attn.q_proj.lora_B.weight` 在基座里没有对应的张量",
            "`base_model.model.extra.weight` 在基座里没有对应的张量",
            "`model.layers.0.self_attn.q_proj` 的 LoRA 合成 [32, 31]，基座的张量是 [32, 32] F32",
            "`model.layers.1.mlp.up_proj` 应有 LoRA 张量，没有保存下来",
            "one 用 `alpaca`，two 用 `qizhen`",
            "提示模板 `qizhen` 的内容与训练时不同（222222222222…",
            "训练时的基座是 000000000000…",
            "训练时的分词器（111111111111…）",
            "分词器有 41 个词，合并后的词向量有 40 行",
        ):
            assert part in caught.value.fault, part
        assert "共 10 处" in caught.value.fault

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"peft_type": "IA3"}, "类型是 `IA3`，只能合并 LORA"),
            ({"bias": "all"}, "bias 是 `all`"),
            ({"bias": "lora_only"}, "bias 是 `lora_only`"),
            ({"init_lora_weights": "pissa"}, "init_lora_weights 是 `pissa`"),
            ({"enable_lora": [True, False, True]}, "`enable_lora` 是 `[True, False, True]`"),
            ({"trainable_token_indices": [1]}, "`trainable_token_indices` 是 `[1]`"),
            ({"lora_bias": True}, "`lora_bias` 是 `True`"),
            ({"modules_to_save": ["lm_head"]}, "modules_to_save 里的 `lm_head` 没有保存下来"),
            ({"r": 8}, "的秩是 4，设置里是 8"),
            ({"use_dora": True}, "缺 `lora_magnitude_vector`"),
        ],
    )
    def test_what_cannot_be_merged_is_named(self, base: Path, tmp_path: Path, changes: dict, fault: str) -> None:
        adapter = lora(base, tmp_path / "adapter", target_modules=["q_proj"])
        edit_json(adapter / "adapter_config.json", **changes)
        with pytest.raises(WeightsError) as caught:
            plan_merge(base, [adapter])
        assert fault in caught.value.fault

    def test_a_magnitude_nobody_asked_for_is_refused(self, base: Path, tmp_path: Path) -> None:
        adapter = lora(base, tmp_path / "adapter", target_modules=["q_proj"], use_dora=True)
        edit_json(adapter / "adapter_config.json", use_dora=False)
        with pytest.raises(WeightsError, match="`lora_magnitude_vector` 用不上"):
            plan_merge(base, [adapter])

    def test_a_quantised_base_is_refused(self, base: Path, first: Path, tmp_path: Path) -> None:
        copy = llama(tmp_path / "copy")
        edit_json(copy / "config.json", quantization_config={"quant_method": "gptq"})
        with pytest.raises(WeightsError, match="是量化过的模型"):
            plan_merge(copy, [first])

    def test_a_smaller_vocabulary_after_a_larger_one_is_refused(self, base: Path, tmp_path: Path) -> None:
        """49,954 rows and then 49,953: an Alpaca adapter below a LLaMA one."""
        whole = ["embed_tokens", "lm_head"]
        large, small = (lora(base, tmp_path / str(rows), rows=rows, modules_to_save=whole) for rows in (54, 53))
        assert plan_merge(base, [small, large]).rows == 54
        with pytest.raises(WeightsError, match=r"`\S*lm_head\S*` 是 \[53, 32\] F32，此前是 \[54, 32\] F32；词表只能变大"):
            plan_merge(base, [large, small])

    @pytest.mark.parametrize(("rows", "size", "good"), [(53, 53, True), (56, 53, True), (54, 53, False), (53, 54, False)])
    def test_rows_fit_the_tokenizer(self, base: Path, tmp_path: Path, rows: int, size: int, good: bool) -> None:
        adapter = lora(base, tmp_path / "adapter", rows=rows, modules_to_save=["embed_tokens", "lm_head"])
        tokenizer(adapter, size)
        if good:
            assert plan_merge(base, [adapter]).rows == rows
        else:
            with pytest.raises(WeightsError, match=f"分词器有 {size} 个词，合并后的词向量有 {rows} 行"):
                plan_merge(base, [adapter])

    def test_more_rows_for_the_embedding_alone_are_refused(self, base: Path, tmp_path: Path) -> None:
        adapter = lora(base, tmp_path / "adapter", rows=53, target_modules=["q_proj"])
        rewrite(adapter, lambda held: held.pop("base_model.model.lm_head.weight"))
        with pytest.raises(WeightsError, match="词向量有 53 行，lm_head 有 40 行"):
            plan_merge(base, [adapter])

    def test_two_copies_of_one_place_that_differ_are_refused(self, base: Path, tmp_path: Path) -> None:
        adapter = lora(base, tmp_path / "adapter", rows=53, modules_to_save=["embed_tokens", "lm_head"])
        rewrite(adapter, lambda held: held["base_model.model.lm_head.modules_to_save.weight"].add_(1))
        with pytest.raises(WeightsError, match="是同一处的两份，却不相同"):
            plan_merge(base, [adapter])

    @pytest.mark.parametrize(("half", "value", "fault"), [("lora_A", float("nan"), "里有 NaN 或无穷大"), ("lora_B", 0.0, "B 矩阵都是零")])
    def test_broken_values_are_refused(self, base: Path, tmp_path: Path, half: str, value: float, fault: str) -> None:
        adapter = lora(base, tmp_path / "adapter")
        rewrite(adapter, lambda held: [tensor.fill_(value) for name, tensor in held.items() if half in name])
        with pytest.raises(WeightsError, match=fault):
            plan_merge(base, [adapter])

    def test_a_sum_beyond_half_precision_is_refused(self, base: Path, tmp_path: Path) -> None:
        adapter = lora(base, tmp_path / "adapter")
        rewrite(adapter, lambda held: held[f"{_Q}.lora_A.weight"].mul_(1e6))
        plan = plan_merge(base, [adapter], dtype="float16")
        with pytest.raises(WeightsError, match=r"layers\.0\.self_attn\.q_proj\.weight` 合并后有 NaN 或无穷大") as caught:
            merge(plan, tmp_path / "out")
        assert "bfloat16" in caught.value.hint
        assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]

    def test_an_adapter_made_for_another_model_is_refused(self, base: Path, first: Path, tmp_path: Path) -> None:
        """The second adapter's base is the first one's result, known only when it has been computed."""
        merge(plan_merge(base, [first]), tmp_path / "middle")
        second = lora(tmp_path / "middle", tmp_path / "second", seed=9)
        write_manifest(second, AdapterManifest(template="alpaca", base={"name": "middle", "digest": weights_digest(tmp_path / "middle")}))
        for form in ("hf", "pth"):
            merge(plan_merge(base, [first, second]), tmp_path / form, form=form)
        assert read_manifest(tmp_path / "hf").template == "alpaca"
        other = lora(base, tmp_path / "other", seed=11)
        for form in ("hf", "pth"):
            with pytest.raises(WeightsError, match="合并了前面 1 个适配器的基座是"):
                merge(plan_merge(base, [other, second]), tmp_path / "out", form=form)
        write_manifest(second, AdapterManifest(base={"digest": weights_digest(base)}))
        with pytest.raises(WeightsError, match="没有合并前面适配器"):
            plan_merge(base, [first, second])
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".*"))


class TestFaults:
    """Killed, full, forbidden, damaged."""

    def test_killed_in_the_middle_leaves_no_output_and_the_next_run_cleans_up(self, base: Path, first: Path, tmp_path: Path) -> None:
        code = (
            "import sys, time; from pathlib import Path; from finetune.merge import merge; from finetune.merge_plan import plan_merge\n"
            "def slow(count, name): print(name, flush=True); time.sleep(30)\n"
            "base, adapter, out = map(Path, sys.argv[1:]); merge(plan_merge(base, [adapter]), out, progress=slow)"
        )
        out = tmp_path / "out"
        command = [sys.executable, "-c", code, str(base), str(first), str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as run:
            assert run.stdout is not None
            assert run.stdout.readline()  # one tensor is written
            run.send_signal(signal.SIGKILL)
        assert not out.exists()
        assert len(list(tmp_path.glob(".out.*.part"))) == 1
        merge(plan_merge(base, [first]), out)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_run_under_way_is_left_alone(self, base: Path, first: Path, tmp_path: Path) -> None:
        from finetune.unfinished import unfinished_folder

        with unfinished_folder(tmp_path / "out") as other:
            # Another process's folder: this one has the same id, so it is renamed to look like one.
            beside = other.rename(tmp_path / ".out.1.part")
            merge(plan_merge(base, [first]), tmp_path / "out")
            assert beside.is_dir()
            beside.rename(other)
            (tmp_path / "out").rename(tmp_path / "moved")
        assert (tmp_path / "out").is_dir()

    def test_a_full_disk_leaves_nothing(self, base: Path, first: Path, tmp_path: Path) -> None:
        plan, before = plan_merge(base, [first]), resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            with pytest.raises(WeightsError, match="时失败"):
                merge(plan, tmp_path / "out")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_cannot_be_written_is_told_before(self, base: Path, first: Path, tmp_path: Path) -> None:
        plan = plan_merge(base, [first])
        (tmp_path / "there").mkdir()
        for out, fault in ((tmp_path / "there", "已经在了，不覆盖"), (tmp_path / "no" / "out", "没有文件夹")):
            with pytest.raises(WeightsError, match=fault):
                merge(plan, out)
        if os.geteuid():
            (tmp_path / "there").chmod(0o500)
            with pytest.raises(WeightsError, match="不能写"):
                merge(plan, tmp_path / "there" / "out")
        with pytest.raises(WeightsError, match="不能写"):
            merge(plan, tmp_path / ("长" * 83))  # a name that fits; the unfinished folder's does not

    def test_too_little_space_is_told_before(self, base: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = plan_merge(base, [first])
        monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
        with pytest.raises(WeightsError, match=r"只剩 0\.00 GB"):
            merge(plan, tmp_path / "out")

    @pytest.mark.parametrize("ending", ["safetensors", "bin"])
    @pytest.mark.parametrize("kept", [0, 4, 300, 0.5, 0.999])
    def test_a_damaged_shard_is_told_before(self, base: Path, first: Path, tmp_path: Path, ending: str, kept: float) -> None:
        import torch
        from safetensors.torch import load_file

        copy = llama(tmp_path / "copy")
        path = copy / "model.safetensors"
        if ending == "bin":
            torch.save(load_file(path), copy / "pytorch_model.bin")
            path.unlink()
            path = copy / "pytorch_model.bin"
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
        with pytest.raises(WeightsError, match=rf"`{path}` (的文件头读不出来|不完整|读不出来)"):
            plan_merge(copy, [first])


def sentence_pieces(folder: Path) -> Any:
    """A small SentencePiece model, written to `folder`/tokenizer.model."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    (folder / "text").write_text("非布司他用于痛风患者高尿酸血症的长期治疗。\n" * 20 + "abc abd\n" * 20, "utf-8")
    SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "tokenizer"), vocab_size=40, hard_vocab_limit=False, minloglevel=9
    )
    return SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


class TestBeside:
    """What stands beside the weights."""

    def test_the_last_tokenizer_is_copied_and_the_manifest_says_how_it_was_made(self, base: Path, tmp_path: Path) -> None:
        adapter = lora(base, tmp_path / "adapter", rows=53, modules_to_save=["embed_tokens", "lm_head"])
        tokenizer(adapter, 53)
        (adapter / "special_tokens_map.json").write_text("{}", "utf-8")
        report = merge(plan_merge(base, [adapter]), tmp_path / "out")
        out = tmp_path / "out"
        assert {path.name for path in out.iterdir()} == {
            *("config.json", "generation_config.json", "model.safetensors", MERGE_MANIFEST, "tokenizer.json", "special_tokens_map.json"),
        }
        assert (out / "tokenizer.json").read_bytes() == (adapter / "tokenizer.json").read_bytes()
        manifest = json.loads((out / MERGE_MANIFEST).read_text("utf-8"))
        assert manifest["digest"] == report.digest == weights_digest(out)
        assert manifest["base"]["digest"] == weights_digest(base)
        assert [entry["digest"] for entry in manifest["adapters"]] == [weights_digest(adapter)]
        assert manifest["versions"].keys() == {"qizhen", "torch", "python"}

    def test_a_tokenizer_of_ours_comes_out_as_it_went_in(self, tmp_path: Path) -> None:
        from app.tokenizer import load_tokenizer, tokenizer_digest

        pieces = sentence_pieces(tmp_path)
        base = llama(tmp_path / "base", rows=len(pieces) + 1)
        (tmp_path / "tokenizer.model").rename(base / "tokenizer.model")
        adapter = lora(base, tmp_path / "adapter")
        from app.exact_tokenizer import ExactTokenizer

        ExactTokenizer(str(base / "tokenizer.model"), added=["[PAD]"]).save_pretrained(adapter)
        write_manifest(adapter, AdapterManifest(template="qizhen", tokenizer_digest=tokenizer_digest(adapter)))
        merge(plan_merge(base, [adapter]), tmp_path / "out")
        kept = load_tokenizer(tmp_path / "out")
        assert len(kept) == len(pieces) + 1
        assert kept("非布司他", add_special_tokens=False)["input_ids"] == pieces.encode("非布司他")
        assert read_manifest(tmp_path / "out").tokenizer_digest == tokenizer_digest(tmp_path / "out")

    def test_tokenizer_model_is_kept_where_it_was_lost_on_the_way(self, tmp_path: Path) -> None:
        pieces = sentence_pieces(tmp_path)
        base = llama(tmp_path / "base", rows=len(pieces))
        (tmp_path / "tokenizer.model").rename(base / "tokenizer.model")
        adapter = lora(base, tmp_path / "adapter")
        words = {pieces.id_to_piece(number): number for number in range(len(pieces))}
        (adapter / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}), "utf-8")
        merge(plan_merge(base, [adapter]), tmp_path / "out")
        assert (tmp_path / "out" / "tokenizer.model").read_bytes() == (base / "tokenizer.model").read_bytes()
        first, second, *_ = words
        (adapter / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words | {first: 1, second: 0}}}), "utf-8")
        merge(plan_merge(base, [adapter]), tmp_path / "other")
        assert not (tmp_path / "other" / "tokenizer.model").exists()


class TestCommand:
    """`qizhen-finetune merge`."""

    def run(self, *arguments: object) -> Any:
        return CliRunner().invoke(app, ["merge", *map(str, arguments)])

    def test_a_plan_lists_every_tensor_and_writes_nothing(self, base: Path, first: Path, tmp_path: Path) -> None:
        said = self.run("--base", base, "--adapter", first, "--out", tmp_path / "out", "--plan")
        assert said.exit_code == 0
        for name in stored_tensors(base):
            assert sum(line.startswith(f"{name} ") for line in said.stdout.splitlines()) == 1
        assert said.stdout.count("加 LoRA（first）") == 2 * len(ALL)
        assert said.stdout.count("原样复制") == len(stored_tensors(base)) - 2 * len(ALL)
        assert "没有写任何文件" in said.stdout
        assert list(tmp_path.iterdir()) == []

    def test_json_is_one_object(self, base: Path, first: Path, tmp_path: Path) -> None:
        said = self.run("--base", base, "--adapter", first, "--out", tmp_path / "out", "--json", "--shard-size", "10KB")
        found = json.loads(said.stdout)
        assert found.keys() == {"out", "tensors", "adapters", "digest", "seconds", "peak_megabytes"}
        assert found["digest"] == weights_digest(tmp_path / "out")
        planned = json.loads(self.run("--base", base, "--adapter", first, "--out", tmp_path / "b", "--json", "--plan").stdout)
        assert [tensor["name"] for tensor in planned["tensors"]] == sorted(stored_tensors(base))

    def test_wrong_words_are_refused(self, base: Path, first: Path, tmp_path: Path) -> None:
        for words, fault in ((["--form", "gguf"], "gguf"), (["--dtype", "int8"], "int8"), (["--shard-size", "much"], "much")):
            said = self.run("--base", base, "--adapter", first, "--out", tmp_path / "out", *words)
            assert isinstance(said.exception, QizhenError)
            assert f"`{fault}`" in said.exception.fault

    @pytest.mark.parametrize(("text", "size"), [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("7", 7), ("10kb", 10**4)])
    def test_sizes(self, text: str, size: int) -> None:
        assert size_in_bytes(text) == size


def test_memory_stays_near_one_tensor(tmp_path: Path) -> None:
    """A model of 200 MB in one file is merged within 60 MB of what an idle process with torch loaded takes."""
    base = llama(tmp_path / "base", rows=16000, hidden_size=512, intermediate_size=2048, num_hidden_layers=8)
    adapter = lora(base, tmp_path / "adapter")
    assert sum(tensor.size for tensor in stored_tensors(base).values()) > 190_000_000
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from finetune.merge import merge, peak_resident_bytes; from finetune.merge_plan import plan_merge\n"
        "torch.ones(8, 8) @ torch.ones(8, 8); idle = peak_resident_bytes()\n"
        "base, adapter, out = map(Path, sys.argv[1:]); merge(plan_merge(base, [adapter]), out); print(peak_resident_bytes() - idle)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(base), str(adapter), str(tmp_path / "out")],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 60_000_000
