"""Vocabularies: train one on a knowledge base, or add the pieces of another to one; kept as folders that `load_tokenizer` reads."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from app.tokenizer import MODEL_FILE, load_tokenizer, tokenizer_digest
from finetune.json_files import write_json
from indexer.documents import Document
from indexer.errors import QizhenError

MADE = "vocabulary.json"
PADDING = "[PAD]"
SPACE = "▁"
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
    tokenizer = _write_vocabulary(out, written.getvalue())
    made = _report(out, tokenizer, lines)
    write_json(out / MADE, {"recipe": asdict(recipe), "made": asdict(made)})
    return made


@dataclass(frozen=True, slots=True)
class Extended:
    """A vocabulary with the pieces of another after its own: how many each gave, and how many of the other's it had already."""

    folder: str
    host_pieces: int
    added_pieces: int
    held_pieces: int
    pieces: int
    tokens: int
    host_digest: str
    tokenizer_digest: str


def extend_pieces(host: Path, other: Path, out: Path, padding: bool = False) -> Extended:
    """Append the pieces of the model file `other` that the folder `host` lacks, each with score 0, and lay the result in `out`.

    The scores are those of Chinese-LLaMA, whose real files give 32,000 + 17,953 = 49,953 pieces; `padding` adds its [PAD] after them,
    as Chinese-Alpaca does. The host keeps its kind, normalisation and ids. Raises QizhenError.
    """
    model = load_pieces(host / MODEL_FILE)
    given = [piece for piece in load_pieces(other).pieces if piece.type == piece.NORMAL]
    before = len(model.pieces)
    held = {piece.piece for piece in model.pieces}
    for piece in given:
        if piece.piece not in held:
            model.pieces.add(piece=piece.piece, score=0.0)
    _write_vocabulary(out, model.SerializeToString(), [PADDING] if padding else [])
    added = len(model.pieces) - before
    made = Extended(
        folder=str(out),
        host_pieces=before,
        added_pieces=added,
        held_pieces=len(given) - added,
        pieces=len(model.pieces),
        tokens=len(model.pieces) + padding,
        host_digest=tokenizer_digest(host),
        tokenizer_digest=tokenizer_digest(out),
    )
    write_json(out / MADE, {"made": asdict(made)})
    return made


def old_pieces_of_new(host: Path, extended: Path) -> list[list[int]]:
    """For every token that `extended` has beyond `host`, in the order of ids: the host's ids that spelt it.

    A piece in the middle of a text is cut without the space that a LLaMA vocabulary puts before one.
    """
    sentencepiece = _sentencepiece()
    old, new = load_pieces(host / MODEL_FILE), load_pieces(extended / MODEL_FILE)
    shared = len(old.pieces)
    if [piece.piece for piece in new.pieces[:shared]] != [piece.piece for piece in old.pieces]:
        raise QizhenError(f"`{extended}` 的词表不是在 `{host}` 的词表后面加出来的", "用 qizhen-finetune tokenizer extend 扩充同一个词表")
    old.normalizer_spec.add_dummy_prefix = False
    old.normalizer_spec.remove_extra_whitespaces = False
    cutter = sentencepiece.SentencePieceProcessor(model_proto=old.SerializeToString())
    spelt: list[list[int]] = [cutter.encode(piece.piece.replace(SPACE, " ")) for piece in new.pieces[shared:]]
    tokens = len(load_tokenizer(extended))
    return spelt + [[cutter.unk_id()]] * (tokens - len(new.pieces))


def load_pieces(path: Path) -> Any:
    """A piece model as SentencePiece's ModelProto. Raises QizhenError."""
    _sentencepiece()
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

        format_of_models: Any = import_module("sentencepiece.sentencepiece_model_pb2")
    except ImportError as error:
        raise QizhenError(f"缺少组件 `{error.name}`", '安装附加组件：pip install -c constraints.txt -e ".[finetune]"') from error
    model = format_of_models.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise QizhenError(f"`{path}` 不是 SentencePiece 词片模型：{error}", "给出 tokenizer.model 那样的文件") from error
    return model


def _write_vocabulary(out: Path, model: bytes, added: Sequence[str] = ()) -> Any:
    from app.exact_tokenizer import ExactTokenizer

    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL_FILE).write_bytes(model)
    tokenizer = ExactTokenizer(str(out / MODEL_FILE), added=added)
    tokenizer.save_pretrained(out)
    return tokenizer


def _faults_of(lines: Sequence[str], recipe: PieceRecipe) -> list[str]:
    faults = []
    if not lines:
        faults.append("没有文本：``")
    if recipe.pieces <= SPECIAL_PIECES:
        faults.append(f"词片数 `{recipe.pieces}` 太少，须多于 {SPECIAL_PIECES}（特殊符号与 256 个字节）")
    if not 0.98 <= recipe.coverage <= 1:
        faults.append(f"字符覆盖率 `{recipe.coverage}` 不在 0.98 到 1 之间")
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
