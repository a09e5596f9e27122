"""What the knowledge base lacks, as those who asked found it: refused, asked back, or disliked, by what was asked about."""

import datetime
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from app.answer_store import AnswerStore

# not_held: a name that no document is of; not_mentioned: a document that says nothing of what was asked; other: anything else.
GapKind = Literal["not_held", "not_mentioned", "other"]
_QUOTED = "“([^”]+)”"
_NOT_HELD = re.compile(f"没有收录{_QUOTED}")
_NOT_MENTIONED = re.compile(rf"{_QUOTED}的资料里没有(?:提到)?{_QUOTED}")
_UNDECIDED = re.compile(f"^{_QUOTED}有几种")


@dataclass(frozen=True, slots=True)
class Gap:
    """Questions about one thing that were not answered well.

    `about` is a name, a name and a field ("非布司他 · 贮藏"), or for `other` the question as it was understood. `refused`, `asked_back` and
    `disliked` count answers; one can be both refused and disliked. `first` and `latest` are UTC as in AnswerRecord.at; `question` is the
    latest one as it was asked, `record` its answer's id, `comment` the latest comment of somebody who disliked an answer.
    """

    kind: GapKind
    about: str
    refused: int
    asked_back: int
    disliked: int
    first: str
    latest: str
    question: str
    record: str
    comment: str = ""

    @property
    def count(self) -> int:
        """How often it was met."""
        return max(self.refused + self.asked_back, self.disliked)


async def gaps(store: AnswerStore, since: datetime.datetime, most: int = 200) -> tuple[Gap, ...]:
    """The gaps met since then, the most frequent first, of those the latest."""
    return gathered(await store.unsatisfying(since))[:most]


def gathered(rows: Iterable[Mapping[str, Any]]) -> tuple[Gap, ...]:
    """Gaps of rows of ANSWERS, which come in order of time."""
    found: dict[tuple[GapKind, str], Gap] = {}
    for row in rows:
        kind, about = asked_about(json.loads(row["notices"]), row["read_as"])
        gap = found.get((kind, about)) or Gap(kind, about, 0, 0, 0, row["at"], "", "", "")
        found[kind, about] = replace(
            gap,
            refused=gap.refused + (row["status"] == "refused"),
            asked_back=gap.asked_back + (row["status"] == "clarify"),
            disliked=gap.disliked + (row["rating"] < 0),
            latest=row["at"],
            question=row["question"],
            record=row["id"],
            comment=(row["comment"] if row["rating"] < 0 else "") or gap.comment,
        )
    return tuple(sorted(sorted(found.values(), key=lambda gap: gap.latest, reverse=True), key=lambda gap: -gap.count))


def asked_about(notices: Sequence[str], read_as: str) -> tuple[GapKind, str]:
    """What a question was about, by what its answer tells of it."""
    told = "\n".join(notices)
    if unknown := _NOT_HELD.search(told):
        return "not_held", unknown[1]
    if missing := _NOT_MENTIONED.search(told):
        return "not_mentioned", f"{missing[1]} · {missing[2]}"
    undecided = next((match for match in map(_UNDECIDED.match, notices) if match), None)
    return "other", undecided[1] if undecided else read_as
