"""Merge adapters into a base model, tensor by tensor: nothing is loaded whole, nothing half done is left behind.

The values are those of PEFT's `merge_and_unload`, bit for bit, of the base model loaded in the output's dtype: PEFT holds A, B and
DoRA's magnitudes in float32 (`autocast_adapter_dtype`), adds the float32 delta to the weight in float32 and rounds the sum once; deltas of
embeddings are rounded before they are added; what was saved whole is rounded to the weight's dtype. Several adapters are merged one after
the other, each into the rounded result of the one before, as by loading, merging and saving in between.
"""

import hashlib
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from app.adapter_manifest import MANIFEST, AdapterManifest, write_manifest
from app.weights import digest_of, file_digest, stored_tensors, weight_files, weights_digest
from finetune.adapter import Adapter, told_together
from finetune.json_files import write_json
from finetune.merge_plan import HEAD, MergePlan, PlannedTensor, Step
from finetune.meta_layout import MetaLayout, layout_faults, meta_layout, params
from finetune.tensor_files import (
    PthWriter,
    SafetensorsWriter,
    TensorEntry,
    TensorWriter,
    all_finite,
    blocks,
    load_tensor,
    tensor_pieces,
    torch_dtype,
)
from finetune.tokenizer_files import copy_tokenizer
from finetune.unfinished import unfinished_folder
from indexer.errors import WeightsError

Form = Literal["hf", "pth"]
Progress = Callable[[int, str], None]

MERGE_MANIFEST = "qizhen-merge.json"
SHARD_BYTES = 2_000_000_000
# What is not the dearest tensor: at the shapes of LLaMA-7B the command peaked at 595 to 660 MB, of which that tensor with its delta takes
# 270; Python with torch at rest takes 225 (tests/benchmarks/merge.py).
RUNTIME_BYTES = 390_000_000


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What was written. `digest` is weights_digest of `out`; `peak_megabytes` this process's largest resident memory so far."""

    out: str
    tensors: int
    adapters: int
    digest: str
    seconds: float
    peak_megabytes: float


def merge(
    plan: MergePlan, out: Path, *, form: Form = "hf", shard_bytes: int = SHARD_BYTES, progress: Progress | None = None
) -> MergeReport:
    """Write the merged model to `out`, a folder that must not be there yet. Raises WeightsError; `out` is then not there."""
    started = time.monotonic()
    check_output(plan, out, form)
    with unfinished_folder(out) as folder:
        merger = _Merger(plan, _layout(plan, form), progress or (lambda _bytes, _name: None))
        try:
            digest = merger.run(_writers(plan, merger.layout, folder, shard_bytes))
            _write_beside(plan, folder, form, merger, digest)
        except OSError as error:
            raise WeightsError(f"写 `{out}` 时失败：{error}", "检查磁盘空间和权限；没有留下半成品") from error
    seconds = round(time.monotonic() - started, 3)
    return MergeReport(str(out), len(plan.tensors), len(plan.adapters), digest, seconds, round(peak_resident_bytes() / 1e6, 1))


