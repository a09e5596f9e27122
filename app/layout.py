"""Answers laid out for people: grouped by source, as Markdown for the chat, as values for its elements. The chat's wording is here."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from app.addresses import page_of
from app.answering import Answer, Found, Said, Sentence
from app.checking import QUOTED_INSTEAD
from app.citations import Citation, Unit
from app.disagreement import DISAGREEING
from app.safety import EMERGENCY
from indexer.documents import Document, Section
from indexer.release import Release

ASSISTANT = "qizhen"  # names the picture in public/avatars; Chainlit takes only ASCII there
STARTERS = (
    ("适应症", "非布司他能治疗什么病？"),
    ("儿童用量", "布洛芬儿童怎么用？"),
    ("两药合用", "阿司匹林和华法林能一起用吗？"),
    ("疾病表现", "2型糖尿病的临床表现有哪些？"),
)
WORKING = "检索 {milliseconds} 毫秒 · 找到 {units} 段 · 正在组织语言"
ANSWERED_BY = "回答方式"
RECORDED_AS = "记录编号 {record}"
STOPPED = "已按您的要求停止，没有给出回答；问题可以再发一次。"
FAILED = "没有答成：程序出错，您的问题没有丢失，可以再发一次。记录编号 {number}。"
SOURCE_GONE = "这条引用所在的版本已不在本机，无法打开原文。"
ASK_NEXT = "接着问"
ANSWERED_AGAIN = "*换用“{label}”再答：{question}*\n\n"
ONLY_UPLOADED = "仅依据您上传的文件"
UPLOADED_GONE = "来自当时上传的文件；文件已随对话删除，不能再打开。"
SUPERSEDED = {
    "changed": "这份资料已有新的版本，这里是回答当时所依据的原文。",
    "removed": "这份资料已从知识库撤下，这里是回答当时所依据的原文。",
}
_AT_FOOT = re.compile(r"\n\n\*记录编号 [0-9A-Z\\-]+\*$")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:])")


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences in a row from one section of one document."""

    title: str
    section: str
    sentences: tuple[Sentence, ...]


def groups(sentences: Sequence[Sentence], citations: Sequence[Citation]) -> list[Group]:
    """An answer's sentences by document and section, in order."""

    def place(sentence: Sentence) -> tuple[str, str]:
        unit = citations[sentence.citations[0] - 1].unit
        return unit.document.title, unit.section.title

    return [Group(*key, tuple(found)) for key, found in groupby(sentences, key=place)]


def leading(notices: Sequence[str]) -> tuple[list[str], list[str]]:
    """The notices that stand before the sentences, and those behind them."""
    first = [n for n in notices if n == EMERGENCY or n.endswith(QUOTED_INSTEAD) or n.startswith((DISAGREEING, ONLY_UPLOADED))]
    return first, [notice for notice in notices if notice not in first]


def message_pieces(answer: Answer) -> Iterator[str]:
    """The message in Markdown, a sentence at a time; joined they are the whole of it."""
    first, last = leading(answer.notices)
    yield from _lead(first)
    yield from _sentences(answer.sentences, answer.citations)
    for notice in last[:-1]:
        yield f"{escape(notice)}\n\n"
    if answer.status == "clarify" and answer.candidates:  # numbered, so that "第二个" answers too
        yield "".join(f"{number}. {escape(candidate.title)}\n" for number, candidate in enumerate(answer.candidates, 1)) + "\n"
    yield escape(last[-1])


def recorded_as(record: str) -> str:
    """The line at the foot of a message that says under which id it can be found again; "" where it cannot."""
    return f"\n\n*{escape(RECORDED_AS.format(record=record))}*" if record else ""


def without_record(message: str) -> str:
    """A message as it was said, without the line at its foot."""
    return _AT_FOOT.sub("", message)


def unfinished_message(found: Found, said: Sequence[Said]) -> str:
    """The message while a language model is speaking: what is happening, and the sentences that are checked."""
    citations = [citation for one in said for citation in one.citations]
    sentences = "".join(_sentences([one.sentence for one in said], citations))
    working = escape(WORKING.format(milliseconds=round(found.milliseconds), units=found.units))
    return "".join(_lead(found.notices)) + sentences + f"*{working}*"


def _lead(notices: Sequence[str]) -> Iterator[str]:
    for notice in notices:
        yield f"> **{escape(notice)}**\n\n"


def _sentences(sentences: Sequence[Sentence], citations: Sequence[Citation]) -> Iterator[str]:
    for group in groups(sentences, citations):
        yield f"**{escape(f'{group.title} · {group.section}')}**\n\n"
        bullet = "- " if len(group.sentences) > 1 else ""
        for sentence in group.sentences:
            marks = "".join(f" [\\[{number}\\]](#cite-{number})" for number in sentence.citations)
            yield f"{bullet}{escape(sentence.text)}{marks}\n"
        yield "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is: 5~10mg must not be struck through, * and _ must not vanish."""
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))


def source_rows(answer: Answer) -> list[dict[str, Any]]:
    """For the element under an answer: a row for every cited section (and page of it), with the places of its citations."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for citation in answer.citations:
        unit = citation.unit
        page = f"第 {unit.page} 页" if unit.page else ""
        label = " · ".join(p for p in (unit.document.title, unit.section.title, page, unit.document.source.label) if p)
        empty = {"label": label, "digest": digest_of(unit.document), "citations": []}
        row = rows.setdefault((unit.document.id, unit.section.title, unit.page), empty)
        place = {"release": citation.release, "document": unit.document.id, "start": unit.start, "end": unit.end}
        row["citations"].append({"number": citation.number, **place})
    return list(rows.values())


def digest_of(document: Document) -> str:
    """Enough of a document's digest to tell whether it is still the same."""
    return document.digest[:16]


def panel(release: Release, document: Document, start: int, end: int, whole: bool, superseded: str = "") -> dict[str, Any] | None:
    """For the side panel: the cited section (or the whole document) cut where the cited words begin and end.

    `superseded` is what is said above it where the document is no longer the published one.
    """
    section = document.section_at(start, end)
    if section is None or start >= end:
        return None
    shown = document.sections if whole else (section,)
    source = document.source
    facts = {"来源": source.title or source.publisher, "发布者": source.publisher, "修订日期": source.revised, "审核": source.review}
    page = document.page_at(start)
    facts |= {
        "页": f"第 {page} 页" if page else "",
        "有效期至": source.expires,
        "许可": source.licence,
        "网址": source.url,
        "知识库版本": release.id,
    }
    return {
        "title": document.title,
        "section": section.title,
        "facts": [[name, value] for name, value in facts.items() if value],
        "page": page_of(document) if document.kind == "drug" and superseded != SUPERSEDED["removed"] else "",
        "superseded": superseded,
        "whole": whole,
        "sections": [_cut(document, part, start, end) for part in shown],
        "place": {"release": release.id, "document": document.id, "start": start, "end": end},
    }


def _cut(document: Document, section: Section, start: int, end: int) -> dict[str, str]:
    if not section.start <= start < end <= section.end:
        return {"title": section.title, "before": document.body(section), "cited": "", "after": ""}
    unit = Unit(document, section, start, end)
    before, after = document.text[section.start : start], document.text[end : section.end]
    return {"title": section.title, "before": before, "cited": unit.text, "after": after}
