"""Which sentences of the knowledge base answer a question; or why none does."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from app.citations import Unit
from app.disagreement import disagreement
from app.finding import NOT_DIRECTLY, Clarification, Evidence, Finding, Refusal
from app.lookalike import other_meanings
from app.patient import is_for_patient
from app.prescribing import asks_how_taken, described, groups_of, how_taken, patient_told, prescribed
from app.question import MAY_TAKE, NAMELESS, Question, kinds_of, says
from app.safety import declined
from app.selection import (
    DOSE,
    INTERACTION,
    closer,
    covering,
    fits,
    for_populations,
    in_sections,
    mentioning,
    overview,
    speaking_of,
    unique,
    warnings,
)
from app.signs import describes, other_disease
from app.subject import Subject, documents_of, spellings
from app.surfacing import together, touching, warned_first
from app.unnamed import PURPOSE, asks_outside, stranger_named, unknown_subject, without_subject
from indexer.documents import Document
from indexer.intents import OUTSIDE, shipped_intents
from indexer.names import Mention
from indexer.release import Release
from indexer.sections import Cue
from indexer.terms import bare, fold, terms

_COMPARING = re.compile(r"区别|不同|比较|差别|哪个好|一样|一回事|同一|一种药|一个药|混淆|[弄搞拿认][混错]|分清|区分|分得清")
_AMOUNT = re.compile(r"\d\s*(?:mg|g|kg|μg|ug|ml|u|iu|%|片|粒|袋|支|次|滴|喷)(?![a-z])|成人|儿童")
_GRADE = re.compile("轻度|中度|重度|严重")
# What an amount to give stands beside; how much water a bag is dissolved in is none.
_GIVEN = re.compile(r"[一每]次|[一每][日天]|首[剂次]|单[剂次]|/kg|剂量|最大|成人|儿童")
# Characters of a slip that counts beside a held disease: 伐昔络韦治带状疱疹; shorter ones are common words.
_FEWEST_BESIDE = 4
# What a sentence must come to where the talk is of illness, and how many are shown. A drug's at 0: irrelevant ones were shown; at 0.1 one
# more of 240 held names before other talk is answered so.
_NEAREST, _NEAREST_OF_DRUG, _MOST_NEAREST = 0.0, 0.1, 3
# Characters that the lay terms may leave unexplained there. Of 240 held names before other talk 82.5 % are refused so, 82.1 % without
# a bound, 84.2 % where lay terms do not count.
_UNEXPLAINED = 2
# Least likelihood at which a question's words ask for a section that no cue knows, and for nothing that texts say. Of questions kept apart
# 78 % (drugs) and 84 % (diseases) above the one are read rightly; above the other lie 1 % of those about a section.
_MEANT, _OUTSIDE = 0.5, 0.7
_ADVERSE, _WHAT_IT_IS, _POPULATIONS = "不良反应", "概述", "特殊人群"
# Sections are shown by the form of a question alone where fewer sentences than this were found by its words, where no more characters
# than this are left over, and at most so many. 8: of 479 answerable questions 1.9 % are refused, at 3 2.3 %; of 221 that cannot be
# answered all are, and of held names before other talk 88 %, at both.
_FEW, _LEFT_OVER, _MOST_SUGGESTED = 2, 8, 2
_ITEMS = re.compile(r"[、,;()和或及与等]")
_NOT_HUMAN = re.compile(r"(?<!热)(狗|猫|犬|宠物).{0,6}(能|可以|吃|喂|用量|剂量|用药)|(给|喂)(狗|猫|犬|宠物)|兽用")


def gather(release: Release, question: Question) -> Finding:
    """Find what answers a question; where a name is asked back about, every listed look-alike that it could be is offered."""
    finding = _find(release, question)
    if isinstance(finding, Clarification) and finding.name:
        others = other_meanings(release, finding.name, finding.candidates)
        return replace(finding, candidates=tuple(dict.fromkeys((*finding.candidates, *others))))
    return finding


def _find(release: Release, question: Question) -> Finding:
    """The order of the cases is the order of harm: first what must not be mistaken for another."""
    if finding := _not_asked_of_texts(release, question):
        return finding
    drugs = question.of_kind("drug")
    if (len(drugs) > 1 or (drugs and question.beside)) and _asks_together(question):
        return _together(release, question, drugs)
    if question.unknown or not question.subjects:
        return unknown_subject(release, question) if question.unknown else without_subject(release, question)
    return other_disease(release, question) or _of_subjects(release, question, drugs)


def _of_subjects(release: Release, question: Question, drugs: Sequence[Subject]) -> Finding:
    """What the documents of the subjects say; where a drug's say nothing of a disease beside it, what the disease's say of the drug,
    unless sections are asked for and were found.
    """
    findings = [_about(release, question, subject) for subject in _asked_about(release, question)]
    answered = any(isinstance(finding, Evidence) for finding in findings)
    pairs = together(release, drugs, question.beside) if answered and len(drugs) > 1 else []
    merged = _merge([*findings, Evidence(tuple(pairs))] if pairs else findings)
    if isinstance(merged, Clarification) or DOSE in question.sections or question.groups or asks_outside(release, question):
        return merged
    if answered and question.sections:
        return merged
    said = [fold(unit.text) for unit in merged.units] if isinstance(merged, Evidence) else []
    silent = [d for d in question.of_kind("disease") if not any(name in text for name in spellings(release, d) for text in said)]
    spoken = _of_drugs(release, silent, drugs)
    return _merge([merged, Evidence(tuple(spoken))] if answered else [Evidence(tuple(spoken))]) if spoken else merged


def _of_drugs(release: Release, diseases: Sequence[Subject], drugs: Sequence[Subject]) -> list[Unit]:
    """What the texts of diseases say of drugs."""
    documents = [document for disease in diseases for document in documents_of(release, disease)]
    return mentioning(release, documents, [name for drug in drugs for name in spellings(release, drug)])


def _not_asked_of_texts(release: Release, question: Question) -> Finding | None:
    """What becomes of a question that texts must not answer: not for this program, or of a name that is not held."""
    if reason := _not_for_us(release, question):
        return Refusal(reason)
    if question.other is not None:
        return _longer_name(release, question.other)
    return stranger_named(release, question) or _misspelt_drug(release, question)


def _misspelt_drug(release: Release, question: Question) -> Clarification | None:
    """A drug's name a slip away from a held one, where no other drug is named: 利发平, 伐昔络韦. It is offered, never corrected."""
    if question.of_kind("drug"):
        return None
    for run in says(question.query):
        written, meant = release.names.misspelt(run)
        if meant and not (question.subjects and len(written) < _FEWEST_BESIDE):
            return Clarification(f"没有收录“{written}”。您要找的是：", tuple(meant), written)
    return None


