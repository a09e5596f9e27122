"""Drug and disease names: found in a question, told apart from longer names, and looked up when misspelt."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from ahocorasick_rs import AhoCorasick, MatchKind
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from indexer.sections import Words
from indexer.sounds import sound
from indexer.terms import fold

_HAN = re.compile(r"[\u3400-\u9fff]")
_FEWEST_STEM_CHARACTERS = 3
_CLASS = 4
# What people leave off a disease's name of at least so many characters before it: 肾上腺皮质功能减退症.
_END, _FEWEST_BEFORE_END = "症", 5
_LONGEST_HEARD = 8
# Two words for one dosage form.
_SAME_FORM = {"冲剂": "颗粒"}
# What may follow or precede a name without being part of a longer one.
_JOINTS = "和与跟及或同、,;"
_VERBS = "治疗患得防抗伴发致引起上到降升控含因由为属于算叫像比过量剂补停换输挂成滴涂喷含打完老总犯拍照查"
# Characters that no product's name has between an ingredient or a disease and its form: 骨质疏松拍片, 脑梗死溶栓, 青春痘抹啥药膏.
_NO_PRODUCT = "的拍照查溶取抹涂擦吃喝啥咋哪什怎药"
# What follows 病 in words of which it is no end: 抗病毒.
_ON = "毒人情因程史房变灶原例"
# Before a dosage form it counts pieces and belongs to no name: 速尿片一片.
_COUNTED = frozenset("一二两三四每半几")


class Rank(IntEnum):
    """How a name belongs to a document; a better rank hides the worse ones of the same spelling."""

    TITLE = 0
    ALIAS = 1
    STEM = 2  # the title without dosage form and salt, or without a last 症


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """What the name index keeps of a document; `position` is its number in the release."""

    position: int
    kind: str
    title: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mention:
    """A held name found in a folded question at [start, end).

    `documents` are the positions of the documents it stands for. Where the question's word goes on beyond the held name and so
    means something else (复方阿司匹林 beside 阿司匹林), `whole` is that longer word and `documents` are only near; `form_only` says
    that just the dosage form differs from the held ones.
    """

    start: int
    end: int
    surface: str
    kind: str
    documents: tuple[int, ...]
    whole: str = ""
    form_only: bool = False
    form: str = ""

    @property
    def is_other(self) -> bool:
        """True where the question names something longer that is not held."""
        return bool(self.whole)


class NameIndex:
    """All names of a release, searched at once (Aho-Corasick, leftmost longest)."""

    def __init__(self, documents: Iterable[NamedDocument], words: Words) -> None:
        self._words = words
        self._by_position = {document.position: document for document in documents}
        self._holders = self._collect()
        self._surfaces = sorted(self._holders)
        self._finder = AhoCorasick(self._surfaces, matchkind=MatchKind.LeftmostLongest)
        self._apart = {*words.edges, *_JOINTS, *_VERBS, *(word for word in words.question if len(word) == 1)}
        self._light = sorted((w for w in (*words.question, *words.beside) if len(w) > 1), key=len, reverse=True)
        self._forms = sorted((fold(form) for form in words.forms), key=len, reverse=True)

    def title(self, position: int) -> str:
        """The title of a document of this release."""
        return self._by_position[position].title

    def kind(self, position: int) -> str:
        """The kind of a document of this release."""
        return self._by_position[position].kind

    def bearers(self) -> dict[str, tuple[int, ...]]:
        """Every folded name, stems without dosage form included, with all documents that bear it."""
        return {surface: tuple(sorted({position for _, position in held})) for surface, held in self._holders.items()}

    @cached_property
    def _sounds(self) -> dict[tuple[str, ...], list[str]]:
        heard: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for surface in self._surfaces:
            if _HAN.search(surface):
                heard[sound(surface)].append(surface)
        return heard

    def exact(self, name: str) -> tuple[int, ...]:
        """Documents that bear this name, by the best rank it has; empty if none does."""
        return self._documents(fold(name).strip())

    def mentions(self, folded: str) -> list[Mention]:
        """Held names in a folded text, in order, each widened over the salts and dosage forms around it."""
        found: list[Mention] = []
        for number, start, end in self._finder.find_matches_as_indexes(folded):
            surface = self._surfaces[number]
            if _inside_latin_word(folded, start, end):
                continue
            found.append(self._widen(folded, start, end, surface, found[-1].end if found else 0))
        return found

    def near(self, name: str, kinds: Collection[str], limit: int = 5) -> list[int]:
        """Documents of these kinds whose names could be meant by a misspelt one, nearest first.

        Either both sound alike and share half of their characters (消遥丸, 逍遥丸), or they begin alike and are a slip apart:
        氯丙那林 is near 氯丙嗪; 阿哌沙班 is not near 利伐沙班 (a shared ending is a class of drugs), nor 胃康灵胶囊 near 胃康胶囊
        (another product).
        """
        folded = fold(name).strip()
        stem = _strip_form(folded, self._words)
        alike = self._sounds.get(sound(folded), ())
        ranked = [(0, surface) for surface in alike if surface != folded and 2 * len(set(stem) & set(surface)) >= len(set(stem))]
        if len(stem) >= _FEWEST_STEM_CHARACTERS:
            matches = process.extract(folded, self._surfaces, scorer=Levenshtein.distance, score_cutoff=2, limit=20 * limit)
            ranked += [(int(distance), surface) for surface, distance, _ in matches if self._is_slip(folded, stem, surface)]
        return self._first_documents((surface for _, surface in sorted(ranked)), kinds, limit)

    def _is_slip(self, folded: str, stem: str, surface: str) -> bool:
        """One edit; two in a longer name without dosage form; one character mistaken in a product's name of the same form."""
        other = _strip_form(surface, self._words)
        distance = Levenshtein.distance(stem, other)
        if stem[0] != other[0] or distance > 2:
            return False
        if stem != folded and other != surface:
            return distance == 1 and len(stem) == len(other) and folded[len(stem) :] == surface[len(other) :]
        formless = stem == folded and other == surface and len(stem) > _FEWEST_STEM_CHARACTERS
        # A beginning that several drugs share names their class (头孢), and what follows it which one.
        return distance == 1 or (formless and stem[:2] == other[:2] and self._beginnings[stem[:2]] < _CLASS)

    @cached_property
    def _beginnings(self) -> Counter[str]:
        return Counter(fold(document.title)[:2] for document in self._by_position.values() if document.kind == "drug")

    def one_edit_apart(self, position: int) -> list[int]:
        """Drugs whose names, without dosage form and salt, are one edit from this one's: 阿昔洛韦 and 伐昔洛韦. Nearest spelling first."""
        own = self._drug_stems.get(position, "")
        if len(own) < _FEWEST_STEM_CHARACTERS:
            return []
        matches = process.extract(own, self._drug_stems, scorer=Levenshtein.distance, score_cutoff=1, limit=None)
        return [other for stem, distance, other in matches if distance == 1 and len(stem) >= _FEWEST_STEM_CHARACTERS]

    @cached_property
    def _drug_stems(self) -> dict[int, str]:
        drugs = (document for document in self._by_position.values() if document.kind == "drug")
        return {document.position: _stem(fold(document.title).partition("(")[0].strip(), self._words) for document in drugs}

    def heard(self, run: str, kinds: Collection[str]) -> tuple[str, list[int]]:
        """A stretch of a run that sounds like a held name and shares half of its characters, longest first, and whose it may be."""
        told = sound(run)
        for size in range(min(len(run), _LONGEST_HEARD), _FEWEST_STEM_CHARACTERS - 1, -1):
            for start in range(len(run) - size + 1):
                written = run[start : start + size]
                alike = self._sounds.get(told[start : start + size], ())
                formless = (name for name in alike if name != written and _strip_form(name, self._words) == name)
                meant = [name for name in formless if 2 * len(set(written) & set(name)) >= size]
                if documents := self._first_documents(meant, kinds, 5):
                    return written, documents
        return "", []

    def misspelt(self, run: str) -> tuple[str, list[int]]:
        """A stretch of a run that is one written character away from a held drug's name, longest first, and whose it may be.

        The first character is right, as in most slips. Three characters count only where they are the whole run, since words of
        three characters are many; with a dosage form behind it a name is a product's own.
        """
        for size in range(min(len(run), _LONGEST_HEARD), _FEWEST_STEM_CHARACTERS - 1, -1):
            for start in range(len(run) - size + 1):
                written = run[start : start + size]
                rest = run[start + size :]
                if (size == _FEWEST_STEM_CHARACTERS and written != run) or rest.startswith(tuple(self._forms)):
                    continue
                meant = [name for gap in range(1, size) for name in self._gapped.get((written[:gap], written[gap + 1 :]), ())]
                if documents := self._first_documents((name for name in meant if name != written), {"drug"}, 5):
                    return written, documents
        return "", []

    @cached_property
    def _gapped(self) -> dict[tuple[str, str], list[str]]:
        """Chinese names of drugs without dosage form, by what stands before and behind every one of their characters but the first."""
        gapped: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in self._surfaces:
            fitting = _FEWEST_STEM_CHARACTERS <= len(name) <= _LONGEST_HEARD and all(map(_HAN.match, name))
            if fitting and _strip_form(name, self._words) == name:
                for gap in range(1, len(name)):
                    gapped[name[:gap], name[gap + 1 :]].append(name)
        return gapped

    def containing(self, name: str, kinds: Collection[str], limit: int = 8) -> list[int]:
        """Documents of these kinds whose names hold this one as a part, shortest names first: 高血压 in 继发性高血压.

        A name with a dosage form is a product of its own and no part of another.
        """
        folded = fold(name).strip()
        if len(folded) < 2 or _strip_form(folded, self._words) != folded:
            return []
        longer = sorted((len(surface), surface) for surface in self._surfaces if folded in surface)
        return self._first_documents((surface for _, surface in longer), kinds, limit)

    def related(self, name: str, kinds: Collection[str], limit: int = 3) -> list[int]:
        """Documents of these kinds whose names share the most with one that is not held; to show, never to answer from."""
        folded = fold(name).strip()
        matches = process.extract(folded, self._surfaces, scorer=Levenshtein.normalized_similarity, limit=20 * limit)
        ranked = sorted((-similarity, surface) for surface, similarity, _ in matches if similarity >= 0.4)
        return self._first_documents((surface for _, surface in ranked), kinds, limit)

    def _first_documents(self, surfaces: Iterable[str], kinds: Collection[str], limit: int) -> list[int]:
        chosen: list[int] = []
        for surface in surfaces:
            fitting = (position for position in self._documents(surface) if self.kind(position) in kinds)
            chosen.extend(position for position in fitting if position not in chosen)
        return chosen[:limit]

    def _documents(self, surface: str) -> tuple[int, ...]:
        holders = self._holders.get(surface, [])
        return tuple(position for rank, position in holders if rank == holders[0][0])

    def _collect(self) -> dict[str, list[tuple[Rank, int]]]:
        holders: dict[str, set[tuple[Rank, int]]] = defaultdict(set)
        ordinary = set(self._words.question) | set(self._words.forms) | set(self._words.edges)
        for document in self._by_position.values():
            if document.kind == "text":
                continue
            for rank, names in ((Rank.TITLE, [document.title]), (Rank.ALIAS, document.aliases)):
                for name in names:
                    for surface in _spellings(name, self._words, own_forms=rank is Rank.TITLE):
                        if len(surface) > 1 and surface not in ordinary and not surface.isdigit():
                            holders[surface].add((rank, document.position))
        diseases = {s for s, held in holders.items() if any(self.kind(p) == "disease" for _, p in held)}
        for surface, held in list(holders.items()):
            for rank, position in held:
                stem = _stem(surface, self._words)
                if self.kind(position) == "drug" and rank < Rank.STEM and stem not in diseases | ordinary and stem != surface:
                    holders[stem].add((Rank.STEM, position))
                short = surface.removesuffix(_END)
                if self.kind(position) == "disease" and rank < Rank.STEM and surface != short and len(short) >= _FEWEST_BEFORE_END:
                    holders[short].add((Rank.STEM, position))
        return {surface: sorted(held) for surface, held in holders.items()}

    def _widen(self, folded: str, start: int, end: int, surface: str, left_end: int) -> Mention:
        documents = self._documents(surface)
        kind = self.kind(documents[0])
        before, after = folded[left_end:start], folded[end:]
        if kind == "disease":
            if product := self._product_tail(after):
                return Mention(start, end + len(product), surface, "drug", documents, surface + product)
            return Mention(start, end, surface, kind, documents, self._longer_disease(before, surface, after))
        form, tail = "", 0
        head = max((len(salt) for salt in self._words.salts if before.endswith(salt)), default=0)
        while piece := self._form_or_salt(after[tail:]):
            tail += len(piece)
            form += piece
        start, end = start - head, end + tail
        named = folded[start:end]
        more_before = self._name_before(before[: len(before) - head], named)
        more_after = "" if form else self._name_after(after)
        if more_before or more_after:
            start, end = start - len(more_before), end + len(more_after)
            return Mention(start, end, surface, kind, documents, folded[start:end])
        own = form or surface[len(_strip_form(surface, self._words)) :]  # an alias may carry a form that the title does not
        form_only = bool(own) and not self._fits_form(documents, own)
        spoken = next((known for known in self._forms if own.endswith(known)), "")
        return Mention(start, end, surface, kind, documents, named if form_only else "", form_only, spoken)

    def _form_or_salt(self, text: str) -> str:
        inner = re.match(r"\(([^()]{1,8})\)", text)
        if inner and (inner[1] in self._forms):
            return inner[0]
        candidates = [part for part in (*self._forms, *self._words.salts) if text.startswith(part)]
        return max(candidates, key=len, default="")

    def _fits_form(self, documents: tuple[int, ...], form: str) -> bool:
        """A title that names no dosage form covers all of them; one that does covers only its own and those in its brackets."""
        titles = [fold(self.title(position)).partition("(") for position in documents]
        own = [head[len(_strip_form(head, self._words)) :] for head, _, _ in titles]
        spoken = next((known for known in self._forms if form.endswith(known)), "")
        spoken = _SAME_FORM.get(spoken, spoken)
        return not spoken or "" in own or spoken in own or any(spoken in rest for _, _, rest in titles)

    def _name_before(self, before: str, named: str) -> str:
        """What stands before a drug's name and belongs to the name of another: 复方, 加味, 精氨酸."""
        is_product = _strip_form(named, self._words) != named
        for modifier in self._words.modifiers:
            if before.endswith(modifier) and (modifier != "小儿" or is_product):
                return modifier
        reach = re.search(r"[\u3400-\u9fff]{1,4}$", before)
        if not reach:
            return ""
        if reach[0][-1] in self._words.chemical:
            return reach[0]
        return ""

    def is_chemical(self, run: str) -> bool:
        """Whether a run holds a character that names of drugs are made of."""
        return any(c in self._words.chemical for c in run)

    def is_modifier(self, head: str) -> bool:
        """Whether this, before a drug's name, always makes another: 复方."""
        return head in self._words.modifiers

    def touching(self, runs: Sequence[str], at_end: bool) -> str:
        """The part of the one run given, if any, that touches its end (or its start) and is no question word, light word or joint."""
        run = runs[0] if runs else ""
        edge = run[-1:] if at_end else run[:1]
        if not run or edge in self._apart:
            return ""
        for word in self._light:
            first, _, last = run.rpartition(word) if at_end else run.partition(word)
            if word in run:
                run = last if at_end else first
        light = [i for i, c in enumerate(run) if c in self._apart]
        if light:
            run = run[light[-1] + 1 :] if at_end else run[: light[0]]
        return run

    def _name_after(self, after: str) -> str:
        """What follows a drug's name and belongs to the name of another: 克拉维酸钾, 内酯胶囊, 维c泡腾片."""
        tail = re.match(rf"[{self._words.chemical}][\u3400-\u9fff]{{0,6}}|/[\u3400-\u9fff]+|克拉维酸钾?|舒巴坦|可待因|曲马多", after)
        return tail[0] if tail else self._product_tail(after)

    def _product_tail(self, after: str) -> str:
        """Up to four characters and a dosage form, directly after a name: the rest of a product's name."""
        if after[:1] in self._apart:
            return ""
        for reach in range(5):
            middle = after[:reach]
            broken = any(c in _JOINTS + _NO_PRODUCT or not c.isalnum() for c in middle) or any(word in middle for word in self._light)
            if broken or middle in _COUNTED:
                return ""
            form = next((form for form in self._forms if after[reach:].startswith(form)), "")
            if form and (len(form) > 1 or not after[reach + 1 : reach + 2].strip() or after[reach + 1] not in "剂子状"):
                return middle + form
        return ""

    def _longer_disease(self, before: str, surface: str, after: str) -> str:
        head = next((m for m in self._words.disease_starts if before.endswith(m)), "")
        if head in ("性", "型", "期", "源"):
            reach = re.search(r"[\u3400-\u9fff]{1,4}$", before)
            head = reach[0] if reach else head
        tail = ""
        following = re.match(r"[\u3400-\u9fff]{1,6}", after)
        if following and following[0][0] not in _JOINTS and not after.startswith(self._words.no_disease_ends):
            ends = [following[0][: following[0].find(e) + len(e)] for e in self._words.disease_ends if e in following[0]]
            ends = [piece for piece in ends if not (piece.endswith("病") and following[0][len(piece) : len(piece) + 1] in [*_ON])]
            short = [piece for piece in ends if not any(word in piece for word in self._words.question)]
            tail = min(short, key=len, default="")
            if tail[:1] in "的是会有能吃用要需做怎什哪不没无未可还又再也都并":
                tail = ""
        return head + surface + tail if head or tail else ""


