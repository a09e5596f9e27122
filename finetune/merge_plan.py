"""What a merge will do to every tensor, worked out from headers alone, and everything that stands against it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from app.templates import CHAT_TEMPLATE, TEMPLATES, digest_of
from app.tokenizer import tokenizer_digest
from app.weights import StoredTensor, stored_tensors, weights_digest
from finetune.adapter import Adapter, open_adapter, told_together, value_faults
from finetune.tensor_files import TensorEntry
from finetune.tokenizer_files import chat_template, has_tokenizer, tokenizer_size
from indexer.errors import QizhenError, WeightsError

Kind = Literal["replace", "linear", "embedding", "dora", "dora_embedding"]

DTYPES: Mapping[str, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_FLOATS = ("F64", "F32", "F16", "BF16")
_INPUTS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight")
HEAD = "lm_head.weight"
# Saved by old versions of transformers, computed by today's.
_COMPUTED = ("rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")
# Models whose layers are transformers' Conv1D: weights stand as (in, out), and PEFT sets fan_in_fan_out by the layer, not by the settings.
_CONV1D_MODELS = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
_PADDED_TO = 8  # rows; a vocabulary larger than its tokenizer is padded to a multiple of this or is another tokenizer's


@dataclass(frozen=True, slots=True)
class Step:
    """What adapter number `adapter` (from 0) does to a tensor: `replace` it, or add B A times `scaling` (`turned` for Conv1D)."""

    adapter: int
    kind: Kind
    tensors: tuple[StoredTensor, ...]
    scaling: float = 1.0
    turned: bool = False


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of the merged model: where it comes from, what is done to it in order, and what it is in the end."""

    name: str
    source: StoredTensor
    dtype: str
    shape: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    @property
    def entry(self) -> TensorEntry:
        """What the output says of it."""
        return TensorEntry(self.name, self.dtype, self.shape)

    @property
    def copied(self) -> bool:
        """Whether its bytes are the base model's."""
        return not self.steps and self.dtype == self.source.dtype

    @property
    def plain(self) -> StoredTensor | None:
        """The stored tensor whose bytes it is, None where something has to be computed."""
        last = self.steps[-1] if self.steps else None
        stored = self.source if last is None else last.tensors[0] if last.kind == "replace" else None
        return stored if stored is not None and stored.dtype == self.dtype else None

    @property
    def working_bytes(self) -> int:
        """Memory the work on it takes: the tensor, and for every delta B A in float32; four times that with DoRA's norms."""
        deltas = max((16 if step.kind.startswith("dora") else 4 for step in self.steps if step.kind != "replace"), default=0)
        return 0 if self.plain else self.entry.size + deltas * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class BaseModel:
    """`tensors` by name, without what is computed; `tied` says that the head is the embedding."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    dropped: Sequence[StoredTensor]
    tied: bool

    @property
    def embedding(self) -> str:
        """The name of the input embedding, empty where none is known."""
        return next((name for name in self.tensors if name.endswith(_INPUTS)), "")


@dataclass(frozen=True, slots=True)
class MergePlan:
    """Everything decided before a byte is written. `digest` is the base model's where an adapter names one, else empty."""

    base: BaseModel
    adapters: Sequence[Adapter]
    tensors: Sequence[PlannedTensor]
    tied: bool
    digest: str = ""

    @property
    def rows(self) -> int:
        """Rows of the embedding in the end, 0 where none is known."""
        return next((tensor.shape[0] for tensor in self.tensors if tensor.name == self.base.embedding), 0)

    @property
    def size(self) -> int:
        """Bytes of the merged model's values."""
        return sum(tensor.entry.size for tensor in self.tensors)

    @property
    def folders(self) -> list[Path]:
        """The base model's folder and the adapters', in order."""
        return [self.base.folder, *(adapter.folder for adapter in self.adapters)]


@dataclass(slots=True)
class _Draft:
    base: BaseModel
    tensors: dict[str, PlannedTensor]
    faults: list[str] = field(default_factory=list)


