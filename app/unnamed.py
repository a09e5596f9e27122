"""Questions that name nothing held: refused, asked back, or answered from passages that hold most of what they say."""

import re
from collections.abc import Sequence, Set

from app.citations import Unit
from app.finding import NOT_DIRECTLY, Clarification, Evidence, Finding, Refusal
from app.question import Question, content_terms, kinds_of
from app.safety import is_emergency
from app.selection import DOSE, MOST_SENTENCES, covering, mentioning, unique
from app.signs import describes, diseases_showing, hints_at_signs
from indexer.lay_terms import Stranger
from indexer.release import Release
from indexer.search import Hit, coverage, find_passages
from indexer.sentences import sentence_spans
from indexer.terms import fold, terms

# Share of a free question's content, weighted by rarity, that a passage must hold before it may answer.
# 0.62: the least at which no question about a topic that is not held was answered, while 90 % of complaints that labels list were;
# measured by tests/benchmarks/answers.py, which prints the curve.
COVERED = 0.62
_MOST_DOCUMENTS = 3
_DISEASE_ENDINGS = ("症", "病")
_WORD = 2  # characters of the unknown thing that a text must hold: 润肤 of 润肤霜
_LOOKED_THROUGH = 30
# Where a question for a section may look when it names a condition instead of a drug or disease that is held.
_FITTING_SECTIONS = {"治疗药物": ("适应症",), "治疗方法": ("适应症",), "概述": ("临床表现",)}
_NOT_FOR = re.compile(r"不用于|不适用|不能|不可|不宜|不推荐|禁用|忌用|慎用|避免|除外")
# What stands before a name that is only told apart: 别跟拉米夫定弄混, 不是X.
_NOT_MEANT = re.compile(r"(?:别|不要|勿|不能|没)(?:把它)?(?:跟|和|与|同|当成?|认成|看成|搞成|弄成)$|(?:不是|并非|而非)$")
PURPOSE = re.compile(r"(?:治疗|用于|用来治|医治|治)([\u3400-\u9fffa-z0-9\-]{2,})")


def unknown_subject(release: Release, question: Question) -> Finding:
    """A question for sections of something that is not held. Its name must not be looked for in others' texts, except where the
    question asks which drug or disease fits a condition, or where a plain text speaks of it.
    """
    if meant := _shortened(release, question):
        return Clarification(f"没有收录“{question.unknown}”。您要找的是：", meant, question.unknown)
    found = free_question(release, question)
    if isinstance(found, Evidence):
        return found
    if sentences := _in_subjects(release, question):
        return Evidence(tuple(sentences))
    urgent = not question.subjects and is_emergency(question.text, release.guide.words.emergency)
    if urgent and (shown := diseases_showing(release, question)):
        return shown
    purpose = PURPOSE.fullmatch(question.unknown)
    name = purpose[1] if purpose else question.unknown
    kinds = kinds_of(release, question.sections)
    near = release.names.near(name, kinds) or release.names.containing(name, kinds) or release.names.containing(name, {"drug", "disease"})
    if not near:
        written, near = release.names.heard(name, kinds)
        name = written or name
    if near and not (asks_outside(release, question) and not _any_holds(release, question, near)):
        return Clarification(f"没有收录“{name}”。您要找的是：", tuple(near), name)
    return Refusal(f"没有收录“{name}”。", tuple(near or release.names.related(name, kinds)), name)


def _shortened(release: Release, question: Question) -> tuple[int, ...]:
    """Diseases that are called so but for their last word: 焦虑 asked about is 焦虑症, not what an indication says of another disease."""
    if question.subjects or "disease" not in kinds_of(release, question.sections):
        return ()
    found = [position for ending in _DISEASE_ENDINGS for position in release.names.exact(question.unknown + ending)]
    return tuple(dict.fromkeys(position for position in found if release.store.document(position).kind == "disease"))


def _any_holds(release: Release, question: Question, positions: Sequence[int]) -> bool:
    """Whether one of these documents has a section that is asked for; to ask which is meant would lead nowhere otherwise."""
    documents = [release.store.document(position) for position in positions]
    return any(release.guide.find(document, name) for document in documents for name in question.sections)


