"""What is handed on of a trained model, and what stays behind."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_models import byte_level, lora

from app.adapter_manifest import AdapterManifest, write_manifest
from app.weights import weights_digest
from finetune.packing import pack
from indexer.errors import QizhenError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    base = byte_level(folder / "base", context=64, seed=1)
    (base / "tokenizer.model").write_bytes(b"pieces")
    settings = json.loads((base / "tokenizer_config.json").read_text("utf-8"))
    (base / "tokenizer_config.json").write_text(json.dumps(settings | {"auto_map": {"AutoTokenizer": ["code.Its", None]}}), "utf-8")
    write_manifest(base, AdapterManifest("qizhen"))
    adapter = lora(base, folder / "adapter", r=2, target_modules=["q_proj"])
    write_manifest(adapter, AdapterManifest("qizhen", base={"name": "base", "digest": weights_digest(base)}))
    (adapter / "checkpoints").mkdir()
    (adapter / "log.jsonl").write_text("{}", "utf-8")
    return folder


def test_only_what_answers_is_handed_on(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("卡片", "utf-8")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "old.safetensors").write_bytes(b"old")
    written = pack(trained / "base", trained / "adapter", tmp_path)
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "qizhen.json",
    ]
    assert not (tmp_path / "base" / "old.safetensors").exists()
    assert (tmp_path / "README.md").read_text("utf-8") == "卡片"
    assert written == pytest.approx(sum(path.stat().st_size for path in tmp_path.rglob("*.*")), abs=2000)
    assert "auto_map" not in (tmp_path / "base" / "tokenizer_config.json").read_text("utf-8")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"] == "../base"
    assert weights_digest(tmp_path / "base") == weights_digest(trained / "base")


def test_what_is_missing_or_does_not_fit_is_told_and_nothing_is_written(trained: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained / "base", tmp_path / "other")
    (other / "config.json").unlink()
    with pytest.raises(QizhenError, match=r"没有 `.*config\.json`"):
        pack(other, trained / "adapter", tmp_path / "out")
    stranger = byte_level(tmp_path / "stranger", context=64, seed=9)
    (stranger / "tokenizer.model").write_bytes(b"pieces")
    write_manifest(stranger, AdapterManifest("qizhen"))
    with pytest.raises(QizhenError, match="基座与训练时的不同"):
        pack(stranger, trained / "adapter", tmp_path / "out")
    assert not (tmp_path / "out").exists()
