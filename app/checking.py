"""The gate that every sentence of an answer passes: supported by what it cites, said once, and nothing of the evidence left out.

What a generator says is one of
    supported            shown, with those of its citations that support it
    near a sentence      that is not shown yet: the sentence itself is quoted in its place
    anything else        dropped
and what the shown sentences leave unsaid of the evidence is quoted behind them. The evidence was chosen as what answers the question;
no judge can say which line of it may be left out, and a dose without the child's line, or without the ban, is a wrong answer.
"""

import logging
import re
from collections.abc import Iterator, Sequence

from app.citations import Unit
from app.claims import Check, Verdict, check_claim
from app.generators import Draft, Generator, plain, statements
from app.lexicon import INDICATIONS
from app.prompt import is_no_answer
from indexer.errors import ModelError
from indexer.terms import fold, terms

_log = logging.getLogger("qizhen.generators")

QUOTED_INSTEAD = "，以下为原文摘录。"
QUOTED_BESIDES = "，其余为原文摘录。"
NOTHING_PASSED = "模型的说法没有通过核对"
NO_ANSWER = "模型认为资料没有直接回答"
PHRASED = "部分语句由语言模型转述，每句均已与所引原文核对；以原文为准。"
# Share of terms (Dice) that a sentence and the evidence sentence put in its place have in common. 0.5: of 29 unsupported sentences of
# a 0.5B model at or above it, 28 came from that evidence sentence, of 30 below 0.3 only 5; read one by one, dev questions.
NEAR = 0.5
_USED = re.compile("用于|适用|不|禁|慎|治疗|无|未")
# Numbers, bans and cautions: a sentence with one is shown only if it says all that its evidence says, whom it is for included.
_HARMFUL_IN_PART = re.compile(
    r"\d|[零一二两三四五六七八九十百半](?=[次日天周月年岁片粒袋支丸包滴喷揿贴瓶毫微倍个])|禁|忌|慎|避免|停用|不[得能可宜应要用推适须]|未|无|仅|可用|可以"
)


def check_against(claim: str, units: Sequence[Unit]) -> Check:
    """Compare a sentence with the whole of what it cites."""
    documents = {unit.document.id: unit.document for unit in units}
    names = [name for document in documents.values() for name in (document.title, *document.aliases)]
    # Of several documents the checker is told none, so that every name must stand in the texts.
    subjects = names if len(documents) == 1 else ()
    checked = [check_claim(claim, "\n".join(wording), subjects) for wording in _wordings(units)]
    return next((check for check in checked if check.verdict == "supported"), checked[0])


def says_all(said: str, unit: Unit) -> bool:
    """Whether a text says all that a piece of evidence says: that is held against the text as a claim."""
    if plain(unit.text) == plain(said):
        return True
    names = (unit.document.title, *unit.document.aliases)
    return any(check_claim(wording, said, names).verdict == "supported" for (wording,) in _wordings([unit]))


def _wordings(units: Sequence[Unit]) -> Iterator[list[str]]:
    """The units as they stand; and as sentences where they are items under the heading of indications: 用于 goes without saying there."""
    yield [unit.text for unit in units]
    if all(fold(unit.section.title) in INDICATIONS and not _USED.search(unit.text) for unit in units):
        yield [f"用于{unit.text}" for unit in units]


