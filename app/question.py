"""What is asked about what: a question resolved against a release, by itself. conversation.py joins it to what went before."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.patient import NOBODY, Patient, allergies_in, mother_of, patient_age, patient_clearance, patient_weight, person_in
from app.remembering import remembered
from app.subject import Subject, spellings, unique_subjects
from indexer.documents import Document
from indexer.errors import QuestionError
from indexer.name_models import likely_name
from indexer.names import Mention
from indexer.query import Query, mask, read_query
from indexer.release import Release
from indexer.search import folded_text
from indexer.sections import Population
from indexer.terms import fold, terms, tidy

LONGEST_QUESTION = 2000
_HAN_RUN = re.compile(r"[\u3400-\u9fff]+")
# Least likelihood at which a run is taken for a name that is not held (indexer/encoders/names/manifest.json says what share it keeps).
_NAME = 0.15
# Characters before a disease's name that may tell a kind of it.
_SHORTEST_KIND = 2
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# Whether a drug may be taken, in the words of those who ask it.
MAY_TAKE = re.compile(
    r"(?:能|可以?|可否|敢)[^,。;?!]{0,4}[吃用服打喝含滴抹涂贴喷吸]|[吃用服打喝含滴抹涂贴喷吸][^,。;?!]{0,6}(?:吗|么|行|可以|中不中|碍事|要紧)"
    r"|行吗|行不|行么|可以吗|碍事|要紧|能换|换成这|能不能"
)
# What stands before a name or a patient group that is meant not to count: 不是孩子, 没怀孕, 如果不喂奶了.
_DENIED = re.compile(r"(?:不是|并非|而非|没有?|不再|无|(?<![能可会])不)(?:在|怀|过|有)?$")
_TAKEN = re.compile(
    r"(?:在|正|一直|长期|平时|平常|每天|天天|还|已经?|本来|目前|最近)[^,。;?!]{0,3}(?:吃|服用?|用|打|含|喷|喝)(?:着|了)?(?:的是?)?$"
    r"|(?:吃|服|用|含|打)着$|我这个?$"
)
_TELLING = re.compile(r"(?:我|他|她|患者|病人|老人|孩子|得了?|患|是|有|老[大二三]|爸|妈|爹|娘|爷|奶|婆|公|合并|查出|确诊)[^,。;?!]{0,6}$")

# What tells two names apart that stand side by side: 氯沙坦缬沙坦能互相替吗.
_IN_TURN = re.compile("区别|差别|不同|不一样|比较|相比|哪个|互相|替换|代替|还是|两个|两种|分别|一回事|一样吗")

# A run made of nothing but such words asks nothing: amounts and times ("一晚", "最多能连"), relatives, courtesy, plain verbs.
_FILLER = (
    r"(?:第?[\d一二两三四五六七八九十几半每多最]+(?:[个片粒次天日晚周月年袋包支颗克顿针大少高低长久快早岁]|毫克|mg|ml|小时)?|前|起|止"
    r"|[我俺他她它这那哪其]|男的?|女的?|患|老?[爸妈爹娘]|爸爸|妈妈|爷爷|奶奶|外婆|外公|姥姥|姥爷|老(?:爷子|太太|人家?|公|婆|头|大|二)|[外表堂]?[侄甥孙]?[女子]"
    r"|姐姐?|妹妹?|哥哥?|弟弟?|孩子?|娃|宝宝|[表堂][姐妹哥弟]|大夫|老师|主任|同事|朋友|邻居"
    r"|[吃用服喝喂打开给能会要可以就按照着换成连买来了也只才再的地得过到为是在和跟也还都说想问不行好对吧]|接着|继续|如果|要是|万一|假如|更正|说错|写错|看错|等等|忘说|忘了?|对了|回到|刚才|前面|上面|以后|之后|现在|只有|[掉降升涨变]到|[哦嗯啊]|自己|碍事|要紧|正常|一样|肾功能|剂量|次数|量|数)+"
)
NAMELESS = re.compile(_FILLER)
_AROUND = re.compile(f"^{_FILLER}|{_FILLER}$")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation: `role` is user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question resolved.

    `subjects` are what it asks about (named, or taken from the conversation); `beside` are drugs that they must be checked against;
    `other` is a name found only inside a longer one that is not held; `unknown` is what it seems to be about where nothing of it is
    held. `own` is what the question itself tells of the patient, `patient` that and what was told before it. `groups` are the patient
    groups asked about, `asked_groups` those of them that stand beside what is asked. `asks_disease`: only diseases have what it asks for.
    `by_words`: it asks for no section, and its subjects have sentences that fit its words.
    """

    text: str
    query: Query
    subjects: tuple[Subject, ...]
    sections: tuple[str, ...]
    other: Mention | None
    unknown: str
    own: Patient = NOBODY
    patient: Patient = NOBODY
    groups: tuple[Population, ...] = ()
    asked_groups: tuple[Population, ...] = ()
    beside: tuple[Subject, ...] = ()
    asks_disease: bool = False
    by_words: bool = False

    def of_kind(self, kind: str) -> tuple[Subject, ...]:
        """Subjects that are drugs, or diseases."""
        return tuple(subject for subject in self.subjects if subject.kind == kind)


