"""What sections are called, and by which words a question asks for them."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from indexer.documents import Document, Section
from indexer.errors import Fault, KnowledgeBaseError
from indexer.lay_terms import Elsewhere, LayTerms
from indexer.sounds import sound
from indexer.terms import fold

SHIPPED = Path(__file__).parent.parent / "kb_data" / "sections.toml"
_BESIDE = ("lay_terms.toml", "elsewhere.toml")
_heading = lru_cache(maxsize=4096)(fold)  # few headings, asked for again and again
MASK = "\ufffc"  # stands where a name stood, so that cues cannot match inside it


# A question word in a cue stands for all that people say instead of it.
_WHICH = "(?:什么|啥|哪些|哪种|哪几[种个类样项]|何种)"
_WAYS_OF_ASKING = {"什么": _WHICH, "哪些": _WHICH, "怎么": "(?:怎么|咋|怎样|如何)"}
_QUESTION_WORDS = re.compile("|".join(_WAYS_OF_ASKING))


@dataclass(frozen=True, slots=True)
class CanonicalSection:
    """A kind of section: `titles` are folded headings that mean it, best first; `cues` finds it asked for.

    Where a document has none, sentences of its other sections that hold one of `words` speak of it. `outside`: hardly any text has
    it (a price, a trial), and nothing else that stands in the text answers for it. `hints` finds forms of asking that only suggest it.
    """

    name: str
    kinds: tuple[str, ...]
    titles: tuple[str, ...]
    cues: re.Pattern[str]
    clinical: bool
    words: tuple[str, ...]
    outside: bool = False
    hints: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """A group of patients: `about` finds it in texts, `cues` in a question, `titles` are sections about it."""

    name: str
    about: re.Pattern[str]
    cues: re.Pattern[str]
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Word lists for reading questions and names; kb_data/sections.toml says what each is for."""

    question: tuple[str, ...]
    edges: tuple[str, ...]
    beside: tuple[str, ...]
    forms: tuple[str, ...]
    salts: tuple[str, ...]
    modifiers: tuple[str, ...]
    disease_ends: tuple[str, ...]
    disease_starts: tuple[str, ...]
    no_disease_ends: tuple[str, ...]
    chemical: str
    emergency: tuple[str, ...]
    self_harm: tuple[str, ...]
    opinion: tuple[str, ...] = ()
    instruction: tuple[str, ...] = ()
    care: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cue:
    """A place in a question that asks for a section. `title` is set where a heading of a document stands there literally."""

    name: str
    start: int
    end: int
    title: str = ""


@dataclass(frozen=True)
class SectionGuide:
    """The content of a sections.toml and the tables kept behind it."""

    sections: tuple[CanonicalSection, ...]
    populations: tuple[Population, ...]
    words: Words
    lay: LayTerms
    elsewhere: Elsewhere

    def named(self, name: str) -> CanonicalSection | None:
        """The canonical section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def titles(self, name: str) -> tuple[str, ...]:
        """Folded headings that mean a section, best first; a name that no canonical section has is a heading itself."""
        canonical = self.named(name)
        return canonical.titles if canonical else (fold(name),)

    def find(self, document: Document, name: str) -> list[Section]:
        """The document's sections that are a `name` (canonical, or its own heading), preferred headings first."""
        titles = self.titles(name)
        found = [(titles.index(_heading(s.title)), s) for s in document.sections if _heading(s.title) in titles]
        return [section for _, section in sorted(found, key=lambda pair: (pair[0], pair[1].start))]

    def is_clinical(self, title: str) -> bool:
        """Whether free questions may be answered from sections of this heading."""
        folded = _heading(title)
        means = [section for section in self.sections if folded in section.titles]
        return any(section.clinical for section in means) if means else True

    def cues(self, masked: str, kinds: Iterable[str], headings: Iterable[str] = ()) -> list[Cue]:
        """What a question asks for, in its order; of overlapping cues the longest counts, a literal heading first.

        `masked` is the folded question with names masked; only sections of the given kinds count; `headings` are folded
        headings of the documents asked about.
        """
        wanted = set(kinds)
        cues = [
            Cue(section.name, match.start(), match.end())
            for section in self.sections
            if wanted & set(section.kinds)
            for match in section.cues.finditer(masked)
            if match.end() > match.start()
        ]
        for heading in set(headings):
            at = masked.find(heading) if len(heading) > 1 else -1
            if at >= 0:
                cues.append(Cue(heading, at, at + len(heading), title=heading))
        return _longest(cues)

    def hints(self, masked: str, kind: str) -> list[Cue]:
        """What the form of a question suggests of documents of a kind, where no cue asks for it; they may overlap."""
        return [
            Cue(section.name, match.start(), match.end())
            for section in self.sections
            if section.hints and kind in section.kinds
            for match in section.hints.finditer(masked)
        ]

    @cached_property
    def question_words(self) -> tuple[str, ...]:
        """What only asks, the longest first."""
        return tuple(sorted(self.words.question, key=len, reverse=True))

    @cached_property
    def _titles_by_sound(self) -> dict[str, list[tuple[CanonicalSection, str, tuple[str, ...]]]]:
        """Headings by the first syllable they are said with."""
        by_first: dict[str, list[tuple[CanonicalSection, str, tuple[str, ...]]]] = defaultdict(list)
        for section in self.sections:
            for title in section.titles:
                if len(title) > 1 and not section.outside:  # 来例假 is no 来历
                    told = sound(title)
                    by_first[told[0]].append((section, title, told))
        return dict(by_first)

    def cues_by_sound(self, masked: str, kinds: Iterable[str]) -> list[Cue]:
        """Headings that the question misspells by a like-sounding character: 禁祭 for 禁忌."""
        wanted, heard, cues = set(kinds), sound(masked), []
        for start, syllable in enumerate(heard):
            for section, title, told in self._titles_by_sound.get(syllable, ()):
                # Sound alone is too little: 急性 sounds like 剂型.
                alike = heard[start : start + len(title)] == told and set(masked[start : start + len(title)]) & set(title)
                if alike and wanted & set(section.kinds):
                    cues.append(Cue(section.name, start, start + len(title)))
        return _longest(cues)

    def populations_in(self, masked: str) -> list[tuple[Population, int, int]]:
        """Patient groups the question speaks of, with their places; of overlapping ones the longest: 怀了孩子 is no child."""
        found = {
            Cue(population.name, match.start(), match.end()): population
            for population in self.populations
            for match in population.cues.finditer(masked)
            if match.end() > match.start()
        }
        return [(found[cue], cue.start, cue.end) for cue in _longest(list(found))]

    def population(self, name: str) -> Population | None:
        """The population of that name."""
        return next((population for population in self.populations if population.name == name), None)


