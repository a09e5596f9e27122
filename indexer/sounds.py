"""How Chinese is pronounced, without tones: most misspellings sound like what was meant."""

import unicodedata
from functools import cache


@cache
def _syllables() -> dict[int, str]:
    """Character code to its most usual syllable (pypinyin's table), tone marks removed."""
    from pypinyin.constants import PINYIN_DICT

    return {code: _plain(readings.split(",")[0]) for code, readings in PINYIN_DICT.items()}


@cache
def readings(character: str) -> tuple[str, ...]:
    """Every syllable a character may be read as, the most usual first: zhong and chong for 重. Empty for one that has none."""
    from pypinyin.constants import PINYIN_DICT

    return tuple(dict.fromkeys(map(_plain, PINYIN_DICT[ord(character)].split(",")))) if ord(character) in PINYIN_DICT else ()


def _plain(syllable: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", syllable) if not unicodedata.combining(c))


def sound(text: str) -> tuple[str, ...]:
    """One syllable for every character; a character that has none stands for itself."""
    table = _syllables()
    return tuple(table.get(ord(c), c) for c in text)