def check_text(text: str) -> str:
    """The question without white space around it. Raises QuestionError for one that cannot be asked."""
    stripped = text.strip()
    if not any(c.isalnum() for c in stripped):
        raise QuestionError(f"问题是空的：`{stripped[:20]}`", "写出要问的药品或疾病，例如：非布司他的禁忌是什么？")
    if (length := max(len(stripped), len(tidy(stripped)))) > LONGEST_QUESTION:
        raise QuestionError(f"问题有 `{length}` 字，最长 {LONGEST_QUESTION} 字", "只写要问的内容，资料请放进知识库")
    if control := _CONTROL.search(stripped):
        raise QuestionError(f"问题的第 `{control.start() + 1}` 个字是控制字符 `U+{ord(control[0]):04X}`", "删去该字符，或重新输入")
    return stripped


@remembered
def resolve(release: Release, text: str) -> Question:
    """A question as it stands by itself. Drugs that the patient takes or is allergic to are asked about only where no other is."""
    query = read_query(text, release.names, release.guide)
    named = [position for mention in query.held for position in mention.documents]
    if named:
        query = read_query(text, release.names, release.guide, headings_of(release, named))
    query = replace(query, mentions=tuple(_spoken_of(release, mention) for mention in query.mentions))
    kept = [mention for mention in query.held if not _is_denied(query, mention) and not _is_predicate(query, mention)]
    subjects = unique_subjects([_subject(query, mention) for mention in kept])
    sections = tuple(dict.fromkeys(cue.name for cue in query.cues))
    own, groups = _patient_of(release, query, kept)
    background = {subject.documents for subject in own.taking}
    background |= {subject.documents for subject in subjects if any(name in own.allergies for name in spellings(release, subject))}
    asked = tuple(subject for subject in subjects if subject.documents not in background)
    asked = asked if any(subject.kind == "drug" for subject in asked) else subjects
    drug_held = any(subject.kind == "drug" for subject in subjects)
    others = (m for m in query.mentions if m.is_other and not (drug_held and m.kind == "disease"))
    other = next(others, None) or _joined(query, sections)
    unknown = "" if other else _unknown(release, query, subjects, sections)
    beside_cue = tuple(group for group in groups if group in query.asked_populations)
    return Question(
        text,
        query,
        asked,
        sections,
        other,
        unknown,
        own,
        own,
        groups,
        beside_cue,
        own.without(asked).taking,
        bool(sections) and "drug" not in kinds_of(release, sections),
    )


def _spoken_of(release: Release, mention: Mention) -> Mention:
    """A disease's longer name that is not held, where the disease's own text speaks of what makes it longer: 链球菌咽炎."""
    head, _, tail = mention.whole.partition(mention.surface)
    if mention.kind != "disease" or tail or not head:
        return mention
    if len(head) < _SHORTEST_KIND:  # two kinds that share an ending: 急慢性白血病
        both = set(release.names.exact(head + mention.surface[1:])) & set(mention.documents)
        return replace(mention, whole="") if both else mention
    texts = [folded_text(release.store.document(position).text) for position in mention.documents]
    spoken = any(head in text or any(kind in text for kind in _kinds_told(head, mention.surface)) for text in texts)
    return replace(mention, whole="") if spoken else mention


def _kinds_told(head: str, surface: str) -> list[str]:
    """The kinds of a disease that other words may stand before: 孩子得了分泌性中耳炎."""
    return [f"{head[at:]}{surface}" for at in range(1, len(head) - _SHORTEST_KIND + 1)]


def _subject(query: Query, mention: Mention) -> Subject:
    return Subject(query.folded[mention.start : mention.end], mention.kind, mention.documents, mention.form)


