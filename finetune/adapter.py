"""A PEFT adapter as it lies in its folder: how it was made, how it is to be used, which tensor belongs to which module.

Adapters of peft 0.3 are read too: keys of their configuration that mean nothing today are left out when they say nothing.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.adapter_manifest import AdapterManifest, read_manifest
from app.weights import StoredTensor, stored_tensors
from finetune.tensor_files import all_finite, load_parts
from indexer.errors import WeightsError

_CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."
_LORA = re.compile(
    r"(?P<module>.+)\.(?P<role>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?:\.(?!(?:weight|bias)$)[^.]+)?(?:\.weight)?"
)
_SAVED_WHOLE = re.compile(r"\.(?:base_layer|modules_to_save(?:\.(?!(?:weight|bias)$)[^.]+)?)(?=\.(?:weight|bias)$)")

# Ways of starting that leave the base model's weights alone. The others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) change them.
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
# peft 0.3: `enable_lora` belonged to layers that merged several projections; `merge_weights` was never acted upon.
_OLD_KEYS: Mapping[str, tuple[Any, ...]] = {"enable_lora": (None,), "merge_weights": (None, True, False)}
# What must be empty, because PEFT computes something else with it than this program merges.
_UNMERGEABLE = (
    *("trainable_token_indices", "layer_replication", "target_parameters", "megatron_config", "use_qalora", "use_bdlora"),
    *("lora_bias", "arrow_config", "alora_invocation_tokens", "velora_config", "monteclora_config", "kasa_config"),
)


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """What of adapter_config.json decides how an adapter is merged."""

    rank: int
    alpha: float
    rank_stabilised: bool = False
    dora: bool = False
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)
    targets: Sequence[str] | str = ()
    layers_chosen: bool = False
    saved_whole: Sequence[str] = ()
    tied: bool = False

    def rank_of(self, module: str) -> int:
        """The rank at a module, as PEFT's get_pattern_key finds it."""
        return self.ranks.get(_matching(self.ranks, module), self.rank)

    def scaling(self, module: str) -> float:
        """Alpha / r (Hu et al. 2021), or alpha / sqrt(r) when rank-stabilised (Kalajdzievski 2023)."""
        alpha, rank = self.alphas.get(_matching(self.alphas, module), self.alpha), self.rank_of(module)
        return alpha / math.sqrt(rank) if self.rank_stabilised else alpha / rank

    def is_target(self, module: str) -> bool:
        """Whether PEFT puts LoRA at this module; unknown choices of layers are nobody's target."""
        if self.layers_chosen:
            return False
        if isinstance(self.targets, str):
            return self.targets != "all-linear" and re.fullmatch(self.targets, module) is not None
        return any(module == target or module.endswith(f".{target}") for target in self.targets)


@dataclass(frozen=True, slots=True)
class Adapter:
    """`deltas` maps a module's path in the model to its tensors by role; `whole` maps a tensor's name in the model to what replaces it.

    `copies` are left aside: a whole module saved after a resize stands in PEFT's file three times, as trained, as trained, and as it was.
    """

    folder: Path
    settings: LoraSettings
    deltas: Mapping[str, Mapping[str, StoredTensor]]
    whole: Mapping[str, StoredTensor]
    manifest: AdapterManifest | None
    copies: Sequence[StoredTensor] = ()

    @property
    def name(self) -> str:
        """How it is called in messages."""
        return self.folder.name

    def tensors(self) -> Iterator[StoredTensor]:
        """Every tensor of its file."""
        for roles in self.deltas.values():
            yield from roles.values()
        yield from self.whole.values()


def open_adapter(folder: Path) -> Adapter:
    """Read an adapter's headers. Raises WeightsError with everything that is wrong with its files and settings."""
    config = _config(folder)
    manifest = read_manifest(folder)
    deltas: dict[str, dict[str, StoredTensor]] = {}
    whole: dict[str, StoredTensor] = {}
    copies: list[StoredTensor] = []
    faults = _refused(config)
    for key, tensor in stored_tensors(folder).items():
        name = key.removeprefix(_PREFIX)
        lora = _LORA.fullmatch(name)
        place, at = (deltas.setdefault(lora["module"], {}), lora["role"]) if lora else (whole, _SAVED_WHOLE.sub("", name))
        if ".original_module." in name:
            copies.append(tensor)
        elif at not in place:
            place[at] = tensor
        elif tensor.digest() == place[at].digest():
            copies.append(tensor)
        else:
            faults.append(f"`{place[at].name}` 和 `{key}` 是同一处的两份，却不相同")
    adapter = Adapter(folder, _settings(config), deltas, whole, manifest, copies)
    if faults := faults + list(_shape_faults(adapter)):
        raise told_together(f"适配器 `{folder}` 不能用", faults, "换一个完整的 LoRA 适配器，或重新训练")
    return adapter


def check_adapter(folder: Path) -> Adapter:
    """Open an adapter and read its values: refused where a value is not finite, or where it would change nothing. Raises WeightsError."""
    adapter = open_adapter(folder)
    if faults := value_faults(adapter):
        raise told_together(f"适配器 `{folder}` 不能用", faults, "重新训练；保存后马上用 check_adapter 检查")
    return adapter


