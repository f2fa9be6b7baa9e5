"""The values that pass between the layers. None of them knows Redis or a terminal.

Times are epoch seconds unless a name says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from asyncmq_cli.errors import AdminError

WAITING_CHILDREN = "waiting-children"
JOB_STATES = (
    "waiting",
    "active",
    "completed",
    "failed",
    "delayed",
    "expired",
    "cancelled",
    WAITING_CHILDREN,
)
LISTED_STATES = (*JOB_STATES, "repeatable", "all")


@dataclass(frozen=True, slots=True)
class Job:
    """One job as AsyncMQ would hydrate it.

    `record` is the decoded record with the state, result and claim that live outside it;
    None where it is missing or cannot be read, and then `problem` says why.
    `due_at` is the score of the delayed set or of the repeatables, `dead_at` that of the
    dead-letter queue.
    """

    queue: str
    id: str
    status: str
    record: Mapping[str, Any] | None
    problem: str | None = None
    due_at: float | None = None
    dead_at: float | None = None

    @property
    def task_id(self) -> str | None:
        # The order in which AsyncMQ's inspection looks for the name.
        for key in ("task_id", "task", "name"):
            if value := self.get(key):
                return str(value)
        return None

    @property
    def sort_time(self) -> float:
        """`run_at`, else `created_at`, else `timestamp`; 0.0 where none is a number.

        Source: `extract_job_timestamp` in asyncmq.core.inspection.
        """
        value = self.run_at or self.get("created_at") or self.get("timestamp") or 0
        return as_number(value) or 0.0

    @property
    def run_at(self) -> Any:
        """As stored; a repeatable's is its next run, which is stored beside its definition."""
        return self.due_at if self.status == "repeatable" else self.get("run_at")

    @property
    def created_at(self) -> float | None:
        return as_number(self.get("created_at"))

    @property
    def delay_until(self) -> float | None:
        stored = as_number(self.get("delay_until"))
        return self.due_at if stored is None and self.status == "delayed" else stored

    def get(self, key: str) -> Any:
        return None if self.record is None else self.record.get(key)


def as_number(value: Any) -> float | None:
    """`value` as a finite float, or None; job data may hold anything."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a list narrows by; an empty text matches everything.

    `group` is the id of a group of failures, or the start of one. Ages are seconds.
    """

    q: str = ""
    task: str = ""
    job_id: str = ""
    group: str = ""
    older_than: float | None = None
    newer_than: float | None = None

    @property
    def narrows(self) -> bool:
        return self != JobFilter()


@dataclass(frozen=True, slots=True)
class JobPage:
    """`state` is None for a page of the dead-letter queue, which holds more than one."""

    queue: str
    state: str | None
    page: int
    size: int
    total: int
    sort: str
    filters: JobFilter
    jobs: Sequence[Job]

    @property
    def total_pages(self) -> int:
        """At least 1, as the dashboard counts."""
        return max(1, math.ceil(self.total / self.size))


@dataclass(frozen=True, slots=True)
class Frame:
    path: str
    line: int
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class JobError:
    """What a stored traceback says. `chain` starts at the root cause."""

    type: str | None
    message: str | None
    root_cause: str | None
    chain: Sequence[str]
    frames: Sequence[Frame]
    traceback: str | None


