"""Files of questions: read, checked, and every fault told at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.question import Turn, check_text
from indexer.errors import QuestionError

_ROLES = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A line of a questions file.

    `documents` maps the ids that answer it to their grade (1 or more); `terms` holds the accepted forms of every expected item;
    `refuse` says that it must not be answered, `clarify` that it should be asked back; `section` names the section that answers, `span`
    is the exact text that does; `category` groups it in tables.
    """

    id: str
    question: str
    history: tuple[Turn, ...]
    documents: Mapping[str, int]
    terms: tuple[tuple[str, ...], ...]
    refuse: bool
    clarify: bool
    section: str
    span: str
    category: str


def read_questions(path: Path) -> list[AskedQuestion]:
    """Read a JSON Lines file of questions. Raises QuestionError that lists every fault with its line."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"问题文件 `{path}` 读不出来：{error}", "检查路径；文件应为 UTF-8 编码的 JSON Lines") from error
    faults: list[str] = []
    questions = [
        question
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and (question := _read(line, f"{path}:{number}", faults))
    ]
    if not questions and not faults:
        faults.append(f"{path}: 没有问题")
    if faults:
        raise QuestionError(
            f"问题文件 `{path}` 有 `{len(faults)}` 处错误：\n" + "\n".join(faults), '每行一个 {"id": "…", "question": "…"}，改正后重试'
        )
    return questions


def _read(line: str, place: str, faults: list[str]) -> AskedQuestion | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        faults.append(f"{place}: JSON 无法解析：{error}")
        return None
    found: list[str] = []
    if not isinstance(row, dict):
        faults.append(f"{place}: 一行应为一个 JSON 对象")
        return None
    if not isinstance(row.get("id"), str | int) or not isinstance(row.get("question"), str):
        found.append("id、question: 缺少，或不是文字")
    else:
        try:
            check_text(row["question"])
        except QuestionError as error:
            found.append(f"question: {error.fault}")
    turns = row.get("history") or []
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        found.append('history: 应为 [{"role": "user|assistant", "content": "…"}]')
    terms = row.get("terms") or []
    if not isinstance(terms, list) or not all(isinstance(t, list) and all(isinstance(f, str) for f in t) for t in terms):
        found.append("terms: 应为 [[说法, …], …]")
    documents = row.get("documents") or []
    if not isinstance(documents, list) or not all(isinstance(document, str) for document in documents):
        found.append("documents: 应为文档编号的列表")
    if found:
        faults.extend(f"{place}: {fault}" for fault in found)
        return None
    return _asked(row, turns, documents)


def _asked(row: Mapping[str, Any], turns: list[dict[str, str]], documents: list[str]) -> AskedQuestion:
    grades = row.get("grades") or {}
    return AskedQuestion(
        id=str(row["id"]),
        question=row["question"],
        history=tuple(Turn(turn["role"], turn["content"]) for turn in turns),
        documents=dict.fromkeys(documents, 1) | {k: int(v) for k, v in grades.items() if int(v) > 0},
        terms=tuple(tuple(forms) for forms in row.get("terms") or []),
        refuse=bool(row.get("refuse")),
        clarify=bool(row.get("clarify")),
        section=str(row.get("section") or ""),
        span=str(row.get("span", "")),
        category=str(row.get("category", "")),
    )


def _is_turn(turn: object) -> bool:
    return isinstance(turn, dict) and turn.get("role") in _ROLES and isinstance(turn.get("content"), str)
