"""Samples of one fact: what is asked, what is shown beside it, and the texts of the knowledge base that answer it."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.citations import Unit
from app.prompt import NO_ANSWER, as_data, write_prompt
from finetune.asking import Asking, Form, Template
from finetune.dice import dice_for
from finetune.facts import Fact, Knowledge, Shares
from finetune.samples import Place, Sample, SampleKind
from finetune.unknown_names import UnknownNames

# Of the samples about an entity of the training split, those asked by a held-out template, and so in another split.
_HELD_OUT_SHARE = 0.1
# Of the samples about an entity that is held out, those asked by a held-out template.
_HELD_OUT_TWICE_SHARE = 0.5
_TITLE_SHARE = 0.6
_FIRST_SENTENCES_SHARE = 0.6
_FEWEST_DISTRACTORS, _MOST_DISTRACTORS = 2, 4
_THIRD_TURN_SHARE = 0.3
# Of the dialogues about a section longer than an answer, those that ask for the rest, in so many parts at most.
_CONTINUED_SHARE, _MOST_PARTS = 0.5, 3
_TRIES = 4
_GROUPS = {"孕妇", "哺乳期妇女", "儿童", "老年人", "肾功能不全", "肝功能不全"}
_OF_PATIENTS = {"用法用量", "禁忌", "不良反应", "注意事项", "药物相互作用", "特殊人群", "药物过量", "药代动力学", "不宜人群", "适用人群"}
# Fields whose texts answer for each other: no evidence of one is shown where the other is to be refused, nor beside a patient group's.
_RELATED = (
    _GROUPS | _OF_PATIENTS,
    {"适应症", "药理作用", "药物类别", "主治疾病", "适应病症", "药物毒理", "药物药理"},
    {"规格与剂型", "成分", "性状", "剂型", "产品规格", "商品名", "品牌", "药品通用名", "产品名称", "包装"},
    {"贮藏", "有效期"},
    {"生产厂家", "批准文号", "产地类型", "生产厂家地址", "生产厂家名称", "品牌"},
    {"概述", "病因", "临床表现", "诊断要点", "检查检验", "急症信号", "并发症", "好发人群", "传染性", "治愈率", "治疗周期"},
    {"治疗药物", "其他治疗", "治疗方法", "治疗周期", "治愈率", "预防", "注意事项"},
)
# What people ask for and texts of these kinds hardly ever hold.
_NOT_HELD = {"drug": ("价格", "购买", "批准文号", "生产厂家", "有效期", "医保"), "disease": ("价格", "医院医生")}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most characters of a closed answer and of the evidence of a question, headings included."""

    answer: int = 300
    evidence: int = 700


@dataclass(frozen=True)
class Maker:
    """Everything that samples are made from. `alike` and `near` are facts by number of a fact (distractors.py)."""

    knowledge: Knowledge
    asking: Asking
    near: Sequence[tuple[int, ...]]
    alike: Mapping[int, tuple[int, ...]]
    unknown: Mapping[str, UnknownNames]
    limits: Limits
    shares: Shares
    seed: int

    def samples(self, fact: Fact, wanted: Mapping[str, float]) -> Iterator[Sample]:
        """About as many samples of each kind as wanted; a fraction is one sample in that share of the facts."""
        document = self.knowledge.document(fact)
        if document.kind == "text":
            return
        dice = dice_for(self.seed, document.id, fact.section.start)
        asked = _Asked(self, fact, dice)
        makers: Mapping[SampleKind, Callable[[], Sample | None]] = {
            "closed": asked.closed,
            "cited": asked.cited,
            "refusal": asked.refusal,
            "contrast": asked.contrast,
            "dialogue": asked.dialogue,
        }
        for kind, make in makers.items():
            count = wanted.get(kind, 0.0)
            seen: set[tuple[tuple[str, str], ...]] = set()
            for _ in range(int(count) + (dice.random() < count % 1)):
                for _ in range(_TRIES):
                    sample = make()
                    if sample and sample.messages not in seen:
                        seen.add(sample.messages)
                        yield sample
                        break

    def answer_spans(self, fact: Fact) -> list[tuple[int, int]]:
        """The section as it stands; one beyond the limit in runs of whole sentences that fit, from its head up to a sentence that does not.

        Empty where not even the first sentence fits.
        """
        text = self.knowledge.document(fact).text
        start, end = _trimmed(text, fact.section.start, fact.section.end)
        if end - start <= self.limits.answer:
            return [(start, end)]
        spans: list[tuple[int, int]] = []
        for unit in self.knowledge.units(fact):
            if spans and unit.end - spans[-1][0] <= self.limits.answer:
                spans[-1] = spans[-1][0], unit.end
                continue
            head, _ = _trimmed(text, spans[-1][1] if spans else start, end)
            if unit.end - head > self.limits.answer:
                break
            spans.append((head, unit.end))
        return spans


