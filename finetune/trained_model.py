"""The model that is trained: new, or a base, with an adapter on it; and what does not fit together, told before anything is loaded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.adapter_manifest import read_manifest
from app.templates import CHAT_TEMPLATE, TEMPLATES, digest_of
from app.tokenizer import tokenizer_digest
from finetune.recipe import Adapter, Recipe
from finetune.tokenizer_files import has_tokenizer
from indexer.errors import QizhenError

_EXTRA = 'pip install -c constraints.txt -e ".[finetune]"'


def check_components(recipe: Recipe) -> None:
    """Raises QizhenError that names the component which is not installed, or the device that is not there."""
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import peft  # noqa: F401
        import torch
        import transformers  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise QizhenError(f"训练缺少组件 `{error.name}`", f"安装附加组件 finetune：{_EXTRA}") from error
    if recipe.adapter is None or not recipe.adapter.quantised:
        return
    hint = "QLoRA 没有在本项目的机器上试过；去掉 adapter.quantised 即为普通 LoRA"
    if not torch.cuda.is_available():
        raise QizhenError("adapter.quantised（4 位 QLoRA）需要 NVIDIA GPU，这台机器上没有", hint)
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise QizhenError("adapter.quantised（4 位 QLoRA）缺少组件 `bitsandbytes`", f"pip install bitsandbytes；{hint}") from error


def check_fit(recipe: Recipe, tokenizer: Any) -> None:
    """Whether base, tokenizer, template and earlier adapter belong together. Raises QizhenError with everything that does not fit."""
    faults = [*_template_faults(recipe, tokenizer), *_adapter_faults(recipe, tokenizer)]
    if recipe.base:
        faults += _base_faults(recipe, tokenizer)
    if faults:
        raise QizhenError("配方里的各部分不配套：\n" + "\n".join(f"  {fault}" for fault in faults), "换成配套的一项再训练")


def prompt_digest(recipe: Recipe, tokenizer: Any) -> str:
    """The digest of the recipe's template, as a manifest carries it."""
    return digest_of(recipe.template, tokenizer.chat_template or "")


def _template_faults(recipe: Recipe, tokenizer: Any) -> Iterator[str]:
    if recipe.stage == "instruct" and recipe.template == CHAT_TEMPLATE and not tokenizer.chat_template:
        yield f"template: `{CHAT_TEMPLATE}` 要用分词器自带的对话模板，这个分词器没有；可用：{'、'.join(TEMPLATES)}"
    if tokenizer.eos_token_id is None:
        yield "tokenizer: 没有结束符（eos_token），模型学不会停"


def _base_faults(recipe: Recipe, tokenizer: Any) -> Iterator[str]:
    config = _config(recipe)
    if len(tokenizer) > config.vocab_size:
        yield f"tokenizer: 有 `{len(tokenizer)}` 个词，底座的词表只有 `{config.vocab_size}` 行；先扩词表（tokenizer extend）"
    context = getattr(config, "max_position_embeddings", None)
    if context and recipe.most_tokens > context:
        yield f"most_tokens: `{recipe.most_tokens}` 大于底座的上下文 `{context}`"
    marks = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    if config.eos_token_id is not None and tokenizer.eos_token_id not in marks:
        yield f"tokenizer: 结束符是 `{tokenizer.eos_token_id}`，底座的是 `{config.eos_token_id}`"
    apart = recipe.tokenizer and Path(recipe.tokenizer).resolve() != Path(recipe.base).resolve()
    if apart and has_tokenizer(Path(recipe.base)) and tokenizer_digest(recipe.tokenizer) != tokenizer_digest(recipe.base):
        yield f"tokenizer: `{recipe.tokenizer}` 与底座自带的分词器不是同一个"


def _adapter_faults(recipe: Recipe, tokenizer: Any) -> Iterator[str]:
    if recipe.adapter is None or not recipe.adapter.start_from:
        return
    manifest = read_manifest(Path(recipe.adapter.start_from))
    if manifest is None:
        return
    if recipe.stage == "instruct" and manifest.template and manifest.template != recipe.template:
        yield f"template: 配方是 `{recipe.template}`，adapter.start_from 的适配器是用 `{manifest.template}` 训练的"
    elif manifest.template and manifest.template_digest not in ("", prompt_digest(recipe, tokenizer)):
        yield f"template: `{recipe.template}` 的文字与 adapter.start_from 训练时的不同"
    if manifest.tokenizer_digest not in ("", tokenizer_digest(recipe.tokenizer or recipe.base)):
        yield "tokenizer: 与 adapter.start_from 训练时的不是同一个"


def _config(recipe: Recipe) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(recipe.base, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise QizhenError(
            f"底座 `{recipe.base}` 的 config.json 读不出来：{error}", "base 应是 Hugging Face 格式的完整模型文件夹"
        ) from error


def open_model(recipe: Recipe, tokenizer: Any) -> Any:
    """The model with weights, and the adapter on it where there is one. Raises QizhenError."""
    from transformers import AutoModelForCausalLM

    if recipe.new is not None:
        return _from_config(recipe, tokenizer)
    quantised = recipe.adapter is not None and recipe.adapter.quantised
    settings = {"quantization_config": _four_bits()} if quantised else {}
    with quiet():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                recipe.base, local_files_only=True, dtype=_dtype(recipe), attn_implementation=recipe.attention, **settings
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise QizhenError(f"底座 `{recipe.base}` 装不起来：{error}", "base 应是 Hugging Face 格式的完整模型文件夹") from error
        return _with_adapter(model, recipe.adapter) if recipe.adapter else model


def shape_of(recipe: Recipe, tokenizer: Any) -> Any:
    """The same model without memory for its weights (torch's meta device): for counting."""
    import torch

    with torch.device("meta"), quiet():
        model = _from_config(recipe, tokenizer)
        return _with_adapter(model, recipe.adapter) if recipe.adapter else model


def _from_config(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = _config(recipe) if recipe.new is None else None
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
    model: Any = AutoModelForCausalLM
    return model.from_config(config, attn_implementation=recipe.attention, dtype=_dtype(recipe))


def _dtype(recipe: Recipe) -> Any:
    import torch

    return torch.bfloat16 if recipe.base_weights == "bf16" else torch.float32


def _with_adapter(model: Any, adapter: Adapter) -> Any:
    import peft

    if adapter.quantised and model.device.type != "meta":
        model = peft.prepare_model_for_kbit_training(model)  # type: ignore[no-untyped-call]
    if adapter.start_from and model.device.type != "meta":
        return peft.PeftModel.from_pretrained(model, adapter.start_from, is_trainable=True, local_files_only=True)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type] # a fraction is as good
        lora_dropout=adapter.dropout,
        target_modules=list(adapter.targets),
        modules_to_save=list(adapter.modules_to_save) or None,
        use_rslora=adapter.rank_stabilised,
        use_dora=adapter.dora,
        # A tied base stays tied: PEFT would train the embeddings and leave the output layer as it was.
        ensure_weight_tying=bool(adapter.modules_to_save and model.config.tie_word_embeddings),
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise QizhenError(f"适配器放不上这个底座：{error}", "检查 adapter.targets 与 adapter.modules_to_save 里的名字") from error


def _four_bits() -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' bars and the warnings that only their own developers can act on."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deprecated", category=FutureWarning)
        yield
