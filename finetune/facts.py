"""What a knowledge base says, field by field, under which names, and which of it is held out."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.citations import Unit
from finetune.samples import Place
from indexer.documents import Document, Section
from indexer.names import NamedDocument, NameIndex
from indexer.readers import read_documents
from indexer.sections import SHIPPED, SectionGuide, guide_text, load_guide
from indexer.sentences import sentence_spans
from indexer.terms import bare, fold

_BUCKETS = 10_000
_GROUPS_TOGETHER = "特殊人群"


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of the entities, from 0 to 1, are kept for the development and the test split."""

    dev: float = 0.05
    test: float = 0.05

    def split_of(self, entity: str) -> str:
        """The split of an entity, by the SHA-256 of its folded name: the same in every build and for every knowledge base."""
        place = int.from_bytes(hashlib.sha256(fold(entity).encode()).digest()[:8]) % _BUCKETS / _BUCKETS
        return "test" if place < self.test else "dev" if place < self.test + self.dev else "train"


@dataclass(frozen=True, slots=True)
class Entity:
    """A drug or disease with all documents that share a name, directly or through others: they fall into one split."""

    name: str
    split: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One field of one document. `position` is the document's; `field` is a canonical section, a patient group, or the heading where
    neither is meant. `section` may be a sentence of a longer one, where that speaks of one group.

    `names` are the names by which nothing else is meant that says something different under this field, the title first; it is empty
    where every name of the document is shared by such another.
    """

    number: int
    position: int
    section: Section
    field: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Knowledge:
    """The documents of a knowledge base and their facts. `entities` and `digests` go by a document's position."""

    documents: tuple[Document, ...]
    entities: tuple[Entity, ...]
    digests: tuple[str, ...]
    facts: tuple[Fact, ...]
    facts_of: Mapping[int, tuple[int, ...]]
    _units: dict[int, tuple[Unit, ...]] = field(default_factory=dict, compare=False, repr=False)

    def document(self, fact: Fact) -> Document:
        """The document that states a fact."""
        return self.documents[fact.position]

    def entity(self, fact: Fact) -> Entity:
        """What a fact is about."""
        return self.entities[fact.position]

    def units(self, fact: Fact) -> tuple[Unit, ...]:
        """The sentences of a fact."""
        if fact.number not in self._units:
            document, section = self.document(fact), fact.section
            self._units[fact.number] = tuple(Unit(document, section, *s) for s in sentence_spans(document.text, section.start, section.end))
        return self._units[fact.number]

    def place(self, fact: Fact, start: int, end: int) -> Place:
        """A span of a fact's document, for a sample's provenance."""
        return Place(self.document(fact).id, start, end, self.digests[fact.position])


