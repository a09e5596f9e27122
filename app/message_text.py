"""Answers as one Markdown text for chat programs that know nothing of citations: marks in the text, the sources below it."""

import re
from collections.abc import Iterator, Sequence

from app.answering import Answer, Said
from app.checking import QUOTED_INSTEAD
from app.citations import Citation
from app.layout import groups, leading

SOURCES = "来源："
_QUOTED_ABOVE = "，以上为原文摘录。"
_BEHIND = f"\n\n---\n\n{SOURCES}\n"
# What Markdown would swallow: 5~10mg must not be struck through, * and _ must not vanish.
_SWALLOWED = re.compile(r"([\\`*_~<|$\[\]])")


def whole_text(answer: Answer) -> str:
    """The text of an answer that is known in full."""
    first, _ = leading(answer.notices)
    said = [Said(sentence, ()) for sentence in answer.sentences]
    writer = MessageWriter(answer.citations)
    return "".join([writer.lead(first), *(writer.sentence(one) for one in said), writer.rest(answer)])


class MessageWriter:
    """Writes the text of an answer while it is spoken: `lead`, every `sentence`, the `rest`; joined they are the whole of it."""

    def __init__(self, citations: Sequence[Citation] = ()) -> None:
        self._citations = list(citations)
        self._told: set[str] = set()
        self._place: tuple[str, str] | None = None

    def lead(self, notices: Sequence[str]) -> str:
        """The notices before all sentences."""
        self._told.update(notices)
        return "".join(f"> **{shown(notice)}**\n\n" for notice in notices)

    def sentence(self, said: Said) -> str:
        """A sentence with its marks, under a heading where it comes from another place than the one before."""
        self._citations += said.citations
        group = groups([said.sentence], self._citations)[0]
        heading = "" if (group.title, group.section) == self._place else f"**{shown(f'{group.title} · {group.section}')}**\n\n"
        heading = "\n" + heading if heading and self._place else heading
        self._place = (group.title, group.section)
        marks = "".join(f"[{number}]" for number in said.sentence.citations)
        return f"{heading}- {shown(said.sentence.text)}{marks}\n"

    def rest(self, answer: Answer) -> str:
        """The notices not told yet, what is offered for choice, the disclaimer, the sources."""
        first, last = leading(answer.notices)
        late = [_as_said_above(notice) for notice in first if notice not in self._told]
        lines = [f"> **{shown(notice)}**" for notice in late] + [shown(notice) for notice in last[:-1]]
        if answer.candidates:
            lines.append("\n".join(f"{number}. {shown(candidate.title)}" for number, candidate in enumerate(answer.candidates, 1)))
        lines.append(shown(last[-1]))
        return ("\n" if answer.sentences else "") + "\n\n".join(lines) + "".join(_sources(answer))


def without_sources(text: str) -> str:
    """An earlier text of ours as it was said: the list of sources names drugs that nobody spoke of."""
    return text.partition(_BEHIND)[0]


def shown(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return _SWALLOWED.sub(r"\\\1", text.replace("\n", " "))


def _as_said_above(notice: str) -> str:
    return notice.removesuffix(QUOTED_INSTEAD) + _QUOTED_ABOVE if notice.endswith(QUOTED_INSTEAD) else notice


def _sources(answer: Answer) -> Iterator[str]:
    if not answer.citations:
        return
    yield _BEHIND
    for citation in answer.citations:
        document = citation.unit.document
        parts = (document.title, citation.unit.section.title, document.source.label, document.source.url)
        yield f"\n[{citation.number}] {' · '.join(shown(part) for part in parts if part)}\n"
