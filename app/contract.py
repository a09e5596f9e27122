"""The JSON that scripts and the HTTP interface rely on; the only place where answers become dictionaries."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.answer_record import AnswerRecord
from app.answering import Answer, Candidate, Found, Said, Sentence
from app.citations import Citation
from app.drug_card import DrugCard
from app.replay import Difference
from indexer.documents import Document
from indexer.release import Manifest
from indexer.search import Hit

_SUMMARY = ("id", "at", "person", "way", "question", "status", "release", "generator", "milliseconds", "rating", "comment")


def answer_json(answer: Answer, question_id: str = "") -> dict[str, Any]:
    """An answer as DESIGN section 7 has it."""
    return {
        "id": question_id,
        "question": answer.question,
        "status": answer.status,
        "sentences": [sentence_json(sentence) for sentence in answer.sentences],
        "citations": [citation_json(citation) for citation in answer.citations],
        "notices": list(answer.notices),
        "candidates": [candidate_json(candidate) for candidate in answer.candidates],
        "release": answer.release,
        "generator": answer.generator,
        "milliseconds": answer.milliseconds,
    }


def recorded_json(answer: Answer, record: str, question_id: str = "") -> dict[str, Any]:
    """An answer with the id that it is recorded under, "" where it is not."""
    return {**answer_json(answer, question_id), "record": record}


def record_json(record: AnswerRecord) -> dict[str, Any]:
    """A recorded answer, whole; its citations are places in its release."""
    return asdict(record)


def summary_json(record: AnswerRecord) -> dict[str, Any]:
    """A recorded answer in a list."""
    return {name: getattr(record, name) for name in _SUMMARY}


def replay_json(record: AnswerRecord, found: Sequence[Difference]) -> dict[str, Any]:
    """What came of asking again what was asked."""
    return {"record": record.id, "release": record.release, "same": not found, "differences": [asdict(one) for one in found]}


def sentence_json(sentence: Sentence) -> dict[str, Any]:
    """A sentence with the numbers of its citations."""
    return {"text": sentence.text, "citations": list(sentence.citations)}


def found_json(found: Found) -> dict[str, Any]:
    """What is known of an answer before its first sentence, in the keys of an answer."""
    return {"notices": list(found.notices), "milliseconds": found.milliseconds}


def said_json(said: Said) -> dict[str, Any]:
    """What one more sentence adds to an answer, in the keys of an answer."""
    return {"sentences": [sentence_json(said.sentence)], "citations": [citation_json(citation) for citation in said.citations]}


def citation_json(citation: Citation) -> dict[str, Any]:
    """A citation with its quote and its document's source; `page` there counts from 1, 0 where the document has no pages."""
    unit = citation.unit
    return {
        "number": citation.number,
        "document": unit.document.id,
        "title": unit.document.title,
        "section": unit.section.title,
        "start": unit.start,
        "end": unit.end,
        "quote": citation.quote,
        "source": {**asdict(unit.document.source), "page": unit.page},
    }


def candidate_json(candidate: Candidate) -> dict[str, str]:
    """A document offered for choice."""
    return asdict(candidate)


def hit_json(hit: Hit, *, explained: bool = False) -> dict[str, Any]:
    """A passage that was found; `explained`: with the parts of its score."""
    parts = {part: round(value, 6) for part, value in asdict(hit.parts).items()} | {"coverage": round(hit.coverage, 6)}
    return {
        "document": hit.document.id,
        "title": hit.document.title,
        "section": hit.section,
        "start": hit.start,
        "end": hit.end,
        "text": hit.text,
        "score": round(hit.score, 6),
        "similarity": round(hit.similarity, 6),
        **({"explain": parts} if explained else {}),
    }


def document_json(document: Document, release: str) -> dict[str, Any]:
    """A document; `text[start:end]` of a section is its body."""
    sections = [asdict(section) for section in document.sections]
    facts = {"id": document.id, "kind": document.kind, "title": document.title, "aliases": list(document.aliases)}
    return {**facts, "text": document.text, "sections": sections, "source": asdict(document.source), "release": release}


def manifest_json(manifest: Manifest, published: str) -> dict[str, Any]:
    """A release as `qizhen index releases --json` has it."""
    row = {**asdict(manifest), "current": manifest.id == published}
    row.pop("files")
    return row


def card_json(card: DrugCard) -> dict[str, Any]:
    """A drug card."""
    return {
        "status": card.status,
        "document": card.document.id if card.document else "",
        "title": card.document.title if card.document else "",
        "sections": [
            {
                "title": section.title,
                "document": document.id,
                "start": section.start,
                "end": section.end,
                "text": document.body(section),
                "source": asdict(document.source),
            }
            for document, section in card.sections
        ],
        "candidates": [candidate_json(candidate) for candidate in card.candidates],
        "look_alikes": [{"title": near.title, "difference": near.difference} for near in card.look_alikes],
    }
