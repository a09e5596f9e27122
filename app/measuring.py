"""Ask a file of questions and count: retrieval, the three standards, refusals, citations, time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.answering import Answer, ask
from app.checking import check_against
from app.citation_quality import CitationQuality, Cited, citation_quality
from app.generators import Generator
from app.questions_file import AskedQuestion
from app.searching import search_asked
from app.standards import Score, load_term_aliases, score_answer
from indexer.measure import discounted_gain, mean, percentile, recall_at, reciprocal_rank, wilson
from indexer.release import Release

_CUTOFFS = (1, 5, 10)
_SEARCHED = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question asked: its answer, the documents found (best first), its score where items were expected."""

    asked: AskedQuestion
    answer: Answer
    found: tuple[str, ...]
    score: Score | None
    search_milliseconds: float


def measure(release: Release, questions: Sequence[AskedQuestion], generator: Generator | None = None) -> dict[str, Any]:
    """Figures for all questions and for every category; shares are 0 to 1, times are milliseconds."""
    aliases = load_term_aliases()
    outcomes = []
    for asked in questions:
        started = time.perf_counter()
        hits = search_asked(release, asked.question, asked.history, _SEARCHED)
        spent = (time.perf_counter() - started) * 1000
        answer = ask(release, asked.question, asked.history, generator)
        said = "\n".join(sentence.text for sentence in answer.sentences)
        score = score_answer(said, asked.terms, aliases) if asked.terms else None
        outcomes.append(Outcome(asked, answer, tuple(dict.fromkeys(hit.document.id for hit in hits)), score, spent))
    categories = sorted({outcome.asked.category for outcome in outcomes if outcome.asked.category})
    by_category = {name: figures(release, [o for o in outcomes if o.asked.category == name]) for name in categories}
    return {"release": release.id, **figures(release, outcomes), "categories": by_category}


def figures(release: Release, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of one group of outcomes."""
    return {
        "questions": len(outcomes),
        "retrieval": _retrieval([o for o in outcomes if o.asked.documents]),
        "answers": _answers(outcomes),
        "refusals": _refusals(outcomes),
        "citations": _citations(release, outcomes),
        "milliseconds": {
            "ask": _times([o.answer.milliseconds for o in outcomes]),
            "search": _times([o.search_milliseconds for o in outcomes]),
        },
    }


def _retrieval(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    pairs = [(outcome.found, outcome.asked.documents) for outcome in outcomes]
    return {
        "questions": len(pairs),
        **{f"recall@{k}": round(mean([recall_at(found, wanted, k) for found, wanted in pairs]), 4) for k in _CUTOFFS},
        "mrr": round(mean([reciprocal_rank(found, wanted) for found, wanted in pairs]), 4),
        "ndcg@10": round(mean([discounted_gain(found, wanted, 10) for found, wanted in pairs]), 4),
    }


def _answers(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The standards and item recall over questions with expected items; `spans`: how often the exact answering text is cited."""
    scores = [outcome.score for outcome in outcomes if outcome.score]
    met = [sum(score.standards[number] for score in scores) for number in range(3)]
    named, expected = sum(score.named for score in scores), sum(score.expected for score in scores)
    spans = [(o.asked.span, [c.quote for c in o.answer.citations]) for o in outcomes if o.asked.span]
    shown = sum(any(span in quote or quote in span for quote in quotes) for span, quotes in spans)
    return {
        "questions": len(scores),
        "spans": share(shown, len(spans)),
        **{f"standard_{n + 1}": share(count, len(scores)) for n, count in enumerate(met)},
        "item_recall": share(named, expected),
    }


def _refusals(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    must = [outcome.answer.status for outcome in outcomes if outcome.asked.refuse]
    may = [outcome.answer.status for outcome in outcomes if not outcome.asked.refuse and not outcome.asked.clarify]
    back = [outcome.answer.status for outcome in outcomes if outcome.asked.clarify]
    return {
        "ambiguous": {"questions": len(back), "clarify": share(back.count("clarify"), len(back)), "answered": back.count("answered")},
        "unanswerable": {"questions": len(must), "refused": share(must.count("refused"), len(must)), "clarify": must.count("clarify")},
        "answerable": {"questions": len(may), "refused": share(may.count("refused"), len(may)), "clarify": may.count("clarify")},
    }


def quality_of(answer: Answer) -> CitationQuality:
    """Citation recall and precision of one answer's sentences, judged by the claim checker."""
    cited = [Cited(s.text, tuple(answer.citations[number - 1].unit for number in s.citations)) for s in answer.sentences]
    return citation_quality(cited, lambda text, units: check_against(text, units).verdict)


def _citations(release: Release, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How many citations were shown, resolve to exactly their words when read anew, and lie outside the expected documents; ALCE's
    recall and precision, and the share of sentences that what they cite contradicts.
    """
    shown = resolved = outside = 0
    for outcome in outcomes:
        for citation in outcome.answer.citations:
            shown += 1
            stored = release.document(citation.unit.document.id)
            resolved += stored is not None and stored.text[citation.unit.start : citation.unit.end] == citation.quote
            outside += bool(outcome.asked.documents) and citation.unit.document.id not in outcome.asked.documents
    quality = sum((quality_of(outcome.answer) for outcome in outcomes), CitationQuality())
    return {
        "shown": shown,
        "valid": share(resolved, shown),
        "outside": outside,
        "recall": share(quality.supported, quality.sentences),
        "precision": share(quality.precise, quality.citations),
        "contradicted": share(quality.contradicted, quality.sentences),
    }


def _times(values: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": round(percentile(values, share / 100), 2) for share in (50, 95, 99)}


def share(successes: int, trials: int) -> dict[str, Any]:
    """A proportion with its 95 % Wilson interval; a share of None for no trials."""
    low, high = wilson(successes, trials)
    return {"share": round(successes / trials, 4) if trials else None, "low": round(low, 4), "high": round(high, 4), "n": trials}
