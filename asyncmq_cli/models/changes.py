"""Changes, and the trail that they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from asyncmq_cli.errors import AdminError


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
    because it was so already, or that the job will expire again. `state` is the job's, where
    it was only looked at.
    """

    queue: str
    job_id: str | None
    error: AdminError | None = None
    note: str | None = None
    state: str | None = None


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

    @classmethod
    def of(cls, report: ChangeReport, **more: Any) -> Self:
        """What `report` tells, as a kind that tells more."""
        told = {each.name: getattr(report, each.name) for each in fields(report)}
        return cls(**told, **more)

    @property
    def matched(self) -> int:
        """How many there were to hit; more than were tried where only a share was asked for."""
        return len(self.results) if self.total is None else self.total

    @property
    def succeeded(self) -> int:
        """How many were changed, or would be in a dry run."""
        return sum(1 for result in self.results if result.error is None)

    @property
    def failed(self) -> int:
        """How many were refused."""
        return len(self.results) - self.succeeded
