"""The goals and reports of `wait`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.jobs import Job

WAIT_GOALS = ("drained", "active-empty", "job")


class Standing(Struct, frozen=True):
    """The progress of a wait: `left` of `total` jobs remain. `rate` is the decrease in jobs per second, and
    `seconds_left` the time that is left at that rate; both are None while the number does not decrease.
    `waiting`, `delayed_due` and `active` count the jobs of the queue; they are None if the wait is for named
    jobs."""

    left: int
    total: int
    waiting: int | None = None
    delayed_due: int | None = None
    active: int | None = None
    rate: float | None = None
    seconds_left: float | None = None


class StateChange(Struct, frozen=True):
    """A job's change to the state `status`, seen at `at`, the server's time. `before` is the previous state,
    None if this is the first one seen. `job` is None if it no longer exists."""

    queue: str
    id: str
    status: str
    before: str | None
    at: float
    job: Job | None


class WaitReport(Struct, frozen=True):
    """The result of a wait. `outcome` is `done` or the code of `error`. `jobs` are pairs of the id of a named
    job and its last state; the state is `vanished` if the job no longer exists."""

    queue: str
    goal: str
    outcome: str
    waited_seconds: float
    standing: Standing
    jobs: Sequence[tuple[str, str]] = ()
    error: AdminError | None = None
