"""What a training run is told: a YAML file, with `key=value` changes, as frozen settings that are checked before anything dear starts.

    # qizhen-finetune train finetune/recipes/qizhen-mini.yaml base=var/base data.samples=var/samples.jsonl out=var/mini
    stage: instruct
    base: var/base
    adapter: {rank: 16}

Every fault of a recipe is told at once, an unknown key with the nearest known one.
"""

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from app.templates import CHAT_TEMPLATE, TEMPLATES
from indexer.errors import QizhenError

RECIPES = Path(__file__).parent / "recipes"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj", "up_proj")


@dataclass(frozen=True, slots=True)
class NewModel:
    """The shape of a LLaMA that starts from random weights; the vocabulary's size is the tokenizer's.

    `width` is the hidden size, `heads` divide it, `key_value_heads` divide `heads`; `context` is the longest input in tokens.
    """

    width: int = 320
    layers: int = 7
    heads: int = 5
    key_value_heads: int = 5
    feed_forward: int = 864
    context: int = 1024
    tied: bool = True


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA (Hu et al. 2021): B·A of rank `rank`, scaled by alpha / rank, or alpha / sqrt(rank) when `rank_stabilised`.

    `quantised` holds the frozen weights in 4 bits (QLoRA). `modules_to_save` are trained and saved whole. `start_from` goes on with an
    earlier adapter, whose own shape then counts.
    """

    rank: int = 8
    alpha: float = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = PROJECTIONS
    rank_stabilised: bool = False
    dora: bool = False
    quantised: bool = False
    modules_to_save: tuple[str, ...] = ()
    start_from: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """What is learnt from. `kinds` chooses among the samples and `fields` among those of kind `closed` (empty: all): the others
    teach how to answer, whatever they are about. `repeats` takes a kind n times an epoch.

    Only samples of the split `train` are learnt. Of plain texts all are; what is longer than `most_tokens` is cut into pieces. Samples
    beside texts let a small model tell what it read: one that met facts in texts alone cannot be asked for them, whatever it is tuned
    on afterwards (Allen-Zhu and Li, Physics of Language Models 3.1).
    """

    samples: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    repeats: Mapping[str, int] = field(default_factory=dict)
    too_long: Literal["leave_out", "cut", "refuse"] = "leave_out"


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of the optimiser sees, over all processes: a number of `sequences`, or about so many `tokens`; one of the two is 0.

    `at_once` rows go through the model together in one process (0: all of the process's share).
    """

    sequences: int = 0
    tokens: int = 4096
    at_once: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The loss on held-out samples every `every` steps (0: never).

    They are the lines of `samples`, or those of the split `split` in data.samples; at most `most` of them, the first by their digests.
    `patience` evaluations without a better loss end the run (0: none does), and the best weights are kept.
    """

    every: int = 0
    samples: tuple[str, ...] = ()
    split: Literal["dev", "test"] = "dev"
    most: int = 256
    patience: int = 0


@dataclass(frozen=True, slots=True)
class Saving:
    """A checkpoint every `every` steps (0: none), the last `keep` kept. `weights` is the type in which a trained base is written."""

    every: int = 0
    keep: int = 2
    weights: Literal["fp32", "bf16", "fp16"] = "fp32"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One run. Exactly one of `base` and `new` is given; an empty `tokenizer` means the base's own; `adapter` absent trains everything.

    `most_tokens` bounds a row. `warm_up` is a share of the steps under 1, else a number of steps. `steps`, when not 0, counts instead of
    `epochs`. `dtype` is what is computed in (bf16: autocast over fp32 weights), `base_weights` what frozen weights are held in.
    Both kinds of `attention` keep packed sequences apart. `recompute` saves memory by computing activations twice.
    """

    stage: Literal["pretrain", "instruct"]
    out: str = ""
    base: str = ""
    new: NewModel | None = None
    tokenizer: str = ""
    template: str = "qizhen"
    adapter: Adapter | None = None
    data: Data = field(default_factory=Data)
    most_tokens: int = 512
    packing: bool = True
    learning_rate: float = 1e-4
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warm_up: float = 0.03
    weight_decay: float = 0.0
    beta2: float = 0.999
    clip: float = 1.0
    batch: Batch = field(default_factory=Batch)
    epochs: float = 1.0
    steps: int = 0
    evaluation: Evaluation = field(default_factory=Evaluation)
    saving: Saving = field(default_factory=Saving)
    log_every: int = 10
    seed: int = 7
    dtype: Literal["fp32", "bf16"] = "bf16"
    base_weights: Literal["fp32", "bf16"] = "fp32"
    attention: Literal["sdpa", "eager"] = "sdpa"
    recompute: bool = False


