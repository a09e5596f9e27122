"""The tokenizer of a SentencePiece model inside transformers, id for id what SentencePiece itself says.

transformers 5 offers only a Rust tokenizer for LLaMA vocabularies. It orders merges by one rank for every pair, where SentencePiece
takes the pair of the best score and, among equals, the leftmost. The 17,953 pieces of a Chinese-extended vocabulary all have score 0,
so about a third of Chinese lines come out with other ids than the model was trained on, without a word. Here the ids are always
SentencePiece's own.

This file imports transformers at once, so it is imported only where a tokenizer is loaded (app/tokenizer.py). It needs nothing else
of this project, because `save_pretrained` lays a copy of it beside `tokenizer.model` for programs that load with `trust_remote_code`.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedConfig
from transformers.tokenization_utils_base import BatchEncoding
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

PADDING = "[PAD]"
REFUSAL = "启真的词表须由 load_tokenizer 装载（app/tokenizer.py），或用 trust_remote_code=True；否则词元编号会错"


class ExactTokenizer(SentencePieceBackend):
    """Ids equal `sentencepiece.SentencePieceProcessor`'s for every text, and decoding is its decoding.

    - Text is text: `</s>`, `<s>` or `[PAD]` written in it is cut like any other characters, never read as a special token.
      So TRL is given ids: from texts it makes its own end of an answer by writing the name of EOS into them.
    - With special tokens added, the id of BOS comes first (`adds_bos`) and that of EOS last (`adds_eos`); a pair gets no BOS between.
    - Padding uses the model's own pad piece, else `[PAD]` where the vocabulary has it, else the unknown piece (id 0 in LLaMA). No token
      is added for it, so masks come from lengths, never from ids.
    - Shown with special tokens, a decoded text holds their names; without, it is exactly SentencePiece's text of the other ids.
    - A stream may lose one space at the start of a line: transformers' streamers begin anew after each line end, and a LLaMA vocabulary
      drops the space before a text. Vocabularies trained here put none there, and stream exactly.
    - `tokenizer.model` is saved byte for byte.

    `added`: names of ids after the last piece, in order, as Chinese-Alpaca's `[PAD]` = 49,953. They are never found in text.
    """

    padding_side = "right"
    _auto_class = "AutoTokenizer"

    def __init__(self, vocab_file: str, adds_bos: bool = True, adds_eos: bool = False, added: Sequence[str] = (), **kwargs: Any) -> None:
        import sentencepiece

        self.adds_bos = adds_bos
        self.adds_eos = adds_eos
        self.added = list(added)
        self._model = Path(vocab_file).read_bytes()
        pieces = sentencepiece.SentencePieceProcessor(model_proto=self._model)
        kwargs |= _special_tokens(pieces, self.added) | {"split_special_tokens": True, "backend": "sentencepiece", "legacy": True}
        kwargs["clean_up_tokenization_spaces"] = False
        for unused in ("added_tokens_decoder", "tokenizer_file", "sp_model_kwargs"):
            kwargs.pop(unused, None)
        kwargs |= {"vocab_file": str(vocab_file), "adds_bos": adds_bos, "adds_eos": adds_eos, "added": self.added}
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]

    def pieces_of(self, text: str) -> list[int]:
        """The ids of a text, without BOS or EOS."""
        ids: list[int] = self.sp_model.encode(text)
        return ids

    def tokenize(self, text: str, **_: Any) -> list[str]:  # type: ignore[override]
        """The pieces of a text. The ids are `encode`'s; a piece without an id in the model shows as the text it covers."""
        pieces: list[str] = self.sp_model.encode(text, out_type=str)
        return pieces

    def build_inputs_with_special_tokens(self, token_ids_0: list[int], token_ids_1: list[int] | None = None) -> list[int]:
        """BOS, the ids of one text or two, EOS; the ends as this tokenizer is set to add them."""
        return [*self._before(), *token_ids_0, *(token_ids_1 or []), *self._after()]

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 at BOS and EOS that are added, 0 at the ids of the texts."""
        if already_has_special_tokens:
            special = set(self.all_special_ids)
            return [int(number in special) for number in token_ids_0]
        return [1] * len(self._before()) + [0] * (len(token_ids_0) + len(token_ids_1 or [])) + [1] * len(self._after())

    def _before(self) -> list[int]:
        return [self.bos_token_id] if self.adds_bos and self.bos_token_id is not None else []

    def _after(self) -> list[int]:
        return [self.eos_token_id] if self.adds_eos and self.eos_token_id is not None else []

    def _encode_plus(self, text: Any, text_pair: Any = None, **settings: Any) -> BatchEncoding:  # type: ignore[override]
        if not isinstance(text, str):
            return super()._encode_plus(text, text_pair, **settings)
        for strategy in ("padding", "truncation"):
            settings[strategy] = settings.pop(f"{strategy}_strategy").value
        settings.pop("is_split_into_words", None)
        settings.pop("split_special_tokens", None)
        pair = self.pieces_of(text_pair) if isinstance(text_pair, str) else text_pair
        return self.prepare_for_model(self.pieces_of(text), pair, prepend_batch_axis=True, **settings)

    def _decode(self, token_ids: int | list[int], skip_special_tokens: bool = False, *_: Any, **__: Any) -> str:
        ids = [token_ids] if isinstance(token_ids, int) else [int(number) for number in token_ids]
        named = {number: name for name, number in zip(self.all_special_tokens, self.all_special_ids, strict=True)}
        ordinary = [number for number in ids if number not in named]
        if skip_special_tokens or len(ordinary) == len(ids):
            text: str = self.sp_model.decode(ordinary)
            return text
        return self._decode_with_names(ids, named)

    def _decode_with_names(self, ids: Sequence[int], named: dict[int, str]) -> str:
        """Decode the runs between special ids. Only the first run begins the text; an unknown piece stands before the others."""
        before = self.sp_model.decode([self.sp_model.unk_id()])
        text, begun = "", False
        for special, run in groupby(ids, key=named.__contains__):
            if special:
                text += "".join(named[number] for number in run)
            elif begun:
                text += self.sp_model.decode([self.sp_model.unk_id(), *run])[len(before) :]
            else:
                text, begun = text + self.sp_model.decode(list(run)), True
        return text

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of pieces, as SentencePiece joins them."""
        text: str = self.sp_model.decode_pieces(list(tokens))
        return text

    def save_pretrained(self, save_directory: Any, *arguments: Any, **settings: Any) -> tuple[str, ...]:
        """Save, and leave a `tokenizer.json` that every other loader refuses: it would cut the text in its own way, without a word."""
        saved = super().save_pretrained(save_directory, *arguments, **settings)
        path = Path(save_directory) / "tokenizer.json"
        path.write_text(json.dumps({"version": REFUSAL, "added_tokens": []}, ensure_ascii=False) + "\n", "utf-8")
        return (*saved, str(path))

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        """Copy the model byte for byte, also where the file that it was read from is gone or altered."""
        path = Path(save_directory) / f"{filename_prefix + '-' if filename_prefix else ''}tokenizer.model"
        path.write_bytes(self._model)
        return (str(path),)


def _special_tokens(pieces: Any, added: Sequence[str]) -> dict[str, str]:
    """The names of unknown, BOS, EOS and padding, read off the model and never from a settings file."""
    numbers = {"unk_token": pieces.unk_id(), "bos_token": pieces.bos_id(), "eos_token": pieces.eos_id(), "pad_token": pieces.pad_id()}
    named = {role: pieces.id_to_piece(number) for role, number in numbers.items() if number >= 0}
    has_padding = PADDING in added or pieces.piece_to_id(PADDING) != pieces.unk_id()
    named.setdefault("pad_token", PADDING if has_padding else named["unk_token"])
    return named


class _NoModel(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """What AutoTokenizer files a tokenizer under; no model is of this kind."""

    model_type = "qizhen-exact-tokenizer"


AutoTokenizer.register(_NoModel, ExactTokenizer, exist_ok=True)  # type: ignore[no-untyped-call]