def _not_for_us(release: Release, question: Question) -> str:
    """Why a question gets no answer whatever is held: animals, and what safety declines."""
    if reason := declined(question.text, release.guide.words, tells_signs=describes(question)):
        return reason
    return "只收录人用药的资料。" if _NOT_HUMAN.search(question.query.folded) else ""


def _longer_name(release: Release, mention: Mention) -> Finding:
    near = () if mention.form_only else tuple(release.names.near(mention.whole, {mention.kind}))
    longer = tuple(release.names.containing(mention.whole, {mention.kind})) if mention.kind == "disease" else ()
    if longer:  # 支气管炎, where only 急性支气管炎 and 慢性支气管炎 are held
        return Clarification(f"没有收录“{mention.whole}”。您要找的是：", longer, mention.whole)
    if near and mention.kind == "drug":
        return Clarification(f"没有收录“{mention.whole}”。您要找的是：", near, mention.whole)
    return Refusal(f"没有收录“{mention.whole}”。", mention.documents, mention.whole)


def _asks_together(question: Question) -> bool:
    if INTERACTION in question.sections:
        return True
    named = {subject.documents for subject in (*question.of_kind("drug"), *question.own.taking)}
    return len(named) > 1 and not question.sections and not _COMPARING.search(question.query.folded)


