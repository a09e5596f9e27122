"""What a question touches though it did not ask: warnings for this patient, and what drugs do to one another."""

import re
from collections.abc import Sequence

from app.citations import Unit
from app.patient import Patient, is_for_patient, names_patient
from app.question import Question
from app.selection import DOSE, INTERACTION, class_names, for_populations, in_sections, unique, units_of, warnings
from app.subject import Subject, documents_of, spellings
from indexer.documents import Document
from indexer.release import Release
from indexer.terms import fold

_CONTRAINDICATIONS = "禁忌"
_WARNED = (_CONTRAINDICATIONS, "注意事项", "特殊人群")
_ALLERGIC = re.compile("过敏|诱发|皮试|皮肤试验")
_FORBIDDEN = re.compile(r"禁用|忌用|禁止|不得|不能|不可使用|不应使用|不宜使用|应避免")
_MADE_OF = ("药物类别", "成分", "规格与剂型")
_CLASS_STEM = re.compile(r"^(.{2,})类")


def touching(release: Release, question: Question, subject: Subject) -> list[Unit]:
    """Contraindications, special populations and interactions of a drug that concern this patient and the drugs beside it."""
    if subject.kind != "drug":
        return []
    documents, patient = documents_of(release, subject), question.patient.without([subject])
    found = [
        *_for_groups(release, documents, question),
        *_for_numbers(release, documents, patient),
        *_for_diseases(release, documents, patient.diseases),
        *_for_allergies(release, subject, documents, patient.allergies),
        *_with_drugs(release, [subject], question.beside),
    ]
    return [unit for unit in unique(found) if is_for_patient(unit.text, patient)]


def together(release: Release, drugs: Sequence[Subject], beside: Sequence[Subject] = ()) -> list[Unit]:
    """What the drugs' texts say about one another and about those beside them, each pair from both sides."""
    found: list[Unit] = []
    for number, subject in enumerate(drugs):
        for other in (*drugs[number + 1 :], *beside):
            if other.documents != subject.documents:
                found += _of_other(release, subject, other) + _of_other(release, other, subject)
    return unique(found)


def forbids_together(release: Release, units: Sequence[Unit]) -> bool:
    """Whether one of the sentences about two drugs is a contraindication, and none of the allergic: 对阿莫西林过敏者禁用."""
    titles = release.guide.titles(_CONTRAINDICATIONS)
    return any(fold(unit.section.title) in titles and not _ALLERGIC.search(unit.text) for unit in units)


def of_one_ingredient(release: Release, subject: Subject, other: Subject) -> list[Unit]:
    """Sentences on what either drug is made of that name the other: a fixed combination, a pro-drug, another strength."""
    return unique([*_made_of(release, subject, other), *_made_of(release, other, subject)])


def _made_of(release: Release, subject: Subject, other: Subject) -> list[Unit]:
    names = spellings(release, other)
    sections = [(d, s) for d in documents_of(release, subject) for name in _MADE_OF for s in release.guide.find(d, name)]
    units = [unit for document, section in sections for unit in units_of(document, section)]
    return [unit for unit in units if _speaks_of(release, fold(unit.text), other, names)]


def warned_first(question: Question, found: list[Unit], touched: list[Unit]) -> list[Unit]:
    """What answers, then what concerns the patient; before a dose stands what forbids it to this patient."""
    if DOSE not in question.sections:
        return found + touched
    forbidding = [unit for unit in touched if _FORBIDDEN.search(fold(unit.text))]
    return [*forbidding, *found, *touched]


def _for_groups(release: Release, documents: Sequence[Document], question: Question) -> list[Unit]:
    """What the contraindications and special populations say of the patient's groups."""
    groups = [group for group in dict.fromkeys((*question.groups, *question.patient.groups)) if group.name != "成人"]
    spoken = for_populations(release, documents, groups, ()) if groups else []
    titles = {title for name in (_CONTRAINDICATIONS, "特殊人群") for title in release.guide.titles(name)}
    titles |= {title for group in groups for title in group.titles}
    return [unit for unit in spoken if fold(unit.section.title) in titles]