def peak_resident_bytes() -> int:
    """The largest resident memory of this process. Linux hands `ru_maxrss` on from the parent process, so its own figure is read there."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) * 1024 for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def check_output(plan: MergePlan, out: Path, form: Form) -> None:
    """Everything about the output that can be known before. Raises WeightsError."""
    faults = []
    if out.exists():
        faults.append(f"`{out}` 已经在了，不覆盖")
    if not out.absolute().parent.is_dir():
        faults.append(f"没有文件夹 `{out.absolute().parent}`")
    else:
        free = shutil.disk_usage(out.absolute().parent).free
        if free < plan.size:
            faults.append(f"要写 {plan.size / 1e9:.2f} GB，`{out.absolute().parent}` 只剩 {free / 1e9:.2f} GB")
    if form == "pth":
        faults += layout_faults(plan.base.config, [tensor.name for tensor in plan.tensors])
    if faults:
        raise told_together("不能合并，什么都没有写", faults, "换一个输出位置或格式")


def peak_estimate(plan: MergePlan) -> int:
    """Bytes of memory a merge is expected to take: the runtime and the dearest tensor."""
    return RUNTIME_BYTES + max((tensor.working_bytes for tensor in plan.tensors), default=0)


def merged_tensor(planned: PlannedTensor, before: Callable[[int, Any], None] = lambda _adapter, _value: None, adapters: int = 0) -> Any:
    """The final torch tensor. `before(adapter, value)` sees what each of `adapters` adapters is merged into. Raises WeightsError."""
    value = load_tensor(planned.source)
    value = value.to(torch_dtype(planned.dtype)) if planned.dtype != planned.source.dtype else value
    for adapter in range(max(adapters, 1 + max((step.adapter for step in planned.steps), default=-1))):
        before(adapter, value)
        for step in planned.steps:
            value = _apply(value, step) if step.adapter == adapter else value
    if planned.steps and not all_finite(value):
        hint = "换 --dtype bfloat16 或 float32" if planned.dtype == "F16" else "检查基座和适配器的数值"
        raise WeightsError(f"`{planned.name}` 合并后有 NaN 或无穷大，没有留下半成品", hint)
    return value


def _apply(value: Any, step: Step) -> Any:
    if step.kind == "replace":
        return load_tensor(step.tensors[0]).to(value.dtype)
    precise = torch_dtype("F64" if value.dtype == torch_dtype("F64") else "F32")
    first, second, *magnitude = (load_tensor(tensor).to(precise) for tensor in step.tensors)
    delta = second @ first
    delta *= step.scaling
    if step.kind in ("embedding", "dora_embedding") or step.turned:
        delta = delta.T
    if magnitude:
        return _with_magnitude(value, delta, magnitude[0], by_column=step.kind == "dora_embedding" or step.turned)
    for block in blocks(value):
        value[block] += delta[block].to(value.dtype) if step.kind == "embedding" else delta[block]
    return value


def _with_magnitude(value: Any, delta: Any, magnitude: Any, *, by_column: bool) -> Any:
    """DoRA (Liu et al. 2024), equation 5: every output's weights are scaled to the magnitude learnt for it."""
    import torch

    summed = value + delta
    norm = torch.linalg.norm(value.T + delta.T if by_column else summed, dim=1)
    factor = magnitude.reshape(-1) / norm
    return (factor.view((1, -1) if by_column else (-1, 1)) * summed).to(value.dtype)


def _layout(plan: MergePlan, form: Form) -> MetaLayout | None:
    return meta_layout(plan.base.config) if form == "pth" else None


def _writers(plan: MergePlan, layout: MetaLayout | None, folder: Path, shard_bytes: int) -> list[TensorWriter]:
    entries = [tensor.entry for tensor in _outputs(plan, layout)]
    if layout is None:
        return [SafetensorsWriter(folder, entries, shard_bytes)]
    by_file = zip(*(layout.entries(entry) for entry in entries), strict=True)
    return [PthWriter(folder / f"consolidated.{number:02}.pth", held) for number, held in enumerate(by_file)]


def _outputs(plan: MergePlan, layout: MetaLayout | None) -> Iterator[PlannedTensor]:
    """Meta's layout has no tied heads: the embedding is written a second time."""
    yield from plan.tensors
    if layout is not None and plan.tied:
        yield from (replace(tensor, name=HEAD) for tensor in plan.tensors if tensor.name == plan.base.embedding)


