"""The patient a question speaks of, and which patients a sentence is for: ages, kidney function and weight compared as numbers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.subject import Subject, unique_subjects
from indexer.sections import Population
from indexer.terms import fold

MONTHS = 12
_ADULT, _OLD = 18 * MONTHS, 60 * MONTHS
_FOREVER = 200 * MONTHS
_AGE_GROUPS = {"儿童", "成人", "老年人"}
_BEARING = {"孕妇", "哺乳期妇女"}
_BEARING_AGES = (10.0 * MONTHS, 60.0 * MONTHS)
_HAN_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2, "半": 0}
_NUMBER = r"\d+(?:\.\d+)?|[一二两三四五六七八九]?十[一二三四五六七八九]?|[一二两三四五六七八九]"
_AGE = re.compile(rf"(?:年龄)?({_NUMBER})\s*多?\s*(?:周?岁|y(?:o|ears?)?(?![a-z]))|年龄({_NUMBER})(?!\d|\s*个?月)")
_CHILD = "宝宝|宝贝|婴|孩|娃|幼儿|儿子|女儿|小儿|老[大二三]"
# Months are an age where a child stands beside them: 高血压3个月 is none, nor 怀孕12个月.
_AGE_IN_MONTHS = re.compile(
    rf"(?<![\d十])({_NUMBER})\s*个?月(?:大|龄|(?:以下|以内|以上|的|大的)*(?:{_CHILD}))"
    rf"|(?:{_CHILD}).{{0,2}}?({_NUMBER})\s*个?月"
)
# Whose health is spoken of; words of one line are the same person.
_PEOPLE = (
    ("母亲", "妈|娘|母亲|婆婆|岳母"),
    ("父亲", "爸|爹|父亲|老爷子|公公|岳父"),
    ("祖母", "奶奶|外婆|姥姥"),
    ("祖父", "爷爷|外公|姥爷"),
    ("妻子", "老婆|妻子|媳妇|爱人"),
    ("丈夫", "老公|丈夫"),
    ("兄弟", "弟弟?|哥哥?"),
    ("姐妹", "姐姐?|妹妹?"),
    ("叔伯", "叔叔?|伯伯|舅舅?|姑姑?|姨妈?|婶婶?"),
    ("外甥", "外甥女?|侄子|侄女|孙子|孙女|外孙女?"),
    ("老大", "老大"),
    ("老二", "老二"),
    ("孩子", "孩子|小孩|宝宝|宝贝|娃|儿子|女儿|闺女|丫头|小子|小朋友|小家伙"),
    ("自己", "我自己|本人|是我(?!说|们)|我(?=\\d|男|女|今年|有|在|怀|对|患|得|能|可以|吃|一直|还|平时|平常|这种|,|也|是|长期|正在)"),
)
_PERSON = [(name, re.compile(words)) for name, words in _PEOPLE]
_UNBORN = re.compile(
    "不是(?:孩子|小孩|宝宝|娃|我妈|我爸|我)|(?:怀|生|备|要)(?:了|完|个|上|小|二)*(?:孩子?|宝宝|小孩|娃)|(?:准|哺乳期?|喂奶的?)妈妈"
)
_KIN = "|".join(words for name, words in _PEOPLE if name != "自己")
# An age without its unit: 我妈76了, 我男的,34,失眠. Two digits, so that no number of tablets is meant.
_BARE_AGE = re.compile(rf"(?:{_KIN}|我|男的?|女的?),?(\d\d)(?=[,。;了\s]|$)|(?:{_KIN}|我)[^。;]*,(\d\d)(?=[,。;]|$)")
_YOUNGER = re.compile(r"以下|以内|不到")
_UNIT = r"(岁|个月|月龄|月|天|日龄)"
_BETWEEN = re.compile(rf"(\d+(?:\.\d+)?)\s*{_UNIT}?\s*(?:~|-|至|到)\s*(\d+(?:\.\d+)?)\s*{_UNIT}")
_FROM = re.compile(rf"(?:≥|>=|>|大于|超过|满)\s*(\d+(?:\.\d+)?)\s*{_UNIT}|(\d+(?:\.\d+)?)\s*{_UNIT}(?:及|\(含\)|或)?以上")
_UNTIL = re.compile(rf"(?:<=|<|≤|小于|不足|未满|低于)\s*(\d+(?:\.\d+)?)\s*{_UNIT}|(\d+(?:\.\d+)?)\s*{_UNIT}(?:及|或)?以下")
_GROUPS = (
    (re.compile("成人|成年"), (_ADULT, _FOREVER)),
    (re.compile("(?<!非)老年"), (_OLD, _FOREVER)),
    (re.compile("新生儿"), (0, 1)),
)
_CLEARANCE = re.compile(r"(?:肌酐清除率|crcl|ccr|e?gfr|肾小球滤过率)[^\d,。;]{0,8}?(\d+(?:\.\d+)?)")
_BELOW = re.compile(r"[^,。;\u3400-\u9fff]{0,20}(?:以下|以内|不到)")
_WEIGHT = re.compile(r"(\d+(?:\.\d+)?)\s*(kg|公斤|千克|斤)(?![a-z/])")
_ALLERGY = re.compile(r"([\u3400-\u9fff]{2,10})过敏(?!性|原|源|反应)")
_BEFORE_ALLERGEN = re.compile(r".*(?:对|我|他|她|有|孩子|患者|病人|者)")
_AFTER_ALLERGEN = re.compile(r"(?:类|药物?|严重|轻微|曾经?|有点|会|有|不)+$")


@dataclass(frozen=True, slots=True)
class Patient:
    """What is told of a patient.

    `age` is in months, `clearance` (creatinine clearance or eGFR, which texts bound alike) in mL/min, `weight` in kg; None: not told.
    `groups` are patient groups; `denied` those that the patient is said not to be of; `taking` drugs the patient takes.
    """

    person: str = ""
    groups: tuple[Population, ...] = ()
    denied: tuple[Population, ...] = ()
    age: float | None = None
    clearance: float | None = None
    weight: float | None = None
    diseases: tuple[Subject, ...] = ()
    taking: tuple[Subject, ...] = ()
    allergies: tuple[str, ...] = ()

    @property
    def is_told(self) -> bool:
        """Whether anything is known that a text could speak of."""
        numbers = (self.age, self.clearance, self.weight)
        return bool(self.groups or self.diseases or self.taking or self.allergies) or any(number is not None for number in numbers)

    def joined(self, later: "Patient", adding: bool = False) -> "Patient":
        """What is known after something more is told.

        Another person drops everything; a group takes the place of those before it, unless it is told as an addition ("还怀着孕").
        """
        if later.person and self.person and later.person != self.person:
            return later
        age = later.age if later.age is not None else self._age_beside(later)
        aged = later.age is not None or bool({group.name for group in later.groups} & _AGE_GROUPS)
        kept = [group for group in self.groups if adding or not later.groups]
        kept = [group for group in kept if group not in later.denied and not (aged and group.name in _AGE_GROUPS)]
        same = later.age is None or self.age is None or later.age == self.age
        return Patient(
            later.person or self.person,
            tuple(dict.fromkeys((*kept, *later.groups))),
            (),
            age,
            later.clearance if later.clearance is not None else self.clearance,
            later.weight if later.weight is not None or not same else self.weight,
            unique_subjects((*self.diseases, *later.diseases)),
            unique_subjects((*self.taking, *later.taking)),
            tuple(dict.fromkeys((*self.allergies, *later.allergies))),
        )

    def _age_beside(self, later: "Patient") -> float | None:
        """The age told before, unless a group told now cannot be of that age."""
        names = {group.name for group in later.groups}
        if self.age is None or population_of_age(self.age) in {group.name for group in later.denied}:
            return None
        other = names & _AGE_GROUPS and population_of_age(self.age) not in names
        return None if other or (names & _BEARING and not _may_bear(self.age)) else self.age

    def without(self, subjects: Iterable[Subject]) -> "Patient":
        """The same patient, but for drugs and diseases that are what is asked about."""
        asked = {subject.documents for subject in subjects}
        diseases = tuple(disease for disease in self.diseases if disease.documents not in asked)
        return replace(self, diseases=diseases, taking=tuple(drug for drug in self.taking if drug.documents not in asked))


NOBODY = Patient()


def _may_bear(age: float) -> bool:
    return _BEARING_AGES[0] <= age < _BEARING_AGES[1]


def mother_of(patient: Patient) -> Patient:
    """The patient without the age of the child she nurses or carries: 我在喂奶,宝宝4个月."""
    names = {group.name for group in patient.groups}
    if not names & _BEARING or patient.age is None or _may_bear(patient.age):
        return patient
    return replace(patient, age=None, groups=tuple(group for group in patient.groups if group.name not in _AGE_GROUPS))


def person_in(folded: str) -> str:
    """Whose health a folded text speaks of: whom it names first. A child to be born is nobody yet, nor who it is said not to be."""
    born = _UNBORN.sub("", folded)
    named = ((match.start(), name) for name, words in _PERSON if (match := words.search(born)))
    return min(named, default=(0, ""))[1]


def patient_age(question: str) -> float | None:
    """The age in months that a question states, if it states one; "怀孕5个月" is none."""
    folded = fold(question)
    for pattern, unit in ((_AGE, MONTHS), (_AGE_IN_MONTHS, 1), (_BARE_AGE, MONTHS)):
        if found := pattern.search(folded):
            age = _number(next(number for number in found.groups() if number)) * unit
            return age - 0.5 if _YOUNGER.search(folded, found.start(), found.end() + 3) else age
    return None


def patient_clearance(folded: str) -> float | None:
    """Creatinine clearance or eGFR in mL/min that a folded text states; the last one, since people correct themselves forwards."""
    if not (found := list(_CLEARANCE.finditer(folded))):
        return None
    value = float(found[-1][1])
    below = re.search(r"<|低于|小于|不到|不足", found[-1][0]) or _BELOW.match(folded, found[-1].end())
    return value - 0.5 if below else value


def patient_weight(folded: str) -> float | None:
    """The weight in kg that a folded text states."""
    found = _WEIGHT.search(folded)
    return float(found[1]) / (2 if found[2] == "斤" else 1) if found else None


def allergies_in(folded: str) -> tuple[str, ...]:
    """What a folded text says the patient is allergic to: 青霉素 in 我对青霉素严重过敏."""
    told = []
    for match in _ALLERGY.finditer(folded):
        name = _AFTER_ALLERGEN.sub("", _BEFORE_ALLERGEN.sub("", match[1]))
        if len(name) > 1 and not re.search(r"不|会|吗|否|没|无", match[1]):
            told.append(name)
    return tuple(dict.fromkeys(told))


def is_for_patient(sentence: str, patient: Patient) -> bool:
    """Whether a sentence may be about this patient: no age, clearance or weight that it names shuts the patient out."""
    folded = fold(sentence)
    return (
        (patient.age is None or is_for_age(sentence, patient.age))
        and (patient.clearance is None or _CLEARANCES.may_hold(folded, patient.clearance))
        and (patient.weight is None or _WEIGHTS.may_hold(folded, patient.weight))
    )


def names_patient(sentence: str, patient: Patient) -> bool:
    """Whether a sentence names a span of ages, clearances or weights that holds the patient's."""
    folded = fold(sentence)
    return (
        (patient.age is not None and any(low <= patient.age < high for low, high in _spans(folded, groups=False)))
        or (patient.clearance is not None and _CLEARANCES.holds(folded, patient.clearance))
        or (patient.weight is not None and _WEIGHTS.holds(folded, patient.weight))
    )


