"""Samples and texts as token ids and labels, and rows of them.

A sample is [beginning mark, where the tokenizer has one] + prompt + answer + [end mark]. Prompt and answer are encoded apart, as they are
when the model is asked, and the end mark is an id, never text. Labels are LEFT_OUT up to the answer. Every place below that holds
many tokens holds them in numpy arrays of 32 bits: 100 million tokens are 800 MB with their labels.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.templates import CHAT_TEMPLATE, TEMPLATES, Turns, prompt_ids
from finetune.json_files import open_lines
from finetune.recipe import Data
from indexer.errors import QizhenError

# The label of a token that is not learnt (torch's ignore_index).
LEFT_OUT = -100

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence: `ids` (n,), of which the first `told` are given and the rest learnt."""

    ids: Ids
    told: int

    @property
    def labels(self) -> Ids:
        """What is learnt at each token: itself, or LEFT_OUT."""
        labels = self.ids.copy()
        labels[: self.told] = LEFT_OUT
        return labels

    @property
    def learnt(self) -> int:
        """How many of its tokens are learnt."""
        return len(self.ids) - self.told


@dataclass(frozen=True, slots=True)
class Sequences:
    """The encoded data: what is learnt, how long everything was (tokens, before anything was left out or cut), what was done to it."""

    kept: Sequence[Encoded]
    lengths: NDArray[np.int32]
    too_long: int

    @property
    def tokens(self) -> int:
        """All tokens of the kept sequences."""
        return sum(len(sequence.ids) for sequence in self.kept)

    def and_also(self, other: "Sequences") -> "Sequences":
        """These sequences and others."""
        return Sequences([*self.kept, *other.kept], np.concatenate([self.lengths, other.lengths]), self.too_long + other.too_long)


def encoder(tokenizer: Any, template: str) -> Callable[[Turns, str], Encoded]:
    """A function of earlier turns, the last one the user's, and the answer. Raises QizhenError where the tokenizer cannot do it."""
    end = end_mark(tokenizer)
    if template == CHAT_TEMPLATE and not tokenizer.chat_template:
        raise QizhenError(f"提示模板 `{CHAT_TEMPLATE}` 要用分词器自带的对话模板，这个分词器没有", f"改用 template: {'、'.join(TEMPLATES)}")

    def encode(turns: Turns, answer: str) -> Encoded:
        told = prompt_ids(tokenizer, template, turns)
        learnt = [*tokenizer.encode(answer, add_special_tokens=False), end]
        return Encoded(np.array([*told, *learnt], dtype=np.int32), len(told))

    return encode


def end_mark(tokenizer: Any) -> int:
    """The id that ends an answer. Raises QizhenError where there is none."""
    if tokenizer.eos_token_id is None:
        raise QizhenError("分词器没有结束符（eos_token）", "在 tokenizer_config.json 里写明 eos_token，否则模型不会停")
    return int(tokenizer.eos_token_id)


def encode_samples(samples: Iterable[Mapping[str, Any]], encode: Callable[[Turns, str], Encoded], most: int, data: Data) -> Sequences:
    """Samples as sequences of at most `most` tokens; what is longer is left out, cut before its end mark, or refused (`data.too_long`)."""
    kept: list[Encoded] = []
    lengths: list[int] = []
    too_long: list[str] = []
    for sample in samples:
        turns = [(turn["role"], turn["content"]) for turn in sample["messages"]]
        sequence = encode(turns[:-1], turns[-1][1])
        times = data.repeats.get(sample.get("kind", ""), 1)
        lengths += [len(sequence.ids)] * times
        if len(sequence.ids) > most:
            too_long.append(sample.get("id", "?"))
            if data.too_long != "cut" or sequence.told + 2 > most:
                continue
            sequence = Encoded(np.concatenate([sequence.ids[: most - 1], sequence.ids[-1:]]), sequence.told)
        kept += [sequence] * times
    if too_long and data.too_long == "refuse":
        named = "、".join(too_long[:5])
        raise QizhenError(f"`{len(too_long)}` 个样本超过 most_tokens `{most}`：{named}", "加大 most_tokens，或写 data.too_long: leave_out")
    return Sequences(kept, np.array(lengths, dtype=np.int32), len(too_long))


def encode_texts(texts: Iterable[str], tokenizer: Any, most: int) -> Sequences:
    """Texts between their marks, in pieces of at most `most` tokens; no token is lost, and everything but a first token is learnt."""
    begin = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    end = end_mark(tokenizer)
    kept: list[Encoded] = []
    lengths: list[int] = []
    for text in texts:
        ids = np.array([*begin, *tokenizer.encode(text, add_special_tokens=False), end], dtype=np.int32)
        lengths.append(len(ids))
        # A piece begins with the last token of the one before: that one is given, and the next is learnt.
        starts = range(0, max(1, len(ids) - 1), most - 1)
        kept += [Encoded(ids[start : start + most], 1) for start in starts]
    return Sequences(kept, np.array(lengths, dtype=np.int32), int((np.array(lengths) > most).sum()))


def read_lines(paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Objects of JSON Lines, plain or gzipped. Raises QizhenError with the line that is none."""
    for name in paths:
        path = Path(name)
        try:
            with open_lines(path) as lines:
                for number, line in enumerate(lines, 1):
                    yield _object(line, f"{path}:{number}")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise QizhenError(f"数据文件 `{path}` 读不出来：{error}", "先运行 qizhen-finetune data build") from error


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise QizhenError(f"{place}: `{line[:40]}` 不是 JSON", "每行一个 JSON 对象") from error
    if not isinstance(row, dict):
        raise QizhenError(f"{place}: `{line[:40]}` 不是 JSON 对象", "每行一个 JSON 对象")
    return row


def samples_of(data: Data, split: str = "train") -> Iterator[dict[str, Any]]:
    """The samples that are asked for, of one split. Raises QizhenError at one that is no conversation ended by an answer."""
    for sample in read_lines(data.samples):
        turns = sample.get("messages")
        if not isinstance(turns, list) or len(turns) < 2 or [turn.get("role") for turn in turns[-2:]] != ["user", "assistant"]:
            raise QizhenError(f"样本 `{sample.get('id', '?')}` 的 messages 不是以一问一答结束", "运行 qizhen-finetune data check")
        kind, fields = sample.get("kind"), data.fields
        chosen = (not data.kinds or kind in data.kinds) and (not fields or kind != "closed" or sample.get("field") in fields)
        if chosen and sample.get("split", "train") == split:
            yield sample


def texts_of(paths: Sequence[str]) -> Iterator[str]:
    """The texts of JSON Lines {"text": ...}. Raises QizhenError at a line without one."""
    for row in read_lines(paths):
        if not isinstance(row.get("text"), str) or not row["text"].strip():
            raise QizhenError(f"文本行 `{str(row)[:60]}` 没有 text", '每行写成 {"text": "..."}')
        yield row["text"]


def files_digest(paths: Sequence[str]) -> str:
    """SHA-256 over the bytes of the files, in their order."""
    digest = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
