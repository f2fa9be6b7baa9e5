"""Changes, their reports and their audit events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import asdict

if TYPE_CHECKING:
    from typing_extensions import Self

    from asyncmq_cli.errors import AdminError


class AuditEvent(Struct, frozen=True):
    """One change, attempted or made, in the shape of the dashboard's audit trail."""

    timestamp: float
    action: str
    source: str
    status: str
    queue: str | None
    job_id: str | None
    actor: str | None
    details: Mapping[str, Any]
    error: str | None
    id: str = ""
    chain: str | None = None
    """The stored `chain` field (see models/audit_chain.py); None if an older release wrote the event."""

    @property
    def shown_details(self) -> dict[str, Any]:
        """The details, with the kept copy of an edited job replaced by its size."""
        shown = dict(self.details)
        was = shown.pop("was", None)
        if isinstance(was, Mapping):
            texts = (was.get(name) for name in ("member", "record", "payload"))
            shown["was_bytes"] = sum(len(text) for text in texts if isinstance(text, str))
        return shown


class AuditRun(Struct, frozen=True):
    """A run of events that differ only in their job. `count` is their number, `since` the time of the
    oldest."""

    newest: AuditEvent
    count: int
    since: float


class ChangeResult(Struct, frozen=True):
    """The outcome for one target. `error` is None on success. `queue` is None if no queue was named and the
    job was found in none.

    `note` is what an operator should know about a success: that nothing had to be changed, or that the job
    will expire again. `state` is the job's state if the job was only read.
    """

    queue: str | None
    job_id: str | None
    error: AdminError | None = None
    note: str | None = None
    state: str | None = None


class RetryOutcome(Struct, frozen=True):
    """What became of retried jobs by the end of a wait. `failed` counts the jobs that are dead again,
    `causes` counts them by root cause, `gone` counts the jobs that no longer exist, and `left` those that
    have not ended. `stopped` is None if all have ended; else it is `timeout`, or the reason why no worker
    runs the jobs that are left. `error` is any other error that ended the wait."""

    total: int
    completed: int
    failed: int
    cancelled: int
    gone: int
    left: int
    causes: Mapping[str, int]
    stopped: str | None
    waited_seconds: float
    error: AdminError | None = None


class ChangeReport(Struct, frozen=True):
    """The outcome of a change for all its targets.

    `interrupted` is the error that ended the run before every target was tried. `outcome` is set if the
    command waited for retried jobs to end.
    """

    action: str
    queue: str | None
    dry_run: bool
    results: Sequence[ChangeResult] = field(default_factory=tuple)
    interrupted: AdminError | None = None
    total: int | None = None
    outcome: RetryOutcome | None = None

    @classmethod
    def of(cls, report: ChangeReport, **more: Any) -> Self:
        """The same report as a subclass with more fields."""
        values = asdict(report)
        return cls(**values, **more)

    @property
    def matched(self) -> int:
        """The number of targets found; with --percent, more than were tried."""
        return len(self.results) if self.total is None else self.total

    @property
    def succeeded(self) -> int:
        """The number of targets that were changed, or would be in a dry run."""
        return sum(1 for result in self.results if result.error is None)

    @property
    def failed(self) -> int:
        """The number of targets that failed."""
        return len(self.results) - self.succeeded
