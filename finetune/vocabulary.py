"""Vocabularies: train one on a knowledge base, add the pieces of another, and show where two of them cut differently."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.tokenizer import MODEL_FILE, load_tokenizer, tokenizer_digest
from indexer.documents import Document
from indexer.errors import QizhenError

MADE = "vocabulary.json"
SPECIAL_PIECES = 3 + 256  # <unk>, <s>, </s> and the bytes


@dataclass(frozen=True, slots=True)
class PieceRecipe:
    """How a piece model is trained.

    `pieces`: rows of the vocabulary, specials and 256 bytes among them. `coverage`: share of the characters of the texts that get a
    piece of their own; the others are spelt in bytes. `longest`: characters a piece may have.

    Always so: BPE, because it is the same at every run and is what LLaMA models use; no normalisation, since ½, ² and μ are doses;
    every digit by itself, so that 40mg and 400mg share their pieces and a wrong dose cannot hide in one; no space put before a
    text, so that a prompt and its answer can be cut apart and their ids joined.
    """

    pieces: int = 6144
    coverage: float = 0.9999
    longest: int = 8


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained piece model: the digest of its file, and of the texts that it was trained on."""

    folder: str
    pieces: int
    texts: int
    characters: int
    characters_per_token: float
    texts_digest: str
    tokenizer_digest: str


def texts_of(document: Document) -> Iterator[str]:
    """The lines of a document, its title and its other names."""
    yield document.title
    yield from document.aliases
    yield from (line for line in document.text.splitlines() if line.strip())


def train_pieces(texts: Iterable[str], out: Path, recipe: PieceRecipe) -> Trained:
    """Train a piece model on the texts and lay it in the folder `out`, ready for `load_tokenizer`. Raises QizhenError."""
    sentencepiece = _sentencepiece()
    lines = list(texts)
    faults = _faults_of(lines, recipe)
    if faults:
        raise QizhenError("；".join(faults), "改正后重新运行 qizhen-finetune tokenizer train")
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=written, **_settings_of(recipe))
    except RuntimeError as error:
        fault = f"这些文本训练不出 `{recipe.pieces}` 个词片：{str(error).strip().splitlines()[-1]}"
        raise QizhenError(fault, "按提示改小 --pieces，或给更多文本") from error
    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL_FILE).write_bytes(written.getvalue())
    tokenizer: Any = load_tokenizer(out)
    tokenizer.save_pretrained(out)
    made = _report(out, tokenizer, lines)
    (out / MADE).write_text(json.dumps({"recipe": asdict(recipe), "made": asdict(made)}, ensure_ascii=False, indent=2) + "\n", "utf-8")
    return made


def _faults_of(lines: Sequence[str], recipe: PieceRecipe) -> list[str]:
    faults = []
    if not lines:
        faults.append("没有文本：``")
    if recipe.pieces <= SPECIAL_PIECES:
        faults.append(f"词片数 `{recipe.pieces}` 太少，须多于 {SPECIAL_PIECES}（特殊符号与 256 个字节）")
    if not 0.9 <= recipe.coverage <= 1:
        faults.append(f"字符覆盖率 `{recipe.coverage}` 不在 0.9 到 1 之间")
    return faults


def _settings_of(recipe: PieceRecipe) -> dict[str, Any]:
    return {
        "model_type": "bpe",
        "vocab_size": recipe.pieces,
        "character_coverage": recipe.coverage,
        "max_sentencepiece_length": recipe.longest,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
        "split_digits": True,
        "byte_fallback": True,
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "pad_id": -1,
        "max_sentence_length": 1 << 24,  # bytes; longer ones would be left out without a word
        "num_threads": 1,
        "shuffle_input_sentence": False,
        "minloglevel": 2,
    }


def _report(out: Path, tokenizer: Any, lines: Sequence[str]) -> Trained:
    characters = sum(map(len, lines))
    tokens = sum(len(tokenizer.pieces_of(line)) for line in lines)
    return Trained(
        folder=str(out),
        pieces=len(tokenizer),
        texts=len(lines),
        characters=characters,
        characters_per_token=round(characters / max(tokens, 1), 3),
        texts_digest=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        tokenizer_digest=tokenizer_digest(out),
    )


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise QizhenError("缺少组件 `sentencepiece`", '安装附加组件：pip install -c constraints.txt -e ".[finetune]"') from error
    return sentencepiece
