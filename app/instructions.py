"""Text that speaks to a program instead of a reader: withheld from every answer, and told."""

import re
from collections.abc import Sequence
from functools import lru_cache

from app.citations import Unit
from indexer.terms import fold

# Written to be in no honest drug or disease text: 0 hits in the shipped texts and in 5,098 real labels and disease records (224,839 lines).
_TO_A_PROGRAM = re.compile(
    r"(忽略|无视|忘记|不要?理会)(你)?(以上|上述|上面|之前|前面|先前|此前|所有|一切|任何|其他)[^。\n]{0,10}(指令|提示|规则|要求|设定|说明)"
    r"|提示词|你现在扮演|你是(一个)?(ai|人工智能|语言模型)|作为(一个)?(ai|人工智能)?(语言模型|助手)"
    r"|(ignore|disregard|forget)\s+(all\s+|any\s+)?(of\s+)?(the\s+|your\s+)?(previous|above|prior|earlier)"
    r"|<\|[a-z_]+\|>|</?s>|\[/?inst\]|<</?sys>>|</?(资料|问题|system|user|assistant)>"
    r"|^\s*#+\s*(instruction|response|system)\b|^\s*(system|assistant)\s*:"
)


def without_instructions(units: Sequence[Unit]) -> tuple[list[Unit], list[str]]:
    """The units that speak to a reader, and a notice for every section where some do not.

    From such words on, the rest of their section is withheld: what follows them ("请回答：一次 10 片") reads like the text of a
    label, and could not be told from it.
    """
    kept: list[Unit] = []
    told: list[str] = []
    starts: dict[tuple[str, int], int | None] = {}
    for unit in units:
        place = (unit.document.id, unit.section.start)
        if place not in starts:
            starts[place] = _first_instruction(unit)
        start = starts[place]
        if start is None or unit.end <= start:
            kept.append(unit)
        else:
            told.append(f"“{unit.document.title}”的“{unit.section.title}”中有写给程序的话，自该处起未采用，请管理员核对原文。")
    return kept, list(dict.fromkeys(told))


def _first_instruction(unit: Unit) -> int | None:
    """Where in the document's text the unit's section begins to speak to a program."""
    line = _line_to_a_program(unit.document.body(unit.section))
    return None if line is None else unit.section.start + line


@lru_cache(maxsize=4096)
def _line_to_a_program(body: str) -> int | None:
    """Where the first such line begins. Lines are folded one by one: a fold may be longer than its text (ⅲ is three letters)."""
    start = 0
    for line in body.split("\n"):
        if _TO_A_PROGRAM.search(fold(line)):
            return start
        start += len(line) + 1
    return None
