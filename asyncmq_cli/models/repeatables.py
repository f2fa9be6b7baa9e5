"""Repeatable definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncmq_cli.models.changes import ChangeReport


@dataclass(frozen=True, slots=True)
class Repeatable:
    """One stored definition. If it cannot be read, `id` is empty, `definition` is None, and `problem` says
    why. `overdue`: not paused, and its next run is long past."""

    queue: str
    id: str
    definition: Mapping[str, Any] | None
    next_run: float
    paused: bool
    overdue: bool
    problem: str | None = None

    def get(self, key: str) -> Any:
        """A value of the definition, or None."""
        return None if self.definition is None else self.definition.get(key)


@dataclass(frozen=True, slots=True)
class ComingRun:
    """One run that a definition will have, at `timestamp`. The first of a definition is the stored one, and
    may be past; the later ones are computed."""

    timestamp: float
    repeatable: Repeatable

    @property
    def overdue(self) -> bool:
        return self.repeatable.overdue and self.timestamp == self.repeatable.next_run


@dataclass(frozen=True, slots=True)
class RepeatableChange(ChangeReport):
    """The outcome of a change of one definition.

    `repeatable` is None if it was not found. `next_runs` are the next runs, if the change sets them, and
    `existed` says that an added definition existed already.
    """

    repeatable: Repeatable | None = None
    next_runs: Sequence[float] = ()
    existed: bool = True
    unchanged: bool = False
