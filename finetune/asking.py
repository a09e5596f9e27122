"""Questions as people write them: templates of questions.toml filled in, and roughened as typing does."""

import random
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parent / "questions.toml"
ANY_FIELD = "*"
_NAME, _HEADING, _GROUP = "名", "章节", "人群"
_SLOT = re.compile(r"\{([^{}]+)\}")
# Shares of questions that are roughened. Measured on nothing: enough of each to be met in training, and most questions left plain.
_POLITE_BEFORE, _POLITE_BEHIND, _UNPUNCTUATED, _SLIPPED = 0.12, 0.06, 0.3, 0.03


@dataclass(frozen=True, slots=True)
class Template:
    """One way of asking. `split` is train, or the split that alone may hold it; `text` has {slots}."""

    id: str
    text: str
    split: str


@dataclass(frozen=True, slots=True)
class Form:
    """The ways of asking for one field of a drug or disease; `follow` are questions that lean on the turn before."""

    kind: str
    field: str
    ask: tuple[Template, ...]
    held_out: tuple[Template, ...]
    follow: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """Words put before and behind a question, and slips of the pen as (right, written)."""

    before: tuple[str, ...]
    behind: tuple[str, ...]
    slips: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asking:
    """The content of a questions.toml. `more` asks for the rest of an answer."""

    forms: Mapping[tuple[str, str], Form]
    slots: Mapping[str, tuple[str, ...]]
    noise: Noise
    more: tuple[Template, ...]

    def form(self, kind: str, field: str) -> Form:
        """How a field of a kind is asked for; a field without an entry by its heading."""
        return self.forms.get((kind, field)) or self.forms[kind, ANY_FIELD]

    def held_out_ids(self) -> frozenset[str]:
        """Ids of all templates that training never sees."""
        return frozenset(template.id for form in self.forms.values() for template in form.held_out)

    def words(self) -> list[str]:
        """The words of the questions that training may show, once each: its forms without names, what fills their slots, the noise."""
        forms = (template.text for form in self.forms.values() for template in (*form.ask, *form.follow))
        asked = {part for text in forms for part in _SLOT.split(text)}
        filling = (word for words in self.slots.values() for word in words)
        return sorted({*asked, *filling, *self.noise.before, *self.noise.behind} - {""})

    def fill(self, template: Template, name: str, heading: str, dice: random.Random) -> str:
        """The template with every slot filled, unroughened."""
        fixed = {_NAME: name, _HEADING: heading}
        return _SLOT.sub(lambda match: fixed.get(match[1]) or dice.choice(self.slots[match[1]]), template.text)

    def roughen(self, question: str, name: str, dice: random.Random) -> str:
        """The question as typed in haste: polite words, no full stop, a slip of the pen. The name stays as it is."""
        if dice.random() < _SLIPPED:
            question = self._slip(question, name, dice)
        if dice.random() < _UNPUNCTUATED:
            question = question.rstrip("？")
        if dice.random() < _POLITE_BEHIND:
            question = question.rstrip("？") + dice.choice(self.noise.behind)
        if dice.random() < _POLITE_BEFORE:
            question = dice.choice(self.noise.before) + question
        return question

    def _slip(self, question: str, name: str, dice: random.Random) -> str:
        pieces = question.split(name) if name else [question]
        fitting = [slip for slip in self.noise.slips if any(slip[0] in piece for piece in pieces)]
        if not fitting:
            return question
        right, written = dice.choice(fitting)
        return name.join(piece.replace(right, written) for piece in pieces)


@cache
def load_asking(path: Path = SHIPPED) -> Asking:
    """The ways of asking that come with the project, or those of another file of the same shape."""
    raw = tomllib.loads(path.read_text("utf-8"))
    groups: dict[str, list[str]] = raw["groups"]
    entries = (one for entry in raw["field"] for one in (_of_groups(entry, groups) if entry["name"] == _GROUP else [entry]))
    forms = [_form(entry) for entry in entries]
    noise = raw["noise"]
    slips = tuple((right, written) for right, written in noise["slips"])
    return Asking(
        {(form.kind, form.field): form for form in forms},
        {name: tuple(words) for name, words in (*raw["slots"].items(), *groups.items())},
        Noise(tuple(noise["before"]), tuple(noise["behind"]), slips),
        tuple(Template(f"more/f{number:02d}", text, "train") for number, text in enumerate(raw["more"]["ask"], 1)),
    )


def _of_groups(entry: Mapping[str, Any], groups: Iterable[str]) -> list[dict[str, Any]]:
    """The entry that asks for patient groups as one for each group, its words in the place of {人群}."""

    def about(group: str, texts: Sequence[str]) -> list[str]:
        return [text.replace(f"{{{_GROUP}}}", f"{{{group}}}") for text in texts]

    asked = ("ask", "held_out", "follow")
    return [{"kind": entry["kind"], "name": group} | {key: about(group, entry[key]) for key in asked} for group in groups]


def _form(entry: Mapping[str, Any]) -> Form:
    kind, field = entry["kind"], entry["name"]

    def templates(texts: Sequence[str], mark: str, splits: Sequence[str]) -> tuple[Template, ...]:
        numbered = enumerate(texts, 1)
        return tuple(Template(f"{kind}/{field}/{mark}{n:02d}", text, splits[(n - 1) % len(splits)]) for n, text in numbered)

    return Form(
        kind,
        field,
        templates(entry["ask"], "", ["train"]),
        templates(entry["held_out"], "h", ["test", "dev"]),
        templates(entry["follow"], "f", ["train"]),
    )
