"""Changes, their reports and their audit events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from asyncmq_cli.errors import AdminError


@dataclass(frozen=True, slots=True)
class AuditEvent:
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
    """Its link to the event before it, as stored; None in a trail of an older release."""

    @property
    def shown_details(self) -> dict[str, Any]:
        """The details, with the kept copy of an edited job replaced by its size."""
        shown = dict(self.details)
        was = shown.pop("was", None)
        if isinstance(was, Mapping):
            texts = (was.get(name) for name in ("member", "record", "payload"))
            shown["was_bytes"] = sum(len(text) for text in texts if isinstance(text, str))
        return shown


@dataclass(frozen=True, slots=True)
class AuditRun:
    """Events that differ only in their job: the newest, how many they are, and the time of the oldest."""

    newest: AuditEvent
    count: int
    since: float


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """The outcome for one target. `error` is None on success. `queue` is None where none was named, and none
    has the job.

    `note` says what an operator should know about a success: that nothing had to be changed, or that the
    job will expire again. `state` is the job's, if it was only read.
    """

    queue: str | None
    job_id: str | None
    error: AdminError | None = None
    note: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """The outcome of retried jobs at the end of a wait. `failed` are those that are dead again, by `causes`,
    `gone` those that no longer exist. `stopped` is None if all have ended, `timeout`, or the reason why no
    worker runs the `left` ones; `error` is any other error that ended the wait."""

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


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """The outcome of a change for all its targets.

    `interrupted` is the error that ended the run before every target was tried. `outcome` is what became of
    retried jobs, if that was waited for.
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
        values = {each.name: getattr(report, each.name) for each in fields(report)}
        return cls(**values, **more)

    @property
    def matched(self) -> int:
        """The number of targets found; with --percent, more than were tried."""
        return len(self.results) if self.total is None else self.total

    @property
    def succeeded(self) -> int:
        """The number of targets changed, or in a dry run, that would be changed."""
        return sum(1 for result in self.results if result.error is None)

    @property
    def failed(self) -> int:
        """The number of targets that failed."""
        return len(self.results) - self.succeeded
