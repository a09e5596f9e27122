"""Which sentences of the knowledge base answer a question; or why none does."""

import re
from collections.abc import Sequence

from app.citations import Unit
from app.finding import Clarification, Evidence, Finding, Refusal
from app.patient import MONTHS, is_for_age, patient_age, population_of_age
from app.question import Question, Subject, content_terms, kinds_of
from app.safety import declined
from app.selection import (
    DOSE,
    INTERACTION,
    class_names,
    closer,
    covering,
    for_populations,
    in_sections,
    mentioning,
    overview,
    unique,
    warnings,
)
from app.signs import describes, other_disease
from app.unnamed import PURPOSE, asks_outside, stranger_named, unknown_subject, without_subject
from indexer.documents import Document
from indexer.names import Mention
from indexer.release import Release
from indexer.sections import Population
from indexer.terms import bare, fold, terms

_COMPARING = re.compile(r"区别|不同|比较|差别|哪个好")
_AGE_GROUPS = {"儿童", "成人", "老年人"}
_NOT_HUMAN = re.compile(r"(?<!热)(狗|猫|犬|宠物).{0,6}(能|可以|吃|喂|用量|剂量|用药)|(给|喂)(狗|猫|犬|宠物)|兽用")


def gather(release: Release, question: Question) -> Finding:
    """Find what answers a question. The order of the cases is the order of harm: first what must not be mistaken for another."""
    if reason := _not_for_us(release, question):
        return Refusal(reason)
    if question.other is not None:
        return _longer_name(release, question.other)
    if stranger := stranger_named(release, question):
        return stranger
    drugs = question.of_kind("drug")
    if len(drugs) > 1 and _asks_together(question):
        return _together(release, drugs)
    if question.unknown or not question.subjects:
        return unknown_subject(release, question) if question.unknown else without_subject(release, question)
    return other_disease(release, question) or _of_subjects(release, question, drugs)


def _of_subjects(release: Release, question: Question, drugs: Sequence[Subject]) -> Finding:
    """What the documents of the subjects say; where a drug's say nothing of a disease beside it, what the disease's say of the drug."""
    findings = [_about(release, question, subject) for subject in _asked_about(release, question)]
    together = _together(release, drugs) if len(drugs) > 1 and DOSE in question.sections else None
    merged = _merge([*findings, together] if isinstance(together, Evidence) else findings)
    if isinstance(merged, Refusal) and drugs and DOSE not in question.sections and not question.query.populations:
        named = [fold(name) for d in _documents(release, drugs) for name in (d.title, *d.aliases)]
        spoken = mentioning(release, _documents(release, question.of_kind("disease")), named)
        return Evidence(tuple(spoken)) if spoken and not asks_outside(release, question) else merged
    return merged


def _documents(release: Release, subjects: Sequence[Subject]) -> list[Document]:
    return [release.store.document(position) for subject in subjects for position in subject.documents]


def _not_for_us(release: Release, question: Question) -> str:
    """Why a question gets no answer whatever is held: animals, and what safety declines."""
    if reason := declined(question.text, release.guide.words, tells_signs=describes(question)):
        return reason
    return "只收录人用药的资料。" if _NOT_HUMAN.search(question.query.folded) else ""


def _longer_name(release: Release, mention: Mention) -> Finding:
    near = () if mention.form_only else tuple(release.names.near(mention.whole, {mention.kind}))
    if near and mention.kind == "drug":
        return Clarification(f"没有收录“{mention.whole}”。您要找的是：", near, mention.whole)
    return Refusal(f"没有收录“{mention.whole}”。", mention.documents, mention.whole)


def _asks_together(question: Question) -> bool:
    return INTERACTION in question.sections or (not question.sections and not _COMPARING.search(question.query.folded))


def _asked_about(release: Release, question: Question) -> tuple[Subject, ...]:
    """The subjects whose kind has what is asked for; a drug before a disease where nothing is asked for."""
    asked = kinds_of(release, question.sections)
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
    missing = _unmentioned(question, documents, focus, release.guide.words.disease_ends)
    if missing:
        return Refusal(f"“{subject.name}”的资料里没有提到“{missing}”。", tuple(positions))
    if DOSE in question.sections and subject.form and not any(subject.form in fold(f"{d.title} {d.text}") for d in documents):
        return Refusal(f"“{subject.name}”的资料里没有“{subject.form}”这种剂型。", tuple(positions))
    if partners := _partners(question):
        found = [u for u in warnings(release, documents) if any(partner in fold(u.text) for partner in partners)]
    elif question.sections:
        about = [name for names in focus for name in names] or _purposes(question, documents)
        found = _sections(release, question, subject, documents, about)
    elif question.query.populations and subject.kind == "drug":
        found = for_populations(release, documents, question.query.populations, ())
    elif focus:
        found = mentioning(release, documents, [name for names in focus for name in names])
    elif content_terms(question.query):
        found = covering(release, documents, question.query)
    else:
        found = overview(release, documents)
    if not found and _may_be_reworded(release, question, subject):
        found = covering(release, documents, question.query)
    if not found:
        return Refusal(_what_is_missing(question, subject, documents), tuple(positions))
    if question.sections and DOSE not in question.sections and question.query.says_more:
        found = unique([*closer(release, documents, question.query, found), *found])
    surfaced = _surfaced(release, question, documents, found) if question.sections else []
    notices = (*_disagreement(documents, found), *_absent(release, question, subject, documents), *_patient_told(release, question))
    return Evidence(tuple(found + surfaced), notices)