class RecipeError(QizhenError):
    """A recipe that cannot be run; `faults` holds everything wrong in it."""

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        listed = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"训练配方 `{name}` 有 `{len(faults)}` 处错误：\n{listed}", "各项的含义见 finetune/recipe.py，范例见 finetune/recipes"
        )
        self.faults = tuple(faults)


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file after `key=value` changes (`adapter.rank=16`; values are YAML). Raises RecipeError with every fault.

    A name without a folder is looked for in finetune/recipes too.
    """
    shipped = RECIPES / f"{path.name.removesuffix('.yaml')}.yaml"
    found = shipped if not path.is_file() and path.parent == Path() and shipped.is_file() else path
    try:
        content = yaml.safe_load(found.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(str(path), [f"读不出来：{error}"]) from error
    if not isinstance(content, dict):
        raise RecipeError(str(path), ["应是 YAML 的键值"])
    faults: list[str] = []
    for change in changes:
        _change(content, change, faults)
    recipe: Recipe | None = _build(Recipe, content, "", faults)
    if recipe is not None:
        faults += _cross_checks(recipe)
    if faults or recipe is None:
        raise RecipeError(str(path), faults)
    return recipe


def as_settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, for manifests and for YAML."""
    return {key: _plain(value) for key, value in asdict(recipe).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(held) for key, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, (list, tuple)) else value


def _change(content: dict[str, Any], change: str, faults: list[str]) -> None:
    key, sign, text = change.partition("=")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        faults.append(f"`{change}`: 值不是 YAML：{error}")
        return
    if not sign or not key:
        faults.append(f"`{change}`: 应写成 键=值，如 adapter.rank=16")
        return
    *parents, last = key.split(".")
    for parent in parents:
        held = content.get(parent)
        content[parent] = dict(held) if isinstance(held, dict) else {}
        content = content[parent]
    content[last] = value


def _build(kind: Any, content: Any, place: str, faults: list[str]) -> Any:
    """An instance of the dataclass from parsed YAML; None when something in it is wrong, which is then in `faults`."""
    if not isinstance(content, dict):
        faults.append(f"{place or '配方'}: 应是键值，不是 `{content}`")
        return None
    known = {entry.name: entry for entry in fields(kind)}
    before = len(faults)
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            faults.append(f"{_at(place, key)}: 没有这一项，最接近的是 `{_at(place, near[0])}`")
    hints = get_type_hints(kind)
    values = {}
    for name, entry in known.items():
        if name in content:
            values[name] = _value(hints[name], content[name], _at(place, name), faults)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            faults.append(f"{_at(place, name)}: 必须写明")
    return kind(**values) if len(faults) == before else None


