"""What a question is about, read with the names and section words of one release."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from indexer.lay_terms import Said, Stranger
from indexer.name_models import joined_before, joined_behind, likely_name, said_together
from indexer.names import Mention, NameIndex
from indexer.sections import MASK, Cue, Population, SectionGuide
from indexer.terms import fold

_CLAUSE = re.compile(r"[,。;!?\n、:]+")
# Light words that only end a clause; at the head of a run they begin a name (吗啡).
_PARTICLES = "吗呢吧么嘛"
_HAN_END, _HAN_START = re.compile(r"[\u3400-\u9fff]+$"), re.compile(r"^[\u3400-\u9fff]+")
_SHORTEST_NAME = 2
# Before a disease's name these tell where it is, and no kind of it: 双膝骨关节炎, 左侧气胸, 一只耳朵分泌性中耳炎.
_PLACE = re.compile("[一两双单左右][只个侧边]?(?:耳朵?|膝盖?|膝关节|下肢|上肢|腿|小腿|手|脚|眼|鼻|脸|面|髋)?")
_DOSE = "用法用量"
# What may be given for a disease without being a drug's name.
_NO_NAME = re.compile("[水盐肉奶糖饭蛋豆果菜油茶鱼汤粥]|抗生素|激素|消炎药|止痛药|退烧药|胰岛素")
_CONTENT = re.compile(r"[^\W_]")
# Least likelihood at which what touches a name is taken for a part of a longer one (indexer/encoders/names/manifest.json says what
# share of longer names it keeps).
_JOINED = 0.01
# Least likelihood at which what stands before a drug's name is the name of another ingredient, or a part of one.
_LIKE_A_NAME = 0.05
# Least likelihood at which a name of two characters and the next one are another name.
_NAME = 0.8
# Three words or more of up to eight characters, with marks between them, or white space between Chinese ones.
_LIST = re.compile(
    r"\s*(?:[^\s、,;/+。?!:]{1,8}(?:\s*[、,;/+]\s*|(?<=[\u3400-\u9fff])\s+(?=[\u3400-\u9fff]))){2,}[^\s、,;/+。?!:]{1,8}[\s,;。]*"
)
_LISTED = re.compile(r"[^\s、,;/+。]+")


@dataclass(frozen=True, slots=True)
class Query:
    """A question taken apart. Positions are in `folded`.

    `residue` holds the runs of text that are neither names nor cues nor question words: what else the question is about.
    `pointed` is the part of it, and `asked_populations` are the patient groups, in the clauses that hold a cue; where there is no cue,
    in those that hold a name; else in all. `said` is what the lay terms read, names included; `unsaid` what is left of the residue
    without it; `strangers` are names that exist and are not held.
    """

    folded: str
    mentions: tuple[Mention, ...]
    cues: tuple[Cue, ...]
    populations: tuple[Population, ...]
    asked_populations: tuple[Population, ...]
    residue: tuple[str, ...]
    pointed: tuple[str, ...]
    clauses: tuple[tuple[int, int], ...]
    said: tuple[Said, ...] = ()
    unsaid: tuple[str, ...] = ()
    strangers: tuple[Stranger, ...] = ()

    @property
    def beside_names(self) -> str:
        """The folded question with the names in it masked."""
        return mask(self.folded, [(mention.start, mention.end) for mention in self.mentions])

    @property
    def said_beside_names(self) -> tuple[Said, ...]:
        """What is said outside the names of drugs and diseases."""
        return tuple(said for said in self.said if not any(m.start < said.end and said.start < m.end for m in self.mentions))

    @property
    def is_list(self) -> bool:
        """Whether it is nothing but words side by side: 发热、咳嗽、乏力. A disease may be one of them that a section is not asked of."""
        diseases = len(self.of_kind("disease")) == len(self.mentions) < len(_LISTED.findall(self.folded))
        return diseases and not (self.mentions and self.cues) and bool(_LIST.fullmatch(self.folded))

    @property
    def says_more(self) -> bool:
        """Whether it says anything beside names and cues."""
        cued = [(cue.start, cue.end) for cue in self.cues]
        return bool(self.unsaid) or any(not any(a < s.end and s.start < b for a, b in cued) for s in self.said_beside_names)

    def of_kind(self, kind: str) -> tuple[Mention, ...]:
        """Names of drugs, or of diseases, that the question holds."""
        return tuple(mention for mention in self.mentions if mention.kind == kind)

    def beside_cue(self, mention: Mention) -> bool:
        """Whether a name stands in one clause with a cue."""
        return any(a <= mention.start < b and a <= cue.start < b for a, b in self.clauses for cue in self.cues)

    @property
    def held(self) -> tuple[Mention, ...]:
        """Names that are held exactly."""
        return tuple(mention for mention in self.mentions if not mention.is_other)


def read_query(question: str, names: NameIndex, guide: SectionGuide, headings: Sequence[str] = ()) -> Query:
    """Take a question apart. `headings`: folded headings of documents it may ask for literally."""
    folded = fold(question)
    mentions = names.mentions(folded)
    masked = mask(folded, [(m.start, m.end) for m in mentions])
    strangers = guide.elsewhere.find(masked)
    kinds = {*(m.kind for m in mentions), *(s.kind for s in strangers)} or {"drug", "disease", "text"}
    cues = guide.cues(masked, kinds, headings)
    if not cues and kinds == {"disease"}:
        cues = _of_another_drug(masked, guide)
    cues = _without_company(cues or guide.cues_by_sound(masked, kinds), _clauses(masked), guide)
    populations = guide.populations_in(masked) + _patients(mentions, guide)
    spans = [(m.start, m.end) for m in mentions] + [(c.start, c.end) for c in cues] + [(s, e) for _, s, e in populations]
    rest = mask(folded, spans)
    anchors = [cue.start for cue in cues] or [mention.start for mention in mentions]
    clauses = _clauses(rest)
    pointed = [clause for clause in clauses if any(clause[0] <= at < clause[1] for at in anchors)] or clauses
    said = guide.lay.read(folded)
    unsaid = mask(rest, [(part.start, part.end) for part in said])
    mentions = [found for mention in mentions if (found := _whole_word(mention, folded, rest, unsaid, names)) is not None]
    mentions = [_without_speech(mention, folded, names) for mention in mentions]
    runs = {(start, end): _runs(rest[start:end], guide) for start, end in clauses}
    return Query(
        folded,
        tuple(mentions),
        tuple(cues),
        tuple(dict.fromkeys(population for population, _, _ in populations)),
        tuple(dict.fromkeys(p for p, start, _ in populations if any(a <= start < b for a, b in pointed))),
        tuple(run for clause in clauses for run in runs[clause]),
        tuple(run for clause in pointed for run in runs[clause]),
        tuple(clauses),
        said,
        tuple(run for start, end in clauses for run in (_runs(unsaid[start:end], guide) if said else runs[start, end])),
        strangers,
    )


def _of_another_drug(masked: str, guide: SectionGuide) -> list[Cue]:
    """What a question that names a disease only asks of a drug, which may be one that is not held; where its form asks something of
    the disease, only a dose, and none of food or of a class of drugs.

    心梗发作先干什么 asks for no indications, 心衰一天喝多少水 for no drug's dose.
    """
    cues = guide.cues(masked, {"drug"})
    if not guide.hints(masked, "disease"):
        return cues
    return [cue for cue in cues if cue.name == _DOSE and not _NO_NAME.search(masked)]


def _without_company(cues: Sequence[Cue], clauses: Sequence[tuple[int, int]], guide: SectionGuide) -> list[Cue]:
    """Without the cues that share a clause with one for what texts hardly ever hold: 一个疗程多少钱 asks for a price only."""
    outside = {section.name for section in guide.sections if section.outside}
    taken = [clause for clause in clauses if any(clause[0] <= c.start < clause[1] and c.name in outside for c in cues)]
    return [c for c in cues if c.name in outside or not any(start <= c.start < end for start, end in taken)]


def _patients(mentions: Sequence[Mention], guide: SectionGuide) -> list[tuple[Population, int, int]]:
    """Diseases beside a drug that make a patient group of their own: 肝硬化, 尿毒症."""
    if not any(mention.kind == "drug" for mention in mentions):
        return []
    diseases = [mention for mention in mentions if mention.kind == "disease" and not mention.is_other]
    found = [(m, group) for m in diseases for group in guide.populations_in(m.surface)]
    return [(population, m.start, m.end) for m, (population, start, end) in found if (start, end) == (0, len(m.surface))]


def _whole_word(mention: Mention, folded: str, rest: str, unsaid: str, names: NameIndex) -> Mention | None:
    """The mention as the question's own words bound it.

    What touches a drug's name and is no question word, cue, patient group or other name makes a longer name of it, which is not
    held: 沙库巴曲缬沙坦, 布洛芬可待因. Beside a drug it takes a character that drugs' names are made of, since other words stand there
    too; before a disease anything counts (禽流感). Inside a longer word a name of two characters is no name at all (可威胁).
    """
    if mention.is_other:
        return mention
    around = unsaid if mention.kind == "drug" else rest  # no sign makes a drug's name longer: 拉稀蒙脱石散
    before = names.touching(_HAN_END.findall(around[: mention.start]), at_end=True)
    before = "" if mention.kind == "disease" and _PLACE.fullmatch(before) else before
    after = names.touching(_HAN_START.findall(rest[mention.end :]), at_end=False) if mention.kind == "drug" else ""
    if len(mention.surface) == _SHORTEST_NAME and mention.end - mention.start == _SHORTEST_NAME:
        said_after = names.touching(_HAN_START.findall(unsaid[mention.end :]), at_end=False) if after else ""
        if (before or said_after) and not _stands_alone(mention, folded):
            return None
        if before or said_after:
            return mention
    if mention.kind == "disease":
        return replace(mention, whole=before + mention.surface) if before else mention
    if not mention.form:  # 加味 before 逍遥丸 makes another product, whatever it is made of
        before = before if len(before) > 1 and names.is_chemical(before) else ""
    after = after if len(after) > 1 and names.is_chemical(after) else ""
    named = folded[mention.start : mention.end]
    return replace(mention, whole=before + named + after) if before or after else mention


def _stands_alone(mention: Mention, folded: str) -> bool:
    """Whether what touches a name of two characters is speech: 护彤两顿中间. Of a drug's name no character may make a word with what it
    touches (可威胁), nor a longer name (阿乐欣).
    """
    before, behind = _han_before(folded, mention.start), _han_behind(folded, mention.end)
    name = mention.surface
    if mention.kind == "drug":
        worded = (before and said_together(before[-1] + name[0])) or (behind and said_together(name[-1] + behind[0]))
        if worded or (behind and likely_name(name + behind[0]) >= _NAME):
            return False
    return max(joined_before(before, name), joined_behind(behind, name)) < _JOINED


def _without_speech(mention: Mention, folded: str, names: NameIndex) -> Mention:
    """The mention without what is taken for the rest of a longer name, where it is only the words beside it: 查出来|甲状腺结节."""
    head, held, tail = mention.whole.partition(mention.surface)
    if not held or mention.form_only or (mention.kind == "disease") != (names.kind(mention.documents[0]) == "disease"):
        return mention
    start = folded.find(held, mention.start)
    end = start + len(held)
    if head and _is_speech(head, mention, _han_before(folded, start), names):
        head = ""
    if tail and mention.kind == "disease" and joined_behind(_han_behind(folded, end), held) < _JOINED:
        tail = ""
    if head or tail:
        return replace(mention, start=min(mention.start, start) if head else start, whole=f"{head}{held}{tail}")
    return replace(mention, start=start if mention.kind == "drug" else mention.start, whole="")


def _is_speech(head: str, mention: Mention, before: str, names: NameIndex) -> bool:
    """Whether what stands before a name is only said before it. Before a drug's it must not look like a name itself: 氨酚|羟考酮."""
    if mention.kind == "drug" and (names.is_modifier(head) or names.is_chemical(head) or likely_name(head) >= _LIKE_A_NAME):
        return False
    return joined_before(before, mention.surface) < _JOINED


