"""What a recipe would do, before it does it: what is learnt of three samples, what is too long, what it costs. Nothing is written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.tokenizer import load_tokenizer
from finetune.encoding import Encoded, Sequences
from finetune.recipe import Recipe
from finetune.rows import Batching, Rows, batching, lay_out
from finetune.train import check_sources, read_evaluation_data, read_training_data
from finetune.trained_model import check_components, check_fit, open_model, prompt_digest, quiet, shape_of
from finetune.training_log import peak_memory

_SHOWN = 3
_BARS = 12
# A few steps of so many tokens take some ten seconds on two cores up to so many parameters; larger models are estimated by formula.
_TIMED_STEPS, _TIMED_TOKENS, _TIMED_PARAMETERS = 2, 2048, 100_000_000


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample as it is learnt: every token's text with whether it is learnt."""

    tokens: Sequence[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What the recipe would do.

    `histogram` counts sequences by length, [(from, to, count)]; `cut_ends` are samples whose answer would lose its last words;
    `left_out` those that are not learnt at all. `memory_mb` and `seconds` are estimates, `timed` says whether from steps that were run.
    """

    samples: Sequence[Shown]
    sequences: int
    tokens: int
    learnt: int
    left_out: int
    cut_ends: int
    cut_share: float
    histogram: Sequence[tuple[int, int, int]]
    rows: int
    filled: float
    batching: Batching
    held_out: int
    parameters: int
    trainable: int
    memory_mb: int
    seconds: float
    tokens_a_second: float
    timed: bool
    template_digest: str

    def as_json(self) -> dict[str, Any]:
        """Plain values; a sample is a list of [text, learnt]."""
        return {**asdict(self), "samples": [[list(pair) for pair in shown.tokens] for shown in self.samples]}


def dry_run(recipe: Recipe) -> DryRun:
    """Check everything that a run would check, encode the data, count and estimate. Raises QizhenError as a run would."""
    check_sources(recipe)
    check_components(recipe)
    tokenizer = load_tokenizer(recipe.tokenizer or recipe.base)
    check_fit(recipe, tokenizer)
    data = read_training_data(recipe, tokenizer)
    rows = lay_out(data, recipe)
    held = read_evaluation_data(recipe, tokenizer)
    plan = batching(rows, recipe, 1)
    resident = peak_memory() << 20
    model = shape_of(recipe, tokenizer)
    parameters = sum(weight.numel() for weight in model.parameters())
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    timed = parameters <= _TIMED_PARAMETERS
    rate = _timed_rate(recipe, tokenizer, rows, plan) if timed else _computed_rate(parameters, trainable)
    trained_on = plan.steps * plan.rows / len(rows.places) * data.tokens
    cut = data.too_long if recipe.stage == "instruct" and recipe.data.too_long == "cut" else 0
    return DryRun(
        samples=[_shown(sequence, tokenizer) for sequence in _spread(data.kept)],
        sequences=len(data.kept),
        tokens=data.tokens,
        learnt=rows.learnt,
        left_out=data.too_long - cut if recipe.stage == "instruct" else 0,
        cut_ends=cut,
        cut_share=cut / max(1, len(data.lengths)),
        histogram=_histogram(data),
        rows=len(rows.places),
        filled=data.tokens / sum(_width(rows, recipe, row) for row in rows.places),
        batching=plan,
        held_out=len(held.kept) if held else 0,
        parameters=parameters,
        trainable=trainable,
        memory_mb=(resident + memory_estimate(recipe, model.config, parameters, trainable, plan.at_once * recipe.most_tokens)) >> 20,
        seconds=trained_on / rate,
        tokens_a_second=rate,
        timed=timed,
        template_digest=prompt_digest(recipe, tokenizer) if recipe.stage == "instruct" else "",
    )


def memory_estimate(recipe: Recipe, config: Any, parameters: int, trainable: int, tokens: int) -> int:
    """Bytes by formula: weights, gradients and AdamW's two moments of what is trained (12 bytes each), activations of `tokens` at once.

    Activations: 34 bytes times width a token and layer at 16 bits (Korthikanti et al. 2022, equation 2, without the attention matrix),
    double at 32 bits, a fifth when recomputed; and the logits of every token at 32 bits, twice.
    """
    held = {"fp32": 4.0, "bf16": 2.0}[recipe.base_weights]
    if recipe.adapter is not None and recipe.adapter.quantised:
        held = 0.55  # NF4 with double quantisation: 4.4 bits (Dettmers et al. 2023)
    weights = (parameters - trainable) * held + trainable * 4
    a_token = config.num_hidden_layers * 34 * config.hidden_size * (1 if recipe.dtype == "bf16" else 2) * (0.2 if recipe.recompute else 1)
    return int(weights + 12 * trainable + tokens * (a_token + 8 * config.vocab_size))


def as_text(found: DryRun, recipe: Recipe) -> str:
    """For people to read: learnt tokens stand in 【】."""
    lines = [
        f"样本示例（【】内是要学的词元，提示模板 {recipe.template}）" if recipe.stage == "instruct" else "样本示例（【】内是要学的词元）"
    ]
    lines += [f"  {number}. {_marked(shown)}" for number, shown in enumerate(found.samples, 1)]
    lines += ["长度分布（词元）", *_bars(found.histogram)]
    plan, basis = found.batching, "实跑几步测得" if found.timed else "公式：每参数每词元 4~6 次运算，按本机矩阵乘速度的一半"
    lines += [
        f"样本 {found.sequences}，词元 {found.tokens}，其中要学 {found.learnt}",
        f"过长未用 {found.left_out}；截短 {found.cut_ends}（{found.cut_share:.2%}，结束符都保留）",
        f"共 {found.rows} 行，填满 {found.filled:.1%}；评测样本 {found.held_out}",
        f"每步 {plan.rows} 行（一次 {plan.at_once}，累积 {plan.accumulated}），共 {plan.steps} 步",
        f"参数 {found.parameters / 1e6:.2f} M，其中训练 {found.trainable / 1e6:.3f} M（{found.trainable / found.parameters:.2%}）",
        f"内存约 {found.memory_mb} MB（公式，加上已装入的程序与数据）",
        f"时间约 {_duration(found.seconds)}，每秒 {found.tokens_a_second:.0f} 词元（{basis}）",
        "底座、分词器、提示模板与适配器相互配套；没有写任何文件",
    ]
    return "\n".join(lines) + "\n"


def _spread(kept: Sequence[Encoded]) -> list[Encoded]:
    """Three of them, from the beginning, the middle and the end."""
    places = sorted({0, len(kept) // 2, len(kept) - 1})
    return [kept[place] for place in places[:_SHOWN]]


def _shown(sequence: Encoded, tokenizer: Any) -> Shown:
    return Shown([(_text(token, tokenizer), place >= sequence.told) for place, token in enumerate(sequence.ids.tolist())])


def _text(token: int, tokenizer: Any) -> str:
    """A token's text; the vocabulary's own spelling where it is only a part of a character."""
    text = str(tokenizer.decode([token]))
    return text if text and "\ufffd" not in text else str(tokenizer.convert_ids_to_tokens(token))


def _marked(shown: Shown) -> str:
    told = [piece for piece, learnt in shown.tokens if not learnt]
    learnt = [piece for piece, learnt in shown.tokens if learnt]
    return f"{' '.join(told)}【{' '.join(learnt)}】".replace("\n", "\\n")


def _width(rows: Rows, recipe: Recipe, row: Sequence[int]) -> int:
    return recipe.most_tokens if recipe.packing else len(rows.data.kept[row[0]].ids)


def _histogram(data: Sequences) -> list[tuple[int, int, int]]:
    step = max(1, -(-int(data.lengths.max()) // _BARS))
    counts = np.bincount(data.lengths // step)
    return [(number * step, (number + 1) * step - 1, int(count)) for number, count in enumerate(counts)]


def _bars(histogram: Sequence[tuple[int, int, int]]) -> list[str]:
    most = max(count for _, _, count in histogram)
    return [f"  {low:>5}–{high:<5} {count:>8} {'█' * round(40 * count / most)}" for low, high, count in histogram]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} 秒" if seconds < 120 else f"{seconds / 60:.0f} 分钟" if seconds < 7200 else f"{seconds / 3600:.1f} 小时"


def _timed_rate(recipe: Recipe, tokenizer: Any, rows: Rows, plan: Batching) -> float:
    """Tokens a second of a few forward and backward passes of the real model; the first one is not counted."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = open_model(recipe, tokenizer).to(device).train()
    seconds, tokens, together = 0.0, 0, max(1, min(plan.at_once, _TIMED_TOKENS // recipe.most_tokens, len(rows.places)))
    for step in range(_TIMED_STEPS):
        first = step * together % (len(rows.places) - together + 1)
        batch = rows.batch(range(first, first + together), 0)
        started = time.perf_counter()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=recipe.dtype == "bf16"), quiet():
            given: Mapping[str, Any] = {name: batch[name].to(device) for name in ("input_ids", "position_ids")}
            logits = model(**given, use_cache=False).logits
            labels = batch["labels"].to(device)
            torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten()).backward()
        if step:
            seconds, tokens = seconds + time.perf_counter() - started, tokens + int(batch["tokens"])
    return tokens / seconds


def _computed_rate(parameters: int, trainable: int) -> float:
    """Tokens a second by formula: 6 operations a parameter and token, 4 where it is frozen, at half this machine's matrix speed."""
    operations = 4 * parameters + 2 * trainable
    return 0.5 * _matrix_speed() / operations


def _matrix_speed() -> float:
    """Operations a second of a bf16 matrix product on this machine."""
    import torch

    device, size = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 1024)
    left = torch.ones(size, size, dtype=torch.bfloat16, device=device)
    best = 0.0
    for _ in range(4):
        started = time.perf_counter()
        (left @ left).sum().item()
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best
