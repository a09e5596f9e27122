"""A language model as a generator: asked with numbered evidence, heard within limits of time and length, read sentence by sentence."""

import queue
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from app.citations import Unit
from app.drafts import read_drafts
from app.generators import Draft, statements
from app.prompt import MOST_EVIDENCE_CHARACTERS, Prompt, write_prompt
from indexer.errors import ModelDownError, ModelError, ModelRamblingError, ModelSlowError
from indexer.terms import bare

# Text as it comes; closing the iterator stops the model. The number is the most characters that will be listened to.
Speaker = Callable[[Prompt, int], Iterator[str]]

_MOST_REPEATS = 3
_MOST_EMPTY_LINES = 8  # of nothing but numbers: 1. 1, 2. 2, 3. 3
_LOOP = re.compile(r"(.{2,60}?)\1{3,}$", re.DOTALL)
_LOOP_REACH = 300
_LOOK_EVERY = 20  # characters


class ModelGenerator:
    """Any language model that can be asked with a prompt. `seconds` is the time for a whole answer, `most_evidence` the characters of
    evidence it is told; what does not fit is quoted.
    """

    def __init__(self, name: str, speak: Speaker, seconds: float, most_evidence: int = MOST_EVIDENCE_CHARACTERS) -> None:
        self.name = name
        self._speak = speak
        self._seconds = seconds
        self._most_evidence = most_evidence

    def draft(self, question: str, evidence: Sequence[Unit]) -> Iterator[Draft]:
        """The model's sentences. Numbers that stand for no evidence are left out: a sentence may end up with none."""
        told = _fitting([evidence[numbers[0]] for numbers in statements(evidence)], self._most_evidence)
        firsts = [numbers[0] for numbers in statements(evidence)]
        for draft in read_drafts(self.listen(question, told)):
            yield Draft(draft.text, tuple(firsts[number] for number in draft.units if 0 <= number < len(told)))

    def listen(self, question: str, evidence: Sequence[Unit]) -> Iterator[str]:
        """The model's text as it comes, within the limits. Raises ModelError."""
        most = 200 + 2 * sum(len(unit.text) for unit in evidence)
        return unrepeated(within(lambda: self._speak(write_prompt(question, evidence), most), self._seconds), most)


def _fitting(evidence: Sequence[Unit], most: int) -> list[Unit]:
    """As much of the evidence, from its beginning, as a prompt should hold."""
    length, chosen = 0, []
    for unit in evidence:
        length += len(unit.document.title) + len(unit.section.title) + len(unit.text)
        if length > most:
            break
        chosen.append(unit)
    return chosen


def unrepeated(pieces: Iterable[str], most: int) -> Iterator[str]:
    """The pieces as they come. Raises ModelRamblingError beyond `most` characters, or where they go round in circles."""
    heard, looked_at = "", 0
    for piece in pieces:
        heard += piece
        yield piece
        if len(heard) > most:
            raise ModelRamblingError(f"模型说了 `{len(heard)}` 字，资料不值这么多", "换一个模型，或检查它的提示模板")
        if len(heard) - looked_at >= _LOOK_EVERY:
            looked_at = len(heard)
            if _goes_round(heard):
                raise ModelRamblingError(f"模型反复说 `{heard[-30:]}`", "换一个模型，或检查它的提示模板")


def _goes_round(heard: str) -> bool:
    """Whether the end repeats itself, whole lines come again and again, or many lines say nothing."""
    lines = Counter(bare(line) for line in re.split(r"[。\n]", heard)[:-1])
    empty = sum(count for line, count in lines.items() if line.isdecimal())
    repeated = max((count for line, count in lines.items() if len(line) > 2), default=0)
    return bool(_LOOP.search(heard[-_LOOP_REACH:])) or empty >= _MOST_EMPTY_LINES or repeated >= _MOST_REPEATS


def within(start: Callable[[], Iterator[str]], seconds: float) -> Iterator[str]:
    """The pieces of an iterator that may block, heard in a thread of its own. Raises ModelSlowError when the time is up, and
    ModelDownError for whatever goes wrong there.
    """
    heard: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
    unwanted = threading.Event()
    threading.Thread(target=_hear, args=(start, heard, unwanted), name="model", daemon=True).start()
    end = time.monotonic() + seconds
    try:
        while True:
            try:
                piece = heard.get(timeout=end - time.monotonic())
            except (queue.Empty, ValueError):  # ValueError: the time was up before
                raise ModelSlowError(f"模型在 `{seconds:g}` 秒内没有说完", "调大 QIZHEN_MODEL_SECONDS，或换一个更快的模型") from None
            if piece is None:
                return
            if isinstance(piece, ModelError):
                raise piece
            if isinstance(piece, Exception):
                raise ModelDownError(f"模型没有答成：`{type(piece).__name__}: {piece}`", "检查模型服务和 QIZHEN_CHAT_URL") from piece
            yield piece
    finally:
        unwanted.set()


def _hear(start: Callable[[], Iterator[str]], heard: queue.SimpleQueue[str | Exception | None], unwanted: threading.Event) -> None:
    try:
        for piece in start():  # letting go of it, when nobody listens any more, closes it
            if unwanted.is_set():
                break
            heard.put(piece)
    except Exception as error:  # noqa: BLE001 - a model may fail in any way; the asking thread tells it as ModelDownError
        heard.put(error)
    else:
        heard.put(None)
