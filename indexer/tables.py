"""Tables to lines that stand alone: every value with the head of its column, behind the head of its row. What is doubtful is not read."""

import re
from collections.abc import Sequence

from indexer.sentences import sentence_spans

LEFT_OUT = "这里的表格认不准行列，没有收录这张表：请核对原件，改写成文字或 Markdown 后再收录"
_DIGIT = re.compile(r"\d")
_STOPS = "。；;！!？? "
_STOP = re.compile(rf"[{_STOPS}]*[。；;！!？?][{_STOPS}]*")
# What a cell says in place of a dose.
_NO_DOSE = re.compile(
    r"(?:禁用|忌用|慎用|不用|不推荐|不建议|不宜|避免|无需|不需|不必|不详|尚无|未确定|遵医嘱|酌情|减量|减半|同成人|[-—－/无每一])"
)
_DOSE = re.compile(r"\d\s*(?:mg|g|kg|µg|μg|ug|ml|mL|IU|U|片|粒|毫克|克|毫升|单位|滴|支|次)(?![a-zA-Z])")


def bound_rows(grid: Sequence[Sequence[str]]) -> list[str] | None:
    """The rows below the heads, a line each; None where it is not certain which head is whose.

    A grid is full: cells that were merged repeat their text. A head of two rows is joined where the first one repeats itself.
    """
    rows = [[" ".join(cell.split()) for cell in row] for row in grid if any(cell.strip() for cell in row)]
    if len(rows) < 2 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    heads, body = rows[0], rows[1:]
    if len(set(heads)) < len(heads):
        heads = [upper if upper == lower else f"{upper} {lower}".strip() for upper, lower in zip(heads, body[0], strict=True)]
        body = body[1:]
    certain = all(heads) and len(set(heads)) == len(heads) and not any(_DIGIT.search(head) for head in heads)
    if not certain or not body or any(not row[0] or _DOSE.search(row[0]) or len(set(row)) == 1 for row in body):
        return None
    if len({row[0] for row in body}) < len(body) and len(heads) == 2:
        return None
    lines = [_line(heads, row) for row in body]
    return lines if all(len(sentence_spans(line)) == 1 for line in lines) else None


def _line(heads: Sequence[str], row: Sequence[str]) -> str:
    """One sentence: a stop within a cell would part what follows it from the head of its row."""
    values = "，".join(f"{head} {_STOP.sub('，', value.rstrip(_STOPS))}" for head, value in zip(heads[1:], row[1:], strict=True) if value)
    return f"{row[0]}：{values}。"


def of_one_head(grid: Sequence[Sequence[str]]) -> bool:
    """Whether no row of the body looks like the head of another table: a column of doses has one in every row, or says why not."""
    for column in list(zip(*grid[1:], strict=True))[1:]:
        doses = [bool(_DOSE.search(cell)) for cell in column]
        if any(doses) and not all(dose or _NO_DOSE.match(cell) for dose, cell in zip(doses, column, strict=True)):
            return False
    return True
