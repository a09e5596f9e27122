"""Files of claims with their evidence: read, checked, and every fault told at once."""

import json
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import QuestionError

_HINT = '每行一个 {"claim": "要核对的话", "evidence": "它引用的原文"}，改正后重试'


@dataclass(frozen=True, slots=True)
class CitedClaim:
    """A line of a claims file."""

    claim: str
    evidence: str


def read_claims(path: Path) -> list[CitedClaim]:
    """Read a JSON Lines file of claims. Raises QuestionError that lists every fault with its line."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"核对文件 `{path}` 读不出来：{error}", f"检查路径；文件应为 UTF-8 编码的 JSON Lines，{_HINT}") from error
    faults: list[str] = []
    claims = [claim for number, line in enumerate(lines, 1) if line.strip() and (claim := _read(line, f"{path}:{number}", faults))]
    if not claims and not faults:
        faults.append(f"{path}: 没有要核对的话")
    if faults:
        raise QuestionError(f"核对文件 `{path}` 有 `{len(faults)}` 处错误：\n" + "\n".join(faults), _HINT)
    return claims


def _read(line: str, place: str, faults: list[str]) -> CitedClaim | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        faults.append(f"{place}: JSON 无法解析：{error}")
        return None
    if not isinstance(row, dict):
        faults.append(f"{place}: 一行应为一个 JSON 对象")
        return None
    wrong = [field for field in ("claim", "evidence") if not isinstance(row.get(field), str)]
    if wrong:
        faults.append(f"{place}: {'、'.join(wrong)}: 缺少，或不是文字")
        return None
    return CitedClaim(row["claim"], row["evidence"])