def is_for_age(sentence: str, age: float) -> bool:
    """Whether a sentence may be about a patient of this age in months: it names no ages, or one of its spans holds it."""
    spans = _spans(fold(sentence))
    return not spans or any(low <= age < high for low, high in spans)


class _Scale:
    """Spans of one measure in texts: numbers with its unit, where the text speaks of it (`about`)."""

    def __init__(self, unit: str, about: str) -> None:
        number = r"(\d+(?:\.\d+)?)\s*"
        self._about = re.compile(about)
        self._between = re.compile(rf"(大于)?{number}(?:{unit})?(?:以上)?\s*(?:~|-|至|到)\s*{number}{unit}")
        self._least = re.compile(rf"(≥|>=|>|(?<!不)大于|(?<!不)超过|(?<!不)高于|不低于|不小于){number}{unit}|{number}{unit}(?:及|或)?以上")
        self._most = re.compile(rf"(≤|<=|<|(?<!不)小于|不足|(?<!不)低于|不高于|不超过){number}{unit}|{number}{unit}(?:及|或)?以下")

    def may_hold(self, folded: str, value: float) -> bool:
        """Whether a text names no span of the measure, or one that holds the value."""
        spans = self._spans(folded)
        return not spans or any(low <= value <= high for low, high in spans)

    def holds(self, folded: str, value: float) -> bool:
        """Whether a text names a span that holds the value."""
        return any(low <= value <= high for low, high in self._spans(folded))

    def _spans(self, folded: str) -> list[tuple[float, float]]:
        if not self._about.search(folded):
            return []
        tiny = 1e-6
        # 30~49 beside 50 and more leaves no gap: a whole upper bound holds its fractions too.
        found = [
            (float(m[2]) + (tiny if m[1] else 0), float(m[3]) + (0 if "." in m[3] else 1 - tiny)) for m in self._between.finditer(folded)
        ]
        rest = self._between.sub(" ", folded)
        for match in self._least.finditer(rest):
            strict = match[1] in (">", "大于", "超过", "高于")
            found.append((float(match[2] or match[3]) + (tiny if strict else 0), float("inf")))
        for match in self._most.finditer(rest):
            strict = match[1] in ("<", "小于", "不足", "低于")
            found.append((0.0, float(match[2] or match[3]) - (tiny if strict else 0)))
        return found


