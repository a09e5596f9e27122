"""The sections asked for, for this patient: a dose for the patient told or none."""

import re
from collections.abc import Sequence

from app.citations import Unit
from app.patient import MONTHS, is_for_patient, population_of_age
from app.question import Question
from app.selection import DOSE, for_populations, in_sections, mentioning, overview
from app.subject import Subject
from indexer.documents import Document
from indexer.release import Release
from indexer.sections import Population
from indexer.terms import fold

_AGE_GROUPS = {"儿童", "成人", "老年人"}
# mL/min below which texts speak of impaired kidneys (KDIGO's G2 begins at 90; labels bound at 80 or less).
_IMPAIRED = 90.0
# Questions about how a drug is taken, which its texts say once for everybody.
HOW_TAKEN = re.compile(
    r"[饭餐][前后]|空(?:腹|肚子)|随餐|[嚼掰碾研捣]|压碎|整[片粒颗]|吞|送服|[一用拿][^,。;?]{0,4}送|兑|冲(?!突)|溶|泡(?![菜面妞])"
    r"|[滴输注推](?:多[久长]|完|的?速|快|慢)|[站坐躺](?:着|下)|含着?|打(?:在)?(?:哪|什么地方)|加点?(?:糖|盐|水|奶|果汁)"
)
_TELLS_HOW = re.compile(
    r"方法|[饭餐][前后]|空腹|随餐|进餐|食物|[吞送]服|整[片粒]|[嚼掰碾研]|压碎|溶解|溶于|兑|稀释|配制|摇匀|温?开水|滴注|滴速|推注|含服|直立|[坐卧]位|躺|部位"
)
# Dosage forms, and the routes that texts name for them.
_ROUTES = (
    (
        re.compile("乳膏|软膏|凝胶|眼膏|滴眼|滴鼻|滴耳|喷|贴|栓|洗|搽|酊|气雾|吸入|粉雾"),
        re.compile("外用|[薄涂]抹?于|涂|滴眼|滴入|吸入|喷|直肠|阴道|贴敷"),
    ),
    (re.compile("注射|针剂"), re.compile("静脉|注射|滴注|皮下|肌内")),
    (re.compile("片|胶囊|颗粒|口服|糖浆|丸|散|冲剂|合剂"), re.compile("口服|吞服|含服|舌下|咀嚼")),
)
# What tells how much to give, and so for whom.
_GIVES = re.compile(r"(?:[一每单]次|[一每][日天]|首[剂次]|每\d+小时)[^,。;]{0,6}?\d|/kg|/m2")


def prescribed(release: Release, question: Question, subject: Subject, documents: Sequence[Document], about: Sequence[str]) -> list[Unit]:
    """The sections asked for, whole; only what speaks of the patient or the purpose where one is named."""
    # A patient of three counts for a dose wherever the question speaks of it; for other sections only beside what is asked.
    dose = DOSE in question.sections
    populations = groups_of(release, question) if dose else list(question.asked_groups)
    if populations and subject.kind == "drug" and not _own_population(populations, documents):
        found = for_populations(release, documents, populations, question.sections)
        if not found and all(population.name == "成人" for population in populations):
            found = [unit for unit in in_sections(release, documents, question.sections) if _for_everybody(release, unit)]
    else:
        found = in_sections(release, documents, question.sections)
        if not found and set(question.sections) & {"概述", "药物类别"}:
            return overview(release, documents)
    if dose and subject.kind == "drug":
        found = _for_purpose(release, documents, _of_form(release, subject, found), about)
        found = [unit for unit in found if is_for_patient(unit.text, question.patient)]
    return found


def asks_how_taken(question: Question) -> bool:
    """Whether a question is about how a drug is taken: before meals, crushed, dissolved in what, lying down."""
    return HOW_TAKEN.search(question.query.beside_names) is not None


def how_taken(release: Release, documents: Sequence[Document]) -> list[Unit]:
    """The sentences among the doses that tell how a drug is taken, by every patient: they give no dose and begin with no group."""
    return [unit for unit in in_sections(release, documents, [DOSE]) if _tells_how(release, fold(unit.text))]


