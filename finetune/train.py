"""Train a model by a recipe: from nothing, further on texts, or on instructions; whole, or as a LoRA adapter. On TRL and PEFT."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.adapter_manifest import AdapterManifest, write_manifest
from app.tokenizer import MODEL_FILE, load_tokenizer, tokenizer_digest
from app.weights import stored_tensors, weights_digest
from finetune.adapter import check_adapter
from finetune.checkpoints import begin, check_folder, counts_of, finish, last_checkpoint, step_of
from finetune.encoding import Sequences, encode_samples, encode_texts, encoder, files_digest, read_lines, samples_of, texts_of
from finetune.recipe import Recipe, as_settings
from finetune.rows import Batching, Rows, batching, lay_out
from finetune.tensor_files import all_finite, load_parts
from finetune.trained_model import check_components, check_fit, open_model, prompt_digest, quiet
from finetune.trainer import make_trainer, save_weights
from finetune.training_log import LOG_FILE, PLOT_FILE, plot_log, read_log, rewind_log
from indexer.errors import QizhenError


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: where it lies, and its figures. Of several processes one is `told_here`, the one that wrote."""

    out: Path
    figures: Mapping[str, Any]
    told_here: bool = True


def train(recipe: Recipe, *, resume: bool = False) -> Trained:
    """Run the recipe and write its folder: weights or adapter, tokenizer, manifest, log, drawing. Raises QizhenError.

    `resume` goes on from the newest whole checkpoint of the same recipe, with the weights, the moments, the order of the rows and the
    dice of a run that was never stopped: on a CPU the result is the same bit for bit.
    """
    out = Path(recipe.out)
    check_sources(recipe)
    check_folder(out, resume=resume)
    check_components(recipe)
    from accelerate import PartialState
    from torch import cuda
    from transformers import set_seed

    started = time.perf_counter()
    state = PartialState(cpu=not cuda.is_available())
    tokenizer = load_tokenizer(recipe.tokenizer or recipe.base)
    check_fit(recipe, tokenizer)
    rows = lay_out(read_training_data(recipe, tokenizer), recipe)
    held = read_evaluation_data(recipe, tokenizer)
    data = _described(recipe, rows.data)
    plan = batching(rows, recipe, state.num_processes)
    set_seed(recipe.seed)
    model = open_model(recipe, tokenizer)
    checkpoint = last_checkpoint(out) if resume else None
    counts = counts_of(checkpoint) if checkpoint else {"tokens": 0}
    if state.is_main_process:
        begin(out, _started_with(recipe, state.num_processes, data["digest"]), resume=resume)
        rewind_log(out / LOG_FILE, step_of(checkpoint) if checkpoint else 0)
    state.wait_for_everyone()
    trainer = make_trainer(recipe, model, tokenizer, rows, lay_out(held, recipe) if held else None, plan, counts)
    with quiet():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    figures = _figures(out, rows, trainer, plan, time.perf_counter() - started)
    if state.is_main_process:
        _write(out, recipe, trainer.model, tokenizer)
        write_manifest(out, manifest_of(recipe, tokenizer, figures, data))
        check_saved(out, recipe)
        finish(out)
    state.wait_for_everyone()
    state.destroy_process_group()
    return Trained(out, figures, state.is_main_process)


def check_sources(recipe: Recipe) -> None:
    """Every file and folder that the recipe names must be there. Raises QizhenError with all that are not."""
    start = recipe.adapter.start_from if recipe.adapter else ""
    folders = {"base": recipe.base, "tokenizer": recipe.tokenizer, "adapter.start_from": start}
    faults = [f"{name}: 没有文件夹 `{path}`" for name, path in folders.items() if path and not Path(path).is_dir()]
    files = {"data.samples": recipe.data.samples, "data.texts": recipe.data.texts, "evaluation.samples": recipe.evaluation.samples}
    faults += [f"{name}: 没有文件 `{path}`" for name, paths in files.items() for path in paths if not Path(path).is_file()]
    if faults:
        raise QizhenError("\n".join(faults), "改正配方里的路径；相对路径从当前文件夹算起")


def read_training_data(recipe: Recipe, tokenizer: Any) -> Sequences:
    """What the recipe learns from, encoded."""
    samples = encode_samples(samples_of(recipe.data), encoder(tokenizer, recipe.template), recipe.most_tokens, recipe.data)
    if recipe.stage == "instruct":
        return samples
    return encode_texts(texts_of(recipe.data.texts), tokenizer, recipe.most_tokens).and_also(samples)