def plan_merge(base: Path, adapters: Sequence[Path], *, dtype: str = "", untie: bool = False) -> MergePlan:
    """Match every tensor of the adapters with the base model's. Raises WeightsError with all that does not fit; writes nothing.

    `dtype` is a key of DTYPES; empty keeps every tensor's own. `untie` gives a head of its own to a model whose head is its embedding.
    """
    model = open_base(base)
    opened, faults = _opened(adapters)
    start = dict(model.tensors)
    if untie and model.tied:
        start[HEAD] = replace(start[model.embedding], name=HEAD)
        model = replace(model, tied=False, tensors=start)
    kinds = {name: DTYPES[dtype] if dtype and tensor.dtype in _FLOATS else tensor.dtype for name, tensor in start.items()}
    draft = _Draft(model, {n: PlannedTensor(n, t, kinds[n], t.shape) for n, t in start.items()}, faults)
    for number, adapter in enumerate(opened):
        before = len(draft.faults)
        _add(draft, number, adapter)
        draft.faults[before:] = [f"{adapter.name}：{fault}" for fault in draft.faults[before:]]
    plan = MergePlan(model, opened, sorted(draft.tensors.values(), key=lambda tensor: tensor.name), model.tied)
    draft.faults += _manifest_faults(plan)
    draft.faults += _vocabulary_faults(plan)
    if not draft.faults:
        draft.faults += [f"{adapter.name}：{fault}" for adapter in opened for fault in value_faults(adapter)]
    needed = any(adapter.manifest and adapter.manifest.base.get("digest") for adapter in opened)
    plan = replace(plan, digest=weights_digest(base)) if needed else plan
    draft.faults += _base_faults(plan)
    if draft.faults:
        raise told_together("不能合并，什么都没有写", draft.faults, "改正以上各处后重试；先用 --plan 查看")
    return plan


