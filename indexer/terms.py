"""How text is folded and cut into terms for matching. The text that is shown is never altered."""

import re
import unicodedata
from collections.abc import Container, Sequence
from functools import cache, cached_property
from operator import add

_RUN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+|[^\W_\u3400-\u9fff\uf900-\ufaff]+(?:[.\-/][^\W_\u3400-\u9fff\uf900-\ufaff]+)*")
_SIGNS = ".~/±%-+"
_COMPARISONS = "<>≤≥"
_FIRST_HAN, _LAST_HAN = 0x3400, 0x9FFF


@cache
def _simplified() -> dict[int, str]:
    """Traditional to Simplified, character by character (OpenCC's table), so that a fold keeps every position."""
    import opencc

    codes = range(_FIRST_HAN, _LAST_HAN + 1)
    plain = opencc.OpenCC("t2s").convert("\n".join(map(chr, codes))).split("\n")
    return {code: simple for code, simple in zip(codes, plain, strict=True) if len(simple) == 1 and simple != chr(code)}


@cache
def _traditional() -> re.Pattern[str]:
    """Any Traditional character. Looking for one takes a tenth of the time of translating a text that has none."""
    return re.compile(f"[{''.join(map(chr, _simplified()))}]")


def _to_simplified(text: str) -> str:
    return text.translate(_simplified()) if _traditional().search(text) else text


def tidy(text: str) -> str:
    """Full width to half width and compatibility forms to plain ones (Unicode NFKC)."""
    return unicodedata.normalize("NFKC", text)


def fold(text: str) -> str:
    """Give the lower-case, half-width, Simplified form that is matched. It has the length of `tidy(text)`, and folding it again changes
    nothing.
    """
    plain = tidy(text)
    lowered = plain.lower()
    if len(lowered) != len(plain) or "Σ" in plain:  # letters that become two, and the one whose small form depends on its place
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)
    return _to_simplified(lowered)


def fold_characters(characters: Sequence[str]) -> list[str]:
    """As `fold`, for characters that are in their compatibility form already, each by itself."""
    simplified = _simplified()
    lowered = (low if len(low := character.lower()) == 1 else character for character in characters)
    return [simplified.get(ord(character), character) for character in lowered]


def bare(text: str) -> str:
    """The folded text without white space and punctuation: what two spellings of one statement share.

    Signs that touch a digit stay, since they make the number: 1.5 is not 15, 1~2 not 12. Comparisons stay wherever they stand.
    """
    folded = fold(text)
    return "".join(folded[i] for i in telling(folded))


def telling(folded: str) -> list[int]:
    """The positions of the characters of a folded text that `bare` keeps."""
    return [
        i
        for i, c in enumerate(folded)
        if c.isalnum() or c in _COMPARISONS or (c in _SIGNS and (folded[i - 1 : i].isdigit() or folded[i + 1 : i + 2].isdigit()))
    ]


def terms(folded: str) -> list[str]:
    """Character bigrams of Chinese runs (a lone character stays alone) and whole Latin or numeric words, in order."""
    found: list[str] = []
    for run in _RUN.findall(folded):
        if _FIRST_HAN <= ord(run[0]) <= 0xFAFF and len(run) > 1:
            found.extend(map(add, run, run[1:]))
        else:
            found.append(run)
    return found


class TermsHeld:
    """Whether a folded text holds a term: as `term in set(terms(folded))`, and five times as fast for a few terms."""

    def __init__(self, folded: str) -> None:
        self._folded = folded

    def __contains__(self, term: object) -> bool:
        """A Chinese bigram stands wherever its two characters touch."""
        if not isinstance(term, str) or term not in self._folded:
            return False
        return (len(term) == 2 and min(term) >= "\u3400" and max(term) <= "\u9fff") or term in self._all

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset(terms(self._folded))


def missing_terms(wanted: Sequence[str], held: Container[str]) -> list[str]:
    """Wanted terms (of one run of text, in order) that are not held, but for bigrams that only bridge two held words: 渴多 in 口渴多饮."""
    missing = []
    for before, term, after in zip(["", *wanted], wanted, [*wanted[1:], ""], strict=False):
        bridges = before in held and after in held and before[-1:] == term[0] and after[:1] == term[-1]
        if term not in held and not bridges:
            missing.append(term)
    return missing
