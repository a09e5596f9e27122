"""Adapters on the disk: their manifest, and the ways in which they are saved empty."""

from pathlib import Path

import pytest
from tiny_models import as_old_peft, edit_json, llama, lora

from app.adapter_manifest import AdapterManifest, read_manifest, write_manifest
from finetune.adapter import LoraSettings, check_adapter, modern_config
from indexer.errors import GeneratorError, WeightsError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("models") / "base")


def test_a_manifest_comes_back_and_unknown_keys_do_no_harm(tmp_path: Path) -> None:
    manifest = AdapterManifest("qizhen", "ab", {"name": "b", "digest": "c"}, "d", {"r": 8}, {"samples": 3}, {"loss": 0.5}, {"seed": 7})
    assert read_manifest(tmp_path) is None
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    edit_json(tmp_path / "qizhen.json", later={"version": 2})
    assert read_manifest(tmp_path) == manifest
    (tmp_path / "qizhen.json").write_text('{"template": "alpaca"}', "utf-8")
    assert read_manifest(tmp_path) == AdapterManifest(template="alpaca")


@pytest.mark.parametrize(("text", "fault"), [("{", "读不出来"), ('"template"', "读不出来"), ('{"base": "llama"}', "里的 base 是 `llama`")])
def test_a_manifest_that_says_nothing_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "qizhen.json").write_text(text, "utf-8")
    with pytest.raises(GeneratorError, match=fault):
        read_manifest(tmp_path)


class TestCheck:
    """An adapter is looked at right after it was saved."""

    def test_a_good_one_is_read(self, base: Path, tmp_path: Path) -> None:
        adapter = check_adapter(lora(base, tmp_path / "adapter"))
        assert len(adapter.deltas) == 14
        assert adapter.settings.scaling("model.layers.0.self_attn.q_proj") == 8.0

    def test_one_of_peft_0_3_is_read(self, base: Path, tmp_path: Path) -> None:
        adapter = check_adapter(as_old_peft(lora(base, tmp_path / "adapter", rows=53, modules_to_save=["embed_tokens", "lm_head"])))
        assert adapter.whole.keys() == {"model.embed_tokens.weight", "lm_head.weight"}
        assert [tensor.dtype for tensor in adapter.whole.values()] == ["F16", "F16"]

    def test_an_empty_one_is_refused(self, base: Path, tmp_path: Path) -> None:
        """As left by the patched state_dict of old training scripts: 443 bytes then, and no tensor."""
        import torch

        adapter = lora(base, tmp_path / "adapter")
        (adapter / "adapter_model.safetensors").unlink()
        torch.save({}, adapter / "adapter_model.bin")
        with pytest.raises(WeightsError, match="没有一个 LoRA 张量"):
            check_adapter(adapter)

    def test_one_that_was_never_trained_is_refused(self, base: Path, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="全部 14 个 B 矩阵都是零"):
            check_adapter(lora(base, tmp_path / "adapter", init_lora_weights=True))

    def test_tensors_without_values_are_refused(self, base: Path, tmp_path: Path) -> None:
        import torch
        from safetensors.torch import load_file, save_file

        adapter = lora(base, tmp_path / "adapter")
        held = load_file(adapter / "adapter_model.safetensors")
        save_file({**held, "base_model.model.lm_head.weight": torch.empty(0, 32)}, adapter / "adapter_model.safetensors")
        with pytest.raises(WeightsError, match=r"`base_model\.model\.lm_head\.weight` 的形状是 \[0, 32\]，没有值"):
            check_adapter(adapter)

    def test_a_missing_half_is_named(self, base: Path, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        adapter = lora(base, tmp_path / "adapter")
        held = load_file(adapter / "adapter_model.safetensors")
        del held["base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"]
        save_file(held, adapter / "adapter_model.safetensors")
        with pytest.raises(WeightsError, match=r"`model\.layers\.1\.mlp\.up_proj` 缺 `lora_B`"):
            check_adapter(adapter)

    def test_a_folder_that_is_no_adapter_is_told(self, base: Path) -> None:
        with pytest.raises(WeightsError, match=r"adapter_config\.json` 读不出来"):
            check_adapter(base)


def test_old_settings_that_say_nothing_are_left_out() -> None:
    old = {"r": 8, "enable_lora": None, "merge_weights": False, "fan_in_fan_out": False}
    assert modern_config(old) == {"r": 8, "fan_in_fan_out": False}
    assert modern_config({"enable_lora": [True, False]}) == {"enable_lora": [True, False]}


def test_patterns_and_scalings_are_those_of_the_papers() -> None:
    settings = LoraSettings(rank=16, alpha=32, ranks={"q_proj": 4}, alphas={r"layers\.1\.mlp": 8, "layers.0.self_attn.q_proj": 6})
    assert settings.scaling("model.layers.0.mlp.up_proj") == 2.0
    assert settings.scaling("model.layers.0.self_attn.q_proj") == 1.5
    assert settings.scaling("model.layers.1.self_attn.q_proj") == 8.0
    assert LoraSettings(rank=16, alpha=32, rank_stabilised=True).scaling("x") == 8.0