def _in_subjects(release: Release, question: Question) -> list[Unit]:
    """What a named disease's texts say of the unknown thing, by the words of texts for it: CABG in those of 冠心病. Never a dose, but how
    often of what is no drug's name: 润肤霜.
    """
    if not question.subjects or (DOSE in question.sections and release.names.is_chemical(question.unknown)):
        return []
    at = question.query.folded.find(question.unknown)
    meant = [said for said in question.query.said if at <= said.start < at + len(question.unknown)]
    documents = [release.store.document(position) for subject in question.subjects for position in subject.documents]
    fitting = covering(release, documents, question.query)
    if DOSE not in question.sections and (spoken := [u for u in fitting if any(said.stands_in(fold(u.text)) for said in meant)]):
        return spoken
    head = question.unknown[:_WORD]
    return [u for u in mentioning(release, documents, [head]) if fold(u.section.title) not in _drug_titles(release)][:MOST_SENTENCES]


def _drug_titles(release: Release) -> tuple[str, ...]:
    """Headings under which a disease's drugs stand: what is asked of one of them is not answered from a list."""
    return release.guide.titles("治疗药物")[:1]


def stranger_named(release: Release, question: Question) -> Finding | None:
    """What becomes of a question that holds a name which exists and is not held; None where it is only background."""
    for stranger in question.query.strangers:
        if question.subjects and _NOT_MEANT.search(question.query.folded[: stranger.start]):
            continue
        joined = next((m for m in question.query.of_kind("drug") if stranger.kind == "drug" and stranger.start == m.end), None)
        if joined is not None:
            whole = question.query.folded[joined.start : stranger.end]
            return Refusal(f"没有收录“{whole}”。", joined.documents, whole)
        if stranger.kind == "disease" and describes(question) and not question.sections:  # one more sign of a story
            continue
        if question.subjects:
            finding = _beside_held(release, question, stranger)
        else:
            spoken_of = _in_plain_text(release, question, stranger.name)
            near = tuple(release.names.related(stranger.name, {stranger.kind}))
            finding = None if spoken_of else Refusal(f"没有收录“{stranger.name}”。", near, stranger.name)
        if finding is not None:
            return finding
    return None


def _beside_held(release: Release, question: Question, stranger: Stranger) -> Finding | None:
    """A name that is not held beside a held subject: answered from what the subject's own texts say of it, a dose never."""
    drugs = question.of_kind("drug")
    if stranger.kind == "disease" and len(drugs) > 1:  # why somebody takes two drugs
        return None
    documents = [release.store.document(position) for subject in question.subjects for position in subject.documents]
    near = tuple(position for subject in question.subjects for position in subject.documents)
    meant = [said for said in question.query.said if said.start <= stranger.start and stranger.end <= said.end]
    written = [text for said in meant for text in said.texts] if stranger.kind == "disease" else []
    spoken = mentioning(release, documents, [stranger.name, *written])
    if not spoken:
        named = "、".join(subject.name for subject in question.subjects)
        return Refusal(f"没有收录“{stranger.name}”，“{named}”的资料里也没有提到它。", near, stranger.name)
    if stranger.kind == "disease" or drugs:
        return None
    return Refusal(f"没有收录“{stranger.name}”。", near, stranger.name) if DOSE in question.sections else Evidence(tuple(spoken))


def _in_plain_text(release: Release, question: Question, name: str) -> bool:
    """Whether texts speak of a name that no document bears: plain texts, or indications of drugs for a disease to be treated."""
    if not question.sections:
        return False
    hits = find_passages(release, question.query, _LOOKED_THROUGH)
    return any(name in fold(hit.text) and _may_answer(release, question, hit) for hit in hits)


def asks_outside(release: Release, question: Question) -> bool:
    """Whether a question asks for what no clinical section answers: a price, a trial, a colour."""
    return any(not named.clinical for name in question.sections if (named := release.guide.named(name)))