def _asked_about(release: Release, question: Question) -> tuple[Subject, ...]:
    """The subjects whose kind has what is asked for; a drug before a disease where nothing is asked for."""
    drugs = question.of_kind("drug")
    if drugs and question.sections == (_WHAT_IT_IS,):  # "…是啥" beside a drug's name may ask anything of the drug
        return drugs
    asked = kinds_of(release, question.sections)
    fitting = tuple(subject for subject in question.subjects if subject.kind in asked)
    return fitting or drugs or question.subjects


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
    documents = [document for document in documents_of(release, subject) if release.store.position(document.id) in set(positions)]
    focus = _focus(release, question, subject)
    missing = _unmentioned(question, documents, focus, release.guide.words.disease_ends)
    if missing:
        return Refusal(f"“{subject.name}”的资料里没有提到“{missing}”。", tuple(positions))
    form = _loosely(subject.form)
    if DOSE in question.sections and form and not any(form in _loosely(fold(f"{d.title} {d.text}")) for d in documents):
        return Refusal(f"“{subject.name}”的资料里没有“{subject.form}”这种剂型。", tuple(positions))
    elsewhere = {document.id for document in documents_of(release, subject)} - {document.id for document in documents}
    touched = [unit for unit in touching(release, question, subject) if unit.document.id not in elsewhere]
    found = _answering(release, question, subject, documents, focus, touched)
    if (not found or _absent(release, question, subject, documents)) and _may_be_reworded(release, question, subject):
        found = [*found, *(unit for unit in covering(release, documents, question.query) if _may_say(release, question, unit))]
    if subject.kind == "drug" and (DOSE in question.sections or groups_of(release, question)) and asks_how_taken(question):
        fitting = [unit for unit in covering(release, documents, question.query) if _may_say(release, question, unit)]
        found = [*how_taken(release, documents), *fitting, *found]
    if not found:
        found = _of_groups(release, question, subject, documents)
    if len(found) < _FEW and not question.sections and not focus:
        found = [*found, *_suggested(release, question, subject, documents)]
    nearest = [] if found else _nearest(release, question, subject, documents)
    if not found and not nearest:
        return Refusal(_what_is_missing(release, question, subject, documents), tuple(positions))
    if nearest:
        return Evidence(tuple(nearest), (NOT_DIRECTLY, *patient_told(release, question)))
    if question.sections and DOSE not in question.sections and question.query.says_more:
        nearer = closer(release, documents, question.query, found)
        found = unique([*(unit for unit in nearer if _may_say(release, question, unit)), *found])
    notices = (*disagreement(documents, found), *_absent(release, question, subject, documents), *patient_told(release, question))
    return Evidence(tuple(unique(warned_first(question, found, touched))), notices)


def _loosely(text: str) -> str:
    """A text in which 口服液 and 口服溶液, 混悬剂 and 混悬液 are one dosage form."""
    return text.replace("溶液", "液").replace("混悬剂", "混悬液")


def _answering(
    release: Release, question: Question, subject: Subject, documents: Sequence[Document], focus: list[list[str]], touched: list[Unit]
) -> list[Unit]:
    """The sentences that answer; `touched` are those that concern the patient, which answer where nothing else is asked."""
    names = [name for spelled in focus for name in spelled]
    if partners := _partners(question):
        return [unit for unit in warnings(release, documents) if any(partner in fold(unit.text) for partner in partners)]
    if question.sections:
        return prescribed(release, question, subject, documents, names or _purposes(question, documents))
    return _unasked(release, question, subject, documents, names, touched)


def _unasked(
    release: Release, question: Question, subject: Subject, documents: Sequence[Document], names: Sequence[str], touched: list[Unit]
) -> list[Unit]:
    """What answers a question that asks for no section."""
    if question.groups and subject.kind == "drug":
        spoken = for_populations(release, documents, question.groups, ())
        return [unit for unit in spoken if is_for_patient(unit.text, question.patient)]
    if question.groups and (spoken := speaking_of(release, documents, question.groups)):
        return spoken
    if names:
        return [unit for unit in mentioning(release, documents, names) if is_for_patient(unit.text, question.patient)]
    own = question.by_words or bool(says(question.query))
    more = own or question.query.said_beside_names
    found = [unit for unit in covering(release, documents, question.query) if _may_say(release, question, unit)] if more else []
    if touched and (not own or MAY_TAKE.search(question.query.folded)):
        return [*touched, *found]
    return found if own else found or _suggested(release, question, subject, documents) or overview(release, documents)


