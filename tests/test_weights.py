"""Weights on the disk: read from every container, with one digest."""

import json
from pathlib import Path

import pytest

from app.weights import digest_of, stored_tensors, weights_digest
from indexer.errors import WeightsError


def test_it_is_the_same_in_every_container(tmp_path: Path) -> None:
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
def test_every_change_changes_it(tmp_path: Path, change: str) -> None:
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


def test_it_can_be_worked_out_with_other_tools(tmp_path: Path) -> None:
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


def test_several_pth_files_hold_slices_of_the_same_names(tmp_path: Path) -> None:
    import torch

    for number in range(2):
        torch.save({"w": torch.full((2,), float(number))}, tmp_path / f"consolidated.{number:02}.pth")
    assert list(stored_tensors(tmp_path)) == ["consolidated.00.pth/w", "consolidated.01.pth/w"]


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for number in (1, 2):
        save_file({"w": torch.ones(1)}, tmp_path / f"model-{number:05}-of-00002.safetensors")
    with pytest.raises(WeightsError, match="各有一份"):
        stored_tensors(tmp_path)


def test_a_shard_named_by_the_index_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "model-1.safetensors"}}), "utf-8")
    with pytest.raises(WeightsError, match=r"缺了 `model-1\.safetensors`"):
        stored_tensors(tmp_path)


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="没有权重文件"):
        weights_digest(tmp_path)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    import torch

    class Harm:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "harmed",)

    torch.save({"w": Harm()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="读不出来"):
        stored_tensors(tmp_path)
    assert not (tmp_path / "harmed").exists()


def test_a_tensor_whose_bytes_do_not_fit_its_shape_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(WeightsError, match="张量 w 的字节数与形状不符"):
        stored_tensors(tmp_path)