def without_subject(release: Release, question: Question) -> Finding:
    """A question that names nothing: asked back where it asks for a section, unless hardly any text has that."""
    if not question.sections:
        return free_question(release, question)
    if asks_outside(release, question):
        return Refusal(f"没有看出要问的药品或疾病，资料里一般也没有“{'、'.join(question.sections)}”的内容。")
    return Clarification("请说明要问的是哪个药品或疾病。")


def free_question(release: Release, question: Question) -> Finding:
    """A question that names nothing held: answered only from passages that hold most of what it says."""
    if describes(question) and not _names_a_drug(release, question) and (diseases := diseases_showing(release, question)):
        return diseases
    wanted = content_terms(question.query)
    if not any(len(term) > 1 for term in wanted) or (len(wanted) < 2 and not question.sections):
        return Refusal("没有看出要问的药品、疾病或症状。")
    if meant := None if question.sections else _misspelt(release, question.query.residue):
        return meant
    hits = [hit for hit in find_passages(release, question.query, _LOOKED_THROUGH) if _may_answer(release, question, hit)]
    shown = _covering_passages(question, hits, set(wanted))
    if not shown and hints_at_signs(question) and (nearest := diseases_showing(release, question)):
        return Evidence(nearest.units, (NOT_DIRECTLY, *nearest.notices))
    if not shown:
        close = [release.store.position(hit.document.id) for hit in hits[:3] if hit.coverage >= COVERED / 2]
        return Refusal("没有找到足以回答的内容。", tuple(position for position in dict.fromkeys(close) if position is not None))
    return Evidence(tuple(shown))


def _names_a_drug(release: Release, question: Question) -> bool:
    """Whether the words of a drug that nobody lists stand there: a dosage form, or the syllables of generic names (沙坦, 替尼)."""
    words = release.guide.words
    forms = "|".join(re.escape(form) for form in words.forms if len(form) > 1)
    return any(re.search(rf"{forms}|[{words.chemical}]{{2,}}", run) for run in question.query.residue)


def _misspelt(release: Release, residue: Sequence[str]) -> Clarification | None:
    """Names that the question may mean: those that hold its only word, or sound like a part of it."""
    if len(residue) == 1 and (longer := release.names.containing(residue[0], {"drug", "disease"})):
        return Clarification(f"没有收录“{residue[0]}”。您要找的是：", tuple(longer), residue[0])
    for run in residue:
        written, meant = release.names.heard(run, {"drug", "disease"})
        if meant:
            return Clarification(f"没有收录“{written}”。您要找的是：", tuple(meant), written)
    return None


def _covering_passages(question: Question, hits: Sequence[Hit], wanted: Set[str]) -> list[Unit]:
    """Sentences of the passages that hold most of what a question says, of few documents, best passages first."""
    kept: dict[str, list[Unit]] = {}
    treating = bool({"治疗药物", "治疗方法"} & set(question.sections))
    for hit in hits:
        held = set(terms(fold(f"{hit.document.title} {hit.section} {hit.text}"))) & wanted
        section = hit.document.section_at(hit.start, hit.end)
        enough = hit.coverage >= COVERED and len(held) >= min(2, len(wanted))
        if enough and section and (hit.document.id in kept or len(kept) < _MOST_DOCUMENTS):
            units = [Unit(hit.document, section, *span) for span in sentence_spans(hit.document.text, hit.start, hit.end)]
            touched = [unit for unit in units if held & set(terms(fold(unit.text))) and not (treating and _NOT_FOR.search(unit.text))]
            if groups := question.query.populations:  # a patient group must be spoken of, not only the words beside it
                touched = [unit for unit in touched if any(group.about.search(fold(unit.text)) for group in groups)]
            if touched:
                kept.setdefault(hit.document.id, []).extend(touched)
    return unique([unit for units in kept.values() for unit in units])[: 2 * MOST_SENTENCES]


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
    return fitting is not None and fold(hit.section) in {t for name in fitting for t in release.guide.titles(name)}
