"""Dead jobs by their cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Dead jobs of one cause. `first_seen` and `last_seen` are when the first and last died, and
    `sample_message` is the message of one of them as it is."""

    id: str
    type: str | None
    message: str
    count: int
    first_seen: float
    last_seen: float
    tasks: Sequence[str]
    sample_job_id: str
    sample_message: str


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """The causes in a dead-letter queue of `scanned` jobs, the most frequent first.

    `left_out` jobs are in no group, because there were too many different causes.
    """

    queue: str
    scanned: int
    left_out: int
    groups: Sequence[FailureGroup]