def _longest(cues: Sequence[Cue]) -> list[Cue]:
    chosen: list[Cue] = []
    for cue in sorted(cues, key=lambda c: (c.start - c.end, not c.title, c.start)):
        if all(cue.end <= other.start or other.end <= cue.start for other in chosen):
            chosen.append(cue)
    return sorted(chosen, key=lambda c: c.start)


def guide_text(path: Path = SHIPPED) -> str:
    """A sections.toml with the tables of lay terms and of names that stand beside it, as one text to keep with a release."""
    beside = [path.with_name(name) for name in _BESIDE]
    return "\n".join(part.read_text("utf-8") for part in (path, *beside) if part == path or part.is_file())


@lru_cache(maxsize=4)  # releases opened side by side mostly hold the same
def load_guide(text: str, path: str = "sections.toml") -> SectionGuide:
    """Read a sections.toml. Raises KnowledgeBaseError when it does not parse or misses a key."""
    try:
        return _guide(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise KnowledgeBaseError([Fault(path, 0, "", f"TOML 无法解析：{error}")]) from error
    except (KeyError, TypeError, re.error) as error:
        raise KnowledgeBaseError([Fault(path, 0, str(error), "章节配置缺少此项或写法不对")]) from error


def _guide(raw: dict[str, Any]) -> SectionGuide:
    sections = tuple(
        CanonicalSection(
            entry["name"],
            tuple(entry["kinds"]),
            tuple(fold(title) for title in entry["titles"]),
            _either(map(_asked_anyhow, entry["cues"])),
            entry.get("clinical", True),
            tuple(entry.get("words", ())),
            entry.get("outside", False),
            _either(map(_asked_anyhow, entry["hints"])) if "hints" in entry else None,
        )
        for entry in raw["section"]
    )
    populations = tuple(
        Population(
            entry["name"],
            _either(entry["about"]),
            _either(entry["cues"]),
            tuple(fold(title) for title in entry["titles"]),
        )
        for entry in raw["population"]
    )
    words: dict[str, Any] = {k: v if isinstance(v, str) else tuple(v) for k, v in raw["words"].items()}
    lay, elsewhere = raw.get("lay", {}), raw.get("elsewhere", {})
    return SectionGuide(
        sections,
        populations,
        Words(**words),
        LayTerms(lay.get("signs", {}), lay.get("settings", {}), lay.get("terms", {})),
        Elsewhere(tuple(elsewhere.get("drugs", ())), tuple(elsewhere.get("diseases", ()))),
    )


def _asked_anyhow(pattern: str) -> str:
    """The pattern with every way of saying its question words."""
    return _QUESTION_WORDS.sub(lambda word: _WAYS_OF_ASKING[word[0]], pattern)


def _either(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
