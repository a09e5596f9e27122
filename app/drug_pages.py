"""The drug pages: look-up while typing, monographs, and drugs checked against each other. Their wording is in app/pages/templates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app import drug_check
from app.access import require
from app.addresses import check_of, page_of
from app.answering import candidate_of
from app.drug_check import Drug
from app.drug_names import LONGEST_QUERY, Found, drug_names, suggest
from app.lookalike import confusable_with
from app.problems import Problem
from app.rendering import PageRoute, page
from app.service import Serving
from indexer.documents import Document
from indexer.release import Release
from indexer.terms import fold

# What is read first of a drug; where a text has no such section that is told.
SAFETY_SECTIONS = ("禁忌", "特殊人群", "药物相互作用", "注意事项")
# Drugs an address may name: up to these it is shown what can be taken away, past them nothing is looked up.
_MOST_ASKED = 30


router = APIRouter(route_class=PageRoute, dependencies=[require("drugs")], include_in_schema=False)


def current_release(service: Serving) -> Release:
    """The published release, the new one as soon as another is published."""
    return service.shelf.current()


Current = Annotated[Release, Depends(current_release)]
Typed = Annotated[str, Query()]
Chosen = Annotated[list[str], Query(alias="drug", default_factory=list)]


@dataclass(frozen=True, slots=True)
class Row:
    """A drug on offer: where it leads, what it is, and what it must not be mistaken for."""

    href: str
    title: str
    matched: str
    about: str
    look_alikes: tuple[str, ...]
    beside: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A drug chosen for the check; `without` is the address of the check without it."""

    document: Document
    about: str
    look_alikes: list[str]
    without: str


@router.get("/drugs", response_class=HTMLResponse)
def look_up(release: Current, q: Typed = "") -> Response:
    """The look-up page; with `q` what it may stand for."""
    found = _suggest(release, q)
    return page("look_up.html", release=release, found=found, rows=_rows(release, found, page_of), count=len(drug_names(release)))


@router.get("/drugs/suggest", response_class=HTMLResponse)
def suggest_drugs(release: Current, q: Typed = "") -> Response:
    """The options of the look-up field."""
    found = _suggest(release, q)
    return page("options.html", found=found, rows=_rows(release, found, page_of))


@router.get("/drugs/interactions", response_class=HTMLResponse)
def interactions(release: Current, chosen: Chosen, add: Typed = "") -> Response:
    """Two to ten drugs checked against each other; `add` is a name that was typed, taken only where it can mean one drug."""
    drugs, repeated = _drugs(release, chosen)
    found = _suggest(release, add)
    if document := _meant(release, found):
        known = any(release.store.position(document.id) in drug.subject.documents for drug in drugs)
        if not known:
            return RedirectResponse(check_of([*(drug.document for drug in drugs), document]), 303)
        repeated, found = [*repeated, document.title], Found("", ())
    too_many = len(drugs) > drug_check.MOST
    pairs = drug_check.check(release, drugs) if len(drugs) >= drug_check.FEWEST and not too_many else []
    documents = [drug.document for drug in drugs]
    return page(
        "interactions.html",
        422 if too_many else 200,
        release=release,
        chosen=[_chosen(release, drug, documents) for drug in drugs],
        repeated=repeated,
        found=found,
        rows=_rows(release, found, _adding(documents)),
        pairs=pairs,
        warned=_look_alikes_among(release, drugs),
        too_many=too_many,
        most=drug_check.MOST,
    )


@router.get("/drugs/interactions/suggest", response_class=HTMLResponse)
def suggest_beside(release: Current, chosen: Chosen, q: Typed = "") -> Response:
    """The options of the field that adds a drug to those chosen."""
    documents = [drug.document for drug in _drugs(release, chosen)[0]]
    found = _suggest(release, q)
    return page("options.html", found=found, rows=_rows(release, found, _adding(documents)))


@router.get("/drugs/{document_id:path}", response_class=HTMLResponse)
def monograph(release: Current, document_id: str) -> Response:
    """One document about a drug, section by section."""
    if not document_id:
        return RedirectResponse("/drugs", 308)
    document = _document(release, document_id)
    drug = drug_check.drug_of(release, document)
    others = [release.store.document(position) for position in drug.subject.documents]
    find = release.guide.find
    safety = [(name, [document.sections.index(section) + 1 for section in find(document, name)]) for name in SAFETY_SECTIONS]
    return page(
        "monograph.html",
        release=release,
        document=document,
        about=candidate_of(release, document).about,
        sections=[(section, _blocks(document.body(section))) for section in document.sections],
        safety=safety,
        warned=[(near, page_of(release.store.document(near.position))) for near in confusable_with(release, drug.subject.documents)],
        others=[other for other in others if other.id != document.id],
    )


