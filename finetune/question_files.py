"""Files of questions with answers, as doctors and patients wrote them: read, cleaned, and every faulty line told.

JSON Lines or CSV (.jsonl, .jsonl.gz, .csv). A row has a question and an answer under one of the names below, or under those that a column
map gives; or a question and `documents`, ids of documents of the knowledge base whose first section answers it.
"""

import csv
import gzip
import html
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.errors import Fault
from indexer.sentences import sentence_spans

QUESTION_NAMES = ("question", "问题", "提问", "ask", "query", "instruction")
ANSWER_NAMES = ("answer", "回答", "答案", "passage", "output", "response")
ROWS_AT_ONCE = 1000
# Characters. A question of fewer names nothing, an answer of more is an article; pairs beyond are left out and counted.
_QUESTION_LENGTHS, _ANSWER_LENGTHS = (4, 300), (10, 600)
_TAG = re.compile(r"<(?:script|style)[^>]*>.*?</(?:script|style)>|<!--.*?-->|</?[a-zA-Z][^<>]{0,300}>", re.DOTALL | re.IGNORECASE)
_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2028\u2029\ufeff]")
_SPACE = re.compile(r"[ \t\u00a0\u3000]+")
_CONTACT = re.compile(
    r"(?<!\d)1[3-9]\d[-\s]?\d{4}[-\s]?\d{4}(?!\d)|(?<!\d)(?:0\d{2,3}[-－—\s]?\d{7,8}|[48]00[-－—\s]?\d{3,4}[-－—\s]?\d{3,4})(?!\d)"
    r"|https?:|www\.|\.(?:com|cn|net|org)\b|[\w.]+@[\w.]+|(?:加|添加)?(?:微信|QQ|qq|扣扣|WeChat|wechat)(?:号|群|公众号)?\s*[:：]?\s*\w{5,}|公众号|扫码|二维码"
)
_ADVERTISEMENT = re.compile(
    r"(?:热线|电话|免费)(?:咨询|电话|热线)|(?:在线|点击)(?:咨询|预约|客服)|欢迎(?:来电|来院|致电|咨询|您来)|(?:我|本)院(?:位于|地址|专家|采用|引进|拥有|开展)"
    r"|医院(?:地址|电话|官网|热线)|地址\s*[:：]|乘车路线|门诊时间|优惠|包治|祖传|疗程价|(?:医院|门诊部|诊所|研究所)(?:是|为).{0,16}(?:权威|首选|最好|专业治疗)"
)
_COURTESY = re.compile(
    r"^(?:(?:您|你)好|谢谢|感谢|祝(?:您|你|患者|早日|身体)|希望(?:我|以上|上述|能).{0,20}(?:帮助|帮到|有用|满意)|(?:以上|上述)(?:是|就是).{0,24}(?:回答|解答|建议|介绍|回复)"
    r"|.{0,12}(?:期望|希望)我的(?:解释|回答|建议).{0,10}|感谢您的.{0,12}(?:咨询|提问|信任)|病情分析|指导意见|意见建议|医生建议)[^。！!？?]{0,12}[。！!，,：:]?$"
)
# Where none of these stands, every sentence says something: most answers need no cutting.
_MAYBE_COURTESY = re.compile("[您你]好|谢|祝|希望|期望|以上|上述|病情分析|指导意见|意见建议|医生建议|说明书|医嘱|咨询医生|就诊|问医生")
_NOTHING = re.compile(
    r"^(?:请|建议)?(?:详见|参见|参照|遵照|按照?|仔细阅读|见)?(?:药品)?(?:说明书|医嘱)[^，,。]{0,6}[。！]?$|^(?:请)?(?:遵医嘱|咨询医生|到医院就诊|问医生)[。！]?$"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its answer, cleaned, with where they stood."""

    question: str
    answer: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Raw rows of one file, with their lines: text of JSON, or the cells of a table by column."""

    path: str
    name: str
    rows: tuple[tuple[int, str | Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Under which names a row holds the question and the answer; empty: any of the names known here."""

    question: str = ""
    answer: str = ""

    def question_names(self) -> tuple[str, ...]:
        """Names to look for, in order."""
        return (self.question,) if self.question else QUESTION_NAMES

    def answer_names(self) -> tuple[str, ...]:
        """Names to look for, in order."""
        return (self.answer,) if self.answer else ANSWER_NAMES


def read_rows(path: Path, columns: Columns, faults: list[Fault]) -> Iterator[Rows]:
    """The rows of a file, some at a time; what makes the file unreadable, and rows of another width than the table, go to `faults`."""

    def report(line: int, field: str, message: str) -> None:
        faults.append(Fault(str(path), line, field, message))

    name = path.name.lower()
    if not name.endswith((".jsonl", ".jsonl.gz", ".csv")):
        report(0, "", "不是 .jsonl .jsonl.gz .csv 文件")
        return
    rows: list[tuple[int, str | Mapping[str, str]]] = []
    try:
        with gzip.open(path, "rb") if name.endswith(".gz") else path.open("rb") as file:
            lines = _decoded(file, report)
            for row in _table(lines, columns, report) if name.endswith(".csv") else enumerate(lines, 1):
                if not isinstance(row[1], str) or row[1].strip():
                    rows.append(row)
                if len(rows) == ROWS_AT_ONCE:
                    yield Rows(str(path), path.name, tuple(rows))
                    rows = []
    except (OSError, EOFError, zlib.error) as error:
        report(0, "", f"读不出来：{error}")
    except csv.Error as error:
        report(0, "", f"CSV 无法解析：{error}")
    if rows:
        yield Rows(str(path), path.name, tuple(rows))


def _decoded(file: Any, report: Callable[[int, str, str], None]) -> Iterator[str]:
    """Lines as text. One that is not UTF-8 is told and comes as an empty line, so that the rest keep their numbers."""
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            report(number, "", f"不是 UTF-8 编码（该行第 {error.start} 字节 0x{line[error.start]:02x}），请另存为 UTF-8")
            yield "\n"


def _table(lines: Iterator[str], columns: Columns, report: Callable[[int, str, str], None]) -> Iterator[tuple[int, Mapping[str, str]]]:
    table = csv.DictReader(lines)
    known = table.fieldnames or []
    for names in (columns.question_names(), columns.answer_names()):
        if not set(names) & set(known):
            report(
                1,
                names[0],
                f"没有这一列（认得 {'、'.join(names)}）；现有：{'、'.join(known)}；可用 --columns question=列名,answer=列名 指明",
            )
            return
    for row in table:
        if None in row or None in row.values():
            report(table.line_num, "", "单元格的数目与列数不同（单元格里有逗号时要用引号括起来）")
        else:
            yield table.line_num, row


def pairs_of(rows: Rows, columns: Columns, answers: Mapping[str, str]) -> Iterator[Pair | Fault | str]:
    """Of each row: the cleaned pair, what is wrong with the row, or why a right one is left out. `answers` are texts by document id."""
    for line, raw in rows.rows:
        row: Any = raw
        if isinstance(raw, str):
            try:
                row = json.loads(raw)
            except (ValueError, RecursionError) as error:
                yield Fault(rows.path, line, "", f"JSON 无法解析：{error}")
                continue
            if not isinstance(row, dict):
                yield Fault(rows.path, line, "", "一行应为一个 JSON 对象")
                continue
        found = _texts(row, columns, answers)
        if isinstance(found, str):
            yield Fault(rows.path, line, *found.split("|", 1))
        else:
            yield _cleaned(*found, rows.name, line)


def _texts(row: Mapping[str, Any], columns: Columns, answers: Mapping[str, str]) -> tuple[str, str] | str:
    """The raw question and answer, or `field|fault`."""
    question = next((row[name] for name in columns.question_names() if name in row), None)
    answer = next((row[name] for name in columns.answer_names() if name in row), None)
    documents = row.get("documents")
    if question is None:
        return f"{columns.question_names()[0]}|缺少（认得 {'、'.join(columns.question_names())}）"
    if answer is None and isinstance(documents, list) and documents and not columns.answer:
        answer = answers.get(str(documents[0]))
        if answer is None:
            return f"documents|知识库里没有 `{documents[0]}`，用 --kb 给出它所在的文件"
    if answer is None:
        return f"{columns.answer_names()[0]}|缺少（认得 {'、'.join(columns.answer_names())}）"
    for name, value in (("question", question), ("answer", answer)):
        if not isinstance(value, str):
            return f"{name}|`{str(value)[:40]}` 应为文字"
    return question, answer


def _cleaned(question: str, answer: str, file: str, line: int) -> Pair | str:
    """The pair without what no model should learn, or why it is left out."""
    question, answer = plain(question).replace("\n", " "), plain(answer)
    if not question or not answer:
        return "empty"
    if _CONTACT.search(question) or _ADVERTISEMENT.search(question):
        return "advertisement"
    answer = _without_courtesy_and_advertisements(answer)
    if not answer:
        return "boilerplate"
    if not _QUESTION_LENGTHS[0] <= len(question) <= _QUESTION_LENGTHS[1]:
        return "question length"
    if not _ANSWER_LENGTHS[0] <= len(answer) <= _ANSWER_LENGTHS[1]:
        return "answer length"
    return Pair(question, answer, file, line)


def plain(text: str) -> str:
    """Text without HTML, invisible characters and runs of white space; paragraphs stay apart."""
    text = _INVISIBLE.sub("", _TAG.sub("\n", html.unescape(text))) if "<" in text or "&" in text else _INVISIBLE.sub("", text)
    lines = (_SPACE.sub(" ", line).strip() for line in text.replace("\r", "\n").split("\n"))
    return "\n".join(line for line in lines if line)


def _without_courtesy_and_advertisements(text: str) -> str:
    """The sentences that say something of the matter; each stays as it was."""
    suspect = (_CONTACT, _ADVERTISEMENT, _MAYBE_COURTESY)
    if "\n" not in text and not any(pattern.search(text) for pattern in suspect):
        return text
    kept: list[str] = []
    for line in text.split("\n"):
        spans = sentence_spans(line)
        edges = [start for start, _ in spans[1:]] + [len(line)]
        start = 0
        pieces = []
        for edge in edges:
            piece, start = line[start:edge], edge
            told = piece.strip()
            if told and not (_CONTACT.search(told) or _ADVERTISEMENT.search(told) or _COURTESY.match(told) or _NOTHING.match(told)):
                pieces.append(piece)
        if joined := "".join(pieces).strip():
            kept.append(joined)
    return "\n".join(kept)
