"""What the server counts, for Prometheus: answers, refusals, verdicts, times, the release. Never a word of a question."""

import re
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.answering import Answer

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30)
# By what the first notice of a refusal says; the first that fits.
_KINDS = (
    ("not_held", re.compile("没有收录")),
    ("not_checked", re.compile("没有通过核对")),
    ("not_mentioned", re.compile("没有提到|没有“")),
    ("not_understood", re.compile("没有看出")),
    ("not_found", re.compile("没有找到")),
)


class Figures:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._answers = Counter("qizhen_answers", "Answers by status and generator.", ["status", "generator"], registry=registry)
        self._refusals = Counter("qizhen_refusals", "Refusals by kind.", ["kind"], registry=registry)
        self._verdicts = Counter("qizhen_verdicts", "Verdicts on what generators said.", ["verdict"], registry=registry)
        self._seconds = Histogram("qizhen_answer_seconds", "Time to a whole answer.", ["generator"], buckets=_SECONDS, registry=registry)
        self._unrecorded = Counter("qizhen_answers_not_recorded", "Answers that were shown but not recorded.", registry=registry)
        self._ratings = Counter("qizhen_ratings", "Ratings of answers.", ["rating"], registry=registry)
        self._requests = Counter("qizhen_requests", "Requests by route and status code.", ["route", "code"], registry=registry)
        self._sessions = Gauge("qizhen_sessions", "Conversations that are open in a browser.", registry=registry)
        self._release = Gauge("qizhen_release_info", "The published release.", ["release"], registry=registry)

    def answered(self, answer: Answer) -> None:
        """Count an answer."""
        self._answers.labels(answer.status, answer.generator).inc()
        self._seconds.labels(answer.generator).observe(answer.milliseconds / 1000)
        for verdict in answer.verdicts:
            self._verdicts.labels(verdict).inc()
        if answer.status == "refused":
            self._refusals.labels(refusal_kind(answer.notices)).inc()

    def not_recorded(self) -> None:
        """Count an answer that the database did not take."""
        self._unrecorded.inc()

    def rated(self, rating: int) -> None:
        """Count a rating: 1, -1, or 0 for one that was taken back."""
        self._ratings.labels({1: "up", -1: "down"}.get(rating, "none")).inc()

    def requested(self, route: str, code: int) -> None:
        """Count a request; `route` is the pattern of its address, not the address."""
        self._requests.labels(route, str(code)).inc()

    def text(self, release: str, sessions: int) -> bytes:
        """All figures in the text format of Prometheus."""
        self._sessions.set(sessions)
        self._release.clear()
        if release:
            self._release.labels(release).set(1)
        return generate_latest(self._registry)


def refusal_kind(notices: Iterable[str]) -> str:
    """Which kind of refusal the notices tell of."""
    told = "\n".join(notices)
    return next((kind for kind, fits in _KINDS if fits.search(told)), "other")