def text_digest(text: str) -> str:
    """SHA-256 of a document's text, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_knowledge(paths: Sequence[Path], shares: Shares) -> tuple[Knowledge, SectionGuide, NameIndex]:
    """Everything that a knowledge base says. Raises KnowledgeBaseError with all faults of all files."""
    documents = read_documents(paths)
    guide = load_guide(guide_text(SHIPPED))
    names = NameIndex([NamedDocument(n, d.kind, d.title, d.aliases) for n, d in enumerate(documents)], guide.words)
    entities = _entities(documents, names, shares)
    facts: list[Fact] = []
    facts_of: dict[int, tuple[int, ...]] = {}
    fields = [list(_fields(document, guide)) for document in documents]
    said = _said(documents, fields)
    bearers = names.bearers()
    own = _names_of(documents, bearers)
    for position, document in enumerate(documents):
        first = len(facts)
        for section, name in fields[position]:
            clear = tuple(n for n in own[position] if _is_clear(bearers.get(fold(n).strip(), ()), position, name, said))
            facts.append(Fact(len(facts), position, section, name, clear if document.kind != "text" else ()))
        facts_of[position] = tuple(range(first, len(facts)))
    digests = tuple(text_digest(document.text) for document in documents)
    return Knowledge(tuple(documents), entities, digests, tuple(facts), facts_of), guide, names


def _entities(documents: Sequence[Document], names: NameIndex, shares: Shares) -> tuple[Entity, ...]:
    """Documents joined wherever they share a name (union-find), each group named by its first document."""
    root = list(range(len(documents)))

    def find(position: int) -> int:
        while root[position] != position:
            root[position] = root[root[position]]
            position = root[position]
        return position

    for held in names.bearers().values():
        for other in held[1:]:
            low, high = sorted((find(held[0]), find(other)))
            root[high] = low
    made: dict[int, Entity] = {}
    for position in range(len(documents)):
        first = find(position)
        if first not in made:
            made[first] = Entity(documents[first].title, shares.split_of(documents[first].title))
    return tuple(made[find(position)] for position in range(len(documents)))


def _fields(document: Document, guide: SectionGuide) -> Iterable[tuple[Section, str]]:
    """The sections with the canonical names that they answer for; a section that another answers better for goes by its own heading."""
    best: dict[str, tuple[int, int]] = {}
    meant: list[str] = []
    for number, section in enumerate(document.sections):
        heading = fold(section.title)
        fitting = [
            (canonical.name != section.title, canonical.titles.index(heading), canonical.name)
            for canonical in guide.sections
            if document.kind in canonical.kinds and heading in canonical.titles
        ]
        groups = [population.name for population in guide.populations if heading in population.titles]
        name = min(fitting)[2] if fitting else groups[0] if groups else section.title
        meant.append(name)
        rank = (min(fitting)[1] if fitting else 0, number)
        best[name] = min(best.get(name, rank), rank)
    for number, (section, name) in enumerate(zip(document.sections, meant, strict=True)):
        yield section, name if best[name][1] == number else section.title
        if name == _GROUPS_TOGETHER:
            yield from _of_groups(document, section, guide)


def _of_groups(document: Document, section: Section, guide: SectionGuide) -> Iterable[tuple[Section, str]]:
    """Sentences that begin with the name of a patient group and a colon, as sections of their own under the same heading."""
    told: set[str] = set()
    for start, end in sentence_spans(document.text, section.start, section.end):
        group = document.text[start:end].partition("：")[0]
        if guide.population(group) and group not in told:
            told.add(group)
            yield Section(section.title, start, end), group


def _said(documents: Sequence[Document], fields: Sequence[Sequence[tuple[Section, str]]]) -> dict[tuple[int, str], str]:
    return {(n, name): bare(documents[n].body(section)) for n, held in enumerate(fields) for section, name in held}


def _names_of(documents: Sequence[Document], bearers: Mapping[str, tuple[int, ...]]) -> list[tuple[str, ...]]:
    """By position: the title, the aliases, then folded stems without dosage form."""
    stems: defaultdict[int, list[str]] = defaultdict(list)
    for surface, held in bearers.items():
        for position in held:
            stems[position].append(surface)
    found = []
    for position, document in enumerate(documents):
        own = (document.title, *document.aliases)
        spelled = {fold(name).strip() for name in own}
        title = fold(document.title).strip()
        shorter = [stem for stem in stems[position] if stem not in spelled and title.startswith(stem)]
        found.append(tuple(dict.fromkeys((*own, *shorter))))
    return found


def _is_clear(held: tuple[int, ...], position: int, name: str, said: Mapping[tuple[int, str], str]) -> bool:
    """Whether everything that bears a name says the same under a field, or nothing."""
    own = said[position, name]
    return all(said.get((other, name), own) == own for other in held)


def knowledge_digest(knowledge: Knowledge) -> str:
    """SHA-256 over all documents, as 64 hexadecimal digits."""
    listed = json.dumps([[document.id, document.digest] for document in knowledge.documents])
    return hashlib.sha256(listed.encode()).hexdigest()
