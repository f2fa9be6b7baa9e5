"""The goals and reports of `wait`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.jobs import Job

WAIT_GOALS = ("drained", "active-empty", "job")


@dataclass(frozen=True, slots=True)
class Standing:
    """The progress of a wait: `left` of `total` jobs remain. `rate` is the decrease in jobs per second, and
    `seconds_left` the time left at that rate; both are None while the number does not decrease. The counts
    of a queue are None if the wait is for named jobs."""

    left: int
    total: int
    waiting: int | None = None
    delayed_due: int | None = None
    active: int | None = None
    rate: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """A job came into a state, as seen at `at`, the server's time. `before` is None for the first state seen,
    and `job` is None for one that no longer exists."""

    queue: str
    id: str
    status: str
    before: str | None
    at: float
    job: Job | None


@dataclass(frozen=True, slots=True)
class WaitReport:
    """The end of a wait. `outcome` is `done` or the code of `error`. `jobs` are the named jobs, each with its
    last state: `vanished` for one that no longer exists."""

    queue: str
    goal: str
    outcome: str
    waited_seconds: float
    standing: Standing
    jobs: Sequence[tuple[str, str]] = ()
    error: AdminError | None = None
