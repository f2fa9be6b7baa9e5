"""Repeatable definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from asyncmq_cli.models.changes import ChangeReport


class Repeatable(Struct, frozen=True):
    """One stored definition. If it cannot be read, `id` is "", `definition` is None, and `problem` says why.
    `overdue` says that it is not paused and its next run is over a minute past; `stuck` that it is not paused
    and its schedule has no run after the next, which is the `problem` then."""

    queue: str
    id: str
    definition: Mapping[str, Any] | None
    next_run: float
    paused: bool
    overdue: bool
    problem: str | None = None
    stuck: bool = False

    def get(self, key: str) -> Any:
        """A value of the definition, or None."""
        return None if self.definition is None else self.definition.get(key)


class ComingRun(Struct, frozen=True):
    """One future run of a definition, at `timestamp`. The first run of a definition is the stored one, and
    may be past; later runs are computed."""

    timestamp: float
    repeatable: Repeatable

    @property
    def overdue(self) -> bool:
        return self.repeatable.overdue and self.timestamp == self.repeatable.next_run


class RepeatableChange(ChangeReport, frozen=True):
    """The outcome of a change of one definition.

    `repeatable` is None if it was not found. `next_runs` are set if the change sets the schedule. `existed`
    says that an added definition already existed, `unchanged` that the change had nothing to do.
    """

    repeatable: Repeatable | None = None
    next_runs: Sequence[float] = ()
    existed: bool = True
    unchanged: bool = False
