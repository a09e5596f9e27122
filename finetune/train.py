"""Train a model by a recipe: from nothing, further on texts, or on instructions; whole, or as a LoRA adapter. On TRL and PEFT.

Packed rows never see one another: positions begin anew with every sequence and attention stays inside it (transformers builds the
block-diagonal mask from the positions, for `sdpa` and `eager`). The loss is the mean over all learnt tokens of a step, over all
processes; only those tokens go through the output layer.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.templates import CHAT_TEMPLATE, TEMPLATES, template_digest
from finetune.encoding import (
    LEFT_OUT,
    Sequences,
    encode_samples,
    encode_texts,
    encoder,
    files_digest,
    pack,
    read_lines,
    samples_of,
    texts_of,
)
from finetune.recipe import Adapter, Recipe, as_settings
from finetune.tokenizer import MODEL_FILE, load_tokenizer, tokenizer_digest
from finetune.training_log import LOG_FILE, PLOT_FILE, logging_callback, plot_log, read_log, rewind_log
from indexer.errors import QizhenError

MANIFEST = "qizhen.json"
CHECKPOINTS = "checkpoints"
_WHOLE = "whole"  # marks a checkpoint that was written to its end
_EXTRA = 'pip install -c constraints.txt -e ".[finetune]"'


@dataclass(frozen=True, slots=True)
class Rows:
    """Sequences laid out in rows for the model: `places` says which sequences stand in each row."""

    data: Sequences
    places: Sequence[Sequence[int]]

    def batch(self, chosen: Sequence[int], padding: int) -> dict[str, Any]:
        """Rows as (rows, widest) int64 tensors `input_ids`, `labels`, `position_ids`, and the count of real `tokens`.

        Padding stands at the end, as a sequence of its own where rows are packed.
        """
        import torch

        rows = [[self.data.kept[place] for place in self.places[row]] for row in chosen]
        sizes = [sum(len(sequence.ids) for sequence in row) for row in rows]
        packed = any(len(row) > 1 for row in rows)
        shape = (len(rows), max(sizes))
        ids, labels, positions = np.full(shape, padding), np.full(shape, LEFT_OUT), np.tile(np.arange(shape[1]), (shape[0], 1))
        for number, row in enumerate(rows):
            start = 0
            for sequence in row:
                end = start + len(sequence.ids)
                ids[number, start:end] = sequence.ids
                labels[number, start:end] = sequence.labels
                positions[number, start:end] = np.arange(end - start)
                start = end
            if packed:
                positions[number, start:] = np.arange(shape[1] - start)
        tensors = {"input_ids": ids, "labels": labels, "position_ids": positions}
        return {name: torch.from_numpy(held.astype(np.int64)) for name, held in tensors.items()} | {"tokens": torch.tensor(sum(sizes))}


@dataclass(frozen=True, slots=True)
class Batching:
    """How rows become steps: `at_once` rows in one process, `accumulated` times, in `processes`."""

    at_once: int
    accumulated: int
    processes: int
    steps: int

    @property
    def rows(self) -> int:
        """Rows of one step over all processes."""
        return self.at_once * self.accumulated * self.processes


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: where it lies, and its figures."""

    out: Path
    figures: Mapping[str, Any]


def lay_out(data: Sequences, recipe: Recipe) -> Rows:
    """Rows of at most `most_tokens`, packed or one sequence each. Raises QizhenError where nothing is left to learn."""
    if not data.kept:
        raise QizhenError(
            f"没有可学的样本（读到 `{len(data.lengths)}` 个，过长 `{data.too_long}` 个）", "检查 data.kinds、data.fields 与 most_tokens"
        )
    lengths = [len(sequence.ids) for sequence in data.kept]
    return Rows(data, pack(lengths, recipe.most_tokens) if recipe.packing else [[index] for index in range(len(lengths))])