def _for_numbers(release: Release, documents: Sequence[Document], patient: Patient) -> list[Unit]:
    """Contraindications and special populations that name a span of ages, clearances or weights which holds the patient's."""
    return [unit for unit in in_sections(release, documents, [_CONTRAINDICATIONS, "特殊人群"]) if names_patient(unit.text, patient)]


def _for_diseases(release: Release, documents: Sequence[Document], diseases: Sequence[Subject]) -> list[Unit]:
    names = [name for disease in diseases for name in spellings(release, disease)]
    return [unit for unit in in_sections(release, documents, _WARNED) if any(name in fold(unit.text) for name in names)]


def _for_allergies(release: Release, subject: Subject, documents: Sequence[Document], allergies: Sequence[str]) -> list[Unit]:
    """Contraindications for the allergic, where they name what the patient is allergic to, or that is this very drug or its class."""
    own = " ".join((*spellings(release, subject), *class_names(release, documents)))
    held = [release.store.document(position) for name in allergies for position in release.names.exact(name)]
    allergies = [*allergies, *(word for document in held for word in (fold(document.title), *_classes(release, [document])))]
    warned = [unit for unit in in_sections(release, documents, [_CONTRAINDICATIONS]) if _ALLERGIC.search(fold(unit.text))]
    return [unit for unit in warned if any(name in own or name in fold(unit.text) for name in allergies)]


def _with_drugs(release: Release, drugs: Sequence[Subject], beside: Sequence[Subject]) -> list[Unit]:
    return together(release, drugs, beside) if beside else []


def _of_other(release: Release, subject: Subject, other: Subject) -> list[Unit]:
    """What a drug's warnings say of another: by name, else by its class; a contraindication by class counts beside the name too."""
    sentences = [(unit, fold(unit.text)) for unit in warnings(release, documents_of(release, subject))]
    names = spellings(release, other)
    parts = {name[at : at + 2] for name in names for at in range(len(name) - 1)}  # most sentences hold none of them
    near = [(unit, text) for unit, text in sentences if any(part in text for part in parts)]
    named = [unit for unit, text in near if _speaks_of(release, text, other, names)]
    groups = _classes(release, documents_of(release, other))
    titles = release.guide.titles
    # Cautions speak of classes for other reasons: 对大环内酯类耐药率高.
    places = {*titles(_CONTRAINDICATIONS), *(() if named else titles(INTERACTION))}
    of_class = [
        unit
        for unit, text in sentences
        if any(name in text for name in groups) and not _ALLERGIC.search(text) and not _is_anothers(release, text, groups)
    ]
    return named + [unit for unit in of_class if fold(unit.section.title) in places]


def _is_anothers(release: Release, text: str, groups: Sequence[str]) -> bool:
    """Whether a sentence is headed by another drug, and speaks of the class for another reason: 美金刚:可能减弱抗精神病药的作用."""
    head, colon, _ = text.partition(":")
    return bool(colon) and not any(name in head for name in groups) and any(m.kind == "drug" for m in release.names.mentions(head))


def _classes(release: Release, documents: Sequence[Document]) -> list[str]:
    """What drugs are by class, and the beginnings of such names that texts use alone: 硝酸酯类 of 硝酸酯类抗心绞痛药."""
    groups = class_names(release, documents)
    return groups + [stem[1] + "类" for name in groups if (stem := _CLASS_STEM.match(name))]


def _speaks_of(release: Release, folded: str, other: Subject, names: Sequence[str]) -> bool:
    """Whether a text names a drug, and not only another whose name holds that name: 泼尼松 in 泼尼松龙."""
    mentions = release.names.mentions(folded)
    if any(not mention.is_other and set(mention.documents) & set(other.documents) for mention in mentions):
        return True
    strange = [mention for mention in mentions if not set(mention.documents) & set(other.documents)]
    for name in names:
        at = folded.find(name)
        while at >= 0:
            if not any(mention.start <= at and at + len(name) <= mention.end for mention in strange):
                return True
            at = folded.find(name, at + 1)
    return False
