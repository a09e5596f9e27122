"""Medical sentences as tokens that are equal where they mean the same: quantities, frequencies, routes, patients, polarity, words.

What only carries style is left out (的, 应, 患者); synonyms share one key; everything else counts, character by character.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from app.doses import LATIN_FREQUENCIES, NUMBER, QUANTITY, Bound, Frequency, Quantity, Span, bounded, number, often, read_quantity
from app.lexicon import AFRESH, FORMS, INCIDENCES, LABELS, LEXICON, LINKS, MODALS, TURNED, Kind
from indexer.terms import fold

Key = str | Quantity | Frequency


@dataclass(frozen=True, slots=True)
class Token:
    """A unit of meaning. `key` is shared by what means the same; `surface` is how it stands in the text.

    `opens`: a clause (or, in a clause of doses alone, a dose) begins here; `item`: a list separator stands before it, `tied` where
    that is 与; `clause`, `statement` and `sentence` number what it stands in; `bracketed`: within round brackets.
    """

    kind: Kind
    key: Key
    surface: str
    clause: int
    statement: int
    sentence: int
    opens: bool
    item: bool
    tied: bool
    bracketed: bool


@dataclass(slots=True)
class Clause:
    """A stretch of text between commas, colons, semicolons or stops. `heading` where a colon ends it; `ends_line` where that is all."""

    text: str
    heading: bool = False
    tokens: list[int] = field(default_factory=list)
    statement: int = 0
    sentence: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A text read: its tokens in order and its clauses."""

    tokens: tuple[Token, ...]
    clauses: tuple[Clause, ...]


