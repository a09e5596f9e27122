"""Models and adapters of random weights, small enough to speak or to be merged in milliseconds, and PEFT's own way of merging them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def llama(folder: Path, *, rows: int = 40, dtype: str = "float32", seed: int = 1, **settings: Any) -> Path:
    """Two layers, 32 wide, four heads."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**{"vocab_size": rows, **shape, **settings}))
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def byte_level(folder: Path, *, context: int, seed: int, chat_template: str | None = None) -> Path:
    """A model that reads and writes bytes, with its tokenizer, an end mark and no beginning mark: two layers, 16 wide, two heads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate([*letters, "</s>"])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", chat_template=chat_template).save_pretrained(folder)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    end = len(letters)
    return llama(folder, rows=end + 1, seed=seed, max_position_embeddings=context, eos_token_id=end, bos_token_id=None, **shape)


def lora(base: Path, folder: Path, *, rows: int = 0, seed: int = 2, dtype: str = "", **settings: Any) -> Path:
    """An adapter of random A and B (and magnitudes, and whole modules), made by PEFT; `rows` resizes the embeddings first."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    if rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 32, "target_modules": ALL, "task_type": "CAUSAL_LM", "init_lora_weights": False, **settings}
    )
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, values in adapted.named_parameters():
            if "modules_to_save" in name or "magnitude" in name or (rows and "lora" not in name and "norm" not in name):
                values.add_(torch.randn_like(values) / 8)
    if dtype:
        adapted = adapted.to(getattr(torch, dtype))
    adapted.save_pretrained(folder)
    return folder


def by_peft(base: Path, adapters: Sequence[Path], dtype: str) -> dict[str, Any]:
    """Every tensor of the model that PEFT makes of `base` loaded in `dtype`, each adapter merged into the result of the one before."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
    for adapter in adapters:
        if rows := saved_rows(adapter):
            model.resize_token_embeddings(rows, mean_resizing=False)
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return dict(model.state_dict())


def saved_rows(adapter: Path) -> int:
    """Rows of the embedding an adapter has saved whole, 0 where it has not."""
    from app.weights import stored_tensors

    held = stored_tensors(adapter)
    return next((tensor.shape[0] for name, tensor in held.items() if name.endswith("embed_tokens.weight")), 0)


def as_old_peft(adapter: Path) -> Path:
    """The same adapter as peft 0.3 wrote it: a pickle, fewer settings, and three that are gone."""
    import torch
    from safetensors.torch import load_file

    held = adapter / "adapter_model.safetensors"
    torch.save({name: tensor.half() for name, tensor in load_file(held).items()}, adapter / "adapter_model.bin")
    held.unlink()
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    kept = ("base_model_name_or_path", "bias", "inference_mode", "lora_alpha", "lora_dropout", "modules_to_save", "peft_type", "r")
    old = {key: config[key] for key in (*kept, "target_modules", "task_type")}
    old |= {"enable_lora": None, "fan_in_fan_out": False, "merge_weights": False}
    (adapter / "adapter_config.json").write_text(json.dumps(old), "utf-8")
    return adapter


def edit_json(path: Path, **changes: Any) -> None:
    """Change a JSON file's keys."""
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def sentence_model(folder: Path, *, seed: int = 1) -> Path:
    """A model of sentence-transformers of random weights that reads bytes: one layer, 16 wide."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers import models as cut
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(cut.BPE(vocab={c: n for n, c in enumerate([*letters, "[PAD]"])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    part, whole = folder / "part", folder / "whole"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", model_max_length=512).save_pretrained(part)
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 512}
    BertModel(BertConfig(vocab_size=len(letters) + 1, pad_token_id=len(letters), **shape)).save_pretrained(part)
    SentenceTransformer(modules=[models.Transformer(str(part), max_seq_length=512), models.Pooling(16)]).save(str(whole))
    return whole
