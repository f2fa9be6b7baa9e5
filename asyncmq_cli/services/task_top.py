"""Sample the active hashes: which tasks keep the workers busy, and how long their jobs run.

AsyncMQ stores no durations, so the claims are read every 50 ms. A task's share of the claims, weighted by the
time between two reads, is its share of the workers' time. A job's duration is the time from the first read
that finds its claim to the first that does not. A job that runs for less than the interval is found only by
chance: it counts for the share, and its duration is only known to be below the interval.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.monitoring.tasks import INTERVAL, TopReport, TopTask
from asyncmq_cli.services.jobs.lookup import require_queue

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import QueueScope
    from asyncmq_cli.storage.store import Store

_KEPT = 10_000
"""At most this many durations are kept per task."""

Claim = tuple[str, str, bytes]
"""A job's queue and id, and its claim as stored. A job that runs again has a different claim."""


class _Running(Struct):
    task: str | None
    began: float | None
    reads: int = 0


class _Counts(Struct):
    busy: float = 0.0
    seen: int = 0
    below: int = 0
    durations: list[float] = field(default_factory=list)

    def end(self, one: _Running, moment: float) -> None:
        """Count a job that has ended. If it was already running at the first read, its duration is
        unknown."""
        if one.began is None:
            return
        self.below += one.reads < 2
        if len(self.durations) < _KEPT:
            self.durations.append(moment - one.began)


class Observations:
    """Sums up all reads of the active jobs. `moment` is monotonic time in seconds."""

    def __init__(self, moment: float) -> None:
        self._running: dict[Claim, _Running] = {}
        self._by_task: dict[str | None, _Counts] = defaultdict(_Counts)
        self._started = self._last = moment
        self.reads = 0

    def new(self, claims: set[Claim]) -> set[Claim]:
        """The claims that were not in the last read."""
        return claims - self._running.keys()

    def add(self, claims: set[Claim], tasks: Mapping[Claim, str | None], moment: float) -> None:
        """Add a read: all claims, and the tasks of the new claims. A change between two reads is assumed to
        have happened in the middle."""
        middle = (self._last + moment) / 2
        for claim, task in tasks.items():
            self._running[claim] = _Running(task, middle if self.reads else None)
            self._by_task[task].seen += 1
        for claim, one in list(self._running.items()):
            if claim not in claims:
                del self._running[claim]
                self._by_task[one.task].end(one, middle)
                continue
            one.reads += 1
            if self.reads:
                self._by_task[one.task].busy += moment - self._last
        self._last = moment
        self.reads += 1

    def report(self, queue: str | None, began: float) -> TopReport:
        """The result so far, the busiest task first."""
        active = Counter(one.task for one in self._running.values())
        total = sum(counts.busy for counts in self._by_task.values())
        seconds = self._last - self._started
        tasks = [
            TopTask(
                task,
                counts.busy / total if total else None,
                counts.busy / seconds if seconds else 0.0,
                active[task],
                counts.seen,
                counts.below,
                sorted(counts.durations),
            )
            for task, counts in self._by_task.items()
        ]
        tasks.sort(key=lambda row: (-(row.busy_share or 0.0), row.task or ""))
        interval = seconds / (self.reads - 1) if self.reads > 1 else INTERVAL
        return TopReport(queue, began, seconds, self.reads, interval, tasks)


class TaskSampler:
    """Reads the claims of a scope repeatedly and sums them up. Raises QueueNotFound."""

    def __init__(self, store: Store, scope: QueueScope) -> None:
        if scope.queue is not None:
            require_queue(store, scope.queue)
        self._store = store
        self._scope = scope
        self._began = store.now()
        self._seen = Observations(time.monotonic())

    def read(self) -> float:
        """Read once. Returns the seconds to sleep before the next read."""
        begun = time.monotonic()
        claims = self._claims()
        moment = (begun + time.monotonic()) / 2
        self._seen.add(claims, self._tasks_of(self._seen.new(claims)), moment)
        took = time.monotonic() - begun
        # Busy for half of the time at most.
        return max(INTERVAL - took, took)

    def report(self) -> TopReport:
        """The result so far, the busiest task first."""
        return self._seen.report(self._scope.queue, self._began)

    def _claims(self) -> set[Claim]:
        names = self._scope.names
        sizes = self._store.jobs.at_most_each(names, "active")
        found: set[Claim] = set()
        for queue, size in zip(names, sizes, strict=True):
            if isinstance(size, WrongType):
                if self._scope.queue is not None:
                    raise size
                self._store.warn_of(queue, size.message)
            elif size:
                found.update((queue, job_id, claim) for job_id, claim in self._store.jobs.claims(queue))
        return found

    def _tasks_of(self, new: set[Claim]) -> dict[Claim, str | None]:
        by_queue: dict[str, list[Claim]] = defaultdict(list)
        for claim in new:
            by_queue[claim[0]].append(claim)
        found: dict[Claim, str | None] = {}
        for queue, claims in by_queue.items():
            jobs = self._store.jobs.load(queue, [job_id for _, job_id, _ in claims])
            tasks = (None if job is None else job.task_id for job in jobs)
            found.update(zip(claims, tasks, strict=True))
        return found