class _Merger:
    """One run: what is read, written and found on the way."""

    def __init__(self, plan: MergePlan, layout: MetaLayout | None, progress: Progress) -> None:
        self._plan = plan
        self.layout = layout
        self._progress = progress
        self._copied: dict[str, str] = {}
        # What the model was before an adapter that names its base, tensor by tensor.
        self._before: dict[int, list[tuple[str, str, Sequence[int], str]]] = {
            number: []
            for number, adapter in enumerate(plan.adapters)
            if number and adapter.manifest and adapter.manifest.base.get("digest")
        }

    def run(self, writers: Sequence[TensorWriter]) -> str:
        """Write everything; the digest of what was written. Raises WeightsError where an adapter was made for another model."""
        written = []
        for planned in _outputs(self._plan, self.layout):
            for number, (writer, entry, pieces) in enumerate(self._parts(planned, writers)):
                total = hashlib.sha256()
                writer.write(entry, _seen(pieces, total))
                name = f"consolidated.{number:02}.pth/{entry.name}" if len(writers) > 1 else entry.name
                written.append((name, entry.dtype, entry.shape, total.hexdigest()))
                if planned.copied and self.layout is None:
                    self._copied[planned.name] = total.hexdigest()
            self._progress(planned.entry.size, planned.name)
        for writer in writers:
            writer.close()
        self._check_bases()
        return digest_of(written)

    def base_digest(self) -> str:
        """weights_digest of the base model; what was copied has been read already."""
        held = stored_tensors(self._plan.base.folder)
        digests = {name: self._copied.get(name) or tensor.digest() for name, tensor in held.items()}
        return self._plan.digest or digest_of((name, tensor.dtype, tensor.shape, digests[name]) for name, tensor in held.items())

    def _parts(self, planned: PlannedTensor, writers: Sequence[TensorWriter]) -> Iterator[tuple[TensorWriter, TensorEntry, Iterable[Any]]]:
        if self.layout is None or self.layout.is_whole(planned.name):
            entry = self.layout.entries(planned.entry)[0] if self.layout else planned.entry
            plain = None if self._before else planned.plain
            yield writers[0], entry, plain.pieces() if plain else tensor_pieces(self._value(planned))
            return
        parts = self.layout.parts(planned.name, self._value(planned))
        for writer, entry, part in zip(writers, self.layout.entries(planned.entry), parts, strict=True):
            yield writer, entry, tensor_pieces(part)

    def _value(self, planned: PlannedTensor) -> Any:
        """The final tensor; what it was before is noted where an adapter says which model it was made for."""

        def note(adapter: int, value: Any) -> None:
            if adapter in self._before and not (self._plan.tied and planned.name == HEAD):
                self._before[adapter].append(_described(planned, value))

        return merged_tensor(planned, note, len(self._plan.adapters))

    def _check_bases(self) -> None:
        for number, held in self._before.items():
            adapter = self._plan.adapters[number]
            wanted, found = adapter.manifest.base["digest"] if adapter.manifest else "", digest_of(held)
            if wanted != found:
                raise WeightsError(
                    f"适配器 `{adapter.folder}` 训练时的基座是 {wanted[:12]}…，"
                    f"合并了前面 {number} 个适配器的基座是 {found[:12]}…；没有留下半成品",
                    "检查适配器的次序和 --dtype；确知可行时删去它的 qizhen.json 里的 base.digest",
                )


def _described(planned: PlannedTensor, value: Any) -> tuple[str, str, Sequence[int], str]:
    total = hashlib.sha256()
    for piece in tensor_pieces(value):
        total.update(piece)
    return planned.name, planned.dtype, tuple(value.shape), total.hexdigest()


def _seen(pieces: Iterable[Any], total: Any) -> Iterator[Any]:
    for piece in pieces:
        total.update(piece)
        yield piece


def _write_beside(plan: MergePlan, folder: Path, form: Form, merger: _Merger, digest: str) -> None:
    copied = copy_tokenizer(plan.folders, folder)
    if form == "pth":
        write_json(folder / "params.json", params(plan.base.config))
    else:
        write_json(folder / "config.json", _config(plan))
        for source in reversed(plan.folders):
            if (source / "generation_config.json").is_file():
                shutil.copyfile(source / "generation_config.json", folder / "generation_config.json")
                break
    _write_template(plan, folder)
    made = {"qizhen": version("qizhen"), "torch": version("torch"), "python": platform.python_version()}
    inputs = {"base": _input(plan.base.folder, merger.base_digest()), "adapters": [_adapter_input(adapter) for adapter in plan.adapters]}
    outputs = {"form": form, "dtypes": sorted({tensor.dtype for tensor in plan.tensors}), "tokenizer": copied}
    write_json(folder / MERGE_MANIFEST, {"digest": digest, "tensors": len(plan.tensors), **inputs, "output": outputs, "versions": made})


def _config(plan: MergePlan) -> dict[str, Any]:
    config = dict(plan.base.config) | {"tie_word_embeddings": plan.tied}
    if plan.rows:
        config["vocab_size"] = plan.rows
    kinds = {tensor.dtype for tensor in plan.tensors}
    if len(kinds) == 1:
        name = str(torch_dtype(kinds.pop())).removeprefix("torch.")
        config["torch_dtype" if "torch_dtype" in config else "dtype"] = name
    return config


def _write_template(plan: MergePlan, folder: Path) -> None:
    """The merged model is asked in the shape its adapters were."""
    named = [adapter.manifest for adapter in plan.adapters if adapter.manifest and adapter.manifest.template]
    if named:
        last = named[-1]
        write_manifest(
            folder, AdapterManifest(last.template, last.template_digest, {}, last.tokenizer_digest, made={"merged": MERGE_MANIFEST})
        )


def _input(folder: Path, digest: str) -> dict[str, Any]:
    return {"name": folder.name, "digest": digest, "files": {path.name: path.stat().st_size for path in weight_files(folder)}}


def _adapter_input(adapter: Adapter) -> dict[str, Any]:
    beside = [adapter.folder / name for name in ("adapter_config.json", MANIFEST)]
    return _input(adapter.folder, weights_digest(adapter.folder)) | {path.name: file_digest(path) for path in beside if path.is_file()}
