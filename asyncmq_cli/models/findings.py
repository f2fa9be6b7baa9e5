"""Findings and repairs of the doctor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncmq_cli.models.changes import ChangeReport

_SAMPLES_KEPT = 5


@dataclass(slots=True)
class Samples:
    """A count, and the first few of what was counted."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one more."""
        self.add_all(1, [text])

    def add_all(self, count: int, first: Sequence[str]) -> None:
        """Count more, of which these are the first few."""
        self.count += count
        self.first += first[: _SAMPLES_KEPT - len(self.first)]


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of damage in one queue: the number of jobs (definitions, members or keys), the ids and tasks
    of the first few (None for a job without a task), why it matters, and what a repair does or an operator
    can do.

    `repairable` says whether `doctor --repair` repairs it, at least if its code is given.
    """

    code: str
    severity: str
    queue: str
    count: int
    sample_ids: Sequence[str]
    message: str
    repair: str
    repairable: bool
    sample_tasks: Sequence[str | None] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings in the queues that were checked."""

    checked: Sequence[str]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class RepairReport(ChangeReport):
    """The outcome of each repair. `checked` are the queues, `left` the findings that were not repaired."""

    checked: Sequence[str] = ()
    left: Sequence[Finding] = ()
