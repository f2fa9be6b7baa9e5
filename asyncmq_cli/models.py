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


CHECK_STATES = ("ok", "warning", "unknown", "critical")
"""From the best to the worst: what could not be read may be critical, so it is worse than a warning."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """How far a value may go: up to a bound and not above it or, for `least`, down to it and not
    below it. A bound is None where there is none."""

    warning: float | None = None
    critical: float | None = None
    least: bool = False

    def state_of(self, value: float) -> str:
        for state, bound in (("critical", self.critical), ("warning", self.warning)):
            if bound is not None and (value < bound if self.least else value > bound):
                return state
        return "ok"

    def bound_of(self, state: str) -> float | None:
        """The bound whose crossing makes this state."""
        return {"critical": self.critical, "warning": self.warning}.get(state)


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing looked at; `queue` is None for what is of no queue. Durations are seconds; the value
    of `redis` is how long it took to answer.

    `value` is None where there is none, and where it could not be read: then `state` is
    `unknown` and `problem` says why.
    """

    name: str
    queue: str | None
    value: float | None
    threshold: Threshold
    state: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """`timestamp` is None where Redis did not tell the time, and then `error` says why."""

    timestamp: float | None
    queues: Sequence[str]
    probes: Sequence[Probe]
    error: AdminError | None = None

    @property
    def state(self) -> str:
        return max((probe.state for probe in self.probes), key=CHECK_STATES.index, default="ok")


WAIT_GOALS = ("drained", "active-empty", "job")
ENDED_STATES = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Standing:
    """How what is waited for stands: `left` of `total` jobs are still in the way. `rate` is by how
    many they become fewer in a second, and `seconds_left` how long it takes at that rate; both are
    None while they do not. The counts of a queue are None where jobs by name are waited for."""

    left: int
    total: int
    waiting: int | None = None
    delayed_due: int | None = None
    active: int | None = None
    rate: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class WaitReport:
    """How the waiting ended. `outcome` is `done` or the code of `error`. `jobs` are those waited for
    by name, each with its last state: `vanished` for one that is no longer there."""

    queue: str
    goal: str
    outcome: str
    waited_seconds: float
    standing: Standing
    jobs: Sequence[tuple[str, str]] = ()
    error: AdminError | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of damage in one queue: `count` jobs (definitions, members, keys), the ids of the
    first few, why it matters, and what a repair does or an operator can do.

    `repairable` says whether `doctor --repair` mends it, where its code is named at the latest.
    """

    code: str
    severity: str
    queue: str
    count: int
    sample_ids: Sequence[str]
    message: str
    repair: str
    repairable: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found in the queues that were looked at."""

    checked: Sequence[str]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class RepairReport(ChangeReport):
    """What became of each repair. `checked` are the queues, `left` what was found and not tried."""

    checked: Sequence[str] = ()
    left: Sequence[Finding] = ()

    @classmethod
    def of(cls, report: ChangeReport, diagnosis: Diagnosis) -> RepairReport:
        told = {each.name: getattr(report, each.name) for each in fields(report)}
        return cls(**told, checked=diagnosis.checked, left=diagnosis.findings)


@dataclass(frozen=True, slots=True)
class LatestJob:
    """`created` is the job's `timestamp`, else its `created_at`, else 0.0."""

    created: float
    queue: str
    id: str
    state: str


@dataclass(frozen=True, slots=True)
class LatestQueue:
    """`active_at` is when the newest of its jobs was created; 0.0 where it has none."""

    active_at: float
    name: str


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """What there was at one moment, in all queues together. None is what could not be read."""

    timestamp: float
    waiting: int | None
    active: int | None
    delayed: int | None
    completed: int | None
    failed: int | None
    total_queues: int
    total_workers: int | None
    avg_duration: float | None = None

    @property
    def is_whole(self) -> bool:
        return all(
            getattr(self, each.name) is not None for each in fields(self) if each.name != "avg_duration"
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """What the history says of the present pace; None where it says nothing.

    Per minute, over the `window_seconds` that lie between the first and the last of `snapshots`.
    `seconds_until_empty` is 0 where nothing waits, and None where the backlog does not shrink.
    """

    completed_per_minute: float | None = None
    failed_per_minute: float | None = None
    backlog_per_minute: float | None = None
    seconds_until_empty: float | None = None
    window_seconds: float | None = None
    snapshots: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """All queues at one time, as far as it was asked for: what was not is None.

    `workers` are those that live. `latest_at` is when the latest jobs were looked for, which in a
    row of pictures may be earlier than `now`.
    """

    now: float
    stats: Sequence[QueueStats] | None = None
    workers: Sequence[Worker] | None = None
    latest_jobs: Sequence[LatestJob] | None = None
    latest_queues: Sequence[LatestQueue] | None = None
    latest_at: float | None = None

    def count(self, state: str) -> int | None:
        """The jobs of a state in all queues, None where one of them could not be counted."""
        counts = [getattr(row, state.replace("-", "_")) for row in self.stats or ()]
        return None if None in counts else sum(counts)

    @property
    def total_jobs(self) -> int | None:
        counts = [self.count(state) for state in JOB_STATES]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def total_workers(self) -> int | None:
        counts = [row.workers for row in self.stats or ()]
        return None if None in counts else sum(count or 0 for count in counts)

    def snapshot(self) -> MetricsSnapshot:
        return MetricsSnapshot(
            timestamp=self.now,
            waiting=self.count("waiting"),
            active=self.count("active"),
            delayed=self.count("delayed"),
            completed=self.count("completed"),
            failed=self.count("failed"),
            total_queues=len(self.stats or ()),
            total_workers=self.total_workers,
        )


EVENTS = ("overview", "jobdist", "metrics", "queues", "workers", "latest_jobs", "latest_queues")
"""In the order in which the dashboard sends them."""
RUNTIME = "runtime"


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """What AsyncMQ published: `name` is such as `job:stalled`, `ts` its own time of it."""

    name: str
    data: Any
    ts: float | None


@dataclass(frozen=True, slots=True)
class Trend:
    """Values over time, the oldest first; per minute where they are rates. None where they are not known.

    There is a backlog for each of `times`, and a rate for each but the first.
    """

    times: Sequence[float]
    throughput: Sequence[float | None]
    backlog: Sequence[float | None]
    failures: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be typed next, and what it is."""

    value: str
    about: str = ""
