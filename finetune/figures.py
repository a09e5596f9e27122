"""Marked answers to figures: of an exam, of each of its groups, and of one run beside another."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.measuring import share
from finetune.columns import Said
from finetune.comparing import bootstrap, mcnemar
from finetune.exam import ExamQuestion
from finetune.marking import Mark
from indexer.measure import mean, percentile

Row = Mapping[str, Any]
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Marked:
    """A question, what one column said to it, and the mark."""

    exam: str
    column: str
    question: ExamQuestion
    said: Said
    mark: Mark

    @property
    def row(self) -> dict[str, Any]:
        """As one line of answers.jsonl."""
        said, mark, checked = self.said, self.mark, self.said.checked
        return {
            "exam": self.exam,
            "id": self.question.id,
            "group": self.question.group,
            "section": self.question.section,
            "column": self.column,
            "question": self.question.question,
            "must": "refuse" if self.question.refuse else "clarify" if self.question.clarify else "answer",
            "answer": said.text,
            "status": said.status,
            "expected": [list(forms) for forms in self.question.terms],
            "named": mark.score.named,
            "exclusive": mark.score.exclusive,
            "standards": list(mark.score.standards) if self.question.terms else None,
            "hits": [asdict(hit) for hit in mark.score.hits],
            "entries": mark.entries,
            "matched": mark.matched,
            "held": mark.held,
            "recall": None if mark.recall is None else round(mark.recall, 4),
            "distinct": round(mark.distinct, 4),
            "characters": mark.characters,
            "sentences": checked.sentences if checked else None,
            "supported": checked.supported if checked else None,
            "contradicted": checked.contradicted if checked else None,
            "tokens": said.tokens,
            "cut": said.cut,
            "seconds": round(said.seconds, 4),
        }


def figures(rows: Sequence[Row]) -> Figures:
    """The figures of one column over one exam or group. Shares are 0 to 1 with their Wilson interval, times seconds."""
    scored = [row for row in rows if row["expected"]]
    expected = sum(len(row["expected"]) for row in scored)
    named, matched, entries = (sum(row[key] for row in scored) for key in ("named", "matched", "entries"))
    recall, precision = share(named, expected), share(matched, entries)
    sourced = [row for row in rows if row["held"] is not None]
    checked = [row for row in rows if row["sentences"] is not None]
    sentences = sum(row["sentences"] for row in checked)
    spoken = [row for row in rows if row["tokens"] is not None]
    tokens, seconds = sum(row["tokens"] for row in spoken), sum(row["seconds"] for row in spoken)
    texts = [row["recall"] for row in rows if row["recall"] is not None]
    return {
        "questions": len(rows),
        "scored": len(scored),
        **{f"standard_{n + 1}": share(sum(row["standards"][n] for row in scored), len(scored)) for n in range(3)},
        "item_recall": recall,
        "exclusive_recall": share(sum(row["exclusive"] for row in scored), expected),
        "precision": precision,
        "f1": _harmonic(recall["share"], precision["share"]),
        "held": share(sum(row["held"] for row in sourced), sum(row["entries"] for row in sourced)),
        "text_recall": {"share": round(mean(texts), 4) if texts else None, "n": len(texts)},
        "refused": {must: _with_status(rows, must, "refused") for must in ("refuse", "answer")},
        "made_up": _with_status(rows, "refuse", "answered"),
        "characters": {
            "mean": round(mean([row["characters"] for row in rows]), 1),
            "p50": percentile([r["characters"] for r in rows], 0.5),
        },
        "distinct": round(mean([row["distinct"] for row in rows]), 4),
        "cut": share(sum(row["cut"] for row in spoken), len(spoken)),
        "supported": share(sum(row["supported"] for row in checked), sentences),
        "contradicted": share(sum(row["contradicted"] for row in checked), sentences),
        "tokens": tokens,
        "tokens_a_second": round(tokens / seconds, 1) if seconds else None,
        "seconds": {f"p{p}": round(percentile([row["seconds"] for row in rows], p / 100), 4) for p in (50, 95)},
    }


def grouped(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Figures]]]:
    """Exam to group ("" is the whole exam; its sections are groups too) to column to figures, each in the order of the rows."""
    return {
        exam: {
            group: {column: figures(kept) for column, kept in _by(inside, "column").items()}
            for group, inside in {"": of_exam, **_groups(of_exam)}.items()
        }
        for exam, of_exam in _by(rows, "exam").items()
    }


def compare(rows: Sequence[Row], saved: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """Hold this run against a saved one, by exam and column, over the questions that both asked in the same words of the same items."""
    before = {_key(row): row for row in saved}
    compared = []
    for exam, of_exam in _by(rows, "exam").items():
        for column, inside in _by(of_exam, "column").items():
            pairs = [(row, before[_key(row)]) for row in inside if row["expected"] and _key(row) in before]
            if pairs:
                compared.append({"exam": exam, "column": column, "questions": len(pairs), **_compared(pairs, seed)})
    return compared


def _compared(pairs: Sequence[tuple[Row, Row]], seed: int) -> dict[str, Any]:
    standards = {}
    for n in range(3):
        ours, theirs, p = mcnemar([now["standards"][n] for now, _ in pairs], [then["standards"][n] for _, then in pairs])
        standards[f"standard_{n + 1}"] = {"only_now": ours, "only_then": theirs, "p": round(p, 4)}
    recalls = [[row["named"] / len(row["expected"]) for row in side] for side in zip(*pairs, strict=True)]
    difference, low, high = bootstrap(recalls[0], recalls[1], seed)
    return {**standards, "item_recall": {"difference": round(difference, 4), "low": round(low, 4), "high": round(high, 4)}}


def _key(row: Row) -> tuple[str, str, str, str]:
    return row["column"], row["id"], row["question"], repr(row["expected"])


def _by(rows: Sequence[Row], field: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[field], []).append(row)
    return found


def _groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """By group and by the section that answers, where there is more than one."""
    groups, sections = ({name: inside for name, inside in _by(rows, field).items() if name} for field in ("group", "section"))
    return {**(groups if len(groups) > 1 else {}), **(sections if len(sections) > 1 else {})}


def _with_status(rows: Sequence[Row], must: str, status: str) -> dict[str, Any]:
    inside = [row for row in rows if row["must"] == must]
    return share(sum(row["status"] == status for row in inside), len(inside))


def _harmonic(recall: float | None, precision: float | None) -> float | None:
    if recall is None or precision is None:
        return None
    return round(2 * recall * precision / (recall + precision), 4) if recall + precision else 0.0


def worst(rows: Sequence[Row], column: str, count: int = 5) -> list[Row]:
    """The answers of a column to look at first: contradicted ones, made-up ones where none was to be given, the least complete."""

    def harm(row: Row) -> tuple[float, ...]:
        made_up = row["must"] == "refuse" and row["status"] == "answered"
        recall = row["named"] / len(row["expected"]) if row["expected"] else row["recall"] if row["recall"] is not None else 1.0
        return -(row["contradicted"] or 0), -made_up, recall if row["must"] == "answer" else 1.0

    bad = [row for row in rows if row["column"] == column and harm(row) < (0, 0, 1.0)]
    return sorted(bad, key=harm)[:count]