def open_base(folder: Path) -> BaseModel:
    """A model's configuration and headers. Raises WeightsError."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"基座 `{folder}` 的 config.json 读不出来：{error}", "给出 Hugging Face 格式的模型文件夹") from error
    if config.get("quantization_config"):
        raise WeightsError(f"基座 `{folder}` 是量化过的模型，不能合并", "用没有量化的原模型作基座")
    held = stored_tensors(folder)
    tied = bool(config.get("tie_word_embeddings", HEAD not in held))
    dropped = [tensor for name, tensor in held.items() if name.endswith(_COMPUTED) or (tied and name == HEAD)]
    tensors = {name: tensor for name, tensor in held.items() if tensor not in dropped}
    model = BaseModel(folder, config, tensors, dropped, tied)
    if tied and HEAD in held and model.embedding and held[HEAD].digest() != held[model.embedding].digest():
        raise WeightsError(f"基座 `{folder}` 写明 tie_word_embeddings，但 lm_head 与词向量不同", "改正它的 config.json")
    return model


def _opened(folders: Sequence[Path]) -> tuple[list[Adapter], list[str]]:
    opened, faults = [], []
    for folder in folders:
        try:
            opened.append(open_adapter(folder))
        except QizhenError as error:
            faults.append(error.fault)
    return opened, faults


def _add(draft: _Draft, number: int, adapter: Adapter) -> None:
    """Every tensor of one adapter finds its place, or becomes a fault."""
    whole = dict(adapter.whole)
    if draft.base.tied:
        _keep_tied(draft, adapter, whole)
    for name, tensor in whole.items():
        _replace(draft, number, name, tensor)
    for module, roles in adapter.deltas.items():
        if f"{module}.weight" in draft.tensors:
            _add_delta(draft, number, adapter, module, roles)
        elif not (draft.base.tied and f"{module}.weight" == HEAD):
            draft.faults += [f"`{tensor.name}` 在基座里没有对应的张量" for tensor in roles.values()]
    for name, planned in draft.tensors.items():
        module = name.removesuffix(".weight")
        missing = name.endswith(".weight") and len(planned.shape) == 2 and module not in adapter.deltas and name not in adapter.whole
        if missing and adapter.settings.is_target(module):
            draft.faults.append(f"`{module}` 应有 LoRA 张量，没有保存下来")


def _keep_tied(draft: _Draft, adapter: Adapter, whole: dict[str, StoredTensor]) -> None:
    """A head that is the embedding stays that only where both are replaced by the same values."""
    embedding, hint = draft.base.embedding, "；加 --untie 让词向量和 lm_head 分开"
    touched = [name for name in (embedding, HEAD) if name in whole or name.removesuffix(".weight") in adapter.deltas]
    both = {whole[name].digest() for name in (embedding, HEAD) if name in whole}
    if any(name.removesuffix(".weight") in adapter.deltas for name in (embedding, HEAD)):
        draft.faults.append(f"基座的词向量和 lm_head 是同一个张量，而适配器对 `{'、'.join(touched)}` 有 LoRA{hint}")
    elif touched and (len(both) > 1 or (len(touched) == 1 and not (adapter.settings.tied and touched == [embedding]))):
        draft.faults.append(f"基座的词向量和 lm_head 是同一个张量，而适配器另存了 `{'、'.join(touched)}`{hint}")
    whole.pop(HEAD, None)


def _replace(draft: _Draft, number: int, name: str, tensor: StoredTensor) -> None:
    planned = draft.tensors.get(name)
    if planned is None:
        draft.faults.append(f"`{tensor.name}` 在基座里没有对应的张量")
        return
    vocabulary = name in (draft.base.embedding, HEAD) and len(tensor.shape) == 2
    fits = tensor.shape[1:] == planned.shape[1:] and tensor.shape[0] >= planned.shape[0] if vocabulary else tensor.shape == planned.shape
    if not fits or tensor.dtype not in _FLOATS:
        said = f"{list(tensor.shape)} {tensor.dtype}，此前是 {list(planned.shape)} {planned.dtype}"
        draft.faults.append(f"`{tensor.name}` 是 {said}" + ("；词表只能变大" if vocabulary else ""))
        return
    draft.tensors[name] = replace(planned, shape=tensor.shape, steps=(*planned.steps, Step(number, "replace", (tensor,))))


def _add_delta(draft: _Draft, number: int, adapter: Adapter, module: str, roles: Mapping[str, StoredTensor]) -> None:
    planned = draft.tensors[f"{module}.weight"]
    embedding = "lora_embedding_A" in roles
    turned = not embedding and draft.base.config.get("model_type") in _CONV1D_MODELS and planned.name != HEAD
    tensors: tuple[StoredTensor, ...]
    shape: tuple[int, ...]
    if embedding:
        tensors = (roles["lora_embedding_A"], roles["lora_embedding_B"])
        shape = (tensors[0].shape[1], tensors[1].shape[0])
    else:
        tensors = (roles["lora_A"], roles["lora_B"])
        shape = (tensors[1].shape[0], tensors[0].shape[1])[:: -1 if turned else 1]
    if shape != planned.shape or planned.dtype not in _FLOATS:
        draft.faults.append(f"`{module}` 的 LoRA 合成 {list(shape)}，基座的张量是 {list(planned.shape)} {planned.dtype}")
        return
    kind: Kind = "embedding" if embedding else "linear"
    if adapter.settings.dora:
        magnitude = roles["lora_magnitude_vector"]
        kind = "dora_embedding" if embedding else "dora"
        if math.prod(magnitude.shape) != shape[1 if embedding or turned else 0]:
            draft.faults.append(f"`{magnitude.name}` 的形状是 {list(magnitude.shape)}，基座的张量是 {list(planned.shape)}")
        tensors = (*tensors, magnitude)
    step = Step(number, kind, tensors, adapter.settings.scaling(module), turned)
    draft.tensors[planned.name] = replace(planned, steps=(*planned.steps, step))


def _vocabulary_faults(plan: MergePlan) -> Iterator[str]:
    rows, head = plan.rows, next((tensor.shape[0] for tensor in plan.tensors if tensor.name == HEAD), plan.rows)
    if rows != head:
        yield f"词向量有 {rows} 行，lm_head 有 {head} 行"
    having = [folder for folder in plan.folders if has_tokenizer(folder)]
    if not rows or not having:
        return
    size = tokenizer_size(having[-1])
    if size > rows or (size < rows and rows % _PADDED_TO):
        yield f"`{having[-1]}` 的分词器有 {size} 个词，合并后的词向量有 {rows} 行"


def _manifest_faults(plan: MergePlan) -> Iterator[str]:
    having = [folder for folder in plan.folders if has_tokenizer(folder)]
    names = {}
    for adapter in plan.adapters:
        if adapter.manifest is None:
            continue
        if adapter.manifest.template:
            names[adapter.name] = adapter.manifest.template
            yield from _template_faults(adapter, having[-1] if having else None)
        wanted = adapter.manifest.tokenizer_digest
        if wanted and having and wanted not in map(tokenizer_digest, having):
            yield f"{adapter.name}：训练时的分词器（{wanted[:12]}…）不在这些文件夹里"
    if len(set(names.values())) > 1:
        yield "提示模板不一致：" + "，".join(f"{adapter} 用 `{name}`" for adapter, name in names.items())


def _template_faults(adapter: Adapter, tokenizer: Path | None) -> Iterator[str]:
    manifest = adapter.manifest
    if manifest is None:
        return
    if manifest.template not in (CHAT_TEMPLATE, *TEMPLATES):
        yield f"{adapter.name}：没有提示模板 `{manifest.template}`"
        return
    known = digest_of(manifest.template, chat_template(tokenizer) if tokenizer else "")
    if manifest.template_digest and known and manifest.template_digest != known:
        yield f"{adapter.name}：提示模板 `{manifest.template}` 的内容与训练时不同（{manifest.template_digest[:12]}…，现在是 {known[:12]}…）"


def _base_faults(plan: MergePlan) -> Iterator[str]:
    for number, adapter in enumerate(plan.adapters):
        wanted = adapter.manifest.base.get("digest", "") if adapter.manifest else ""
        if number == 0 and wanted and wanted != plan.digest:
            yield f"{adapter.name}：训练时的基座是 {wanted[:12]}…，`{plan.base.folder}` 是 {plan.digest[:12]}…"
        elif number and wanted and wanted == plan.digest:
            yield f"{adapter.name}：训练时的基座是没有合并前面适配器的 `{plan.base.folder}`"
