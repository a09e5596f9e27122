"""Work shared among processes, its results in the order of the jobs: as many as are needed next are held, not all."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 3
_worker: dict[str, Callable[[Any], Any]] = {}


def in_order(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """`work(job)` of every job, in their order. `work` is sent to each process once; with one worker nothing leaves this process."""
    if workers <= 1:
        yield from map(work, jobs)
        return
    # Processes are started afresh: forking one whose libraries hold threads can lock up.
    with multiprocessing.get_context("spawn").Pool(workers, _begin, (work,)) as pool:
        waiting: deque[Any] = deque()
        for job in jobs:
            waiting.append(pool.apply_async(_do, (job,)))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().get()
        while waiting:
            yield waiting.popleft().get()


def _begin(work: Callable[[Any], Any]) -> None:
    _worker["work"] = work


def _do(job: Any) -> Any:
    return _worker["work"](job)
