"""A causal language model in a folder, with or without a PEFT adapter, run in this process. Needs the extra `llm`.

An adapter's folder holds `qizhen.json` beside PEFT's own files (app/adapter_manifest.py): how it is to be asked, and what it fits.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapter_manifest import AdapterManifest, misfits, read_manifest, template_of
from app.prompt import MOST_EVIDENCE_CHARACTERS, Prompt, messages
from app.settings import ModelSettings
from app.templates import CHAT_TEMPLATE, Turns, prompt_ids
from app.tokenizer import load_tokenizer
from indexer.errors import GeneratorError, ModelDownError, ModelSlowError


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its adapter on it, its tokenizer, the name of the template in which it is asked, and the manifest of what was tuned,
    None for a model that we did not tune.
    """

    model: Any
    tokenizer: Any
    template: str
    manifest: AdapterManifest | None


def is_model(folder: str) -> bool:
    """Whether a model lies there."""
    return bool(folder) and (Path(folder) / "config.json").is_file()


def local_speaker(settings: ModelSettings) -> "LocalSpeaker":
    """Load the model and its adapter. Raises GeneratorError where that cannot be done."""
    if not settings.local_model:
        raise GeneratorError("回答方式 `local` 还没有设置 `QIZHEN_LOCAL_MODEL`", "写模型文件夹的路径（Hugging Face 格式）")
    return LocalSpeaker(load_model(settings.local_model, settings.local_adapter), settings.seconds)


def load_model(model_folder: str, adapter_folder: str, in_float32: bool = False) -> LoadedModel:
    """Load a model and its adapter (none where `adapter_folder` is empty). One of them that has a manifest of ours is a tuned model.

    Weights stay as they lie in the file, unless `in_float32`. Raises GeneratorError for what is missing, and for an adapter that was
    trained on another base, another tokenizer or another shape of prompt.
    """
    folder, adapter = Path(model_folder), Path(adapter_folder) if adapter_folder else None
    if not is_model(model_folder):
        raise GeneratorError(f"`{folder}` 里没有模型（config.json）", "写 Hugging Face 格式的模型文件夹的路径")
    template = template_of(folder, adapter)
    try:
        tokenizer = load_tokenizer(folder)
        if template == CHAT_TEMPLATE and not tokenizer.chat_template:
            raise GeneratorError(f"模型 `{folder}` 没有自己的对话模板", "写一个适配器，它的清单说明用哪个提示模板")
        faults = misfits(folder, adapter, str(tokenizer.chat_template or "")) if adapter else []
        if faults:
            raise GeneratorError(f"适配器 `{adapter}` 与模型 `{folder}` 不配套：{'；'.join(faults)}", "用训练它时的那个基座")
        return LoadedModel(_weights(folder, adapter, in_float32), tokenizer, template, read_manifest(adapter or folder))
    except ImportError as error:
        raise GeneratorError(f"本机模型缺少组件 `{error.name}`", '安装附加组件 llm：pip install -c constraints.txt -e ".[llm]"') from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise GeneratorError(f"模型 `{folder}` 装不起来：{error}", "检查模型和适配器文件夹是否完整、是否配套") from error


def _weights(folder: Path, adapter: Path | None, in_float32: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32 if in_float32 else "auto")
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    if torch.cuda.is_available():
        model = model.to("cuda")
    return model.eval()


class LocalSpeaker:
    """Speaks greedily; one answer at a time, the next waits its turn for at most `seconds`."""

    def __init__(self, loaded: LoadedModel, seconds: float) -> None:
        self._loaded = loaded
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        self._seconds = seconds
        self._turn = threading.Lock()

    @property
    def most_evidence(self) -> int:
        """The characters of evidence that fit the model, with the question and an answer as long: three for four tokens of its context."""
        context: int = self._model.config.max_position_embeddings
        return min(MOST_EVIDENCE_CHARACTERS, 3 * context // 4)

    def __call__(self, prompt: Prompt, most: int) -> Iterator[str]:
        """Speak; see app.speaking.Speaker. Raises ModelError."""
        from transformers import TextIteratorStreamer

        if not self._turn.acquire(timeout=self._seconds):
            raise ModelSlowError(f"模型忙，等了 `{self._seconds:g}` 秒", "稍后再问，或把模型放到能同时回答多人的服务上（chat）")
        try:
            unwanted = threading.Event()
            streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
            failed: list[BaseException] = []
            speaking = threading.Thread(
                target=self._generate, args=(prompt, most, streamer, unwanted, failed), name="generate", daemon=True
            )
            speaking.start()
            try:
                yield from streamer
            finally:
                unwanted.set()
                speaking.join()
        finally:
            self._turn.release()
        if failed:
            raise ModelDownError(f"模型没有答成：`{failed[0]}`", "检查模型和适配器是否配套，内存是否足够") from failed[0]

    def _generate(self, prompt: Prompt, most: int, streamer: Any, unwanted: threading.Event, failed: list[BaseException]) -> None:
        import torch
        from transformers import StoppingCriteria, StoppingCriteriaList

        class Unwanted(StoppingCriteria):
            def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
                return torch.full((input_ids.shape[0],), unwanted.is_set(), dtype=torch.bool, device=input_ids.device)

        try:
            ids = torch.tensor([self._prompt_ids(prompt)], device=self._model.device)
            room = self._model.config.max_position_embeddings - ids.shape[1]
            with torch.inference_mode():
                self._model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    do_sample=False,
                    max_new_tokens=max(1, min(2 * most, room)),
                    streamer=streamer,
                    stopping_criteria=StoppingCriteriaList([Unwanted()]),
                    pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
                )
        except Exception as error:  # noqa: BLE001 - told by the thread that listens
            failed.append(error)
            streamer.end()

    def _prompt_ids(self, prompt: Prompt) -> list[int]:
        return prompt_ids(self._tokenizer, self._loaded.template, _turns(prompt, self._loaded.manifest))


def _turns(prompt: Prompt, manifest: AdapterManifest | None) -> Turns:
    """What is tuned is asked as it was taught."""
    if manifest is None:
        return messages(prompt)
    return [("user", prompt.data if manifest.reads_evidence else prompt.question)]
