"""Looks a knowledge base of monographs over: what a careful editor would mark before it is published."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.documents import Document
from indexer.sections import SHIPPED
from indexer.terms import fold

# A single dose or daily amount that ends without a unit: "一次10，一日3次".
_NO_UNIT = re.compile(r"(?:一次|每次|一日|每日|剂量|首剂)\s*\d+(?:\.\d+)?(?:[~\-]\d+(?:\.\d+)?)?(?=[，。；、）\s]|$)")
# A character after which a drug's name begins; after any other the name is longer: 沙库巴曲缬沙坦.
_BEFORE_A_NAME = "用如和或及与即为加服含有的"
_ITEM = re.compile(r"- \S.*[。]")


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to mend: in which document, where in it, and what."""

    document: str
    section: str
    message: str

    def __str__(self) -> str:
        return f"{self.document}: {self.section}: {self.message}" if self.section else f"{self.document}: {self.message}"


@dataclass(frozen=True, slots=True)
class LintRules:
    """The table `[lint]` of a sections.toml: sections that drugs and diseases need, which of them are lists, and section names."""

    drug: tuple[str, ...]
    disease: tuple[str, ...]
    lists: tuple[str, ...]
    populations: tuple[str, ...]
    doses: str
    interactions: str
    special: str
    absent: str
    longer: tuple[str, ...] = ()


def load_rules(path: Path = SHIPPED) -> LintRules:
    """Read the rules."""
    raw = tomllib.loads(path.read_text("utf-8"))["lint"]
    values: dict[str, Any] = {name: value if isinstance(value, str) else tuple(value) for name, value in raw.items()}
    return LintRules(**values)


def lint(documents: Sequence[Document], rules: LintRules) -> list[Remark]:
    """All remarks: form of each document, names that collide, drugs called absent that are held, one-sided interactions."""
    whole = (_collisions(documents), _wrongly_absent(documents, rules), _one_sided(documents, rules))
    return [remark for remarks in (*(_form(document, rules) for document in documents), *whole) for remark in remarks]


def section_text(document: Document, title: str) -> str:
    """The body of the section of this heading; empty if there is none."""
    return next((document.body(section) for section in document.sections if section.title == title), "")


def _form(document: Document, rules: LintRules) -> Iterator[Remark]:
    expected = {"drug": rules.drug, "disease": rules.disease}.get(document.kind, ())
    present = [section.title for section in document.sections]
    for title in expected:
        if title not in present:
            yield Remark(document.id, title, "缺少这一节")
    for title in rules.lists:
        for line in section_text(document, title).split("\n") if title in present else []:
            if not _ITEM.fullmatch(line):
                yield Remark(document.id, title, f"不是一行一条、以句号结尾的列表：{line[:30]}")
    for found in _NO_UNIT.finditer(section_text(document, rules.doses)):
        yield Remark(document.id, rules.doses, f"剂量没有单位：{found[0]}")
    if document.kind == "drug":
        for group in rules.populations:
            if f"- {group}：" not in section_text(document, rules.special):
                yield Remark(document.id, rules.special, f"没有写“{group}”")


def _collisions(documents: Sequence[Document]) -> Iterator[Remark]:
    bearers: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        for name in sorted({fold(name) for name in (document.title, *document.aliases)}):
            bearers[name].append(document.id)
    for name, ids in bearers.items():
        if len(ids) > 1:
            yield Remark(ids[0], "", f"名称“{name}”也属于 {'、'.join(ids[1:])}")


def _wrongly_absent(documents: Sequence[Document], rules: LintRules) -> Iterator[Remark]:
    drugs = {document.title for document in documents if document.kind == "drug"}
    marked = re.compile(rf"([\w\-β/]+?){re.escape(rules.absent)}")
    for document in documents:
        for found in marked.finditer(document.text):
            before = {drug: found[1].removesuffix(drug) for drug in drugs if found[1].endswith(drug)}
            held = next((drug for drug, rest in before.items() if not rest or rest[-1] in _BEFORE_A_NAME), "")
            if held:
                yield Remark(document.id, "", f"“{held}”标为未收录，其实已收录")


def _one_sided(documents: Sequence[Document], rules: LintRules) -> Iterator[Remark]:
    drugs = {document.title: document for document in documents if document.kind == "drug"}
    longer = {name: [other for other in (*drugs, *rules.longer) if name in other and name != other] for name in drugs}

    def names_it(text: str, name: str) -> bool:
        for other in longer[name]:
            text = text.replace(other, "")
        return name in text

    texts = {name: section_text(document, rules.interactions) for name, document in drugs.items()}
    for name, text in texts.items():
        for other, back in texts.items():
            if name != other and names_it(text, other) and not names_it(back, name):
                yield Remark(drugs[other].id, rules.interactions, f"没有写“{name}”，而“{name}”一侧写了“{other}”")
