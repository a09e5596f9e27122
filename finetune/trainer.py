"""TRL's SFTTrainer with our rows, our loss and our checkpoints.

Packed sequences never see one another: the rows carry positions that begin anew with every sequence and no attention mask, from which
transformers builds the block-diagonal mask for `sdpa` and `eager`. TRL's own packing flattens a batch into one row, whose mask on a CPU
would cost the square of the whole batch; ours costs the square of a row.

The loss is the mean over all learnt tokens of a step, over all its rows and processes. Only learnt tokens go through the output layer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.checkpoints import FOLDER, seal_checkpoint
from finetune.encoding import LEFT_OUT
from finetune.recipe import Recipe
from finetune.rows import Batching, Rows
from finetune.trained_model import quiet
from finetune.training_log import LOG_FILE, logging_callback


def make_trainer(recipe: Recipe, model: Any, tokenizer: Any, rows: Rows, held: Rows | None, plan: Batching, counts: dict[str, int]) -> Any:
    """A trainer that is ready to train; `counts["tokens"]` follows what its process has trained on, padding left out."""
    from datasets import Dataset
    from transformers import EarlyStoppingCallback
    from transformers.trainer_callback import PrinterCallback

    layouts = [layout for layout in (rows, held) if layout]
    padding = int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)

    def collate(examples: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        return layouts[examples[0]["layout"]].batch([example["row"] for example in examples], padding)

    # What the trainer draws from are the numbers of rows; the rows themselves stay where they are.
    numbers = [Dataset.from_dict({"row": range(len(held.places)), "layout": [n] * len(held.places)}) for n, held in enumerate(layouts)]
    with quiet():
        trainer = _trainer_class(recipe, counts, held)(
            model=model,
            args=_arguments(recipe, plan, evaluates=held is not None),
            data_collator=collate,
            train_dataset=numbers[0],
            eval_dataset=numbers[1] if held else None,
            processing_class=tokenizer,
            callbacks=[logging_callback(Path(recipe.out) / LOG_FILE, counts)],
        )
    trainer.remove_callback(PrinterCallback)
    if recipe.evaluation.patience:
        trainer.add_callback(EarlyStoppingCallback(recipe.evaluation.patience))
    return trainer


def _trainer_class(recipe: Recipe, counts: dict[str, int], held: Rows | None) -> Any:
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    class Trainer(SFTTrainer):
        """The output layer works on learnt tokens alone, and checkpoints are whole or not there."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.model_accepts_loss_kwargs = True  # learnt tokens are counted over the whole step
            self._chosen: Any = None
            settings["model"].get_output_embeddings().register_forward_pre_hook(lambda _layer, given: (given[0][self._chosen],))

        def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            labels = inputs["labels"][:, 1:]
            learnt = labels != LEFT_OUT
            self._chosen = torch.nn.functional.pad(learnt, (0, 1))
            outputs = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False)
            total = torch.nn.functional.cross_entropy(outputs.logits.float(), labels[learnt], reduction="sum")
            if model.training:
                counts["tokens"] += int(inputs["tokens"])
                # The trainer divides the gradients by the number of processes, num_items_in_batch counts over all of them.
                loss = total * self.accelerator.num_processes / num_items_in_batch
            else:
                # The trainer takes the mean over rows; this makes it the mean over all learnt tokens.
                loss = total / len(labels) * (len(held.places) / held.learnt if held else 1)
            return (loss, outputs) if return_outputs else loss

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """The manifest says more."""

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002 - the trainer's
            if self.args.should_save:
                save_weights(self.model, Path(output_dir or self.args.output_dir or FOLDER))

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                folder, best = Path(self.args.output_dir or FOLDER), self.state.best_model_checkpoint
                seal_checkpoint(folder, self.state.global_step, best, recipe.saving.keep, counts)

    return Trainer


def _arguments(recipe: Recipe, plan: Batching, *, evaluates: bool) -> Any:
    import torch
    from trl.trainer.sft_config import SFTConfig

    on_cpu = not torch.cuda.is_available()
    best = bool(recipe.evaluation.patience and evaluates)
    return SFTConfig(
        output_dir=str(Path(recipe.out) / FOLDER),
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
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )


def save_weights(model: Any, folder: Path) -> None:
    """PEFT's or transformers' own files. Embeddings are saved only where `modules_to_save` names them: 0.8 GB of a 7B adapter otherwise."""
    from peft import PeftModel

    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # an empty form; the manifest says more
    else:
        model.save_pretrained(folder)