_BOUND_WORDS: dict[Bound, str] = {
    "≥": "≥|>=|>\\s*or\\s*=|不少于|不低于|不小于|不得少于|不得低于|至少|最少|大于或?等于|at least",
    "≤": "≤|<=|<\\s*or\\s*=|(?:一般)?(?:不适宜|不应该|(?:不|勿|切勿)[得应宜可能要]?)(?:超过|大于|高于|多于)|最多|至多"
    "|最大(?:剂量|用量|量)?|最高(?:剂量|用量|量)?|极量|限量|小于或?等于"
    "|max(?:imum)?(?: dose)?[.:]?|up to|not (?:to )?exceed(?:ing)?",
    ">": ">|大于|超过|高于|多于|more than|over|above",
    "<": "<|小于|低于|少于|不足|未满|不满|不到|less than|under|below",
}
_AHEAD = r"(?=[^,;:。!?()\[\]\n、]{0,14}?(?:\d|[零一二两三四五六七八九十百半]))"
_JUST_AHEAD = r"(?=[约为是量达至]{0,2}\s*(?:\d|[零一二两三四五六七八九十百半]))"
_PERIOD = "个?小时|个?月|hours?|hrs?|h|天|日|days?|d|个?星期|周|weeks?|wk|w|分钟|minutes?|min"
_HOURS = {"h": 1, "小": 1, "天": 24, "日": 24, "d": 24, "周": 168, "星": 168, "w": 168, "月": 720}
_TO = r"(?:~|-|–|—|至|到|to)"
_WORD = "|".join(sorted(map(re.escape, (form for form in LEXICON if not form.isascii())), key=len, reverse=True))
_LATIN_WORD = "|".join(sorted(map(re.escape, (form for form in LEXICON if form.isascii())), key=len, reverse=True))
_LATIN_OFTEN = "|".join(sorted((re.escape(form).replace("bid", r"b\.?i\.?d\.?") for form in LATIN_FREQUENCIES), key=len, reverse=True))
_LEXER = re.compile(
    "|".join(
        f"(?P<{name}>{pattern})"
        for name, pattern in {
            "mark": r"(?:(?<=[\s。;,:!?])|(?<=[\u3400-\u9fff])|^)\(?\d{1,2}(?:\.(?=\s*[^\d\s.])|\)、?(?=\s*[^\d\s.]))"
            r"|(?<=[\s。;:])\d{1,2}、(?=\D)",
            "citation": r"\[(?:来源)?\d+\]",
            "ratio": r"\d+:\d+(?:\.\d+)?",
            "often": rf"(?<![a-z])(?:{_LATIN_OFTEN}|b\.?i\.?d\.?|t\.?i\.?d\.?|q\.?i\.?d\.?)(?![a-z])|隔[日天][1一]次",
            "hourly": rf"(?<![a-z])q\s?(?P<q_low>\d+)(?:{_TO}(?P<q_high>\d+))?(?P<q_unit>[hdw])(?![a-z])",
            "times": r"(?P<times_count>\d+|two|three|four)\s*times?\s*(?:a|per|/)?\s*(?P<times_span>daily|day|d|week|weekly)(?![a-z])",
            "every": rf"(?:每隔?|every)\s*(?P<every_low>{NUMBER})(?:\s*(?:{_PERIOD})?\s*{_TO}\s*(?P<every_high>{NUMBER}))?"
            rf"\s*(?P<every_unit>{_PERIOD})(?![a-z])"
            rf"(?:(?:给药|服用?|使用|用|注射|滴注?)?(?P<every_least>{NUMBER})(?:{_TO}(?P<every_most>{NUMBER}))?次)?",
            "weight": rf"(?:按|以)?(?:体重)?每(?:kg|公斤|千克)(?:体重)?{_AHEAD}",
            "daily": rf"(?:每个?|[一1](?=[天日])(?![天日]\s*(?:[~\-至到后前]|内(?!最|不|总))))(?:天|日|24小时)"
            rf"(?:剂量|用量|总量|总剂量|量)?{_AHEAD}|日(?:剂量|用量|总量){_AHEAD}"
            rf"|(?<![每一今当隔数首末次生节假])日(?=[服用]?(?:\d|[一二两三四五六])(?:[~\-至]\d)?次)",
            "weekly": rf"每个?(?:周|星期)(?:剂量|用量|总量)?{_AHEAD}|[一1](?:周|星期)(?=(?:\d|[一二两三四五六])(?:[~\-至]\d)?次)",
            "single": rf"(?:每次|一次量|单次|每剂|每回|单剂量?)(?:剂量|用量|量)?{_AHEAD}",
            "once": rf"(?:一次|1次)(?!\s*[/~\-至到])(?:剂量|用量)?{_AHEAD}",
            "bound": "|".join(f"(?:{pattern}){_AHEAD if bound == '≤' else _JUST_AHEAD}" for bound, pattern in _BOUND_WORDS.items()),
            "divided": rf"(?:分|in\s)\s*(?P<parts_low>{NUMBER})(?:次?\s*{_TO}\s*(?P<parts_high>{NUMBER}))?"
            r"\s*(?:次|divided doses)(?:服用|服|给药|给予|使用|用)?",
            "quantity": QUANTITY,
            "afterwards": r"(?<![a-z])(?:daily|per day|a day)(?![a-z])",
            "latin": rf"(?<![a-z])(?:{_LATIN_WORD})(?![a-z0-9])",
            "name": r"[a-zα-ω][a-zα-ω0-9]*(?:-[a-z0-9]+)*",
            "figure": r"\d+(?:\.\d+)?",
            "word": _WORD,
            "weak": "以及|或者|[、和与及或跟/]",
            "strong": r"[,;:。!?！？\n【】]|\.(?=\s|$)",
            "bracket": r"[()\[\]]",
            "gap": r"(?<=[\u3400-\u9fff])[ \t]+(?=[\u3400-\u9fff])",
            "other": r"\S",
        }.items()
    )
)
_MARK = re.compile(
    r"(?:^|(?<=[\n。;:,]))[ \t]*(?:[-*•·●▪◆■]\s*|\(\d{1,2}\)\s*、?|\(?[一二三四五六七八九十]{1,3}[)、]\s*|\d{1,2}(?:[)、]|[.](?!\d))\s*)+"
)
_TOGETHER = re.compile(r"(?:(?<=[\n。;,:])|^)(?:本品)?[与和同]([^,;:。\n]{2,30}?)(?:合用|联用|并用|同用|同时使用|联合使用)时?,")
_SECTION_LINE = re.compile(
    rf"^([\w\-()α-ωΑ-Ω·]{{2,24}})[ \t]+({'|'.join(sorted(LABELS, key=len, reverse=True))})(?=[ \t:\n]|$)", re.MULTILINE
)
_CIRCLED = re.compile("[①-⑳]")
_SHORT_INGREDIENT = 2  # characters; what is left of 四逆散 is no name
_DOSING = {"quantity", "frequency", "divided", "route", "population", "patient", "timing"}


