"""How sure a tuned model must be of how its answer begins, found on questions it was not trained on and written into its manifest.

What it was taught it says nearly without doubt; of what it was not, it takes the beginning of something near, and hesitates over it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from app.adapter_manifest import read_manifest, write_manifest
from app.prompt import is_no_answer
from finetune.asking_model import AskModel, Progress, Reply
from finetune.exam import ExamQuestion, plain_text
from indexer.errors import QizhenError

# Of 8, 12 and 20 tokens: the fewest behind which one text differs from another.
SURE_TOKENS = 12
# An answer is heard so far: behind that it goes on by itself.
_HEARD_TOKENS = 40
_JUST, _NEVER = 1e-4, 1e3


@dataclass(frozen=True, slots=True)
class Calibration:
    """The log-likelihood under which an answer is a guess; shares of the right answers that stay, and of the questions that must be
    refused which are, before and after.
    """

    tokens: int
    below: float
    right: int
    kept: float
    unknown: int
    refused_before: float
    refused: float


def calibrate(model: AskModel, questions: Sequence[ExamQuestion], refuse: float, progress: Progress) -> Calibration:
    """Ask questions, some of which must be refused, and find the lowest limit at which the share `refuse` of those is.

    An answer is right that begins as the reference does, word for word. Another answer to a question that is to be answered is left out:
    it is neither to be kept nor to be counted.
    Raises QizhenError where nothing is answered rightly or nothing is to be refused.
    """
    asked = [[*((turn.role, turn.content) for turn in question.history), ("user", question.question)] for question in questions]
    replies = list(zip(questions, model.speak(asked, _HEARD_TOKENS, SURE_TOKENS, progress), strict=True))
    right = sorted(reply.sureness for question, reply in replies if not question.refuse and _is_right(question, reply))
    unknown = [reply for question, reply in replies if question.refuse]
    if not right or not unknown:
        raise QizhenError(
            f"无法校准：答对 {len(right)} 题，应拒答 {len(unknown)} 题", "用同时有这两类开发题的样本文件，模型要能答对其中一些"
        )
    guessed = sorted((reply.sureness for reply in unknown if not _refuses(reply)), reverse=True)
    allowed = int((1 - refuse) * len(unknown))
    below = guessed[allowed] + _JUST if len(guessed) > allowed else guessed[-1] if guessed else -_NEVER
    left = sum(sureness >= below for sureness in guessed)
    return Calibration(
        SURE_TOKENS,
        below,
        len(right),
        sum(sureness >= below for sureness in right) / len(right),
        len(unknown),
        1 - len(guessed) / len(unknown),
        1 - left / len(unknown),
    )


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Keep it in the manifest of a tuned model or adapter. Raises GeneratorError, and QizhenError where there is no manifest."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise QizhenError(f"`{folder}` 里没有清单 qizhen.json", "只有用 qizhen-finetune train 训练的模型或适配器能校准")
    write_manifest(folder, replace(manifest, refuses=asdict(calibration)))


def _is_right(question: ExamQuestion, reply: Reply) -> bool:
    said = plain_text(reply.text)
    return bool(said) and plain_text(question.reference).startswith(said)


def _refuses(reply: Reply) -> bool:
    return not reply.text or is_no_answer(reply.text)