def _of_groups(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> list[Unit]:
    """What a drug's texts say of the patient groups named, where the section asked for is not held; a dose never."""
    if subject.kind != "drug" or DOSE in question.sections or asks_outside(release, question):
        return []
    spoken = for_populations(release, documents, question.groups, ())
    return [unit for unit in spoken if is_for_patient(unit.text, question.patient)]


def _nearest(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> list[Unit]:
    """The sentences nearest to a question that asks for a section that is not held, or talks of illness in words that fit none well
    (脂肪肝能不能逆转) or in the lay terms (痤疮能自己挤吗). A drug's come nearer than a disease's, and tell no dose and nothing of a
    patient group that was asked about.
    """
    asked = question.query.beside_names
    section, likely = shipped_intents(subject.kind).likely(asked)
    if section == OUTSIDE and likely >= _OUTSIDE:
        return []
    explained = bool(question.query.said_beside_names) and sum(map(len, question.query.unsaid)) <= _UNEXPLAINED
    tells = bool(question.sections) or explained
    talks = tells or any(re.search(pattern, asked) for pattern in release.guide.words.care)
    is_drug = subject.kind == "drug"
    beside = question.groups if is_drug else question.of_kind("drug")
    if beside or DOSE in question.sections or asks_outside(release, question):
        return []
    if not question.sections and section not in {OUTSIDE, DOSE, _POPULATIONS} and likely >= _MEANT:
        told = prescribed(release, replace(question, sections=(section,)), subject, documents, ())
        if told:
            by_fit = sorted(zip(fits(release, told, question.query), range(len(told)), strict=True), key=lambda pair: (-pair[0], pair[1]))
            return [told[number] for number in sorted(number for _, number in by_fit[:_MOST_NEAREST])]
    if not talks:
        return []
    near = covering(release, documents, question.query, _NEAREST_OF_DRUG if is_drug else _NEAREST)
    if is_drug:
        near = [unit for unit in near if fold(unit.section.title) not in release.guide.titles(DOSE)]
    return [unit for unit in near if _may_say(release, question, unit)][:_MOST_NEAREST]


def _felt(question: Question, subject: Subject) -> list[Cue]:
    """A sign told beside a drug asks whether the drug does it: 克林霉素嘴里发苦."""
    signs = [said for said in question.query.said_beside_names if said.of == "sign"]
    return [Cue(_ADVERSE, said.start, said.end) for said in signs] if subject.kind == "drug" else []


def _suggested(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> list[Unit]:
    """The sections that the form of a question suggests, whole, for this patient: 会不会越来越重 asks what a disease is like.

    Where words are left over that neither the form nor the lay terms explain, the question may be about anything.
    """
    query = question.query
    hints = release.guide.hints(query.beside_names, subject.kind) or _felt(question, subject)
    suggesting = "".join(query.folded[hint.start : hint.end] for hint in hints)
    left = sum(len(run) for run in query.unsaid if not (set(run) & set(suggesting)))
    if not hints or left > _LEFT_OVER or (subject.kind == "drug" and question.groups):
        return []
    sections = tuple(dict.fromkeys(hint.name for hint in hints))[:_MOST_SUGGESTED]
    return prescribed(release, replace(question, sections=sections), subject, documents, ())


def _may_say(release: Release, question: Question, unit: Unit) -> bool:
    """Whether a sentence found by its words may be shown: no dose for other patients, nothing of a group that the patient is said not
    to be of, no word on a drug that nobody named.
    """
    if any(group.about.search(fold(unit.text)) for group in question.own.denied):
        return False
    titles = {name: release.guide.titles(name) for name in (DOSE, INTERACTION)}
    title, folded = fold(unit.section.title), fold(unit.text)
    groups = [group for group in groups_of(release, question) if group.name != "成人"]
    if title in titles[DOSE] and groups and _AMOUNT.search(folded):
        if not _GIVEN.search(folded):
            return is_for_patient(unit.text, question.patient)
        adult = all(group.name == "老年人" for group in groups) and not any(p.about.search(folded) for p in release.guide.populations)
        return is_for_patient(unit.text, question.patient) and (adult or any(group.about.search(folded) for group in groups))
    if title not in titles[INTERACTION]:
        return True
    named = {position for mention in question.query.held for position in mention.documents}
    spoken = {position for mention in release.names.mentions(folded) if mention.kind == "drug" for position in mention.documents}
    headed = [name for name in _ITEMS.split(folded.partition(":")[0]) if len(name) > 1]
    return not spoken or bool(spoken & named) or any(run in folded for run in says(question.query)) or _names_one(question, headed)


def _names_one(question: Question, headed: Sequence[str]) -> bool:
    """Whether a question itself names what a sentence is headed by, though nothing of it is held: 葡萄糖酸钙."""
    return any(name in question.query.beside_names for name in headed)


def _may_be_reworded(release: Release, question: Question, subject: Subject) -> bool:
    """Whether sentences may answer that stand in other sections than the one asked for, which the documents do not have.

    Never for a dose or a patient group of a drug; a disease has neither, and is asked how much salt or water a day.
    """
    strict = subject.kind == "drug" and (bool(question.groups) or DOSE in question.sections)
    return bool(question.sections) and not (strict or asks_outside(release, question) or _partners(question))


def _purposes(question: Question, documents: Sequence[Document]) -> list[str]:
    """What a question says beside its cue that the documents speak of too, word for word."""
    whole = _whole_text(tuple(document.text for document in documents))
    wanted = [match[1] if (match := PURPOSE.fullmatch(run)) else run for run in question.query.pointed]
    if not question.query.mentions and not wanted:  # "重度的呢" after a dose
        wanted = _GRADE.findall(question.query.folded)
    return [run for run in wanted if len(run) > 1 and run in whole and not NAMELESS.fullmatch(run)]


@lru_cache(maxsize=256)
def _whole_text(texts: tuple[str, ...]) -> str:
    """The folded text of a subject's documents, which are asked about again and again."""
    return fold(" ".join(texts))


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
            focus.append(spellings(release, Subject(mention.surface, mention.kind, mention.documents)))
    return focus


def _unmentioned(question: Question, documents: Sequence[Document], focus: Sequence[Sequence[str]], diseases: tuple[str, ...]) -> str:
    """A disease that the question ties to what it asks, and the documents never speak of."""
    whole = _whole_text(tuple(document.text for document in documents))
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


def _together(release: Release, question: Question, drugs: Sequence[Subject]) -> Finding:
    """What each drug's texts say about the others, from both sides."""
    found = together(release, drugs, question.beside)
    everyone = (*drugs, *(other for other in question.beside if other not in drugs))
    if not found and (spoken := _of_drugs(release, question.of_kind("disease"), everyone)):
        return Evidence(tuple(spoken))
    if not found:
        listed = "与".join(f"“{subject.name}”" for subject in everyone)
        near = tuple(position for subject in everyone for position in subject.documents)
        return Refusal(f"{listed}的资料里都没有提到对方；没有提到不等于可以合用。", near)
    touched = [unit for subject in drugs for unit in touching(release, question, subject)]
    return Evidence(tuple(unique(found + touched)))


def _several_titles(release: Release, positions: Sequence[int]) -> bool:
    return len({fold(release.names.title(position)) for position in positions}) > 1


def _absent(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> list[str]:
    """What was asked for besides what could be answered."""
    held = [name for name in question.sections if in_sections(release, documents, [name])]
    missing = [name for name in question.sections if name not in held] if held else []
    return [f"“{subject.name}”的资料里没有“{'、'.join(missing)}”的内容。"] if missing else []


def _what_is_missing(release: Release, question: Question, subject: Subject, documents: Sequence[Document]) -> str:
    held = "、".join(dict.fromkeys(section.title for document in documents for section in document.sections))
    if (question.groups or question.patient.is_told) and (patient := described(release, question)):
        return f"“{subject.name}”的资料里没有关于“{patient}”的内容（已有：{held}）。"
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
