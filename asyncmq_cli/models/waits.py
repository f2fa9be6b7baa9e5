"""What `wait` waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError

WAIT_GOALS = ("drained", "active-empty", "job")


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
