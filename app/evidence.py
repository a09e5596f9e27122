"""Which sentences of the knowledge base answer a question; or why none does."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.citations import Unit
from app.question import Question, Subject, content_terms
from indexer.documents import Document, Section
from indexer.names import Mention
from indexer.release import Release
from indexer.search import Hit, coverage, find_passages
from indexer.sections import Population
from indexer.sentences import sentence_spans
from indexer.terms import bare, fold, terms

# Share of a free question's content, weighted by rarity, that a passage must hold before it may answer.
# 0.62: the least at which no question about a topic that is not held was answered, while 93 % of complaints that labels list were;
# measured by tests/benchmarks/answers.py, which prints the curve.
COVERED = 0.62
# The same for a sentence of a document that the question names.
COVERED_IN_DOCUMENT = 0.5
_MOST_FREE_DOCUMENTS = 3
_MOST_FREE_SENTENCES = 6
_PURPOSE = re.compile(r"(?:治疗|用于|用来治|医治|治)([\u3400-\u9fffa-z0-9\-]{2,})")
_AVOIDING = ("禁忌", "注意事项", "药物相互作用", "特殊人群", "用法用量")
# Where a question for a section may look when it names a condition instead of a drug or disease that is held.
_FITTING_SECTIONS = {"治疗药物": ("适应症", "治疗药物"), "治疗方法": ("适应症", "治疗药物"), "概述": ("临床表现", "概述")}
_COMPARING = re.compile(r"区别|不同|比较|差别|哪个好")
_INTERACTION = "药物相互作用"
_DOSE = "用法用量"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sentences that answer, in the order to show them. `notices` say what a reader must know about them."""

    units: tuple[Unit, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing held answers. `near` are positions of the documents that come nearest to `name` in the question."""

    reason: str
    near: tuple[int, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Clarification:
    """Several documents fit `name` in the question; `candidates` are their positions."""

    prompt: str
    candidates: tuple[int, ...] = ()
    name: str = ""


Finding = Evidence | Refusal | Clarification


def gather(release: Release, question: Question) -> Finding:
    """Find what answers a question. The order of the cases is the order of harm: first what must not be mistaken for another."""
    if question.other is not None:
        return _longer_name(release, question.other)
    drugs = question.of_kind("drug")
    if len(drugs) > 1 and _asks_together(question):
        return _together(release, drugs)
    if question.unknown:
        return _unknown(release, question)
    if not question.subjects:
        return Clarification("请说明要问的是哪个药品或疾病。") if question.sections else _free(release, question)
    subjects = _asked_about(release, question)
    findings = [_about(release, question, subject) for subject in subjects]
    return _merge(findings)


def _longer_name(release: Release, mention: Mention) -> Finding:
    near = () if mention.form_only else tuple(release.names.near(mention.whole, {mention.kind}))
    if near:
        return Clarification(f"没有收录“{mention.whole}”。您要找的是：", near, mention.whole)
    return Refusal(f"没有收录“{mention.whole}”。", mention.documents, mention.whole)


def _unknown(release: Release, question: Question) -> Finding:
    """A question for sections of something that is not held. Its name must not be looked for in others' texts, except where the
    question asks which drug or disease fits a condition, or where a plain text speaks of it.
    """
    found = _free(release, question)
    if isinstance(found, Evidence):
        return found
    purpose = _PURPOSE.fullmatch(question.unknown)
    name = purpose[1] if purpose else question.unknown
    kinds = _kinds(release, question.sections)
    near = release.names.near(name, kinds) or release.names.containing(name, kinds)
    if near:
        return Clarification(f"没有收录“{name}”。您要找的是：", tuple(near), name)
    return Refusal(f"没有收录“{name}”。", tuple(release.names.related(name, kinds)), name)


def _kinds(release: Release, sections: Iterable[str]) -> set[str]:
    named = (release.guide.named(section) for section in sections)
    return {kind for canonical in named if canonical for kind in canonical.kinds}


def _asks_together(question: Question) -> bool:
    return _INTERACTION in question.sections or (not question.sections and not _COMPARING.search(question.query.folded))


def _asked_about(release: Release, question: Question) -> tuple[Subject, ...]:
    """The subjects whose kind has what is asked for; a drug before a disease where nothing is asked for."""
    asked = _kinds(release, question.sections)
    fitting = tuple(subject for subject in question.subjects if subject.kind in asked)
    return fitting or question.of_kind("drug") or question.subjects


def _about(release: Release, question: Question, subject: Subject) -> Finding:
    """What one drug's or disease's documents say to the question."""
    positions = subject.documents
    if _several_titles(release, positions):
        return _variants(release, question, subject)
    return _within(release, question, subject, positions)


def _variants(release: Release, question: Question, subject: Subject) -> Finding:
    """Dosage forms of one ingredient: answered together where their texts agree on what was asked, else asked back."""
    findings = [_within(release, question, subject, (position,)) for position in subject.documents]
    answers = [finding for finding in findings if isinstance(finding, Evidence)]
    said = {tuple(bare(unit.text) for unit in answer.units) for answer in answers}
    if len(said) > 1:
        return Clarification(f"“{subject.name}”有几种，说明不同。您要问的是：", subject.documents, subject.name)
    return _merge(answers) if answers else findings[0]


def _within(release: Release, question: Question, subject: Subject, positions: Sequence[int]) -> Finding:
    documents = [release.store.document(position) for position in positions]
    focus = _focus(release, question, subject)
    missing = _unmentioned(question, documents, focus)
    if missing:
        return Refusal(f"“{subject.name}”的资料里没有提到“{missing}”。", tuple(positions))
    if partners := _partners(question):
        found = [u for u in _warnings(release, documents) if any(partner in fold(u.text) for partner in partners)]
    elif question.sections:
        found = _sections(release, question, subject, documents)
    elif question.query.populations:
        found = _for_populations(release, documents, question.query.populations, _AVOIDING)
    elif focus:
        found = _mentioning(release, documents, [name for names in focus for name in names])
    elif content_terms(question.query):
        found = _covering(release, documents, question.query.residue)
    else:
        found = _overview(release, documents)
    if not found:
        return Refusal(_what_is_missing(question, subject, documents), tuple(positions))
    surfaced = _surfaced(release, question, documents, found) if question.sections else []
    return Evidence(tuple(found + surfaced), (*_disagreement(documents, found), *_absent(release, question, subject, documents)))


def _partners(question: Question) -> list[str]:
    """What a drug is to be taken together with, where that is no held name: 头孢, 牛奶."""
    if question.sections != (_INTERACTION,):
        return []
    runs = (run for run in question.query.pointed if len(run) > 1)
    return [run for run in runs if re.search(rf"[和与跟同]{re.escape(run)}|{re.escape(run)}[和与跟同]", question.query.folded)]


def _focus(release: Release, question: Question, subject: Subject) -> list[list[str]]:
    """Spellings of the other names that stand beside what is asked: the disease that a drug is asked about for."""
    focus = []
    for mention in question.query.held:
        tied = not question.sections or question.query.beside_cue(mention)
        if tied and mention.documents != subject.documents and mention.kind != subject.kind:
            others = [release.store.document(position) for position in mention.documents]
            spelled = [mention.surface, *(fold(name) for other in others for name in (other.title, *other.aliases))]
            focus.append(list(dict.fromkeys(spelled)))
    return focus


def _unmentioned(question: Question, documents: Sequence[Document], focus: Sequence[Sequence[str]]) -> str:
    """A disease that the question ties to what it asks, and the documents never speak of."""
    whole = fold(" ".join(document.text for document in documents))
    for names in focus:
        if not any(name in whole for name in names):
            return names[0]
    if question.sections:
        for run in question.query.pointed:
            purpose = _PURPOSE.search(run)
            wanted = set(terms(purpose[1])) if purpose else set()
            if purpose and len(wanted & set(terms(whole))) < len(wanted) / 2:
                return purpose[1]
    return ""


def _sections(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> list[Unit]:
    """The sections asked for, whole; only what speaks of a population where one is named."""
    # A patient of three counts for a dose wherever the question speaks of it; for other sections only beside what is asked.
    populations = question.query.populations if _DOSE in question.sections else question.query.asked_populations
    titled = [population for population in populations if population.name not in subject.name]
    if titled and subject.kind == "drug" and not _own_population(titled, documents):
        return _for_populations(release, documents, titled, question.sections)
    found = [
        unit
        for document in documents
        for name in question.sections
        for section in release.guide.find(document, name)
        for unit in units_of(document, section)
    ]
    if not found and set(question.sections) & {"概述", "药物类别"}:
        return _overview(release, documents)
    return _unique(found)


def _own_population(populations: Sequence[Population], documents: Sequence[Document]) -> bool:
    """Whether the documents are for that population altogether: 小儿感冒颗粒 asked about for a child."""
    return all(any(term in document.title for term in p.terms) for p in populations for document in documents)


def _for_populations(
    release: Release, documents: Sequence[Document], populations: Sequence[Population], sections: Sequence[str]
) -> list[Unit]:
    """Sections about the populations, and the sentences that speak of them in the sections asked for and in the warnings."""
    found: list[Unit] = []
    for document in documents:
        own = [s for s in document.sections if any(fold(s.title) in population.titles for population in populations)]
        asked = [s for name in dict.fromkeys((*sections, *_AVOIDING)) for s in release.guide.find(document, name)]
        words = [term for population in populations for term in population.terms]
        for section in asked:
            found.extend(unit for unit in units_of(document, section) if any(word in fold(unit.text) for word in words))
        found.extend(unit for section in own for unit in units_of(document, section))
    return _unique(found)


def _mentioning(release: Release, documents: Sequence[Document], names: Sequence[str]) -> list[Unit]:
    """Sentences of the clinical sections that hold one of the names."""
    return [unit for unit in _clinical(release, documents) if any(name in fold(unit.text) for name in names)]


def _covering(release: Release, documents: Sequence[Document], runs: Sequence[str]) -> list[Unit]:
    """Sentences of the clinical sections that hold enough of what is said, the fullest first where they differ much."""
    scored = [(coverage(release, runs, f"{unit.section.title} {unit.text}"), unit) for unit in _clinical(release, documents)]
    best = max((share for share, _ in scored), default=0.0)
    return _unique([unit for share, unit in scored if share >= max(COVERED_IN_DOCUMENT, 0.8 * best)])[:_MOST_FREE_SENTENCES]


def _overview(release: Release, documents: Sequence[Document]) -> list[Unit]:
    """What a bare name is answered with: what it is and what it is for."""
    found: list[Unit] = []
    for document in documents:
        names = ("药物类别", "适应症") if document.kind == "drug" else ("概述", "临床表现")
        sections = [section for name in names for section in release.guide.find(document, name)[:1]]
        if document.kind == "disease" and len(sections) > 1:
            sections = sections[:1]
        found.extend(unit for section in sections or document.sections[:1] for unit in units_of(document, section))
    return _unique(found)


def _surfaced(release: Release, question: Question, documents: Sequence[Document], found: Sequence[Unit]) -> list[Unit]:
    """Contraindications that touch the patient groups or diseases in the question, unasked."""
    words = [term for population in question.query.populations for term in population.terms]
    words += [mention.surface for mention in question.query.of_kind("disease") if "disease" not in {d.kind for d in documents}]
    shown = {(unit.document.id, unit.start) for unit in found}
    warnings = [unit for d in documents for s in release.guide.find(d, "禁忌") for unit in units_of(d, s)]
    return [u for u in warnings if (u.document.id, u.start) not in shown and any(word in fold(u.text) for word in words)]


def _together(release: Release, drugs: Sequence[Subject]) -> Finding:
    """What each drug's texts say about the others: the named drug first, then its class."""
    found: list[Unit] = []
    for subject in drugs:
        documents = [release.store.document(position) for position in subject.documents]
        for other in drugs:
            if other.documents == subject.documents:
                continue
            texts = [release.store.document(position) for position in other.documents]
            names = [other.name, *(fold(name) for text in texts for name in (text.title, *text.aliases) if len(name) > 1)]
            sentences = _warnings(release, documents)
            named = [unit for unit in sentences if any(name in fold(unit.text) for name in names)]
            classes = _classes(release, texts)
            found.extend(named or [u for u in sentences if any(name in fold(u.text) for name in classes)])
    if not found:
        listed = "与".join(f"“{subject.name}”" for subject in drugs)
        near = tuple(position for subject in drugs for position in subject.documents)
        return Refusal(f"{listed}的资料里都没有提到对方；没有提到不等于可以合用。", near)
    return Evidence(tuple(_unique(found)))


def _warnings(release: Release, documents: Sequence[Document]) -> list[Unit]:
    """All sentences about what a drug must not be combined with or given to."""
    sections = [(d, s) for d in documents for name in (_INTERACTION, "禁忌", "注意事项") for s in release.guide.find(d, name)]
    return [unit for document, section in sections for unit in units_of(document, section)]


def _classes(release: Release, documents: Sequence[Document]) -> list[str]:
    sections = [(d, s) for d in documents for s in release.guide.find(d, "药物类别")]
    parts = [part for d, s in sections for part in re.split(r"[,。;、()\s]|属于?", fold(d.body(s)))]
    return [part for part in parts if len(part) > 2]


def _free(release: Release, question: Question) -> Finding:
    """A question that names nothing held: answered only from passages that hold most of what it says."""
    wanted = content_terms(question.query)
    if not any(len(term) > 1 for term in wanted) or (len(wanted) < 2 and not question.sections):
        return Refusal("没有看出要问的药品、疾病或症状。")
    if not question.sections and len(question.query.residue) == 1:
        name = question.query.residue[0]
        if longer := release.names.containing(name, {"drug", "disease"}):
            return Clarification(f"没有收录“{name}”。您要找的是：", tuple(longer), name)
    hits = [hit for hit in find_passages(release, question.query, 30) if _may_answer(release, question, hit)]
    kept: dict[str, list[Unit]] = {}
    for hit in hits:
        held = set(terms(fold(f"{hit.document.title} {hit.section} {hit.text}"))) & set(wanted)
        if hit.coverage < COVERED or len(held) < min(2, len(wanted)):
            continue
        section = hit.document.section_at(hit.start, hit.end)
        if section and (hit.document.id in kept or len(kept) < _MOST_FREE_DOCUMENTS):
            units = [Unit(hit.document, section, *span) for span in sentence_spans(hit.document.text, hit.start, hit.end)]
            touched = [unit for unit in units if held & set(terms(fold(unit.text)))]
            if touched:
                kept.setdefault(hit.document.id, []).extend(touched)
    if not kept:
        close = [release.store.position(hit.document.id) for hit in hits[:3] if hit.coverage >= COVERED / 2]
        return Refusal("没有找到足以回答的内容。", tuple(position for position in dict.fromkeys(close) if position is not None))
    return Evidence(tuple(_unique([unit for units in kept.values() for unit in units])[: 2 * _MOST_FREE_SENTENCES]))


def _may_answer(release: Release, question: Question, hit: Hit) -> bool:
    """Whether a passage of this kind may answer a question that names nothing held.

    What treats a condition is found in indications and lists of drugs, which disease shows some signs in its signs; anything
    else that a section is asked of is answered by plain texts that speak of it by name.
    """
    if not release.guide.is_clinical(hit.section):
        return False
    if not question.sections:
        return True
    asked = set(question.sections)
    if hit.document.kind == "text":
        return coverage(release, [question.unknown], f"{hit.document.title} {hit.section} {hit.text}") >= COVERED
    fitting = _FITTING_SECTIONS.get(next(iter(asked))) if len(asked) == 1 else None
    return fitting is not None and fold(hit.section) in {t for name in fitting for t in _titles(release, name)}


def _titles(release: Release, name: str) -> tuple[str, ...]:
    canonical = release.guide.named(name)
    return canonical.titles if canonical else ()


def _clinical(release: Release, documents: Sequence[Document]) -> list[Unit]:
    sections = [(d, s) for d in documents for s in d.sections if release.guide.is_clinical(s.title)]
    return [unit for document, section in sections for unit in units_of(document, section)]


def units_of(document: Document, section: Section) -> list[Unit]:
    """The sentences of a section, in order."""
    return [Unit(document, section, *span) for span in sentence_spans(document.text, section.start, section.end)]


def _unique(units: Iterable[Unit]) -> list[Unit]:
    return list({(unit.document.id, unit.start, unit.end): unit for unit in units}.values())


def _several_titles(release: Release, positions: Sequence[int]) -> bool:
    return len({fold(release.names.title(position)) for position in positions}) > 1


def _disagreement(documents: Sequence[Document], found: Sequence[Unit]) -> tuple[str, ...]:
    said = {document.id: [bare(u.text) for u in found if u.document.id == document.id] for document in documents}
    distinct = {tuple(texts) for texts in said.values() if texts}
    return ("各来源的说法不一致，请核对原文和修订日期。",) if len(distinct) > 1 else ()


def _absent(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> list[str]:
    """What was asked for besides what could be answered."""
    held = [name for name in question.sections if any(release.guide.find(document, name) for document in documents)]
    missing = [name for name in question.sections if name not in held] if held else []
    return [f"“{subject.name}”的资料里没有“{'、'.join(missing)}”一节。"] if missing else []


def _what_is_missing(question: Question, subject: Subject, documents: Sequence[Document]) -> str:
    held = "、".join(dict.fromkeys(section.title for document in documents for section in document.sections))
    if question.query.populations:
        groups = "、".join(population.name for population in question.query.populations)
        return f"“{subject.name}”的资料里没有关于“{groups}”的内容（已有：{held}）。"
    if partners := _partners(question):
        return f"“{subject.name}”的资料里没有提到“{'、'.join(partners)}”；没有提到不等于可以合用。"
    if question.sections:
        return f"“{subject.name}”的资料里没有“{'、'.join(question.sections)}”一节（已有：{held}）。"
    asked = "".join(question.query.residue)[:30]
    return f"“{subject.name}”的资料里没有提到“{asked}”（已有：{held}）。"


def _merge(findings: Sequence[Finding]) -> Finding:
    """One finding of several: a question back before an answer, an answer before a refusal."""
    for kind in (Clarification, Evidence, Refusal):
        chosen = [finding for finding in findings if isinstance(finding, kind)]
        if chosen and kind is Evidence:
            answers = [finding for finding in chosen if isinstance(finding, Evidence)]
            refused = [finding.reason for finding in findings if isinstance(finding, Refusal)]
            notices = [notice for answer in answers for notice in answer.notices] + refused
            return Evidence(tuple(_unique(u for a in answers for u in a.units)), tuple(dict.fromkeys(notices)))
        if chosen:
            return chosen[0]
    raise AssertionError("no findings to merge")