def value_faults(adapter: Adapter) -> list[str]:
    """What is wrong with the values themselves: not finite, or every B zero (saved before a step was taken, or by a patched save)."""
    faults = [f"`{tensor.name}` 里有 NaN 或无穷大" for tensor in adapter.tensors() if not all(map(all_finite, load_parts(tensor)))]
    halves = [roles[role] for roles in adapter.deltas.values() for role in ("lora_B", "lora_embedding_A") if role in roles]
    if halves and not adapter.settings.dora and not any(part.any() for half in halves for part in load_parts(half)):
        faults.append(f"全部 {len(halves)} 个 B 矩阵都是零，合并等于什么都没做")
    return faults


def told_together(fault: str, faults: Sequence[str], hint: str) -> WeightsError:
    """One error that lists every fault."""
    return WeightsError(f"{fault}，共 {len(faults)} 处：\n" + "\n".join(f"- {line}" for line in faults), hint)


def modern_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """adapter_config.json without the keys of peft 0.3 that say nothing; one that does say something stays and is refused."""
    return {key: value for key, value in config.items() if value not in _OLD_KEYS.get(key, ())}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"`{path}` 读不出来：{error}", "给出 PEFT 适配器的文件夹") from error
    if not isinstance(content, dict):
        raise WeightsError(f"`{path}` 里不是一个对象", "给出 PEFT 适配器的文件夹")
    return modern_config(content)


def _refused(config: Mapping[str, Any]) -> list[str]:
    faults = []
    if config.get("peft_type") != "LORA":
        faults.append(f"类型是 `{config.get('peft_type')}`，只能合并 LORA（含 DoRA）")
    if config.get("bias", "none") != "none":
        faults.append(f"bias 是 `{config['bias']}`，只能合并 bias=none 的适配器")
    if config.get("init_lora_weights") not in _STARTS:
        faults.append(f"init_lora_weights 是 `{config['init_lora_weights']}`，它改动基座的权重；先用 PEFT 转成普通 LoRA 再保存")
    faults += [f"`{key}` 是 `{config[key]}`，不能合并" for key in (*_UNMERGEABLE, *_OLD_KEYS) if config.get(key)]
    return faults


def _settings(config: Mapping[str, Any]) -> LoraSettings:
    return LoraSettings(
        rank=config.get("r", 8),
        alpha=config.get("lora_alpha", 8),
        rank_stabilised=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
        ranks=config.get("rank_pattern") or {},
        alphas=config.get("alpha_pattern") or {},
        targets=config.get("target_modules") or (),
        layers_chosen=any(config.get(key) is not None for key in ("layers_to_transform", "layers_pattern", "exclude_modules")),
        saved_whole=config.get("modules_to_save") or (),
        tied=bool(config.get("ensure_weight_tying")),
    )


def _matching(patterns: Mapping[str, Any], module: str) -> str:
    return next((pattern for pattern in patterns if re.match(rf"(.*\.)?({pattern})$", module)), module)


def _shape_faults(adapter: Adapter) -> Iterator[str]:
    if not adapter.deltas:
        yield "里面没有一个 LoRA 张量（保存时被改写的 state_dict 会得到这样的空文件）"
    for tensor in adapter.tensors():
        if not tensor.size:
            yield f"`{tensor.name}` 的形状是 {list(tensor.shape)}，没有值"
    for tensor in adapter.copies:
        if ".original_module." in tensor.name and tensor.name.removeprefix(_PREFIX).replace(".original_module.", ".") not in adapter.whole:
            yield f"`{tensor.name}` 是训练前的模块，训练后的没有保存下来"
    for module in adapter.settings.saved_whole:
        if not any(f".{module}." in f".{name}" for name in adapter.whole):
            yield f"modules_to_save 里的 `{module}` 没有保存下来"
    for module, roles in adapter.deltas.items():
        yield from _half_faults(adapter.settings, module, roles)


def _half_faults(settings: LoraSettings, module: str, roles: Mapping[str, StoredTensor]) -> Iterator[str]:
    first, second = ("lora_embedding_A", "lora_embedding_B") if "lora_embedding_A" in roles else ("lora_A", "lora_B")
    wanted = {first, second} | ({"lora_magnitude_vector"} if settings.dora else set())
    if gone := sorted(wanted - roles.keys()):
        yield f"`{module}` 缺 `{'、'.join(gone)}`"
    elif unused := sorted(roles.keys() - wanted):
        yield f"`{module}` 的 `{'、'.join(unused)}` 用不上（设置里没有 use_dora，或两种 LoRA 混在一处）"
    elif len(roles[first].shape) != 2 or len(roles[second].shape) != 2 or roles[first].shape[0] != roles[second].shape[1]:
        yield f"`{module}` 的 A {list(roles[first].shape)} 和 B {list(roles[second].shape)} 合不上"
    elif roles[first].shape[0] != settings.rank_of(module):
        yield f"`{module}` 的秩是 {roles[first].shape[0]}，设置里是 {settings.rank_of(module)}"