def batching(rows: Rows, recipe: Recipe, processes: int) -> Batching:
    """Rows a step from `batch`: a row holds most_tokens when packed, else the mean sequence."""
    sequences_a_row = len(rows.data.kept) / len(rows.places)
    tokens_a_row = recipe.most_tokens if recipe.packing else rows.data.tokens / len(rows.places)
    wanted = recipe.batch.sequences / sequences_a_row if recipe.batch.sequences else recipe.batch.tokens / tokens_a_row
    share = max(1, round(wanted / processes))
    at_once = min(recipe.batch.at_once or share, share)
    accumulated = max(1, round(share / at_once))
    an_epoch = max(1, -(-len(rows.places) // (at_once * accumulated * processes)))
    return Batching(at_once, accumulated, processes, recipe.steps or max(1, round(recipe.epochs * an_epoch)))


def read_training_data(recipe: Recipe, tokenizer: Any) -> Sequences:
    """What the recipe learns from, encoded."""
    if recipe.stage == "pretrain":
        return encode_texts(texts_of(recipe.data.texts), tokenizer, recipe.most_tokens)
    return encode_samples(samples_of(recipe.data), encoder(tokenizer, recipe.template), recipe.most_tokens, recipe.data)


def read_evaluation_data(recipe: Recipe, tokenizer: Any) -> Sequences | None:
    """What the recipe is evaluated on, encoded; None where it is not."""
    chosen = recipe.evaluation
    if not chosen.every:
        return None
    if recipe.stage == "pretrain":
        return encode_texts(texts_of(chosen.samples), tokenizer, recipe.most_tokens) if chosen.samples else None
    samples = list(read_lines(chosen.samples) if chosen.samples else samples_of(recipe.data, chosen.split))
    samples.sort(key=lambda sample: str(sample.get("digest", sample.get("id", ""))))
    return encode_samples(samples[: chosen.most], encoder(tokenizer, recipe.template), recipe.most_tokens, recipe.data)


def train(recipe: Recipe, *, resume: bool = False) -> Trained:
    """Run the recipe and write its folder: weights or adapter, tokenizer, manifest, log, drawing. Raises QizhenError."""
    out = Path(recipe.out)
    _check_sources(recipe)
    _check_out(out, resume=resume)
    _import_all()
    import torch
    from transformers import set_seed

    started = time.perf_counter()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    tokenizer = load_tokenizer(recipe.tokenizer or recipe.base)
    rows = lay_out(read_training_data(recipe, tokenizer), recipe)
    held = read_evaluation_data(recipe, tokenizer)
    plan = batching(rows, recipe, processes)
    set_seed(recipe.seed)
    model = open_model(recipe, tokenizer)
    counts = {"tokens": 0}
    trainer = _trainer(recipe, model, tokenizer, rows, lay_out(held, recipe) if held and held.kept else None, plan, counts)
    checkpoint = last_checkpoint(out) if resume else None
    if trainer.is_world_process_zero():
        out.mkdir(parents=True, exist_ok=True)
        rewind_log(out / LOG_FILE, _step_of(checkpoint) if checkpoint else 0)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    figures = _figures(out, rows, trainer, plan, time.perf_counter() - started, torch.get_num_threads())
    if trainer.is_world_process_zero():
        _write(out, recipe, trainer.model, tokenizer, figures, rows.data)
        check_saved(out, recipe.adapter is not None)
    trainer.accelerator.wait_for_everyone()
    return Trained(out, figures)


def open_model(recipe: Recipe, tokenizer: Any) -> Any:
    """The model that is trained: new, or the base, with the adapter on it where there is one. Raises QizhenError."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    if recipe.new is not None:
        shape = recipe.new
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_value_heads,
            intermediate_size=shape.feed_forward,
            max_position_embeddings=shape.context,
            tie_word_embeddings=shape.tied,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=None,
        )
        return LlamaForCausalLM._from_config(config, attn_implementation="sdpa", dtype=torch.float32)  # noqa: SLF001 - no public way
    dtype = torch.bfloat16 if recipe.base_weights == "bf16" else torch.float32
    quantised = recipe.adapter is not None and recipe.adapter.quantised
    settings = {"quantization_config": _four_bits()} if quantised else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            recipe.base, local_files_only=True, dtype=dtype, attn_implementation="sdpa", **settings
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise QizhenError(f"底座 `{recipe.base}` 装不起来：{error}", "base 应是 Hugging Face 格式的完整模型文件夹") from error
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise QizhenError(
            f"分词器有 `{len(tokenizer)}` 个词，底座 `{recipe.base}` 的词表只有 `{rows}` 行",
            "两者不配套：换分词器，或先扩词表（tokenizer extend）",
        )
    return _with_adapter(model, recipe.adapter) if recipe.adapter else model


def _with_adapter(model: Any, adapter: Adapter) -> Any:
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

    if adapter.quantised:
        model = prepare_model_for_kbit_training(model)
    if adapter.start_from:
        return PeftModel.from_pretrained(model, adapter.start_from, is_trainable=True, local_files_only=True)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type] # a fraction is as good
        lora_dropout=adapter.dropout,
        target_modules=list(adapter.targets),
        modules_to_save=list(adapter.modules_to_save) or None,
        use_rslora=adapter.rank_stabilised,
        use_dora=adapter.dora,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise QizhenError(f"适配器放不上这个底座：{error}", "检查 adapter.targets 与 adapter.modules_to_save 里的名字") from error


def _four_bits() -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
    )


def _trainer(recipe: Recipe, model: Any, tokenizer: Any, rows: Rows, held: Rows | None, plan: Batching, counts: dict[str, int]) -> Any:
    """TRL's trainer on our rows, loss and checkpoints."""
    import torch
    from datasets import Dataset
    from transformers import EarlyStoppingCallback
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTTrainer

    padding = end_mark_or_padding(tokenizer)
    layouts = (rows, held)

    def collate(examples: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        layout = layouts[examples[0]["held"]]
        assert layout is not None
        return layout.batch([example["row"] for example in examples], padding)

    class Trainer(SFTTrainer):  # type: ignore[misc]
        """SFTTrainer whose output layer works on learnt tokens alone, and whose checkpoints are whole or not there."""

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            labels = inputs["labels"]
            learnt = torch.zeros_like(labels, dtype=torch.bool)
            learnt[:, :-1] = labels[:, 1:] != LEFT_OUT
            chosen["places"] = learnt
            if model.training:
                counts["tokens"] += int(inputs["tokens"])
            outputs = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False)
            targets = labels[:, 1:][learnt[:, :-1]]
            total = torch.nn.functional.cross_entropy(outputs.logits.float(), targets, reduction="sum")
            loss = total / (len(targets) if num_items_in_batch is None else num_items_in_batch)
            if num_items_in_batch is not None and self.args.average_tokens_across_devices:
                loss = loss * self.accelerator.num_processes  # the gradients' mean over the processes divides by it
            return (loss, outputs) if return_outputs else loss

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """The manifest says more."""

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            if self.args.should_save:
                _save_weights(self.model, Path(output_dir or self.args.output_dir))

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                _seal_checkpoint(Path(self.args.output_dir), self.state, recipe.saving.keep)

    chosen: dict[str, Any] = {}
    arguments = _arguments(recipe, plan, evaluates=held is not None)
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=collate,
        train_dataset=Dataset.from_dict({"row": range(len(rows.places)), "held": [0] * len(rows.places)}),
        eval_dataset=Dataset.from_dict({"row": range(len(held.places)), "held": [1] * len(held.places)}) if held else None,
        processing_class=tokenizer,
        callbacks=[logging_callback(Path(recipe.out) / LOG_FILE, counts)],
    )
    model.get_output_embeddings().register_forward_pre_hook(lambda _module, given: (given[0][chosen["places"]],))
    trainer.remove_callback(PrinterCallback)
    if recipe.evaluation.patience:
        trainer.add_callback(EarlyStoppingCallback(recipe.evaluation.patience))
    return trainer


def end_mark_or_padding(tokenizer: Any) -> int:
    """What fills a row's end; it is never learnt nor looked at, so any id serves."""
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _arguments(recipe: Recipe, plan: Batching, *, evaluates: bool) -> Any:
    import torch
    from trl import SFTConfig

    on_cpu = not torch.cuda.is_available()
    best = bool(recipe.evaluation.patience and evaluates)
    return SFTConfig(
        output_dir=str(Path(recipe.out) / CHECKPOINTS),
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        remove_unused_columns=False,
        per_device_train_batch_size=plan.at_once,
        per_device_eval_batch_size=plan.at_once,
        gradient_accumulation_steps=plan.accumulated,
        max_steps=plan.steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warm_up,
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.clip,
        optim="adamw_torch_fused",
        bf16=recipe.dtype == "bf16",
        gradient_checkpointing=recipe.recompute,
        logging_steps=recipe.log_every,
        logging_first_step=True,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=recipe.evaluation.every or None,
        prediction_loss_only=True,
        save_strategy="steps" if recipe.saving.every else "no",
        save_steps=recipe.saving.every or 500,
        load_best_model_at_end=best,
        metric_for_best_model="eval_loss" if best else None,
        greater_is_better=False if best else None,
        restore_callback_states_from_checkpoint=True,
        seed=recipe.seed,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and plan.processes > 1 else None,
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )


def _save_weights(model: Any, folder: Path) -> None:
    """PEFT's or transformers' own files. Embeddings are saved only where `modules_to_save` names them."""
    from peft import PeftModel

    if isinstance(model, PeftModel):
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)


