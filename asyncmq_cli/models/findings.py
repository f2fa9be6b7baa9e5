"""The doctor's findings and repairs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from asyncmq_cli.models.changes import ChangeReport

_SAMPLES_KEPT = 5


class Samples(Struct):
    """A count, and the first few of the counted texts."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count `text`, and keep it if it is among the first few."""
        self.add_all(1, [text])

    def add_all(self, count: int, first: Sequence[str]) -> None:
        """Count `count` more; `first` has the first few of them."""
        self.count += count
        self.first += first[: _SAMPLES_KEPT - len(self.first)]


class Finding(Struct, frozen=True):
    """One kind of damage in one queue. `count` is the number of damaged jobs, definitions, members or keys;
    `sample_ids` and `sample_tasks` are those of the first few (None for a job without a task). `message` says
    why it matters, `repair` what a repair does or what an operator can do.

    `repairable` says whether `doctor --repair` repairs it, by itself or if its code is given with --code.
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


class Diagnosis(Struct, frozen=True):
    """The findings in the queues that were checked."""

    checked: Sequence[str]
    findings: Sequence[Finding]


class RepairReport(ChangeReport, frozen=True):
    """The outcome of each repair. `checked` are the queues that were checked, `left` the findings that were
    not repaired."""

    checked: Sequence[str] = ()
    left: Sequence[Finding] = ()
