"""Does a sentence say no more than the span it cites?

Both are read as tokens that are equal where they mean the same (app.wording). A claim is supported where it is the evidence, or whole
sentences of it, or where its tokens can be laid upon whole clauses of the evidence: clauses may change their order and items of a
list may be left out, but every clause keeps its own words, and everything said stays under the patient group, condition and route
under which the evidence says it. Whatever else a claim says is shown to nobody; the reasons are worded for a pharmacist.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.conditions import Ground
from app.faults import Fault, faults_of
from app.laying import Laying
from app.lexicon import LABELS
from app.wording import read
from indexer.sentences import sentence_spans
from indexer.terms import bare, fold

Verdict = Literal["supported", "contradicted", "unsupported"]

_IN_NAME = r"(?:(?![可使的并及与或在者时后将被对])[\u3400-\u9fffa-z0-9\-()])"
_STOPS = "。!?！？\n"
_TITLE = re.compile(r"[【\[# ]*[\w\-()（）α-ωΑ-Ω·]{2,24}[】\]]?")
_HERE = re.compile(r"本品|本药|该药|该品|此药")


@dataclass(frozen=True, slots=True)
class Check:
    """What the checker found; `reasons` are empty where the claim is supported."""

    verdict: Verdict
    reasons: tuple[str, ...]


def check_claim(claim: str, evidence: str, subjects: Sequence[str] = ()) -> Check:
    """Compare a claim with the span it cites.

    `subjects`: names of what the evidence is about (title and aliases of its document), which the claim may say where the span does not.
    """
    if _stands_whole(claim, evidence):
        return Check("supported", ())
    subjects = subjects or _titled(evidence) or _guessed_subject(claim, evidence)
    stated, shown = read(claim, subjects), read(evidence, subjects)
    ground, said = Ground(shown), Ground(stated)
    sentences: dict[int, list[int]] = defaultdict(list)
    for at, token in enumerate(stated.tokens):
        sentences[token.sentence].append(at)
    faults: list[Fault] = [] if sentences else [Fault("这句话没有可以核对的内容", against=False)]
    for members in sentences.values():
        faults += faults_of(Laying(said, ground, members))
    if not faults:
        return Check("supported", ())
    reasons = tuple(dict.fromkeys(fault.reason for fault in faults))
    against = any(fault.against for fault in faults) and not any(fault.elsewhere for fault in faults)
    return Check("contradicted" if against else "unsupported", reasons)


def _stands_whole(claim: str, evidence: str) -> bool:
    """The claim is the evidence, or whole sentences of it in a row: half a sentence may have lost its "不"."""
    wanted = bare(claim)
    if not wanted:
        return False
    if wanted == bare(evidence):
        return True
    if _between_stops(fold(claim).strip(), fold(evidence)):
        return True
    sentences = [bare(evidence[start:end]) for start, end in sentence_spans(evidence)]
    return any(_begins(sentences[first:], wanted) for first in range(len(sentences)))


def _between_stops(claim: str, evidence: str) -> bool:
    """The claim stands in the evidence character by character, from one full stop or line end to another."""
    at = evidence.find(claim)
    while at >= 0 and claim:
        before, after = evidence[:at].rstrip(" "), evidence[at + len(claim) :].lstrip(" ")
        begins = not before or before[-1] in _STOPS or (before[-1] == "." and before != evidence[:at])
        if begins and (claim[-1] in _STOPS + "." or not after or after[0] in _STOPS):
            return True
        at = evidence.find(claim, at + 1)
    return False


def _begins(sentences: Sequence[str], wanted: str) -> bool:
    """Whether the first so many of the sentences together are what is wanted."""
    rest = wanted
    for sentence in sentences:
        if not rest.startswith(sentence):
            return False
        rest = rest[len(sentence) :]
        if not rest:
            return True
    return False


def _titled(evidence: str) -> tuple[str, ...]:
    """The name that heads the evidence on a line of its own, where more follows."""
    first, _, rest = evidence.strip().partition("\n")
    name, _, label = first.strip().partition(" ")
    if label.split(" ")[0] in LABELS and _TITLE.fullmatch(name):
        return (name,)
    return (first.strip("【】[]# "),) if rest and _TITLE.fullmatch(first.strip()) else ()


def _guessed_subject(claim: str, evidence: str) -> tuple[str, ...]:
    """The name that a claim has where its evidence says 本品, unless the evidence speaks of a name nearly like it."""
    stated, shown = fold(claim), fold(evidence)
    candidates: Counter[str] = Counter()
    for here in _HERE.finditer(shown):
        left, right = re.search(r"[\u3400-\u9fff]{0,2}$", shown[: here.start()]), re.match(r"\w{0,2}", shown[here.end() :])
        before = re.escape(left[0]) if left and left[0] else r"(?:^|(?<=[\s,;:。、(]))"
        after = re.escape(right[0]) if right and right[0] else r"(?=[\s,;:。、)]|$)"
        if found := re.search(rf"{before}([\u3400-\u9fffa-z]{_IN_NAME}{{1,15}}?){after}", stated):
            candidates[found[1]] += 1
    fitting = [
        name for name in candidates if not _HERE.search(name) and not _has_critical(name) and not _alike(name, shown.replace(name, " "))
    ]
    return (min(fitting, key=lambda name: (-candidates[name], len(name))),) if fitting else ()


def _has_critical(name: str) -> bool:
    tokens = read(name).tokens
    return any(token.kind in ("polarity", "frequency") or (token.kind == "negation" and token.key != "非") for token in tokens)


def _alike(name: str, text: str) -> bool:
    """Whether a text holds a name that differs from this one in a character or two."""
    from rapidfuzz.distance import Levenshtein

    width, allowed = len(name), 1 if len(name) < 5 else 2
    windows = (text[start : start + size] for size in (width - 1, width, width + 1) for start in range(len(text) - size + 1))
    return any(0 < Levenshtein.distance(name, window, score_cutoff=allowed) <= allowed and window[:1] == name[:1] for window in windows)