def _tells_how(release: Release, text: str) -> bool:
    head = text.partition(":")[0]
    grouped = any(group.about.search(head) for group in release.guide.populations)
    return _TELLS_HOW.search(text) is not None and not _GIVES.search(text) and not grouped


def groups_of(release: Release, question: Question) -> list[Population]:
    """The patient groups a dose is asked for: those named and told, and those of the age and the kidney function told."""
    told = list(dict.fromkeys((*question.groups, *question.patient.groups)))
    if question.patient.age is not None:
        told = [population for population in told if population.name not in _AGE_GROUPS]
        told += _named(release, population_of_age(question.patient.age))
    if question.patient.clearance is not None:
        impaired = _named(release, "肾功能不全")
        told = [population for population in told if population not in impaired]
        told += impaired if question.patient.clearance < _IMPAIRED else []
    special = [population for population in dict.fromkeys(told) if population.name != "成人"]
    return special or list(dict.fromkeys(told))  # an adult with failing kidneys gets no other adult's dose


def _named(release: Release, name: str) -> list[Population]:
    population = release.guide.population(name)
    return [population] if population else []


def patient_told(release: Release, question: Question) -> list[str]:
    """That a dose was chosen for a patient told earlier in the conversation."""
    if DOSE not in question.sections or question.patient == question.own:
        return []
    own = {group.name for group in question.groups} | ({population_of_age(question.own.age)} if question.own.age is not None else set())
    told = [population.name for population in groups_of(release, question) if population.name not in own]
    return [f"按前面提到的患者（{'、'.join(told)}）选取；如不是，请说明患者情况。"] if told else []


def described(release: Release, question: Question) -> str:
    """The patient in a few words: 儿童（3岁）, 肾功能不全（20mL/min）."""
    patient = question.patient
    numbers = [f"{patient.age / MONTHS:.3g}岁"] if patient.age is not None else []
    numbers += [f"{patient.clearance:g}mL/min"] if patient.clearance is not None else []
    numbers += [f"{patient.weight:g}kg"] if patient.weight is not None else []
    groups = "、".join(population.name for population in groups_of(release, question))
    return f"{groups}（{'，'.join(numbers)}）" if numbers else groups


def _of_form(release: Release, subject: Subject, found: list[Unit]) -> list[Unit]:
    """Without the lines that speak of other dosage forms than the one asked about, or of routes that it is not given by."""
    if not subject.form:
        return found
    found = [unit for unit in found if _by_route_of(subject.form, fold(unit.text))]
    forms = [form for form in release.guide.words.forms if len(form) > 1 and form not in subject.form and subject.form not in form]
    kept = [u for u in found if subject.form in fold(u.text) or not any(form in fold(u.text) for form in forms)]
    return kept or found


def _by_route_of(form: str, text: str) -> bool:
    """Whether a text names no route, or one by which a dosage form is given: no infusion for an ointment."""
    named = [forms for forms, route in _ROUTES if route.search(text)]
    known = [forms for forms, _ in _ROUTES if forms.search(form)]
    return not named or not known or any(forms in known for forms in named)


def _for_purpose(release: Release, documents: Sequence[Document], found: list[Unit], about: Sequence[str]) -> list[Unit]:
    """Where the texts speak of what a dose is asked for, only what they say of it: no dose for 呃逆 from the lines for psychosis."""
    if not about:
        return found
    spoken = mentioning(release, documents, about)
    doses = [unit for unit in found if unit in spoken]
    return doses or spoken or found


def _for_everybody(release: Release, unit: Unit) -> bool:
    """Whether a sentence names no patient group; what a label says so is for adults."""
    return not any(population.about.search(fold(unit.text)) for population in release.guide.populations)


def _own_population(populations: Sequence[Population], documents: Sequence[Document]) -> bool:
    """Whether the documents are for that population altogether: 小儿感冒颗粒 asked about for a child."""
    return all(p.about.search(document.title) for p in populations for document in documents)
