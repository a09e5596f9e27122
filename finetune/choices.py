"""Multiple-choice questions: {"id", "question", "options": {"A": ...}, "answer": "A" or "AC", "type"} a line.

A model answers them twice: by what it writes, read for letters, and by the letters it finds likeliest. Right is only the exact set.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.weights import file_digest
from finetune.asking_model import AskModel, Progress
from finetune.exam import text_lines
from indexer.errors import QuestionError
from indexer.terms import bare, tidy

_SINGLE, _SEVERAL = "单选", "多选"
_LETTERS = r"[A-H](?:[\s,，、;；和及与]*[A-H])*(?![A-Za-z])"
_CUED = re.compile(rf"(?:答案|正确选项|(?<!不)应?选择?|故选|选项)(?:应该|应当|应|为|是|[:：\s])*[\(（【\[]?({_LETTERS})")
# Not the letter of 维生素D缺乏.
_ALONE = re.compile(rf"(?<![A-Za-z0-9\u3400-\u9fff])({_LETTERS})(?=$|[\s.,。:;)\]】]|选?项|是|正确)")
_RULED_OUT = re.compile(r"(?:不选|不能选|排除|错误的?是)\s*[A-H]|[A-H]\s*(?:项|选项)?\s*(?:错误|不对|不正确|不符合)")
_MOST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with lettered options; `answer` are its right letters in order."""

    id: str
    question: str
    options: Mapping[str, str]
    answer: str
    type: str

    @property
    def asked(self) -> str:
        """The question as a model is asked it."""
        listed = "\n".join(f"{letter}. {text}" for letter, text in self.options.items())
        rule = "选出全部正确的选项，只写字母" if self.takes_several else "选出一个正确的选项，只写字母"
        return f"{self.question}\n{listed}\n{rule}。"

    @property
    def takes_several(self) -> bool:
        """Whether more than one letter may be right."""
        return self.type == _SEVERAL

    @property
    def answers(self) -> list[str]:
        """Every answer that the type of question allows."""
        sizes = range(2, len(self.options) + 1) if self.takes_several else (1,)
        return ["".join(letters) for size in sizes for letters in itertools.combinations(sorted(self.options), size)]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a model chose: `said` in its own words, `written` the letters read from them ("" for none), `likeliest` by likelihood."""

    choice: Choice
    said: str
    written: str
    likeliest: str


@dataclass(frozen=True, slots=True)
class ChoiceExam:
    """A file of multiple-choice questions."""

    name: str
    path: Path
    digest: str
    choices: tuple[Choice, ...]


def is_choices(path: Path) -> bool:
    """Whether the first line of a file is a question with options; what cannot be read is not."""
    try:
        row = json.loads(next((line for _, line in text_lines(path)), "{}"))
    except (QuestionError, ValueError):
        return False
    return isinstance(row, dict) and "options" in row


def read_choices(path: Path, name: str = "") -> ChoiceExam:
    """Read a file of multiple-choice questions, called by its own name or another. Raises QuestionError that lists every fault."""
    faults: list[str] = []
    read = (_read(line, f"{path}:{number}", faults) for number, line in text_lines(path))
    choices = tuple(choice for choice in read if choice)
    if faults:
        hint = '每行一个 {"id": "…", "question": "…", "options": {"A": "…"}, "answer": "A"}'
        raise QuestionError(f"选择题文件 `{path}` 有 `{len(faults)}` 处错误：\n" + "\n".join(faults), hint)
    return ChoiceExam(name or path.name, path, file_digest(path), choices)


def choose(model: AskModel, choices: Sequence[Choice], progress: Progress) -> list[Chosen]:
    """Put every question to the model, both ways."""
    replies = model.reply([[("user", choice.asked)] for choice in choices], _MOST_TOKENS, progress)
    chosen = []
    for number, (choice, reply) in enumerate(zip(choices, replies, strict=True), 1):
        likelihoods = model.likelihoods([("user", choice.asked)], choice.answers)
        likeliest = max(zip(likelihoods, choice.answers, strict=True))[1]
        chosen.append(Chosen(choice, reply.text, letters_in(reply.text, choice.options), likeliest))
        progress("选择题", number, len(choices))
    return chosen


def letters_in(said: str, options: Mapping[str, str]) -> str:
    """The letters that an answer chooses, sorted, each once; "" where it chooses none.

    Behind a word that announces them, the last time; else the first that stand alone; else of the one option that it repeats.
    """
    plain = _RULED_OUT.sub(" ", tidy(said))
    cued = _CUED.findall(plain)
    alone = _ALONE.findall(plain)
    found = cued[-1] if cued else alone[0] if alone else ""
    letters = sorted({letter for letter in found if letter in options})
    if letters:
        return "".join(letters)
    repeated = [letter for letter, text in options.items() if bare(text) and bare(text) in bare(said)]
    return repeated[0] if len(repeated) == 1 else ""


def _read(line: str, place: str, faults: list[str]) -> Choice | None:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        faults.append(f"{place}: JSON 无法解析：{error}")
        return None
    if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not _are_options(row.get("options")):
        faults.append(f"{place}: question、options: 缺少，或选项的字母不在 A 到 H")
        return None
    options = {letter: str(text) for letter, text in row["options"].items() if text}
    answer = "".join(sorted(set(re.sub(r"[\s,，、]", "", str(row.get("answer") or "")))))
    if not answer or not set(answer) <= set(options):
        faults.append(f"{place}: answer: `{row.get('answer')}` 不是选项里的字母")
        return None
    told = str(row.get("type") or row.get("question_type") or "")
    several = "多" in told or "multi" in told.lower() if told else len(answer) > 1
    return Choice(str(row.get("id", place)), row["question"], options, answer, _SEVERAL if several else _SINGLE)


def _are_options(options: object) -> bool:
    return isinstance(options, dict) and len(options) > 1 and all(re.fullmatch("[A-H]", letter) for letter in options)
