"""A drug looked up in the chat: its card, what else could be meant, or that it is not held. Wording for people is here."""

from dataclasses import dataclass
from typing import Any

from app.addresses import page_of
from app.answering import Candidate, candidate_of
from app.drug_card import DrugCard, look_up
from app.drug_names import LONGEST_QUERY
from app.layout import escape
from indexer.documents import Document, Section
from indexer.release import Release

COMMAND = "查药"
ABOUT = "按药名查看说明书"
EMPTY = "请在“查药”后写药名：中文名、英文名、商品名或别名。"
TOO_LONG = f"药名太长。请只写药名，不超过 {LONGEST_QUERY} 个字。"
# Shown open, in this order, before the others; whoever looks a drug up must not have to look for its ban.
_FIRST = ("适应症", "禁忌")
_FORMS = "规格与剂型"


@dataclass(frozen=True, slots=True)
class ChatCard:
    """What is shown of a look-up: a line of Markdown, the props of the card where one drug was found, else what is offered."""

    message: str
    card: dict[str, Any] | None
    label: str = ""
    candidates: tuple[Candidate, ...] = ()


def chat_card(release: Release, typed: str) -> ChatCard:
    """Look up what somebody typed after the command."""
    name = " ".join(typed.split())
    if not name:
        return ChatCard(EMPTY, None)
    if len(name) > LONGEST_QUERY:
        return ChatCard(TOO_LONG, None)
    found = look_up(release, name)
    if found.document is None:
        told = f"“{escape(name)}”可能指以下几种药。" if found.status == "ambiguous" else f"知识库中没有收录“{escape(name)}”。"
        return ChatCard(told, None, "请选择" if found.status == "ambiguous" else "相近的内容", found.candidates)
    return ChatCard(f"**{escape(found.document.title)}** 的资料如下。", _props(release, found, found.document))


def _props(release: Release, card: DrugCard, document: Document) -> dict[str, Any]:
    documents = list({told.id: told for told, _ in card.sections}.values())
    several = len(documents) > 1
    forms = [other.body(section).split("\n")[0].removeprefix("- ") for other in documents for section in release.guide.find(other, _FORMS)]
    about = candidate_of(release, document).about
    return {
        "title": document.title,
        "aliases": list(document.aliases),
        "about": about,
        "forms": [form for form in dict.fromkeys(forms) if form != about][:4],
        "warned": [
            {"title": near.title, "difference": near.difference, "page": page_of(release.store.document(near.position))}
            for near in card.look_alikes
        ],
        "sections": [
            {
                "title": section.title,
                "text": told.body(section),
                "origin": told.source.label or told.id if several else "",
                "open": is_first,
                "place": {"release": release.id, "document": told.id, "start": section.start, "end": section.end},
            }
            for is_first, told, section in _ordered(release, card)
        ],
        "sources": [
            {"label": " · ".join(p for p in (told.title, told.source.label) if p) or told.id, "page": page_of(told)} for told in documents
        ],
        "release": release.id,
    }


def _ordered(release: Release, card: DrugCard) -> list[tuple[bool, Document, Section]]:
    """The sections with those of _FIRST before the others, each document's in its own order."""
    firsts = {told.id: [release.guide.find(told, name) for name in _FIRST] for told, _ in card.sections}

    def rank(told: Document, section: Section) -> int:
        return next((at for at, sections in enumerate(firsts[told.id]) if section in sections), len(_FIRST))

    ranked = [(rank(told, section), told, section) for told, section in card.sections]
    return [(at < len(_FIRST), told, section) for at, told, section in sorted(ranked, key=lambda entry: entry[0])]