class Gate:
    """What of the evidence has been said, and what may still be said.

    After `checked`, `notices` are what the reader must be told, `verdicts` what was found of each of the generator's sentences, and
    `fell_back` says that none of them is shown.
    """

    def __init__(self, evidence: Sequence[Unit]) -> None:
        self.notices: list[str] = []
        self.verdicts: list[Verdict] = []
        self.fell_back = False
        self._shown = 0
        self._phrased = False
        self._evidence = evidence
        self._groups = {number: group for group in statements(evidence) for number in group}
        self._said: dict[tuple[int, ...], str] = {}  # by statement: what shown sentences say that cite it
        self._covered: set[tuple[int, ...]] = set()

    def checked(self, generator: Generator, question: str) -> Iterator[Draft]:
        """The sentences to show, each as soon as it is checked; whatever the generator does, the evidence is said in full."""
        failed = ""
        try:
            for draft in generator.draft(question, self._evidence) if self._evidence else ():
                if is_no_answer(draft.text) and not self._shown:
                    failed = NO_ANSWER
                    break
                if passed := self.take(draft):
                    yield passed
        except ModelError as error:
            _log.warning("%s", error)
            failed = error.told
        self.fell_back = not self._shown
        failed = failed or (NOTHING_PASSED if self.fell_back else "")
        self.notices += [failed + (QUOTED_INSTEAD if self.fell_back else QUOTED_BESIDES)] if failed and self._evidence else []
        self.notices += [PHRASED] if self._phrased else []
        yield from self.rest()

    def take(self, draft: Draft) -> Draft | None:
        """The draft as it may be shown, the evidence it comes nearest to, or nothing."""
        cited = dict.fromkeys(self._groups[number] for number in draft.units if number in self._groups)
        groups = [group for group in cited if self._supports(group, draft.text)]
        self.verdicts.append("supported" if groups else self._verdict(list(cited), draft.text))
        if not groups:
            return self._repaired(draft)
        if all(self._is_said(group, draft.text) for group in groups):
            return None
        return self._show(draft.text, groups)

    def rest(self) -> Iterator[Draft]:
        """Quotes of what has not been said in full."""
        for group in dict.fromkeys(self._groups.values()):
            if group not in self._covered:
                yield self._show(self._text(group), [group])

    def _repaired(self, draft: Draft) -> Draft | None:
        nearest = max(self._groups.values(), key=lambda group: likeness(draft.text, self._text(group)), default=None)
        if nearest is None or nearest in self._covered or likeness(draft.text, self._text(nearest)) < NEAR:
            return None
        return self._show(self._text(nearest), [nearest])

    def _show(self, text: str, groups: Sequence[tuple[int, ...]]) -> Draft:
        quoted = next((self._text(group) for group in groups if plain(self._text(group)) == plain(text)), "")
        self._phrased |= not quoted
        text = quoted or text
        for group in groups:
            self._said[group] = f"{self._said.get(group, '')}{text}\n"
            if says_all(self._said[group], self._unit(group)):
                self._covered.add(group)
        self._shown += 1
        return Draft(text, tuple(number for group in groups for number in group))

    def _supports(self, group: tuple[int, ...], text: str) -> bool:
        unit = self._unit(group)
        if plain(text) == plain(unit.text):
            return True
        whole = says_all(text, unit) or not _HARMFUL_IN_PART.search(fold(text))
        return whole and check_against(text, [unit]).verdict == "supported"

    def _verdict(self, cited: Sequence[tuple[int, ...]], text: str) -> Verdict:
        """Of a sentence that may not be shown as it is: contradicted where what it cites says otherwise."""
        verdict = check_against(text, [self._unit(group) for group in cited]).verdict if cited else "unsupported"
        return "unsupported" if verdict == "supported" else verdict  # supported in part only, which is not enough

    def _is_said(self, group: tuple[int, ...], text: str) -> bool:
        """Whether what is shown already says all of a statement, or all of a sentence about it."""
        said, document = self._said.get(group, ""), self._unit(group).document
        return group in self._covered or (
            bool(said) and check_claim(text, said, (document.title, *document.aliases)).verdict == "supported"
        )

    def _unit(self, group: tuple[int, ...]) -> Unit:
        return self._evidence[group[0]]

    def _text(self, group: tuple[int, ...]) -> str:
        return self._unit(group).text


def likeness(one: str, other: str) -> float:
    """Share of terms that two texts have in common (Dice), 0 to 1."""
    first, second = set(terms(fold(one))), set(terms(fold(other)))
    return 2 * len(first & second) / (len(first) + len(second)) if first and second else 0.0