def read(text: str, subjects: Sequence[str] = ()) -> Reading:
    """Read a text. `subjects`: names of what it is about, which count as little as 本品 does."""
    folded = fold(_CIRCLED.sub("\n", text))
    for name in sorted({spelt for subject in subjects for spelt in _spelt(fold(subject))}, key=len, reverse=True):
        folded = folded.replace(name, "本品")
    folded = _SECTION_LINE.sub(r"\1:\2:", folded)
    return _Reader(_TOGETHER.sub(r"\1者,", _MARK.sub("", folded))).reading()


def _spelt(name: str) -> list[str]:
    """A folded name, and the ingredient in it where it ends in a dosage form: 头孢克洛 of 头孢克洛胶囊."""
    form = next((form for form in FORMS if name.endswith(form)), "")
    ingredient = name.removesuffix(form)
    return [spelt for spelt in (name, ingredient if len(ingredient) > _SHORT_INGREDIENT else "") if spelt]


class _Reader:
    """Walks over a folded text; keeps what the words so far say of the quantity to come."""

    def __init__(self, folded: str) -> None:
        self._folded = folded
        self._drafts: list[tuple[Kind, Key, str, int, bool, bool, bool]] = []
        self._clauses = [Clause("")]
        self._clause_start = 0
        self._statement = self._sentence = 0
        self._item = self._tied = False
        self._depth = 0
        self._turned: tuple[str, str] | None = None
        self._forget()

    def _forget(self) -> None:
        self._span: Span = ""
        self._bound: Bound = ""
        self._over: tuple[str, ...] = ()
        self._pending: list[str] = []

    def reading(self) -> Reading:
        """Read the text to its end."""
        for match in _LEXER.finditer(self._folded):
            getattr(self, f"_on_{_group(match)}")(match)
        self._end_clause(len(self._folded), heading=False)
        return self._finish()

    def _put(self, kind: Kind, key: Key, surface: str) -> None:
        self._drafts.append((kind, key, surface, len(self._clauses) - 1, self._item, self._tied, self._depth > 0))
        self._clauses[-1].tokens.append(len(self._drafts) - 1)
        self._item = self._tied = False

    def _on_citation(self, _: re.Match[str]) -> None:
        """Marks of citations say nothing."""

    def _on_mark(self, match: re.Match[str]) -> None:
        """A number of a list within a line begins a sentence."""
        if self._depth:
            return
        self._end_clause(match.start(), heading=False)
        self._sentence += 1
        self._statement += 1
        self._clause_start = match.end()
        self._clauses.append(Clause("", statement=self._statement, sentence=self._sentence))

    def _on_ratio(self, match: re.Match[str]) -> None:
        self._put("word", match[0], match[0])

    def _on_often(self, match: re.Match[str]) -> None:
        plain = match[0].replace(".", "")
        self._put("frequency", LATIN_FREQUENCIES[plain], match[0])

    def _on_hourly(self, match: re.Match[str]) -> None:
        hours = _HOURS[match["q_unit"]]
        low, high = Fraction(match["q_low"]) * hours, Fraction(match["q_high"] or match["q_low"]) * hours
        self._put("frequency", Frequency(Fraction(1), Fraction(1), low, high), match[0])

    def _on_times(self, match: re.Match[str]) -> None:
        count = Fraction({"two": "2", "three": "3", "four": "4"}.get(match["times_count"], match["times_count"]))
        hours = Fraction(168 if match["times_span"].startswith("w") else 24)
        self._put("frequency", Frequency(count, count, hours, hours), match[0])

    def _on_every(self, match: re.Match[str]) -> None:
        unit = match["every_unit"].removeprefix("个")
        hours = Fraction(1, 60) if unit.startswith(("分", "m")) and unit != "月" else Fraction(_HOURS[unit[0]])
        if unit.startswith("month"):
            hours = Fraction(720)
        low, high = number(match["every_low"]) * hours, number(match["every_high"] or match["every_low"]) * hours
        least = number(match["every_least"] or "1")
        most = number(match["every_most"]) if match["every_most"] else least
        self._put("frequency", Frequency(least, most, low, high), match[0])
        self._forget()

    def _on_weight(self, match: re.Match[str]) -> None:
        self._over = ("kg",)
        self._pending.append(match[0])

    def _on_daily(self, match: re.Match[str]) -> None:
        self._span = "day"
        self._pending.append(match[0])

    def _on_weekly(self, match: re.Match[str]) -> None:
        self._span = "week"
        self._pending.append(match[0])

    def _on_single(self, match: re.Match[str]) -> None:
        self._span = ""
        self._pending.append(match[0])

    def _on_once(self, match: re.Match[str]) -> None:
        if self._span:
            self._take(Quantity(Fraction(1), Fraction(1), "次"), match[0])
        else:
            self._pending.append(match[0])

    def _on_bound(self, match: re.Match[str]) -> None:
        self._bound = next(bound for bound, pattern in _BOUND_WORDS.items() if re.fullmatch(pattern, match[0]))
        self._pending.append(match[0])

    def _on_divided(self, match: re.Match[str]) -> None:
        low, high = number(match["parts_low"]), number(match["parts_high"] or match["parts_low"])
        self._put("divided", Quantity(low, high, "次"), match[0])

    def _on_quantity(self, match: re.Match[str]) -> None:
        self._take(read_quantity(match[0]), match[0])

    def _on_figure(self, match: re.Match[str]) -> None:
        value = Fraction(match[0])
        self._take(Quantity(value, value, ""), match[0])

    def _on_afterwards(self, match: re.Match[str]) -> None:
        if self._drafts and isinstance(last := self._drafts[-1][1], Quantity):
            kind, _, surface, *rest = self._drafts[-1]
            self._drafts[-1] = (kind, bounded(last, "", "day", ()), f"{surface} {match[0]}", *rest)  # type: ignore[assignment]

    def _take(self, quantity: Quantity, surface: str) -> None:
        """A quantity, with what the words before it say of it."""
        surface = "".join([*self._pending, surface])
        if quantity.unit == "次" and (self._span or quantity.span):
            hours = Fraction(168 if "week" in (self._span, quantity.span) else 24)
            self._put("frequency", often(bounded(quantity, self._bound, "", ()), hours), surface)
        else:
            measured = bounded(quantity, self._bound, self._span, self._over)
            self._put("patient" if _is_of_patient(measured, surface) else "quantity", measured, surface)
        self._forget()

    def _on_latin(self, match: re.Match[str]) -> None:
        self._on_word(match)

    def _on_word(self, match: re.Match[str]) -> None:
        kind, key = LEXICON[match[0]]
        if match[0] in AFRESH and not self._clauses[-1].tokens and len(self._clauses) > 1:
            self._sentence += 1
            self._clauses[-1].sentence = self._sentence
        if key == "不良反应" and self._clauses[-1].tokens and self._drafts[-1][1] in INCIDENCES:
            return
        if match[0] in MODALS and not self._folded[match.end() : match.end() + 1].isalnum():
            self._put("word", match[0], match[0])
        elif match[0] in TURNED:
            self._turned = (key, match[0])
        elif key and not (self._pending and key == "用"):
            self._put(kind, key, match[0])

    def _on_name(self, match: re.Match[str]) -> None:
        self._put("word", match[0], match[0])

    def _on_weak(self, match: re.Match[str]) -> None:
        self._item, self._tied = True, match[0] in LINKS

    def _on_gap(self, _: re.Match[str]) -> None:
        """White space sets two things apart, but is no list."""
        self._item = self._tied = True

    def _on_other(self, match: re.Match[str]) -> None:
        if (match[0].isalnum() or match[0] in "%+±×<>≥≤=") and not (self._pending and match[0] == "量"):
            self._put("word", match[0], match[0])

    def _on_bracket(self, match: re.Match[str]) -> None:
        self._depth = max(0, self._depth + (1 if match[0] in "([" else -1))

    def _on_strong(self, match: re.Match[str]) -> None:
        sign = match[0][0]
        if self._depth and sign in ",:;、":
            self._item = True
            return
        self._depth = 0
        self._end_clause(match.start(), heading=sign == ":")
        if sign in "。!?！？\n.":
            self._sentence += 1
        if sign not in ",:":
            self._statement += 1
        self._clause_start = match.end()
        self._clauses.append(Clause("", statement=self._statement, sentence=self._sentence))

    def _end_clause(self, end: int, *, heading: bool) -> None:
        if self._pending:
            self._put("word", "".join(self._pending), "".join(self._pending))
        self._forget()
        if self._turned:
            self._put("polarity", *self._turned)
            self._turned = None
        self._trim()
        self._item = self._tied = False
        self._clauses[-1].text = self._folded[self._clause_start : end].strip()
        self._clauses[-1].heading = heading

    def _trim(self) -> None:
        """Leave out what says nothing: 用药 in 孕妇用药, and 同时 on its own."""
        members = self._clauses[-1].tokens
        if len(members) > 1 and self._drafts[-1][1] == "用" and all(self._drafts[i][0] == "population" for i in members[:-1]):
            members.pop()
            self._drafts.pop()
        elif len(members) == 1 and self._drafts[-1][1] == "同时":
            members.pop()
            self._drafts.pop()
            self._sentence += 1

    def _finish(self) -> Reading:
        kinds = [[self._drafts[i][0] for i in clause.tokens] for clause in self._clauses]
        pure = [all(kind in _DOSING for kind in found) for found in kinds]
        tokens = []
        for at, (kind, key, surface, clause, item, tied, bracketed) in enumerate(self._drafts):
            where = self._clauses[clause]
            opens = at == where.tokens[0] or (pure[clause] and not tied)
            tokens.append(Token(kind, key, surface, clause, where.statement, where.sentence, opens, item, tied, bracketed))
        return Reading(tuple(tokens), tuple(self._clauses))


def _is_of_patient(quantity: Quantity, surface: str) -> bool:
    """Whether a quantity says who the patient is rather than what to give: an age, a body weight, a clearance."""
    weighs = quantity.unit == "g" and not quantity.over and any(unit in surface for unit in ("kg", "公斤", "千克"))
    return weighs or quantity.unit in {"岁", "月龄", "mmhg"} or (quantity.unit == "l" and "分钟" in quantity.over)


def _group(match: re.Match[str]) -> str:
    """The name of the alternative that matched; named parts inside it do not count."""
    return next(name for name in _HANDLED if match[name] is not None)


_HANDLED = [name for name in _LEXER.groupindex if "_" not in name]


def amounts(text: str) -> frozenset[Key]:
    """The quantities and frequencies that a text states, each with what it measures; two texts that say the same dose share them."""
    return frozenset(token.key for token in read(text).tokens if token.kind in ("quantity", "frequency", "divided", "patient"))
