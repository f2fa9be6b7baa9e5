"""Jobs by task: counts, ages and durations; exact where the places are small, else from a random sample."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from asyncmq_cli.errors import TaskNotFound, WrongType, nearest
from asyncmq_cli.models.monitoring.tasks import TASK_STATES, Sample, TaskReport, TaskStats
from asyncmq_cli.models.values import as_number
from asyncmq_cli.services.jobs.filter import Matcher
from asyncmq_cli.services.jobs.lookup import in_each, require_queue

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
            sizes = self._sizes(scope, state)
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
            raise TaskNotFound(task, scope.where, nearest(task, names), is_sampled=bool(report.sampled))
        return TaskReport(report.queue, report.read_at, found, report.sampled)

    def _sizes(self, scope: QueueScope, state: str) -> Mapping[str, int]:
        """How many jobs of each queue are read: the size of the place, or of the ids set for completed
        ones. Empty queues are left out."""
        place = "dlq" if state == "dead" else state
        found: dict[str, int] = {}
        sizes = self._store.jobs.at_most_each(scope.names, place)
        for queue, size in zip(scope.names, sizes, strict=True):
            if isinstance(size, WrongType):
                if scope.queue is not None:
                    raise size
                self._store.warn_of(queue, size.message)
            elif size:
                found[queue] = size
        return found

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