@dataclass(frozen=True)
class _Evidence:
    """Units to show, some of which answer."""

    shown: tuple[Unit, ...]
    answering: tuple[Unit, ...]


class _Asked:
    """Draws samples of one fact, one after the other."""

    def __init__(self, maker: Maker, fact: Fact, dice: random.Random) -> None:
        self._maker = maker
        self._knowledge = maker.knowledge
        self._fact = fact
        self._dice = dice
        self._document = maker.knowledge.document(fact)
        self._entity = maker.knowledge.entity(fact)
        self._form = maker.asking.form(self._document.kind, fact.field)
        self._order: list[Template] = []

    def closed(self) -> Sample | None:
        """The bare question, and the text of the section."""
        spans = self._maker.answer_spans(self._fact)
        if not self._fact.names or not spans:
            return None
        template, split = self._template()
        question = self._question(template, self._form, self._name(), self._fact.section.title)
        return self._sample("closed", split, template, (("user", question),), self._said(spans[0]), [self._place(*spans[0])])

    def cited(self) -> Sample | None:
        """The question behind numbered evidence, most of it beside the point."""
        template, split = self._template()
        return self._from_evidence("cited", template, split, self._distractors(split))

    def contrast(self) -> Sample | None:
        """The question for one of two drugs with names alike, with the same section of both as evidence."""
        template, split = self._template()
        others = self._allowed(self._maker.alike.get(self._fact.number, ()), split)
        return self._from_evidence("contrast", template, split, [self._dice.choice(others)]) if others else None

    def dialogue(self) -> Sample | None:
        """A question for another field of the same entity and its answer, then one for this field that leans on it; or, where the answer
        is longer than the limit, this field asked for, and then for the rest.
        """
        spans = self._maker.answer_spans(self._fact)
        others = [fact for fact in self._siblings() if fact.field != self._fact.field and self._maker.answer_spans(fact)]
        if not self._fact.names or not spans:
            return None
        if len(spans) > 1 and self._dice.random() < _CONTINUED_SHARE:
            return self._continued(spans[: self._dice.randint(2, _MOST_PARTS)])
        return self._leaning(spans[0], others) if others else None

    def _continued(self, spans: Sequence[tuple[int, int]]) -> Sample:
        first = self._dice.choice(self._form.ask)
        turns = [("user", self._question(first, self._form, self._name(), self._fact.section.title))]
        template = first
        for span in spans[:-1]:
            template = self._dice.choice(self._maker.asking.more)
            turns += [("assistant", self._said(span)), ("user", self._maker.asking.fill(template, "", "", self._dice))]
        places = [self._place(*span) for span in spans]
        return self._sample("dialogue", self._entity.split, template, turns, self._said(spans[-1]), places)

    def _leaning(self, span: tuple[int, int], others: Sequence[Fact]) -> Sample:
        turns: list[tuple[str, str]] = []
        places: list[Place] = []
        count = 2 if len(others) > 1 and self._dice.random() < _THIRD_TURN_SHARE else 1
        for number, fact in enumerate(self._dice.sample(others, count)):
            form = self._maker.asking.form(self._document.kind, fact.field)
            template = self._dice.choice(form.follow if number else form.ask)
            name = self._dice.choice(fact.names) if fact.names else self._document.title
            own = self._maker.answer_spans(fact)[0]
            turns += [("user", self._question(template, form, name, fact.section.title)), ("assistant", self._said(own))]
            places.append(self._place(*own))
        template = self._dice.choice(self._form.follow)
        question = self._question(template, self._form, "", self._fact.section.title)
        messages = (*turns, ("user", question))
        return self._sample("dialogue", self._entity.split, template, messages, self._said(span), [*places, self._place(*span)])

    def _said(self, span: tuple[int, int]) -> str:
        return self._document.text[slice(*span)]

    def refusal(self) -> Sample | None:
        """One of four: a name that is not held, bare or before evidence of others; a held one without the field, or without its text."""
        makers = (self._unknown_bare, self._unknown_before_evidence, self._only_distractors, self._not_held)
        return self._dice.choices(makers, weights=(7, 5, 5, 3))[0]()

    def _unknown_bare(self) -> Sample | None:
        name = self._unknown()
        if not name:
            return None
        template, split = self._template(self._maker.shares.split_of(name))
        question = self._question(template, self._form, name, self._fact.section.title)
        return self._refused(name, split, template, question)

    def _unknown_before_evidence(self) -> Sample | None:
        name = self._unknown()
        if not name:
            return None
        template, split = self._template(self._maker.shares.split_of(name))
        others = self._allowed((self._fact.number, *self._maker.near[self._fact.number]), split)
        question = self._question(template, self._form, name, self._fact.section.title)
        return self._refused_before(name, split, template, question, others)

    def _only_distractors(self) -> Sample | None:
        template, split = self._template()
        others = self._allowed((*self._maker.alike.get(self._fact.number, ()), *self._maker.near[self._fact.number]), split)
        others += self._unrelated_siblings()
        question = self._question(template, self._form, self._name(), self._fact.section.title)
        return self._refused_before(self._entity.name, split, template, question, others)

    def _not_held(self) -> Sample | None:
        held = {fact.field for fact in self._siblings()}
        fields = [field for field in _NOT_HELD[self._document.kind] if field not in held]
        if not fields:
            return None
        field = self._dice.choice(fields)
        form = self._maker.asking.form(self._document.kind, field)
        template, split = self._template(form=form)
        question = self._question(template, form, self._name(), field)
        return self._refused(self._entity.name, split, template, question, field)

    def _refused(self, entity: str, split: str, template: Template, question: str, field: str = "") -> Sample:
        messages = (("user", question), ("assistant", NO_ANSWER))
        return Sample("refusal", split, entity, field or self._fact.field, template.id, messages)

    def _refused_before(self, entity: str, split: str, template: Template, question: str, others: Sequence[Fact]) -> Sample | None:
        shown = self._arranged(self._dice.sample(others, min(len(others), self._drawn_count())), ())
        if not shown:
            return None
        messages = (("user", write_prompt(question, shown).data), ("assistant", NO_ANSWER))
        return Sample("refusal", split, entity, self._fact.field, template.id, messages, shown=_documents(shown))

    def _from_evidence(self, kind: SampleKind, template: Template, split: str, others: Sequence[Fact]) -> Sample | None:
        evidence = self._evidence(others)
        if not evidence:
            return None
        question = self._question(template, self._form, self._name(), self._fact.section.title)
        numbers = {(unit.document.id, unit.start): number for number, unit in enumerate(evidence.shown, 1)}
        answer = "\n".join(f"{unit.text}[{numbers[unit.document.id, unit.start]}]" for unit in evidence.answering)
        messages = (("user", write_prompt(question, evidence.shown).data),)
        places = [self._place(unit.start, unit.end) for unit in evidence.answering]
        return self._sample(kind, split, template, messages, answer, places, _documents(evidence.shown))

    def _evidence(self, others: Sequence[Fact]) -> _Evidence | None:
        """Sentences of this fact that answer, among whole sentences of others; None where none fits."""
        answering = self._answering()
        shown = self._arranged(others, answering)
        return _Evidence(tuple(shown), tuple(answering)) if answering and len(shown) > len(answering) else None

    def _answering(self) -> list[Unit]:
        """A run of this section's sentences within the limits, most often from its head. A text that is shown otherwise than it stands
        (brackets and the like) is left out: an answer repeats what is shown, letter for letter.
        """
        units = [unit for unit in self._knowledge.units(self._fact) if as_data(unit.text) == unit.text]
        room = min(self._maker.limits.answer, self._maker.limits.evidence // 2)
        if not units:
            return []
        first = 0 if self._dice.random() < _FIRST_SENTENCES_SHARE else self._dice.randrange(len(units))
        return _fitting(units[first:], room)

    def _arranged(self, others: Sequence[Fact], answering: Sequence[Unit]) -> list[Unit]:
        """Blocks of each fact's first sentences and the answering ones, shuffled, within the limit of evidence."""
        room = self._maker.limits.evidence - _written(answering)
        blocks = [list(answering)] if answering else []
        for number, fact in enumerate(others):
            block = _fitting(self._knowledge.units(fact), room // (len(others) - number))
            room -= _written(block)
            if block:
                blocks.append(block)
        self._dice.shuffle(blocks)
        return [unit for block in blocks for unit in block]

    def _distractors(self, split: str) -> list[Fact]:
        """Other sections of the document, the same section of look-alikes, and the texts nearest to this one under the same field."""
        others = self._unrelated_siblings() if self._fact.field in _GROUPS else self._siblings()
        siblings = [fact for fact in others if fact.field != self._fact.field]
        alike = self._allowed(self._maker.alike.get(self._fact.number, ()), split)
        near = self._allowed(self._maker.near[self._fact.number], split)
        chosen = [*self._dice.sample(siblings, min(2, len(siblings))), *alike[:1], *self._dice.sample(near, min(2, len(near)))]
        unique = list({fact.number: fact for fact in chosen}.values())
        return self._dice.sample(unique, min(len(unique), self._drawn_count()))

    def _drawn_count(self) -> int:
        return self._dice.randint(_FEWEST_DISTRACTORS, _MOST_DISTRACTORS)

    def _allowed(self, numbers: Sequence[int], split: str) -> list[Fact]:
        """Facts that may be shown in a split: training sees nothing of entities that are held out."""
        facts = [self._knowledge.facts[number] for number in numbers]
        return [fact for fact in facts if split != "train" or self._knowledge.entity(fact).split == "train"]

    def _siblings(self) -> list[Fact]:
        """Other facts of the document, none of which holds this one or lies within it."""
        own = self._fact.section
        facts = (self._knowledge.facts[number] for number in self._knowledge.facts_of[self._fact.position])
        return [fact for fact in facts if fact.section.end <= own.start or fact.section.start >= own.end]

    def _unrelated_siblings(self) -> list[Fact]:
        related = {self._fact.field}.union(*(fields for fields in _RELATED if self._fact.field in fields))
        return [fact for fact in self._siblings() if fact.field not in related]

    def _template(self, split: str = "", form: Form | None = None) -> tuple[Template, str]:
        """A template, and the split that the sample then belongs to. Those of the form are drawn in turn, so that all are used."""
        split = split or self._entity.split
        form = form or self._form
        held_out = self._dice.random() < (_HELD_OUT_SHARE if split == "train" else _HELD_OUT_TWICE_SHARE)
        if held_out:
            template = self._dice.choice(form.held_out)
            return template, template.split if split == "train" else split
        if form is not self._form:
            return self._dice.choice(form.ask), split
        if not self._order:
            self._order = self._dice.sample(form.ask, len(form.ask))
        return self._order.pop(), split

    def _question(self, template: Template, form: Form, name: str, heading: str) -> str:
        question = self._maker.asking.fill(template, name, heading, self._dice)
        return question if template in form.held_out else self._maker.asking.roughen(question, name, self._dice)

    def _name(self) -> str:
        names = self._fact.names or (self._document.title,)
        return names[0] if self._dice.random() < _TITLE_SHARE else self._dice.choice(names)

    def _unknown(self) -> str:
        unknown = self._maker.unknown[self._document.kind]
        pools = [pool for pool in (unknown.real, unknown.made_up) if pool]
        return self._dice.choice(self._dice.choice(pools)) if pools else ""

    def _place(self, start: int, end: int) -> Place:
        return self._knowledge.place(self._fact, start, end)

    def _sample(
        self,
        kind: SampleKind,
        split: str,
        template: Template,
        messages: Sequence[tuple[str, str]],
        answer: str,
        places: Sequence[Place],
        shown: tuple[str, ...] = (),
    ) -> Sample:
        whole = (*messages, ("assistant", answer))
        return Sample(kind, split, self._entity.name, self._fact.field, template.id, whole, tuple(places), shown)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends."""
    body = text[start:end]
    return start + len(body) - len(body.lstrip()), start + len(body.rstrip())


def _written(units: Sequence[Unit]) -> int:
    """Characters that units of one section take as evidence, on lines of their own below their heading."""
    heading = f"{units[0].document.title} · {units[0].section.title}\n" if units else ""
    return len(heading) + sum(len(f"[10] {unit.text}\n") for unit in units)


def _fitting(units: Sequence[Unit], room: int) -> list[Unit]:
    """The first units that together take no more than the room."""
    chosen: list[Unit] = []
    for unit in units:
        if _written([*chosen, unit]) > room:
            break
        chosen.append(unit)
    return chosen


def _documents(units: Sequence[Unit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(unit.document.id for unit in units))
