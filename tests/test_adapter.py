"""Adapters on the disk: their manifest, their digest, and the ways in which they are saved empty."""

import json
from pathlib import Path

import pytest
from tiny_models import as_old_peft, edit_json, llama, lora

from app.adapter_manifest import AdapterManifest, read_manifest, write_manifest
from app.weights import digest_of, stored_tensors, weights_digest
from finetune.adapter import LoraSettings, check_adapter, modern_config
from indexer.errors import GeneratorError, WeightsError

pytestmark = pytest.mark.filterwarnings("ignore")


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


class TestDigest:
    """What weights hold, however they are kept."""

    def test_it_is_the_same_in_every_container(self, tmp_path: Path) -> None:
        import torch
        from safetensors.torch import save_file

        torch.manual_seed(3)
        held = {"b": torch.randn(3, 4).bfloat16(), "a": torch.randn(5), "c": torch.arange(6).view(2, 3).T, "d": torch.tensor(True)}
        plain = {name: tensor.contiguous() for name, tensor in held.items()}
        for name in ("one", "two", "three", "four"):
            (tmp_path / name).mkdir()
        save_file(plain, tmp_path / "one" / "model.safetensors", {"format": "pt"})
        torch.save(held, tmp_path / "two" / "pytorch_model.bin")
        for number, names in enumerate(("ad", "bc"), 1):
            save_file({name: plain[name] for name in names}, tmp_path / "three" / f"model-{number:05}-of-00002.safetensors")
            torch.save({name: held[name] for name in names}, tmp_path / "four" / f"pytorch_model-{number:05}-of-00002.bin")
        found = {weights_digest(tmp_path / name) for name in ("one", "two", "three", "four")}
        assert len(found) == 1
        assert weights_digest(tmp_path / "two" / "pytorch_model.bin") in found
        assert weights_digest(sorted((tmp_path / "three").iterdir())) in found
        assert bytes(stored_tensors(tmp_path / "two")["c"].read()) == plain["c"].numpy().tobytes()

    @pytest.mark.parametrize("change", ["name", "value", "dtype", "shape"])
    def test_every_change_changes_it(self, tmp_path: Path, change: str) -> None:
        import torch
        from safetensors.torch import save_file

        values = torch.zeros(2, 6)
        changed = {
            "name": {"b": values},
            "value": {"a": values.index_fill(1, torch.tensor([5]), -0.0)},
            "dtype": {"a": values.int()},
            "shape": {"a": values.view(3, 4)},
        }
        save_file({"a": values}, tmp_path / "a.safetensors")
        save_file(changed[change], tmp_path / "b.safetensors")
        assert weights_digest(tmp_path / "a.safetensors") != weights_digest(tmp_path / "b.safetensors")

    def test_it_can_be_worked_out_with_other_tools(self, tmp_path: Path) -> None:
        """As `printf` and `sha256sum` give it."""
        import torch
        from safetensors.torch import save_file

        save_file({"w": torch.tensor([[1.0, -2.0]])}, tmp_path / "a.safetensors")
        # printf '\x00\x00\x80\x3f\x00\x00\x00\xc0' | sha256sum
        inner = "ee4ac73c2bd27756ab82780f27c73a7bc4d3f0bb6acb37e008bc27eccd7e588b"
        # printf '["w","F32",[1,2],"%s"]\n' $inner | sha256sum
        outer = "143ddaae2093b7c188f4b1022a64838f0e46b977fb4ef4a605466d5f966d4afa"
        assert stored_tensors(tmp_path / "a.safetensors")["w"].digest() == inner
        assert weights_digest(tmp_path / "a.safetensors") == digest_of([("w", "F32", (1, 2), inner)]) == outer

    def test_several_pth_files_hold_slices_of_the_same_names(self, tmp_path: Path) -> None:
        import torch

        for number in range(2):
            torch.save({"w": torch.full((2,), float(number))}, tmp_path / f"consolidated.{number:02}.pth")
        assert list(stored_tensors(tmp_path)) == ["consolidated.00.pth/w", "consolidated.01.pth/w"]

    def test_the_same_name_twice_is_refused(self, tmp_path: Path) -> None:
        import torch
        from safetensors.torch import save_file

        for number in (1, 2):
            save_file({"w": torch.ones(1)}, tmp_path / f"model-{number:05}-of-00002.safetensors")
        with pytest.raises(WeightsError, match="各有一份"):
            stored_tensors(tmp_path)

    def test_a_shard_named_by_the_index_must_be_there(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "model-1.safetensors"}}), "utf-8")
        with pytest.raises(WeightsError, match=r"缺了 `model-1\.safetensors`"):
            stored_tensors(tmp_path)

    def test_a_folder_without_weights_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="没有权重文件"):
            weights_digest(tmp_path)

    def test_code_in_a_pickle_is_not_run(self, tmp_path: Path) -> None:
        import torch

        class Harm:
            def __reduce__(self) -> tuple:
                return Path.touch, (tmp_path / "harmed",)

        torch.save({"w": Harm()}, tmp_path / "pytorch_model.bin")
        with pytest.raises(WeightsError, match="读不出来"):
            stored_tensors(tmp_path)
        assert not (tmp_path / "harmed").exists()


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
