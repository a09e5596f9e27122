"""Lines that transformers' Rust tokenizer and ours cut otherwise than SentencePiece, and tokens a second of each, one thread.

usage: python tests/benchmarks/tokenizer.py --data FOLDER [--host tokenizer.model] [--every N]

FOLDER holds texts (every string of *.jsonl and *.jsonl.gz below it) and tokenizer/chinese_sp.model, the Chinese pieces of
Chinese-LLaMA; what is absent is skipped. Without --host, the LLaMA vocabulary of 32,000 pieces, a stand-in is made: as many pieces, of
its kind and settings, trained on the Latin words of the texts, the last ones exchanged for as many single Chinese characters as make
the pieces held by both 2,047, as LLaMA's do. So the extended vocabulary has 32,000 + 17,953 = 49,953 pieces.
"""

import argparse
import gzip
import io
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from app.tokenizer import MODEL_FILE, load_tokenizer
from finetune.token_differences import Difference, first_difference
from finetune.vocabulary import extend_pieces, load_pieces

HOST_PIECES = 32000
HELD_BY_BOTH = 2047  # 20,000 Chinese pieces, of which 17,953 are new to LLaMA; <unk>, <s> and </s> are three of them
BATCH = 1000
Encode = Callable[[list[str]], list[list[int]]]


def strings_in(content: Any) -> Iterator[str]:
    """Every string in JSON, at any depth."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from strings_in(inner)


def lines_of(path: Path) -> Iterator[str]:
    """The lines of all strings of a file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as rows:
        for row in rows:
            for text in strings_in(json.loads(row)):
                yield from (line for line in text.splitlines() if line.strip())


def stand_in(files: Sequence[Path], chinese: Path, out: Path) -> None:
    """Make the host of the module's first lines."""
    import sentencepiece

    latin = [
        word for path in files for line in islice(lines_of(path), 400_000) for word in re.findall(r"[A-Za-z][A-Za-z0-9 ,.()/-]{4,}", line)
    ]
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(latin),
        model_writer=written,
        vocab_size=HOST_PIECES,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        character_coverage=0.99995,
        num_threads=2,
        minloglevel=2,
    )
    out.write_bytes(written.getvalue())
    model, own = load_pieces(out), load_pieces(chinese)
    held = {piece.piece for piece in model.pieces}
    wanted = HELD_BY_BOTH - sum(piece.piece in held for piece in own.pieces)
    singles = [piece.piece for piece in own.pieces if "一" <= piece.piece <= "鿿" and len(piece.piece) == 1 and piece.piece not in held][
        :wanted
    ]
    theirs = {piece.piece for piece in own.pieces}
    least = [piece for piece in reversed(model.pieces) if len(piece.piece) > 1 and piece.type == piece.NORMAL and piece.piece not in theirs]
    for piece, character in zip(least, singles, strict=False):
        piece.piece = character
    out.write_bytes(model.SerializeToString())


class Measured:
    """One way of cutting: seconds, tokens, and lines unlike SentencePiece's."""

    def __init__(self, name: str, encode: Encode) -> None:
        self.name, self.encode = name, encode
        self.seconds, self.tokens, self.differing, self.lines = 0.0, 0, 0, 0
        self.first: tuple[str, Difference] | None = None

    def cut(self, batch: list[str]) -> list[list[int]]:
        """The ids of every line."""
        started = time.perf_counter()
        ids = self.encode(batch)
        self.seconds += time.perf_counter() - started
        self.tokens += sum(map(len, ids))
        self.lines += len(batch)
        return ids


def ways(folder: Path) -> tuple[Measured, list[Measured], Callable[[list[int]], list[str]]]:
    """SentencePiece itself, the others, and the pieces of ids."""
    import sentencepiece
    from transformers import LlamaTokenizer

    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / MODEL_FILE))
    ours: Any = load_tokenizer(folder)
    with tempfile.TemporaryDirectory() as alone:
        (Path(alone) / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes())
        rust: Any = LlamaTokenizer.from_pretrained(alone)
    others = [
        Measured("load_tokenizer (ours)", lambda batch: list(ours(batch, add_special_tokens=False).input_ids)),
        Measured("LlamaTokenizer (Rust)", lambda batch: list(rust(batch, add_special_tokens=False).input_ids)),
    ]
    return Measured("SentencePiece", lambda batch: list(model.encode(batch, num_threads=1))), others, model.id_to_piece


def measure(folder: Path, files: Sequence[Path], every: int) -> None:
    """Print the figures, file by file and in all."""
    reference, others, pieces = ways(folder)
    for path in files:
        lines = islice(lines_of(path), 0, None, every)
        before = {one.name: one.differing for one in others}
        read = reference.lines
        while batch := list(islice(lines, BATCH)):
            told = reference.cut(batch)
            for one in others:
                for line, ids, right in zip(batch, one.cut(batch), told, strict=True):
                    if ids != right:
                        one.differing += 1
                        one.first = one.first or (line, first_difference(one.lines, line, pieces(ids), pieces(right)))
        found = "  ".join(f"{one.name} {one.differing - before[one.name]:,}" for one in others)
        _tell(f"{path.parent.name}/{path.name}: {reference.lines - read:,} lines; differing: {found}")
    for one in (reference, *others):
        share, speed = one.differing / max(one.lines, 1), one.tokens / max(one.seconds, 1e-9)
        _tell(f"{one.name:22}{one.differing:>10,} of {one.lines:,} lines differ ({share:.2%}); {speed:>12,.0f} tokens/s")
        if one.first:
            _tell(f"    first: {one.first[0][:60]}\n    {one.first[1].left} instead of {one.first[1].right}")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--host", type=Path)
    parser.add_argument("--every", type=int, default=1, help="read every Nth line")
    asked = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    chinese = asked.data / "tokenizer" / "chinese_sp.model"
    files = sorted([*asked.data.rglob("*.jsonl"), *asked.data.rglob("*.jsonl.gz")])
    if not chinese.is_file() or not files:
        sys.exit(f"skipped: no {chinese}, or no texts below {asked.data}")
    with tempfile.TemporaryDirectory() as made:
        host = Path(made) / "host"
        host.mkdir()
        if asked.host:
            (host / MODEL_FILE).write_bytes(asked.host.read_bytes())
        else:
            stand_in(files, chinese, host / MODEL_FILE)
        extended = extend_pieces(host, chinese, Path(made) / "extended")
        _tell(f"{extended.host_pieces:,} + {extended.added_pieces:,} = {extended.pieces:,} pieces")
        measure(Path(made) / "extended", files, asked.every)


if __name__ == "__main__":
    main()
