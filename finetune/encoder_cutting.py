"""A multilingual encoder made small: the word pieces of Chinese and English alone are kept, whatever else it knows is cut off."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from indexer.errors import QizhenError
from indexer.terms import fold

_SPECIAL = 4  # <s>, <pad>, </s>, <unk>
_HAN = re.compile(r"▁?[\u3400-\u9fff]+")
_LATIN = re.compile(r"▁?[a-z]+")
_SIGNS = re.compile(r"▁?[0-9\u0370-\u03ff\u2000-\u206f\u2100-\u22ff\u3000-\u303f!-/:-@\[-`{-~°±·×µ，。]{1,3}|▁")
_LATIN_SHORT = 2
_SEEN_OFTEN = 3


def cut_tokenizer(teacher: Path, texts: Iterable[str], latin: int) -> tuple[str, NDArray[np.int64]]:
    """The teacher's tokenizer with fewer pieces, as JSON, and the numbers (pieces,) of the pieces it keeps.

    Kept are all pieces of folded Chinese, short and common signs, and the `latin` pieces of lower-case letters that `texts` (folded)
    hold most often, then those likeliest by the teacher's own account. Raises QizhenError for a tokenizer that is not a unigram one.
    """
    path = teacher / "tokenizer.json"
    try:
        spec = json.loads(path.read_text("utf-8"))
        _check_kind(str(spec["model"]["type"]))
        pieces: list[tuple[str, float]] = [(str(piece), float(score)) for piece, score in spec["model"]["vocab"]]
        whole = Tokenizer.from_file(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QizhenError(f"分词器 `{path}` 读不出来：{error}", "--teacher 给出 multilingual-e5-small 那样的模型文件夹") from error
    seen: Counter[int] = Counter()
    for encoding in whole.encode_batch(list(texts), add_special_tokens=False):
        seen.update(encoding.ids)
    kept = list(range(_SPECIAL))
    words = []
    for number, (piece, score) in enumerate(pieces[_SPECIAL:], _SPECIAL):
        if _HAN.fullmatch(piece):
            kept += [number] if fold(piece) == piece else []
        elif _LATIN.fullmatch(piece):
            if len(piece.strip("▁")) <= _LATIN_SHORT:
                kept.append(number)
            else:
                words.append((-seen[number], -score, number))
        elif _SIGNS.fullmatch(piece) and (len(piece) == 1 or seen[number] >= _SEEN_OFTEN):
            kept.append(number)
    kept = sorted(kept + [number for _, _, number in sorted(words)[:latin]])
    spec["model"]["vocab"] = [pieces[number] for number in kept]
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["id"] < _SPECIAL]
    return json.dumps(spec, ensure_ascii=False), np.array(kept, dtype=np.int64)


def _check_kind(kind: str) -> None:
    if kind != "Unigram":
        raise ValueError(f"类型是 {kind}，要的是 Unigram")