def _inside_latin_word(text: str, start: int, end: int) -> bool:
    """True where an ASCII name is only a part of a longer word."""
    left = start > 0 and _is_latin(text[start]) and _is_latin(text[start - 1])
    right = end < len(text) and _is_latin(text[end - 1]) and _is_latin(text[end])
    return left or right


def _is_latin(character: str) -> bool:
    return character.isalnum() and character.isascii()


def _spellings(name: str, words: Words, own_forms: bool) -> list[str]:
    """Folded spellings of one name: whole, without brackets, and a whole name given in brackets.

    `own_forms`: dosage forms listed in the brackets are the document's own too, as a title's are: 川贝枇杷膏(片、胶囊). An alias that
    lists them is the name of a group, and what the document says of granules must not answer for tablets.
    """
    folded = fold(name).strip()
    head, bracket, rest = folded.partition("(")
    head = head.strip()
    if not bracket or not head:
        return [folded]
    spelled = [folded, head] if own_forms else [folded]
    stem = _strip_form(head, words)
    for part in re.split(r"[、,，/()]", rest):
        if part in words.forms:
            spelled.extend([stem + part] if own_forms else [])
        elif part != head and _strip_form(part, words) != part and len(part) > _FEWEST_STEM_CHARACTERS:
            spelled.append(part)
    return spelled


def _strip_form(name: str, words: Words) -> str:
    for form in sorted(words.forms, key=len, reverse=True):
        if name.endswith(form) and len(name) > len(form):
            return name[: -len(form)]
    return name.removeprefix("注射用")


def _stem(surface: str, words: Words) -> str:
    """The name without dosage form and salt; the name itself where that would leave fewer than three characters."""
    if not _HAN.search(surface):
        return surface
    stem = _strip_form(surface, words)
    for salt in words.salts:
        if stem.startswith(salt) and len(stem) - len(salt) >= _FEWEST_STEM_CHARACTERS:
            stem = stem.removeprefix(salt)
            break
    for salt in words.salts:
        if stem.endswith(salt) and len(stem) - len(salt) >= _FEWEST_STEM_CHARACTERS:
            stem = stem.removesuffix(salt)
            break
    return stem if len(stem) >= _FEWEST_STEM_CHARACTERS else surface