@dataclass(frozen=True, slots=True)
class JobDetail:
    job: Job
    result: Any
    error: JobError | None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Dead jobs of one cause. `first_seen` and `last_seen` are when the first and last died, and
    `sample_message` is the message of one of them as it is."""

    id: str
    type: str | None
    message: str
    count: int
    first_seen: float
    last_seen: float
    tasks: Sequence[str]
    sample_job_id: str
    sample_message: str


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """The causes in a dead-letter queue of `scanned` jobs, the most frequent first.

    `left_out` jobs are in no group, because there were too many different causes.
    """

    queue: str
    scanned: int
    left_out: int
    groups: Sequence[FailureGroup]


@dataclass(frozen=True, slots=True)
class QueueStats:
    """A row of `queues list`. Each count equals the total of `jobs list` for that state.

    A count is None where its key cannot be read; `oldest_waiting_seconds`, which is the age of
    the oldest waiting job by its `created_at`, also where nothing waits.
    """

    name: str
    paused: bool
    waiting: int | None
    active: int | None
    delayed: int | None
    failed: int | None
    completed: int | None
    expired: int | None
    cancelled: int | None
    waiting_children: int | None
    dlq: int | None
    repeatables: int | None
    workers: int | None
    oldest_waiting_seconds: float | None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One change, tried or done; the shape of the dashboard's audit trail."""

    timestamp: float
    action: str
    source: str
    status: str
    queue: str | None
    job_id: str | None
    actor: str | None
    details: Mapping[str, Any]
    error: str | None


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What became of one target. `error` is None for a success.

    `note` says what an operator should know about a success: that it changed nothing
    because it was so already, or that the job will expire again.
    """

    queue: str
    job_id: str | None
    error: AdminError | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What a change did to all its targets.

    `interrupted` is the error that ended the run before every target was tried.
    """

    action: str
    queue: str | None
    dry_run: bool
    results: Sequence[ChangeResult] = field(default_factory=tuple)
    interrupted: AdminError | None = None
    total: int | None = None

    @property
    def matched(self) -> int:
        """How many there were to hit; more than were tried where only a share was asked for."""
        return len(self.results) if self.total is None else self.total

    @property
    def succeeded(self) -> int:
        return sum(1 for result in self.results if result.error is None)

    @property
    def failed(self) -> int:
        return len(self.results) - self.succeeded


@dataclass(frozen=True, slots=True)
class Repeatable:
    """One stored definition. `id` is its identity, empty where it cannot be read; then `definition`
    is None and `problem` says why. `overdue`: not paused, and its next run long past."""

    queue: str
    id: str
    definition: Mapping[str, Any] | None
    next_run: float
    paused: bool
    overdue: bool
    problem: str | None = None

    def get(self, key: str) -> Any:
        return None if self.definition is None else self.definition.get(key)


@dataclass(frozen=True, slots=True)
class RepeatableChange(ChangeReport):
    """What a change did to the one definition that it was of.

    `repeatable` is None where it was not found. `next_runs` are the runs to come where the change
    set them, and `existed` says of an added definition that it was there already.
    """

    repeatable: Repeatable | None = None
    next_runs: Sequence[float] = ()
    existed: bool = True
    unchanged: bool = False

    @classmethod
    def of(cls, report: ChangeReport, repeatable: Repeatable | None, **more: Any) -> RepeatableChange:
        told = {each.name: getattr(report, each.name) for each in fields(report)}
        return cls(**told, repeatable=repeatable, **more)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker by its last heartbeat; `heartbeat` and `concurrency` are None where they cannot be
    read, and then `problem` says why. `ttl` is seconds."""

    id: str
    queue: str
    concurrency: int | None
    heartbeat: float | None
    age_seconds: float | None
    ttl: float
    problem: str | None = None

    @property
    def health(self) -> str:
        """`healthy`; `aging` past two thirds of the TTL; `stale` past it."""
        if self.age_seconds is None or self.age_seconds > self.ttl:
            return "stale"
        return "aging" if self.age_seconds > self.ttl * 2 / 3 else "healthy"

    @property
    def is_live(self) -> bool:
        return self.health != "stale"


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """`attention` counts what is aging or stale, `capacity` the jobs that live workers can run at
    once, and `queues` those that have a worker."""

    total: int = 0
    healthy: int = 0
    attention: int = 0
    capacity: int = 0
    queues: int = 0

    def plus(self, workers: Sequence[Worker]) -> WorkerSummary:
        """With the workers of one more queue."""
        healthy = sum(1 for worker in workers if worker.health == "healthy")
        return WorkerSummary(
            total=self.total + len(workers),
            healthy=self.healthy + healthy,
            attention=self.attention + len(workers) - healthy,
            capacity=self.capacity + sum(worker.concurrency or 0 for worker in workers if worker.is_live),
            queues=self.queues + bool(workers),
        )


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """`unattended` names the queues in which jobs wait and no live worker is."""

    workers: Sequence[Worker]
    summary: WorkerSummary
    page: int
    size: int
    unattended: Sequence[str]

    @property
    def total_pages(self) -> int:
        return max(1, math.ceil(self.summary.total / self.size))
