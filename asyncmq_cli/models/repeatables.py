"""What is scheduled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncmq_cli.models.changes import ChangeReport


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
        """A value of the definition; None where it is not there."""
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