def read_evaluation_data(recipe: Recipe, tokenizer: Any) -> Sequences | None:
    """What the recipe is evaluated on, encoded; None where it is not to be. Raises QizhenError where there is nothing to evaluate on."""
    chosen = recipe.evaluation
    if not chosen.every:
        return None
    if recipe.stage == "pretrain":
        held = encode_texts(texts_of(chosen.samples), tokenizer, recipe.most_tokens)
    else:
        samples = list(read_lines(chosen.samples) if chosen.samples else samples_of(recipe.data, chosen.split))
        samples.sort(key=lambda sample: str(sample.get("digest", sample.get("id", ""))))
        held = encode_samples(samples[: chosen.most], encoder(tokenizer, recipe.template), recipe.most_tokens, recipe.data)
    if not held.kept:
        raise QizhenError(f"evaluation: 数据里没有 `{chosen.split}` 的样本可评测", "写明 evaluation.samples，或 evaluation.every: 0")
    return held


def _described(recipe: Recipe, data: Sequences) -> dict[str, Any]:
    """What the recipe learns from, as the manifest tells it."""
    digest = files_digest([*recipe.data.samples, *recipe.data.texts])
    return {"digest": digest, "samples": len(data.kept), "tokens": data.tokens}


def _started_with(recipe: Recipe, processes: int, data_digest: str) -> dict[str, Any]:
    """What a resumed run must share with the one that was stopped."""
    settings = as_settings(recipe)
    for name in ("out", "log_every", "saving"):
        del settings[name]
    return {"recipe": settings, "processes": processes, "data": data_digest}


def _figures(out: Path, rows: Rows, trainer: Any, plan: Batching, seconds: float) -> dict[str, Any]:
    import torch

    log = read_log(out / LOG_FILE)
    losses = [row for row in log if "loss" in row]
    return {
        "steps": int(trainer.state.global_step),
        "rows_a_step": plan.rows,
        "processes": plan.processes,
        "sequences": len(rows.data.kept),
        "rows": len(rows.places),
        "too_long": rows.data.too_long,
        "tokens_an_epoch": rows.data.tokens,
        "loss": losses[-1]["loss"] if losses else None,
        "best_eval_loss": min((row["eval_loss"] for row in log if "eval_loss" in row), default=None),
        "tokens_a_second": int(np.median([row["tokens_a_second"] for row in losses[1:]])) if len(losses) > 1 else None,
        "peak_memory_mb": max((row["memory_mb"] for row in log), default=None),
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "trainable": trainer.get_num_trainable_parameters(),
    }


def _write(out: Path, recipe: Recipe, model: Any, tokenizer: Any) -> None:
    import torch

    if recipe.adapter is None:
        model = model.to(dtype={"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[recipe.saving.weights])
    with quiet():
        save_weights(model, out)
    tokenizer.save_pretrained(out)
    source = Path(recipe.tokenizer or recipe.base)
    if (source / MODEL_FILE).is_file() and not (out / MODEL_FILE).is_file():
        shutil.copyfile(source / MODEL_FILE, out / MODEL_FILE)
    plot_log(out / LOG_FILE, out / PLOT_FILE)


def manifest_of(recipe: Recipe, tokenizer: Any, figures: Mapping[str, Any], data: dict[str, Any]) -> AdapterManifest:
    """What made the folder, and in which shape its model is asked."""
    import peft
    import torch
    import transformers
    import trl

    instruct = recipe.stage == "instruct"
    return AdapterManifest(
        template=recipe.template if instruct else "",
        template_digest=prompt_digest(recipe, tokenizer) if instruct else "",
        base={"name": Path(recipe.base).resolve().name, "digest": weights_digest(Path(recipe.base))} if recipe.base else {},
        tokenizer_digest=tokenizer_digest(recipe.tokenizer or recipe.base),
        recipe=as_settings(recipe),
        data=data,
        figures=dict(figures),
        made={"versions": {module.__name__: module.__version__ for module in (torch, transformers, peft, trl)}, "seed": recipe.seed},
    )


def check_saved(out: Path, recipe: Recipe) -> None:
    """Reopen what was written: every value finite, and of an adapter as many A as B and no B of zeros alone. Raises QizhenError."""
    if recipe.adapter is None:
        _check_whole_model(out)
        return
    adapter = check_adapter(out)
    targets = recipe.adapter.targets if not recipe.adapter.start_from else adapter.settings.targets
    learnt = {module.rpartition(".")[2] for module in adapter.deltas}
    if not isinstance(targets, str) and (gone := set(targets) - learnt):
        raise QizhenError(f"适配器 `{out}` 里没有 `{'、'.join(sorted(gone))}` 的张量", "adapter.targets 里的名字要与底座的模块一致")


def _check_whole_model(out: Path) -> None:
    for name, tensor in stored_tensors(out).items():
        if not all(map(all_finite, load_parts(tensor))):
            raise QizhenError(f"训练出的权重 `{name}` 里有非数值", "调低 learning_rate，重新训练")