def _is_denied(query: Query, mention: Mention) -> bool:
    """Whether a name is only said not to be meant, beside another of its kind: 麻疹(不是荨麻疹)."""
    others = any(other.kind == mention.kind and other.documents != mention.documents for other in query.held)
    return others and re.search(r"(?:不是|并非|而非)$", query.folded[: mention.start]) is not None


def _is_predicate(query: Query, mention: Mention) -> bool:
    """Whether a name only says what another may be: 安定 in "思诺思是安定吗"."""
    before = (other for other in query.held if other.kind == mention.kind and other.documents != mention.documents)
    return any(query.folded[other.end : mention.start] in ("是", "就是", "也是", "算", "属于") for other in before)


def _patient_of(release: Release, query: Query, mentions: Sequence[Mention]) -> tuple[Patient, tuple[Population, ...]]:
    """What a question tells of the patient, and the patient groups it speaks of."""
    folded = query.folded
    unnamed = mask(folded, [(mention.start, mention.end) for mention in query.mentions if mention.kind == "drug"])
    spans = release.guide.populations_in(unnamed)
    denied = tuple(dict.fromkeys(group for group, start, _ in spans if _DENIED.search(folded[:start])))
    groups = tuple(dict.fromkeys(group for group, _, _ in spans if group not in denied))
    taking = [_subject(query, m) for m in mentions if m.kind == "drug" and _TAKEN.search(folded[: m.start])]
    told = [_subject(query, m) for m in mentions if m.kind == "disease" and _is_told(folded, m)]
    patient = mother_of(
        Patient(
            person_in(unnamed),
            groups,
            denied,
            patient_age(unnamed),
            patient_clearance(folded),
            patient_weight(folded),
            unique_subjects(told),
            unique_subjects(taking),
            allergies_in(folded),
        )
    )
    return patient, patient.groups


def _is_told(folded: str, mention: Mention) -> bool:
    """Whether a disease is said to be the patient's."""
    before = folded[: mention.start]
    return _TELLING.search(before) is not None and not _DENIED.search(before)


def _joined(query: Query, sections: Sequence[str]) -> Mention | None:
    """Two drugs' names without anything between them: a product of both, unless the question is about taking them together, or
    about both in turn.
    """
    if _IN_TURN.search(query.folded):
        return None
    for first, second in itertools.pairwise(query.mentions):
        if first.end == second.start and first.kind == second.kind == "drug" and "药物相互作用" not in sections:
            documents = tuple(dict.fromkeys((*first.documents, *second.documents)))
            return replace(first, end=second.end, documents=documents, whole=query.folded[first.start : second.end])
    return None


def _unknown(release: Release, query: Query, subjects: Sequence[Subject], sections: Sequence[str]) -> str:
    """What the question is about where it asks for sections that none of its subjects could have, or has no subject."""
    if not sections:
        return ""
    asked = kinds_of(release, sections)
    if any(subject.kind in asked for subject in subjects):
        return ""
    runs = content_runs(query.pointed) or content_runs(query.residue)
    if subjects:  # beside a name that is held most words are only words
        runs = [run for run in runs if not _HAN_RUN.fullmatch(run) or likely_name(run) >= _NAME]
    return max(runs, key=len, default="")


def content_runs(runs: Sequence[str]) -> list[str]:
    """Runs that say something: a lone Chinese character does not."""
    return [run for run in runs if len(run) > 1]


def says(query: Query) -> list[str]:
    """What a question says beyond names, cues and words that name nothing."""
    runs = (run for run in content_runs(query.residue) if not NAMELESS.fullmatch(run))
    return [inner if len(inner := _AROUND.sub("", run)) > 1 else run for run in runs]


def kinds_of(release: Release, sections: Iterable[str]) -> set[str]:
    """The kinds of documents that have one of these sections; a heading that no canonical section means may be any document's."""
    kinds: set[str] = set()
    for name in sections:
        canonical = release.guide.named(name)
        kinds |= set(canonical.kinds) if canonical else {"drug", "disease", "text"}
    return kinds


def headings_of(release: Release, positions: Sequence[int]) -> list[str]:
    """Folded headings of documents, which a question may ask for literally."""
    documents: list[Document] = [release.store.document(position) for position in positions]
    return sorted({fold(section.title) for document in documents for section in document.sections})


def content_terms(query: Query) -> list[str]:
    """Terms of what the question says beyond names, cues and question words."""
    return sorted({term for run in query.residue for term in terms(run)})
