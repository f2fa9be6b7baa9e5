"""What is wrong in a queue, as the overview shows it."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = (
    "unattended",
    "lost",
    "growing",
    "overdue",
    "paused",
    "silent",
    "contradiction",
    "worker_silent",
    "unreadable",
)
"""From worst to least, among problems of one severity. Those that `check` has too are called as there."""
SEVERITIES = ("critical", "unknown", "warning")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of one queue. `severity` is one of SEVERITIES, as `check` judges it; `value` is what was
    counted, None where it could not be."""

    kind: str
    severity: str
    queue: str
    value: int | None
    message: str

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """The sort key: the worst first."""
        return SEVERITIES.index(self.severity), KINDS.index(self.kind), -(self.value or 0), self.queue
