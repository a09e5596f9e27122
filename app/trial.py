"""Golden questions asked of a release that is not published yet, and of the published one: what got worse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.answering import Answer, ask
from app.questions_file import AskedQuestion
from app.standards import load_term_aliases, score_answer
from indexer.errors import ReleaseRejectedError
from indexer.release import Release, open_release, published_id

_SHOWN = 20
_STATES = {"answered": "回答", "refused": "拒答", "clarify": "反问"}


@dataclass(frozen=True, slots=True)
class Worse:
    """A question that the published release answers rightly and the new one does not, with what either says in a few words."""

    id: str
    question: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How many of `questions` the new release answers rightly, and the published one; -1 where none is published."""

    release: str
    questions: int
    right: int
    right_before: int
    worse: tuple[Worse, ...]


class GoldenTrial:
    """A trial for `build_release`: raises ReleaseRejectedError where less than the share `require` (0 to 1) is answered rightly."""

    def __init__(
        self, questions: Sequence[AskedQuestion], require: float = 0.0, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._questions, self._require = questions, require
        self._progress = progress
        self.result: TrialResult | None = None

    def __call__(self, index: Path, release_id: str) -> Sequence[str]:
        """Ask both releases; return what an admin should know."""
        current = published_id(index)
        self.result = self._compare(open_release(index, release_id), open_release(index, current) if current else None)
        share = self.result.right / max(1, self.result.questions)
        if share < self._require:
            raise ReleaseRejectedError(
                f"版本 `{release_id}` 的标准问题答对 `{share:.3f}`，低于要求的 `{self._require:.3f}`，没有发布：\n"
                + "\n".join(remarks(self.result)),
                f"看清变差的问题；要照样发布：qizhen index publish {release_id}",
            )
        return remarks(self.result)

    def _compare(self, new: Release, old: Release | None) -> TrialResult:
        right = right_before = 0
        worse = []
        for number, asked in enumerate(self._questions, 1):
            after = ask(new, asked.question, asked.history)
            before = ask(old, asked.question, asked.history) if old else None
            is_right, was_right = answers_rightly(asked, after), before is not None and answers_rightly(asked, before)
            right += is_right
            right_before += was_right
            if before and was_right and not is_right:
                worse.append(Worse(asked.id, asked.question, _in_short(before), _in_short(after)))
            if self._progress:
                self._progress(number, len(self._questions))
        return TrialResult(new.id, len(self._questions), right, right_before if old else -1, tuple(worse))


def answers_rightly(asked: AskedQuestion, answer: Answer) -> bool:
    """Refused or asked back where that is expected; else answered from an expected document, with two thirds of the expected items and the
    exact span, where these are given.
    """
    if asked.refuse or asked.clarify:
        return answer.status == ("refused" if asked.refuse else "clarify")
    cited = {citation.unit.document.id for citation in answer.citations}
    quotes = [citation.quote for citation in answer.citations]
    said = "\n".join(sentence.text for sentence in answer.sentences)
    return (
        answer.status == "answered"
        and (not asked.documents or bool(cited & set(asked.documents)))
        and (not asked.terms or score_answer(said, asked.terms, load_term_aliases()).standards[2])
        and (not asked.span or any(asked.span in quote or quote in asked.span for quote in quotes))
    )


def _in_short(answer: Answer) -> str:
    said = " ".join(sentence.text for sentence in answer.sentences) or next(iter(answer.notices), "")
    return f"{_STATES[answer.status]}：{said[:60]}{'…' if len(said) > 60 else ''}"


def remarks(result: TrialResult) -> list[str]:
    """A trial in words."""
    before = f"，发布中的版本答对 {result.right_before}" if result.right_before >= 0 else ""
    lines = [f"标准问题 {result.questions} 道：新版本答对 {result.right}{before}；变差 {len(result.worse)} 道"]
    lines += [f"  变差 {worse.id}  {worse.question}\n    原  {worse.before}\n    新  {worse.after}" for worse in result.worse[:_SHOWN]]
    return lines if len(result.worse) <= _SHOWN else [*lines, f"  另有 {len(result.worse) - _SHOWN} 道"]
