"""Merging at the shapes of LLaMA-7B: seconds and peak memory of `qizhen-finetune merge` and of PEFT, and whether they agree bit for bit.

    python tests/benchmarks/merge.py --layers 4

Random weights: a base of 32,000 rows, an adapter that brings 49,953 rows and LoRA on every matrix (as Chinese-LLaMA-Plus), and a second
adapter on top (as QiZhen). Both ways run in a process of their own, from files to files. Everything written is removed at the end.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WIDTH, INNER, HEADS, ROWS, MORE_ROWS = 4096, 11008, 32, 32_000, 49_953
MATRICES = {
    **{f"self_attn.{name}_proj": (WIDTH, WIDTH) for name in "qkvo"},
    **{f"mlp.{name}_proj": (INNER, WIDTH) for name in ("gate", "up")},
    "mlp.down_proj": (WIDTH, INNER),
}


def main() -> None:
    """Make the inputs, run both, compare, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where to write some gigabytes; removed at the end")
    parser.add_argument("--by-peft", nargs=4, metavar=("BASE", "FIRST", "SECOND", "OUT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by_peft:
        merge_by_peft(*map(Path, asked.by_peft))
        return
    folder = Path(tempfile.mkdtemp(prefix="merge-", dir=asked.folder))
    try:
        sys.stdout.write(json.dumps(compared(folder, asked.layers), ensure_ascii=False, indent=2) + "\n")
    finally:
        shutil.rmtree(folder)


def compared(folder: Path, layers: int) -> dict[str, Any]:
    """Both ways, one after the other, on files that are already in the page cache."""
    from app.weights import stored_tensors, weights_digest

    base, first, second = (folder / name for name in ("base", "first", "second"))
    write_base(base, layers)
    write_adapter(first, layers, rows=MORE_ROWS, seed=1)
    write_adapter(second, layers, rows=0, seed=2)
    code = "from finetune.console import main; main()"
    ours = [sys.executable, "-c", code, "merge", "--base", base, "--adapter", first, "--adapter", second, "--out", folder / "ours"]
    theirs = [sys.executable, __file__, "--by-peft", base, first, second, folder / "theirs"]
    found: dict[str, Any] = {
        "layers": layers,
        "base_gigabytes": round(sum(tensor.size for tensor in stored_tensors(base).values()) / 1e9, 2),
        "adapter_gigabytes": round(sum(tensor.size for tensor in stored_tensors(first).values()) / 1e9, 2),
        "ours": measured([*map(str, ours), "--json"]),
        "peft": measured([*map(str, theirs)]),
    }
    found["identical"] = weights_digest(folder / "ours") == weights_digest(folder / "theirs")
    found["ours"]["with_pth"] = measured([*map(str, ours[:-1]), str(folder / "pth"), "--form", "pth", "--json"])
    return found


def measured(command: list[str]) -> dict[str, Any]:
    """Seconds of the whole process, its processor seconds, its peak resident memory, and the part of it that is not file pages."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        own = [0]
        watch = threading.Thread(target=_watch, args=(run, own), daemon=True)
        watch.start()
        said = run.communicate()[0]
    watch.join()
    if run.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    peak = json.loads(said.splitlines()[-1])["peak_megabytes"]
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    times = {"seconds": round(seconds, 1), "processor_seconds": round(processor, 1)}
    return times | {"peak_megabytes": peak, "peak_own_megabytes": round(own[0] / 1e6)}


def _watch(run: subprocess.Popen[str], most: list[int]) -> None:
    """RssAnon of /proc/PID/status, 20 times a second."""
    status = Path(f"/proc/{run.pid}/status")
    while run.poll() is None:
        try:
            lines = status.read_text("utf-8").splitlines()
        except OSError:
            return
        most[0] = max([most[0], *(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))])
        time.sleep(0.05)


def merge_by_peft(base: Path, first: Path, second: Path, out: Path) -> None:
    """Load, resize, merge, merge, save."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from finetune.merge import peak_resident_bytes

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float16)
    model.resize_token_embeddings(MORE_ROWS, mean_resizing=False)
    for adapter in (first, second):
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    model.save_pretrained(out, max_shard_size="2GB")
    sys.stdout.write(json.dumps({"peak_megabytes": round(peak_resident_bytes() / 1e6, 1)}) + "\n")


def write_base(folder: Path, layers: int) -> None:
    """Random weights in float16, tensor by tensor."""
    import torch

    from finetune.tensor_files import SafetensorsWriter, TensorEntry, tensor_pieces

    folder.mkdir()
    shapes = {"model.embed_tokens": (ROWS, WIDTH), "lm_head": (ROWS, WIDTH), "model.norm": (WIDTH,)}
    for layer in range(layers):
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in MATRICES.items()}
        shapes |= {f"model.layers.{layer}.{name}": (WIDTH,) for name in ("input_layernorm", "post_attention_layernorm")}
    entries = [TensorEntry(f"{name}.weight", "F16", shape) for name, shape in sorted(shapes.items())]
    writer = SafetensorsWriter(folder, entries, 2_000_000_000)
    random = torch.Generator().manual_seed(0)
    for entry in entries:
        writer.write(entry, tensor_pieces(torch.randn(entry.shape, generator=random).mul_(0.02).half()))
    writer.close()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_attention_heads": HEADS,
        "num_hidden_layers": layers,
        "rms_norm_eps": 1e-6,
        "torch_dtype": "float16",
        "tie_word_embeddings": False,
        "vocab_size": ROWS,
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def write_adapter(folder: Path, layers: int, rows: int, seed: int) -> None:
    """LoRA of rank 8 on every matrix, as peft 0.3 wrote it; with whole embeddings where `rows` says how many."""
    import torch

    folder.mkdir()
    random = torch.Generator().manual_seed(seed)
    held = dict(_halves(layers, random))
    whole = ["embed_tokens", "lm_head"] if rows else None
    for name in ("model.embed_tokens", "lm_head") if rows else ():
        held[f"base_model.model.{name}.weight"] = torch.randn(rows, WIDTH, generator=random).mul_(0.02).half()
    torch.save(held, folder / "adapter_model.bin")
    targets = [name.split(".")[1] for name in MATRICES]
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 32, "bias": "none", "modules_to_save": whole}
    old = {"target_modules": targets, "enable_lora": None, "merge_weights": False, "fan_in_fan_out": False, "inference_mode": True}
    (folder / "adapter_config.json").write_text(json.dumps(config | old), "utf-8")


def _halves(layers: int, random: Any) -> Iterator[tuple[str, Any]]:
    import torch

    for layer in range(layers):
        for name, (outputs, inputs) in MATRICES.items():
            key = f"base_model.model.model.layers.{layer}.{name}"
            yield f"{key}.lora_A.weight", torch.randn(8, inputs, generator=random).mul_(0.02).half()
            yield f"{key}.lora_B.weight", torch.randn(outputs, 8, generator=random).mul_(0.02).half()


if __name__ == "__main__":
    main()
