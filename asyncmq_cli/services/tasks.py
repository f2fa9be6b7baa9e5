"""Jobs by task: counts and ages, and which tasks keep the workers busy.

Counts are exact where the places are small, else from a random sample.

AsyncMQ stores no durations, so the claims are read every 50 ms. A task's share of the claims, weighted by the
time between two reads, is its share of the workers' time. A job's duration is the time from the first read
that finds its claim to the first that does not. A job that runs for less than the interval is found only by
chance: it counts for the share, and its duration is only known to be below the interval.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from asyncmq_cli.errors import TaskNotFound, nearest
from asyncmq_cli.models.monitoring.tasks import (
    INTERVAL,
    TASK_STATES,
    Sample,
    TaskReport,
    TaskStats,
    TopReport,
    TopTask,
)
from asyncmq_cli.models.values import as_number
from asyncmq_cli.services.jobs.filter import Matcher
from asyncmq_cli.services.jobs.lookup import holding, in_each, require_queue, sizes_in
from asyncmq_cli.storage.schema.keys import to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job, JobFilter, QueueScope
    from asyncmq_cli.storage.store import Store

SAMPLE = 2401
"""Jobs read at random from a larger place: a share of them is then within 2 % of the true one, at 95 %
confidence."""
EXACT_UP_TO = 2500
"""Jobs up to which a place is read whole."""
_CONFIDENCE = 1.96


class _Counts(Struct):
    counts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TASK_STATES, 0.0))
    oldest: float | None = None
    last_death: float | None = None
    durations: list[float] = field(default_factory=list)

    def add(self, state: str, job: Job, weight: float) -> None:
        self.counts[state] += weight
        if state == "waiting" and job.created_at is not None:
            self.oldest = job.created_at if self.oldest is None else min(self.oldest, job.created_at)
        if state == "dead" and job.dead_at is not None:
            self.last_death = max(self.last_death or job.dead_at, job.dead_at)
            began = as_number(job.get("last_attempt"))
            if began is not None and began <= job.dead_at:
                self.durations.append(job.dead_at - began)

    def stats(self, task: str | None) -> TaskStats:
        counts = {state: round(count) for state, count in self.counts.items()}
        return TaskStats(task, counts, self.oldest, self.last_death, sorted(self.durations))


class TaskService:
    """Counts jobs by task. Raises QueueNotFound for a queue that was named."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def report(self, scope: QueueScope, wanted: JobFilter) -> TaskReport:
        """All tasks of the jobs that match."""
        if scope.queue is not None:
            require_queue(self._store, scope.queue)
        now = self._store.now()
        matches = Matcher(wanted, now)
        by_task: dict[str | None, _Counts] = defaultdict(_Counts)
        sampled: dict[str, Sample] = {}
        for state in TASK_STATES:
            sizes = sizes_in(self._store, scope, "dlq" if state == "dead" else state)
            total = sum(sizes.values())
            if total > EXACT_UP_TO:
                sampled[state] = Sample(total, SAMPLE, _CONFIDENCE * math.sqrt(0.25 / SAMPLE))
            for job, weight in self._jobs(scope, state, sizes, total):
                if matches(job):
                    by_task[job.task_id].add(state, job, weight)
        rows = [counts.stats(task) for task, counts in by_task.items()]
        rows.sort(key=lambda row: (-row.counts["dead"], -row.counts["waiting"], row.task or ""))
        return TaskReport(scope.queue, now, rows, sampled)

    def show(self, scope: QueueScope, wanted: JobFilter, task: str) -> TaskReport:
        """That task alone. Raises TaskNotFound, with similar names."""
        report = self.report(scope, wanted)
        found = [row for row in report.tasks if row.task == task]
        if not found:
            names = [row.task for row in report.tasks if row.task]
            # A table shortens the module of a task, so its last part may be all that was seen.
            near = [name for name in names if name.endswith(f".{task}")][:3] or nearest(task, names)
            raise TaskNotFound(task, scope.where, near, is_sampled=bool(report.sampled))
        return TaskReport(report.queue, report.read_at, found, report.sampled)

    def _jobs(
        self, scope: QueueScope, state: str, sizes: Mapping[str, int], total: int
    ) -> Iterator[tuple[Job, float]]:
        """The jobs of a state, each with the number of jobs that it represents."""
        place = "dlq" if state == "dead" else state
        lists = self._store.jobs

        def read(queue: str) -> Iterable[tuple[Job, float]]:
            if total <= EXACT_UP_TO:
                return ((job, 1.0) for job in lists.in_state(queue, place))
            share = max(1, round(SAMPLE * sizes[queue] / total))
            weight = max(1.0, sizes[queue] / share)
            return ((job, weight) for job in lists.sample(queue, place, sizes[queue], share))

        return in_each(self._store, scope, sizes, read)


_KEPT = 10_000
"""At most this many durations are kept per task."""

Claim = tuple[str, str, bytes]
"""A job's queue and id, and its claim as stored. A job that runs again has a different claim."""


class _Running(Struct):
    task: str | None
    began: float | None
    reads: int = 0


class _TopCounts(Struct):
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
        self._by_task: dict[str | None, _TopCounts] = defaultdict(_TopCounts)
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
        return {
            (queue, to_text(name), claim)
            for queue in holding(self._store, self._scope, "active")
            for name, claim in self._store.jobs.claims(queue)
        }

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