def _seal_checkpoint(folder: Path, state: Any, keep: int) -> None:
    """Mark the newest checkpoint as written to its end, then delete older ones, but never the best one."""
    newest = folder / f"checkpoint-{state.global_step}"
    for path in newest.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    (newest / _WHOLE).touch()
    best = Path(state.best_model_checkpoint or newest)
    others = sorted((path for path in folder.glob("checkpoint-*") if path.resolve() != best.resolve()), key=_step_of)
    room = keep - (best.resolve() != newest.resolve())
    for old in others[: max(0, len(others) - max(1, room))]:
        if old != newest:
            (old / _WHOLE).unlink(missing_ok=True)
            shutil.rmtree(old)


def last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written to its end; what a kill left half written is deleted."""
    found = sorted((out / CHECKPOINTS).glob("checkpoint-*"), key=_step_of)
    for path in found:
        if not (path / _WHOLE).exists():
            shutil.rmtree(path)
    return next((path for path in reversed(found) if path.exists()), None)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _check_sources(recipe: Recipe) -> None:
    """Every file and folder that the recipe names; all that is missing is told at once."""
    folders = {
        "base": recipe.base,
        "tokenizer": recipe.tokenizer,
        "adapter.start_from": recipe.adapter.start_from if recipe.adapter else "",
    }
    faults = [f"{name}: 没有文件夹 `{path}`" for name, path in folders.items() if path and not Path(path).is_dir()]
    files = {"data.samples": recipe.data.samples, "data.texts": recipe.data.texts, "evaluation.samples": recipe.evaluation.samples}
    faults += [f"{name}: 没有文件 `{path}`" for name, paths in files.items() for path in paths if not Path(path).is_file()]
    if faults:
        raise QizhenError("\n".join(faults), "改正配方里的路径；相对路径从当前文件夹算起")


def _check_out(out: Path, *, resume: bool) -> None:
    if resume:
        return
    if out.exists() and any(out.iterdir()):
        raise QizhenError(f"输出文件夹 `{out}` 里已有内容", "接着上次的训练用 --resume，否则换一个文件夹")


def _import_all() -> None:
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import peft  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise QizhenError(f"训练缺少组件 `{error.name}`", f"安装附加组件 finetune：{_EXTRA}") from error


def _figures(out: Path, rows: Rows, trainer: Any, plan: Batching, seconds: float, threads: int) -> dict[str, Any]:
    log = read_log(out / LOG_FILE)
    losses = [row for row in log if "loss" in row]
    evaluations = [row["eval_loss"] for row in log if "eval_loss" in row]
    return {
        "steps": int(trainer.state.global_step),
        "rows_a_step": plan.rows,
        "sequences": len(rows.data.kept),
        "rows": len(rows.places),
        "left_out_or_cut": rows.data.too_long,
        "tokens_an_epoch": rows.data.tokens,
        "loss": losses[-1]["loss"] if losses else None,
        "best_eval_loss": min(evaluations, default=None),
        "tokens_a_second": int(np.median([row["tokens_a_second"] for row in losses[1:]])) if len(losses) > 1 else None,
        "peak_memory_mb": max((row["memory_mb"] for row in log), default=None),
        "seconds": round(seconds, 1),
        "threads": threads,
        "trainable": trainer.get_num_trainable_parameters(),
    }


def _write(out: Path, recipe: Recipe, model: Any, tokenizer: Any, figures: Mapping[str, Any], data: Sequences) -> None:
    import torch

    if recipe.adapter is None:
        model = model.to(dtype={"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[recipe.saving.weights])
    _save_weights(model, out)
    source = Path(recipe.tokenizer or recipe.base)
    tokenizer.save_pretrained(out)
    if (source / MODEL_FILE).is_file() and not (out / MODEL_FILE).is_file():
        shutil.copyfile(source / MODEL_FILE, out / MODEL_FILE)
    plot_log(out / LOG_FILE, out / PLOT_FILE)
    manifest = manifest_of(recipe, tokenizer, figures, data)
    (out / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", "utf-8")


def manifest_of(recipe: Recipe, tokenizer: Any, figures: Mapping[str, Any], data: Sequences) -> dict[str, Any]:
    """What made the folder, and in which shape its model is asked."""
    import peft
    import torch
    import transformers
    import trl

    chat = recipe.template == CHAT_TEMPLATE
    digest = template_digest(str(tokenizer.chat_template)) if chat else TEMPLATES[recipe.template].digest
    files = [*recipe.data.samples, *recipe.data.texts]
    versions = {module.__name__: module.__version__ for module in (torch, transformers, peft, trl)}
    return {
        "template": recipe.template if recipe.stage == "instruct" else "",
        "template_digest": digest if recipe.stage == "instruct" else "",
        "base": {"name": Path(recipe.base).name, "digest": ""},
        "tokenizer_digest": tokenizer_digest(recipe.tokenizer or recipe.base),
        "recipe": as_settings(recipe),
        "data": {"digest": files_digest(files), "samples": len(data.kept), "tokens": data.tokens},
        "figures": dict(figures),
        "made": {"versions": versions, "seed": recipe.seed},
    }


def check_saved(out: Path, is_adapter: bool) -> None:
    """Reopen what was written: an adapter has its keys and no B of zeros alone. Raises QizhenError."""
    import torch
    from safetensors.torch import load_file

    files = [out / "adapter_model.safetensors"] if is_adapter else sorted(out.glob("model*.safetensors"))
    tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
    hint = "不要使用这个文件夹；检查学习率和数据，重新训练"
    if not tensors:
        raise QizhenError(f"`{out}` 里没有写出任何权重", hint)
    bad = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise QizhenError(f"权重 `{bad[0]}` 等 {len(bad)} 个里有非数值", hint)
    ups = {name: tensor for name, tensor in tensors.items() if ".lora_B." in name}
    downs = [name for name in tensors if ".lora_A." in name]
    still = [name for name, tensor in ups.items() if not bool(tensor.any())]
    if is_adapter and (not ups or len(ups) != len(downs) or still):
        named = still[0] if still else f"{len(downs)} 个 A，{len(ups)} 个 B"
        raise QizhenError(f"适配器没有学到东西：`{named}`", hint)
