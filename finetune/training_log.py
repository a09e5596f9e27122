"""What a run says while it runs: a line of JSON a logged step, a progress bar, and the loss as a drawing at the end."""

import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.plots import line_plot

LOG_FILE = "log.jsonl"
PLOT_FILE = "loss.svg"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last line that was cut off by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def rewind_log(path: Path, step: int) -> None:
    """Drop what was logged after `step`, which a resumed run does again."""
    kept = [row for row in read_log(path) if row["step"] <= step]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")


def plot_log(path: Path, out: Path) -> None:
    """Draw the losses of a log against its steps."""
    rows = read_log(path)
    series = {name: [(float(row["step"]), float(row[key])) for row in rows if key in row] for name, key in _CURVES.items()}
    line_plot(out, "训练损失", "步", "每个词元的损失（奈特）", {name: points for name, points in series.items() if points})


_CURVES = {"训练": "loss", "评测": "eval_loss"}


def peak_memory() -> int:
    """The most memory that this process has held, in MB: on the device where there is one, else in the machine."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() >> 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def logging_callback(path: Path, counts: Mapping[str, int]) -> Any:
    """A callback of the trainer's that writes `path`. `counts["tokens"]` is what this process has trained on so far, padding left out."""
    from transformers import TrainerCallback

    class Log(TrainerCallback):  # type: ignore[misc]
        """Writes on the first process alone."""

        def __init__(self) -> None:
            self.started = self.last = time.perf_counter()
            self.tokens = 0

        def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            self.started = self.last = time.perf_counter()
            self.tokens = counts["tokens"]
            self.bar = _progress(state) if state.is_world_process_zero else None

        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            if self.bar:
                self.bar.update(0, completed=state.global_step)

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Mapping[str, Any], **_: Any) -> None:
            if not state.is_world_process_zero or not {"loss", "eval_loss"} & set(logs):
                return
            now = time.perf_counter()
            row: dict[str, Any] = {"step": state.global_step, "epoch": round(state.epoch or 0, 4)}
            if "loss" in logs:
                row |= {"loss": float(logs["loss"]), "learning_rate": logs["learning_rate"], "gradient": float(logs.get("grad_norm", 0))}
                row |= {"tokens": counts["tokens"], "tokens_a_second": round((counts["tokens"] - self.tokens) / max(now - self.last, 1e-9))}
                self.tokens, self.last = counts["tokens"], now
            else:
                row["eval_loss"] = float(logs["eval_loss"])
                self.last = now
            row |= {"seconds": round(now - self.started, 2), "memory_mb": peak_memory()}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            if self.bar:
                self.bar.update(0, description=_told(row))

        def on_train_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
            if self.bar:
                self.bar.stop()

    return Log()


def _told(row: Mapping[str, Any]) -> str:
    if "eval_loss" in row:
        return f"评测损失 {row['eval_loss']:.4f}"
    return f"损失 {row['loss']:.4f}  {row['tokens_a_second']} 词元/秒"


def _progress(state: Any) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(file=sys.stderr))
    bar.add_task("训练", total=state.max_steps, completed=state.global_step)
    bar.start()
    return bar
