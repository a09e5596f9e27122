"""Every promise of a data folder, tested again on what lies there."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.prompt import NO_ANSWER
from app.weights import file_digest
from finetune.asking import load_asking
from finetune.dataset import MANIFEST
from finetune.facts import text_digest
from finetune.samples import KINDS, SAMPLES, SPLITS, Sample, messages_digest, sample_of, sample_rows
from indexer.documents import Document
from indexer.errors import QizhenError
from indexer.readers import read_documents

_MARKED = re.compile(r"(.*)\[(\d{1,3})\]")
_NUMBERED = re.compile(r"^\[(\d{1,3})\] (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """`faults` are in the order of the lines; `spans` is how many answers' spans were compared with the documents."""

    samples: int
    spans: int
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _Held:
    """The documents that samples claim to be made of."""

    documents: Mapping[str, Document]
    digests: Mapping[str, str]


def check_data(folder: Path, kb: Sequence[Path]) -> CheckReport:
    """Test files against the manifest, and every sample by itself and beside the others; with documents its spans too.

    Raises QizhenError for a folder that holds no data, KnowledgeBaseError for documents that cannot be read.
    """
    manifest = _manifest(folder)
    held = _Held({}, {})
    if kb:
        documents = {document.id: document for document in read_documents(kb)}
        held = _Held(documents, {name: text_digest(document.text) for name, document in documents.items()})
    faults = [
        f"{name}: 与清单里的摘要不符"
        for name, entry in manifest["files"].items()
        if not (folder / name).is_file() or file_digest(folder / name) != entry["sha256"]
    ]
    reader = _Reader(held)
    for number, row in _rows(folder / SAMPLES, faults):
        faults += [f"{SAMPLES}:{number}: {fault}" for fault in reader.faults_of(row)]
    faults += reader.faults_between()
    return CheckReport(reader.samples, reader.spans, tuple(faults))


def _manifest(folder: Path) -> Any:
    try:
        return json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise QizhenError(f"`{folder}` 里没有可读的 {MANIFEST}：{error}", "先运行 qizhen-finetune data build") from error


def _rows(path: Path, faults: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield from sample_rows(path)
    except (OSError, ValueError) as error:
        faults.append(f"{SAMPLES}: 读不出来：{error}")


class _Reader:
    """Looks at samples one after the other and remembers what must agree between them."""

    def __init__(self, held: _Held) -> None:
        self.samples = 0
        self.spans = 0
        self._held = held
        self._held_out = load_asking().held_out_ids()
        self._digests: set[str] = set()
        self._splits: defaultdict[str, set[str]] = defaultdict(set)
        self._in_training: set[str] = set()
        self._answers_from: defaultdict[str, set[str]] = defaultdict(set)
        self._answer_faults: Mapping[str, Callable[[Sample], Iterator[str]]] = {
            "closed": self._told,
            "dialogue": self._told,
            "cited": self._cited,
            "contrast": self._cited,
            "refusal": self._refused,
            "question": self._asked,
        }

    def faults_of(self, row: dict[str, Any]) -> Iterator[str]:
        """What is wrong with one sample."""
        self.samples += 1
        try:
            sample = sample_of(row)
        except (KeyError, TypeError, AttributeError) as error:
            yield f"缺少或写错：{error}"
            return
        digest = messages_digest([{"role": role, "content": content} for role, content in sample.messages])
        if row.get("digest") != digest or row.get("id") != f"s-{digest[:16]}":
            yield "摘要与对话内容不符"
        if digest in self._digests:
            yield "与前面某条样本的对话完全相同"
        self._digests.add(digest)
        if sample.kind not in KINDS or sample.split not in SPLITS:
            yield f"类别 `{sample.kind}` 或划分 `{sample.split}` 不认识"
            return
        roles = [role for role, _ in sample.messages]
        if roles != ["user", "assistant"] * (len(roles) // 2) or not roles:
            yield f"对话的角色不是一问一答：{'、'.join(roles)}"
            return
        yield from self._split_faults(sample)
        yield from self._answer_faults[sample.kind](sample)

    def faults_between(self) -> Iterator[str]:
        """What is wrong between samples: something held out that training saw."""
        for entity, splits in sorted(self._splits.items()):
            if len(splits) > 1:
                yield f"“{entity}”同时在 {'、'.join(sorted(splits))} 里"
        held_out = (entity for entity, splits in self._splits.items() if "train" not in splits)
        leaked = {document: entity for entity in held_out for document in self._answers_from[entity]}
        for document in sorted(self._in_training & set(leaked)):
            yield f"训练样本里出现了留出的“{leaked[document]}”的文档 `{document}`"

    def _split_faults(self, sample: Sample) -> Iterator[str]:
        """A held-out template may take a sample about an entity of the training split out of it; nothing else may."""
        held_out = sample.template in self._held_out
        if held_out and sample.split == "train":
            yield f"留出的问法 `{sample.template}` 出现在训练集里"
        if sample.entity and not held_out:
            self._splits[sample.entity].add(sample.split)
        if sample.split == "train":
            self._in_training |= {place.document for place in sample.places} | set(sample.shown)
        if sample.entity:
            self._answers_from[sample.entity] |= {place.document for place in sample.places}

    def _spoken(self, sample: Sample) -> list[str] | None:
        """The texts of a sample's spans; None without documents."""
        if not self._held.documents:
            return None
        self.spans += len(sample.places)
        texts = []
        for place in sample.places:
            document = self._held.documents.get(place.document)
            fits = document is not None and self._held.digests[place.document] == place.digest
            texts.append(document.text[place.start : place.end] if document is not None and fits else "")
        return texts

    def _told(self, sample: Sample) -> Iterator[str]:
        """A closed answer, or those of a dialogue: one span a turn."""
        answers = [content for role, content in sample.messages if role == "assistant"]
        spoken = self._spoken(sample)
        if len(answers) != len(sample.places):
            yield f"{len(answers)} 个回答，却有 {len(sample.places)} 处出处"
        elif spoken is not None and spoken != answers:
            yield "回答与出处的原文不一致"

    def _cited(self, sample: Sample) -> Iterator[str]:
        """An answer with marks: every line a span, marked with the number of the evidence that shows it."""
        lines = [_MARKED.fullmatch(line) for line in sample.answer.split("\n")]
        shown = dict(_NUMBERED.findall(sample.question))
        marked = [line for line in lines if line]
        if len(marked) != len(lines):
            yield "回答里有没有标编号的句子"
            return
        if wrong := [line[2] for line in marked if shown.get(line[2]) != line[1]]:
            yield f"编号 [{wrong[0]}] 的资料不是所引的句子"
        spoken = self._spoken(sample)
        if spoken is not None and spoken != [line[1] for line in marked]:
            yield "回答与出处的原文不一致"

    def _refused(self, sample: Sample) -> Iterator[str]:
        if sample.answer != NO_ANSWER:
            yield "拒答不是规定的那一句"

    def _asked(self, sample: Sample) -> Iterator[str]:
        if not sample.file or sample.line < 1:
            yield "问答样本没有写明文件和行"
