"""The knowledge base as plain text, for continued pre-training: documents whole, and their sections under several headings.

What a small model met in one form only it can continue but not tell when asked; the same section behind several phrasings and names
is what lets it be asked for (Allen-Zhu and Li, Physics of Language Models 3.1).
"""

import json
import random
from collections.abc import Iterator

from finetune.dice import dice_for
from finetune.facts import Fact, Knowledge

TEXTS = "texts.jsonl"
_HEADINGS = (
    "{名} {章节}：{文}",
    "{名}的{章节}：{文}",
    "{章节}（{名}）：{文}",
    "{名}\n{章节}\n{文}",
    "关于{名}的{章节}：{文}",
    "《{名}》{章节}：{文}",
)
_BY_TITLE, _BY_ALIAS = 2, 1


def text_lines(knowledge: Knowledge, seed: int) -> Iterator[bytes]:
    """Lines of a texts file: every document, and its sections one by one."""
    for position, document in enumerate(knowledge.documents):
        dice = dice_for(seed, "texts", document.id)
        called = f"（{'、'.join(document.aliases)}）" if document.aliases else ""
        yield _line(f"{document.title}{called}\n\n{document.text}")
        for number in knowledge.facts_of[position]:
            for text in _renderings(knowledge, knowledge.facts[number], dice):
                yield _line(text)


def _renderings(knowledge: Knowledge, fact: Fact, dice: random.Random) -> Iterator[str]:
    document = knowledge.document(fact)
    body = document.body(fact.section)
    others = [name for name in fact.names if name != document.title]
    names = [document.title] * _BY_TITLE + dice.sample(others, min(_BY_ALIAS, len(others)))
    for name, heading in zip(names, dice.sample(_HEADINGS, len(names)), strict=True):
        text = body if dice.random() < 0.5 else " ".join(unit.text for unit in knowledge.units(fact)) or body
        yield heading.replace("{名}", name).replace("{章节}", fact.section.title).replace("{文}", text)


def _line(text: str) -> bytes:
    return (json.dumps({"text": text}, ensure_ascii=False) + "\n").encode()