_CLEARANCES = _Scale(r"ml/(?:min|\(min)(?:[·/*]1\.73m2)?\)?", "肌酐清除率|crcl|ccr|gfr|肾小球滤过率")
_WEIGHTS = _Scale(r"(?:kg|公斤|千克)(?!/)", "体重|kg以|公斤")


def _spans(folded: str, groups: bool = True) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    for match in _BETWEEN.finditer(folded):
        low, low_unit, high, high_unit = match.groups()
        # The upper bound of a span in years holds the whole of that year.
        spans.append((_months(low, low_unit or high_unit), _months(high, high_unit) + (MONTHS if high_unit == "岁" else 1)))
    rest = _BETWEEN.sub(" ", folded)
    spans += [(_months(m[1] or m[3], m[2] or m[4]), _FOREVER) for m in _FROM.finditer(rest)]
    spans += [(0, _months(m[1] or m[3], m[2] or m[4])) for m in _UNTIL.finditer(rest)]
    return spans + [span for pattern, span in _GROUPS if groups and pattern.search(rest)]


def _months(number: str, unit: str) -> float:
    return float(number) * {"岁": MONTHS, "天": 1 / 30, "日龄": 1 / 30}.get(unit, 1)


def _number(text: str) -> float:
    if text[0].isdigit():
        return float(text)
    tens, ten, ones = text.partition("十")
    if not ten:
        return float(_HAN_DIGITS[text])
    return 10.0 * (_HAN_DIGITS[tens] if tens else 1) + (_HAN_DIGITS[ones] if ones else 0)


def population_of_age(age: float) -> str:
    """The name of the patient group of an age in months, as sections.toml has it."""
    if age < _ADULT:
        return "儿童"
    return "老年人" if age >= _OLD else "成人"
