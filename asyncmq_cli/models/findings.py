"""What the doctor finds and repairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncmq_cli.models.changes import ChangeReport

_SAMPLES_KEPT = 5


@dataclass(slots=True)
class Samples:
    """How many there were, and the first few."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """One more."""
        self.add_all(1, [text])

    def add_all(self, count: int, first: Sequence[str]) -> None:
        """So many more, of which these are the first few."""
        self.count += count
        self.first += first[: _SAMPLES_KEPT - len(self.first)]


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of damage in one queue: `count` jobs (definitions, members, keys), the ids of the
    first few, the task of each of these (None where it has none), why it matters, and what a repair
    does or an operator can do.

    `repairable` says whether `doctor --repair` mends it, where its code is named at the latest.
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
    """What was found in the queues that were looked at."""

    checked: Sequence[str]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class RepairReport(ChangeReport):
    """What became of each repair. `checked` are the queues, `left` what was found and not tried."""

    checked: Sequence[str] = ()
    left: Sequence[Finding] = ()