def _at(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def _value(kind: Any, value: Any, place: str, faults: list[str]) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _value(next(one for one in inner if one is not types.NoneType), value, place, faults)
    if is_dataclass(kind):
        return _build(kind, {} if value is True else value, place, faults)
    if origin is Literal:
        if value not in inner:
            near = difflib.get_close_matches(str(value), map(str, inner), n=1, cutoff=0.0)
            faults.append(f"{place}: 没有 `{value}`，可用：{'、'.join(map(str, inner))}；最接近的是 `{near[0]}`")
        return value
    if origin in (tuple, Mapping):
        return _many(origin, value, place, faults)
    return _number_or_text(kind, value, place, faults)


def _many(origin: Any, value: Any, place: str, faults: list[str]) -> Any:
    if origin is Mapping:
        if isinstance(value, dict) and all(isinstance(count, int) and count >= 0 for count in value.values()):
            return value
        faults.append(f"{place}: 应是 名称: 次数，不是 `{value}`")
        return {}
    many = [value] if isinstance(value, str) else value
    if isinstance(many, list) and all(isinstance(one, str) for one in many):
        return tuple(many)
    faults.append(f"{place}: 应是文字的列表，不是 `{value}`")
    return ()


def _number_or_text(kind: Any, value: Any, place: str, faults: list[str]) -> Any:
    if kind is str:
        value = "" if value is None else value
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except (TypeError, ValueError):
            pass
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    told = {int: "整数", float: "数", bool: "true 或 false", str: "文字"}[kind]
    faults.append(f"{place}: 应是{told}，不是 `{value}`")
    return value


def _cross_checks(recipe: Recipe) -> list[str]:
    """What each value allows and the values together do not. Files are looked for when the run begins."""
    checks = [*_range_checks(recipe), *_source_checks(recipe), *_schedule_checks(recipe), *_adapter_checks(recipe)]
    return [fault for wrong, fault in checks if wrong]


def _range_checks(recipe: Recipe) -> list[tuple[bool, str]]:
    least = {
        "most_tokens": (recipe.most_tokens, 8),
        "log_every": (recipe.log_every, 1),
        "steps": (recipe.steps, 0),
        "batch.sequences": (recipe.batch.sequences, 0),
        "batch.tokens": (recipe.batch.tokens, 0),
        "batch.at_once": (recipe.batch.at_once, 0),
        "evaluation.every": (recipe.evaluation.every, 0),
        "evaluation.most": (recipe.evaluation.most, 1),
        "evaluation.patience": (recipe.evaluation.patience, 0),
        "saving.every": (recipe.saving.every, 0),
        "saving.keep": (recipe.saving.keep, 1),
        "warm_up": (recipe.warm_up, 0),
        "weight_decay": (recipe.weight_decay, 0),
        "clip": (recipe.clip, 0),
    }
    return [(value < bound, f"{name}: `{value}` 小于 {bound}") for name, (value, bound) in least.items()] + [
        (recipe.learning_rate <= 0, f"learning_rate: `{recipe.learning_rate:g}` 应大于 0"),
        (not 0 < recipe.beta2 < 1, f"beta2: `{recipe.beta2:g}` 应在 0 与 1 之间"),
        (not recipe.steps and recipe.epochs <= 0, f"epochs: `{recipe.epochs:g}` 应大于 0，或写明 steps"),
    ]


def _source_checks(recipe: Recipe) -> list[tuple[bool, str]]:
    instruct, data, new = recipe.stage == "instruct", recipe.data, recipe.new
    templates = (CHAT_TEMPLATE, *TEMPLATES)
    return [
        (not recipe.out, "out: 必须写明结果放在哪个文件夹"),
        (bool(recipe.base) == (new is not None), "base 与 new: 必须写明其中一项，且只写一项"),
        (new is not None and not recipe.tokenizer, "tokenizer: 从零训练（new）必须写明分词器文件夹"),
        (new is not None and recipe.adapter is not None, "adapter: 从零训练（new）没有可供适配的底座，去掉其中一项"),
        (instruct and not data.samples, "data.samples: stage 为 instruct 时必须写明"),
        (not instruct and not data.texts, "data.texts: stage 为 pretrain 时必须写明"),
        (instruct and bool(data.texts), "data.texts: 只用于 stage: pretrain"),
        (not data.samples and bool(data.kinds or data.fields or data.repeats), "data.kinds、fields、repeats: 没有 data.samples 可选"),
        (recipe.template not in templates, f"template: 没有 `{recipe.template}`，可用：{'、'.join(templates)}"),
        (new is not None and bool(new.width % max(1, new.heads)), "new.heads: 应整除 new.width"),
        (new is not None and bool(new.heads % max(1, new.key_value_heads)), "new.key_value_heads: 应整除 new.heads"),
        (new is not None and recipe.most_tokens > new.context, "most_tokens: 大于 new.context"),
        (new is not None and min(new.width, new.layers, new.heads, new.key_value_heads, new.feed_forward) < 1, "new: 各项应为正整数"),
    ]


def _schedule_checks(recipe: Recipe) -> list[tuple[bool, str]]:
    batch, evaluation, saving = recipe.batch, recipe.evaluation, recipe.saving
    keeps_best = evaluation.patience > 0
    return [
        (bool(batch.sequences) == bool(batch.tokens), "batch.sequences 与 batch.tokens: 一项为 0，另一项为正数"),
        (batch.tokens > 0 and recipe.packing and batch.tokens < recipe.most_tokens, "batch.tokens: 小于 most_tokens，装不下一行"),
        (
            recipe.stage == "pretrain" and evaluation.every > 0 and not evaluation.samples,
            "evaluation.samples: stage 为 pretrain 时要评测须写明另外的文本",
        ),
        (keeps_best and not evaluation.every, "evaluation.patience: 需要 evaluation.every"),
        (
            keeps_best and (not saving.every or saving.every % max(1, evaluation.every) != 0),
            "saving.every: 有 evaluation.patience 时应是 evaluation.every 的倍数，才留得住最好的一次",
        ),
        (recipe.schedule == "constant" and recipe.warm_up > 0, "warm_up: schedule 为 constant 时不升温，写 0 或改 constant_with_warmup"),
    ]


def _adapter_checks(recipe: Recipe) -> list[tuple[bool, str]]:
    adapter = recipe.adapter
    if adapter is None:
        return [(recipe.base_weights != "fp32", "base_weights: 全参数训练以 fp32 存放权重，用 dtype: bf16 加速")]
    whole = [name for name in adapter.targets if name in ("embed_tokens", "lm_head")]
    return [
        (adapter.rank < 1, f"adapter.rank: `{adapter.rank}` 小于 1"),
        (adapter.alpha <= 0, f"adapter.alpha: `{adapter.alpha:g}` 应大于 0"),
        (not 0 <= adapter.dropout < 1, f"adapter.dropout: `{adapter.dropout:g}` 应在 0 与 1 之间"),
        (not adapter.targets, "adapter.targets: 至少一项"),
        (bool(whole), f"adapter.targets: `{'、'.join(whole)}` 应写在 adapter.modules_to_save"),
        (adapter.quantised and recipe.base_weights != "bf16", "base_weights: adapter.quantised 时应为 bf16"),
    ]