def _may_be_reworded(release: Release, question: Question, subject: Subject) -> bool:
    """Whether sentences may answer that stand in other sections than the one asked for, which the documents do not have.

    Never for a dose or a patient group of a drug; a disease has neither, and is asked how much salt or water a day.
    """
    strict = subject.kind == "drug" and (bool(question.query.populations) or DOSE in question.sections)
    return bool(question.sections) and not (strict or asks_outside(release, question) or _partners(question))


def _purposes(question: Question, documents: Sequence[Document]) -> list[str]:
    """What a question says beside its cue that the documents speak of too, word for word."""
    whole = fold(" ".join(document.text for document in documents))
    wanted = [match[1] if (match := PURPOSE.fullmatch(run)) else run for run in question.query.pointed]
    return [run for run in wanted if len(run) > 1 and run in whole]


def _partners(question: Question) -> list[str]:
    """What a drug is to be taken together with, where that is no held name: 头孢, 牛奶."""
    if question.sections != (INTERACTION,):
        return []
    runs = (run for run in question.query.pointed if len(run) > 1)
    return [run for run in runs if re.search(rf"[和与跟同]{re.escape(run)}|{re.escape(run)}[和与跟同]", question.query.folded)]


def _focus(release: Release, question: Question, subject: Subject) -> list[list[str]]:
    """Spellings of the other names that stand beside what is asked: the disease that a drug is asked about for."""
    focus = []
    for mention in question.query.held:
        tied = (not question.sections or question.query.beside_cue(mention)) and not release.guide.populations_in(mention.surface)
        if tied and mention.documents != subject.documents and mention.kind != subject.kind:
            others = [release.store.document(position) for position in mention.documents]
            spelled = [mention.surface, *(fold(name) for other in others for name in (other.title, *other.aliases))]
            focus.append(list(dict.fromkeys(spelled)))
    return focus


def _unmentioned(question: Question, documents: Sequence[Document], focus: Sequence[Sequence[str]], diseases: tuple[str, ...]) -> str:
    """A disease that the question ties to what it asks, and the documents never speak of."""
    whole = fold(" ".join(document.text for document in documents))
    for names in focus:
        if not any(name in whole for name in names):
            return names[0]
    for run in question.query.pointed if question.sections else ():
        purpose = PURPOSE.search(run)
        name = purpose[1] if purpose else run if run.endswith(diseases) and len(run) > 2 else ""
        wanted = set(terms(name))
        if name and len(wanted & set(terms(whole))) < len(wanted) / 2:
            return name
    return ""


def _sections(release: Release, question: Question, subject: Subject, documents: Sequence[Document], about: Sequence[str]) -> list[Unit]:
    """The sections asked for, whole; only what speaks of the patient or the purpose where one is named."""
    # A patient of three counts for a dose wherever the question speaks of it; for other sections only beside what is asked.
    dose = DOSE in question.sections
    populations = _populations(release, question) if dose else list(question.query.asked_populations)
    if populations and subject.kind == "drug" and not _own_population(populations, documents):
        found = for_populations(release, documents, populations, question.sections)
    else:
        found = in_sections(release, documents, question.sections)
        if not found and set(question.sections) & {"概述", "药物类别"}:
            return overview(release, documents)
    if dose and subject.kind == "drug":
        found = _for_purpose(release, documents, _of_form(release, subject, found), about)
        if question.age is not None:
            found = [unit for unit in found if is_for_age(unit.text, question.age)]
    return found


def _populations(release: Release, question: Question) -> list[Population]:
    """The patient groups a dose is asked for: those named, and the one of the age that is told."""
    told = list(question.query.populations) + list(question.told)
    by_age = release.guide.population(population_of_age(question.age)) if question.age is not None else None
    if by_age is not None:
        told = [population for population in told if population.name not in _AGE_GROUPS] + [by_age]
    return list(dict.fromkeys(told))


