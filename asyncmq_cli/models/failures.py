"""Groups of failures: dead jobs by their cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Dead jobs with the same cause. `first_seen` and `last_seen` are the times of the first and last death,
    and `sample_message` is the unchanged message of one of them."""

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
    """The groups of a dead-letter queue of `scanned` jobs, the largest first.

    `left_out` jobs are in no group, because there are too many different causes.
    """

    queue: str
    scanned: int
    left_out: int
    groups: Sequence[FailureGroup]
