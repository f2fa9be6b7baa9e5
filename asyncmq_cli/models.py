"""The values that pass between the layers. None of them knows Redis or a terminal.

Times are epoch seconds unless a name says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """What `jobs list` narrows a state by; an empty text matches everything."""

    q: str = ""
    task: str = ""
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class JobPage:
    queue: str
    state: str
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

    @property
    def succeeded(self) -> int:
        return sum(1 for result in self.results if result.error is None)

    @property
    def failed(self) -> int:
        return len(self.results) - self.succeeded