def _patient_told(release: Release, question: Question) -> list[str]:
    """That a dose was chosen for a patient told earlier in the conversation."""
    groups = "、".join(population.name for population in _populations(release, question))
    told = bool(question.told) or (question.age is not None and patient_age(question.text) is None)
    return [f"按前面提到的患者（{groups}）选取；如不是，请说明患者情况。"] if told and groups and DOSE in question.sections else []


def _of_form(release: Release, subject: Subject, found: list[Unit]) -> list[Unit]:
    """Without the lines that speak of other dosage forms than the one asked about."""
    if not subject.form:
        return found
    forms = [form for form in release.guide.words.forms if len(form) > 1 and form not in subject.form and subject.form not in form]
    kept = [u for u in found if subject.form in fold(u.text) or not any(form in fold(u.text) for form in forms)]
    return kept or found


def _for_purpose(release: Release, documents: Sequence[Document], found: list[Unit], about: Sequence[str]) -> list[Unit]:
    """Where the texts speak of what a dose is asked for, only what they say of it: no dose for 呃逆 from the lines for psychosis."""
    if not about:
        return found
    spoken = mentioning(release, documents, about)
    doses = [unit for unit in found if unit in spoken]
    return doses or spoken or found


def _own_population(populations: Sequence[Population], documents: Sequence[Document]) -> bool:
    """Whether the documents are for that population altogether: 小儿感冒颗粒 asked about for a child."""
    return all(p.about.search(document.title) for p in populations for document in documents)


def _surfaced(release: Release, question: Question, documents: Sequence[Document], found: Sequence[Unit]) -> list[Unit]:
    """Contraindications that touch the patient groups or diseases in the question, unasked."""
    words = [mention.surface for mention in question.query.of_kind("disease") if "disease" not in {d.kind for d in documents}]
    shown = {(unit.document.id, unit.start) for unit in found}
    return [
        u
        for u in in_sections(release, documents, ["禁忌"])
        if (u.document.id, u.start) not in shown and any(word in fold(u.text) for word in words)
    ]


def _together(release: Release, drugs: Sequence[Subject]) -> Finding:
    """What each drug's texts say about the others: the named drug first, then its class."""
    found: list[Unit] = []
    for subject in drugs:
        sentences = warnings(release, [release.store.document(position) for position in subject.documents])
        for other in drugs:
            if other.documents == subject.documents:
                continue
            texts = [release.store.document(position) for position in other.documents]
            names = [other.name, *(fold(name) for text in texts for name in (text.title, *text.aliases) if len(name) > 1)]
            named = [unit for unit in sentences if any(name in fold(unit.text) for name in names)]
            groups = class_names(release, texts)
            found.extend(named or [u for u in sentences if any(name in fold(u.text) for name in groups)])
    if not found:
        listed = "与".join(f"“{subject.name}”" for subject in drugs)
        near = tuple(position for subject in drugs for position in subject.documents)
        return Refusal(f"{listed}的资料里都没有提到对方；没有提到不等于可以合用。", near)
    return Evidence(tuple(unique(found)))


def _several_titles(release: Release, positions: Sequence[int]) -> bool:
    return len({fold(release.names.title(position)) for position in positions}) > 1


def _disagreement(documents: Sequence[Document], found: Sequence[Unit]) -> tuple[str, ...]:
    said = {document.id: [bare(u.text) for u in found if u.document.id == document.id] for document in documents}
    distinct = {tuple(texts) for texts in said.values() if texts}
    return ("各来源的说法不一致，请核对原文和修订日期。",) if len(distinct) > 1 else ()


def _absent(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> list[str]:
    """What was asked for besides what could be answered."""
    held = [name for name in question.sections if in_sections(release, documents, [name])]
    missing = [name for name in question.sections if name not in held] if held else []
    return [f"“{subject.name}”的资料里没有“{'、'.join(missing)}”的内容。"] if missing else []


def _what_is_missing(question: Question, subject: Subject, documents: Sequence[Document]) -> str:
    held = "、".join(dict.fromkeys(section.title for document in documents for section in document.sections))
    if question.query.populations:
        groups = "、".join(population.name for population in question.query.populations) + (
            f"（{question.age / MONTHS:g}岁）" if question.age is not None else ""
        )
        return f"“{subject.name}”的资料里没有关于“{groups}”的内容（已有：{held}）。"
    if partners := _partners(question):
        return f"“{subject.name}”的资料里没有提到“{'、'.join(partners)}”；没有提到不等于可以合用。"
    if question.sections:
        return f"“{subject.name}”的资料里没有“{'、'.join(question.sections)}”的内容（已有：{held}）。"
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
            return Evidence(tuple(unique(u for a in answers for u in a.units)), tuple(dict.fromkeys(notices)))
        if chosen:
            return chosen[0]
    raise AssertionError("no findings to merge")