def _han_before(text: str, at: int) -> str:
    match = _HAN_END.search(text[:at])
    return match[0] if match else ""


def _han_behind(text: str, at: int) -> str:
    match = _HAN_START.search(text[at:])
    return match[0] if match else ""


def mask(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with these spans blotted out, so that nothing is found in them; every position stays."""
    characters = list(text)
    for start, end in spans:
        characters[start:end] = MASK * (end - start)
    return "".join(characters)


def _clauses(text: str) -> list[tuple[int, int]]:
    edges = [0, *(match.end() for match in _CLAUSE.finditer(text)), len(text)]
    return [(a, b) for a, b in itertools.pairwise(edges) if a < b]


def _runs(clause: str, guide: SectionGuide) -> list[str]:
    """Content runs of a clause: question words cut out, light words stripped at the edges."""
    for word in guide.question_words:
        clause = clause.replace(word, MASK)
    runs = re.split(rf"[{MASK}\s,。;!?、:()\"'“”‘’《》<>]+", clause)
    stripped = (_strip_edges(run, guide.words.edges) for run in runs)
    return [run for run in stripped if _CONTENT.search(run) and run not in guide.words.edges]


def _strip_edges(run: str, edges: Sequence[str]) -> str:
    while run and run[0] in edges and run[0] not in _PARTICLES:
        run = run[1:]
    while run and run[-1] in edges:
        run = run[:-1]
    return run