def _chosen(release: Release, drug: Drug, documents: Sequence[Document]) -> Chip:
    without = check_of([other for other in documents if other is not drug.document])
    beside = [near.title for near in confusable_with(release, drug.subject.documents)]
    return Chip(drug.document, candidate_of(release, drug.document).about, beside, without)


def _adding(documents: Sequence[Document]) -> Callable[[Document], str]:
    return lambda document: check_of([*documents, document])


def _suggest(release: Release, typed: str) -> Found:
    if len(typed) > LONGEST_QUERY:
        raise Problem(422, f"药名有 {len(typed)} 个字，太长了。请只写药名，不超过 {LONGEST_QUERY} 个字。")
    return suggest(release, typed)


def _rows(release: Release, found: Found, href: Callable[[Document], str]) -> list[Row]:
    rows = []
    for suggestion in found.suggestions:
        document = release.store.document(suggestion.position)
        about = candidate_of(release, document).about or document.source.label
        rows.append(Row(href(document), suggestion.title, suggestion.matched, about, suggestion.look_alikes, suggestion.beside))
    return rows


def _meant(release: Release, found: Found) -> Document | None:
    """The one drug that bears a typed name exactly as its title or alias; nothing where several do or it is only near."""
    titles = {fold(release.names.title(position)) for position in release.names.exact(found.query)}
    if found.misspelt or len(titles) != 1 or not found.suggestions:
        return None
    document = release.store.document(found.suggestions[0].position)
    return document if fold(document.title) in titles else None


def _document(release: Release, document_id: str) -> Document:
    document = release.document(document_id)
    if document is None or document.kind != "drug":
        what = "是疾病或其他资料，不是药品" if document else "没有收录"
        raise Problem(404, f"知识库的当前版本中，编号“{document_id}”{what}。请按药名查找；旧链接所指的药品可能已在新版本中移除。")
    return document


def _drugs(release: Release, chosen: Sequence[str]) -> tuple[list[Drug], list[str]]:
    """The drugs of these ids, each once, and the titles of those given twice. Raises Problem that names every id not held."""
    if len(chosen) > _MOST_ASKED:
        raise Problem(422, f"选了 {len(chosen)} 种药，一次最多核对 {drug_check.MOST} 种，没有核对任何一对。请重新添加要核对的药品。")
    documents = {name: release.document(name) for name in chosen}
    unknown = [name for name, document in documents.items() if document is None or document.kind != "drug"]
    if unknown:
        listed = "、".join(f"“{name}”" for name in unknown)
        raise Problem(404, f"知识库的当前版本中没有收录这些编号的药品：{listed}。请按药名重新添加；没有核对任何一对。")
    drugs: dict[tuple[int, ...], Drug] = {}
    repeated = []
    for name in chosen:
        if document := documents[name]:
            drug = drug_check.drug_of(release, document)
            if drug.subject.documents in drugs:
                repeated.append(document.title)
            drugs.setdefault(drug.subject.documents, drug)
    return list(drugs.values()), list(dict.fromkeys(repeated))


def _look_alikes_among(release: Release, drugs: Sequence[Drug]) -> list[tuple[str, str, str]]:
    """(title, title, difference) of the chosen drugs that look alike."""
    by_position = {position: drug for drug in drugs for position in drug.subject.documents}
    found: dict[frozenset[str], tuple[str, str, str]] = {}
    for drug in drugs:
        for near in confusable_with(release, drug.subject.documents):
            if near.position in by_position:
                key = frozenset((drug.document.title, near.title))
                found.setdefault(key, (drug.document.title, near.title, near.difference))
    return list(found.values())


def _blocks(body: str) -> list[tuple[bool, list[str]]]:
    """A section's text as (is a list, lines): lines that begin with a dash are items, the others paragraphs. No word is altered."""
    blocks: list[tuple[bool, list[str]]] = []
    for line in body.split("\n"):
        item = line.startswith("- ")
        if line.strip():
            if not blocks or blocks[-1][0] != item:
                blocks.append((item, []))
            blocks[-1][1].append(line.removeprefix("- "))
    return blocks
