"""Groups of failures: dead jobs by what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RECENT = 3600.0
"""Seconds. A cause that is younger is new, and whether one grows is judged by this and the time before it."""
_LEAST = 3
_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Dead jobs with the same cause, or with another value in common.

    `id` is None for a group that is not by cause; then `value` is what its jobs have in common, and `type`
    and `message` are those of the most frequent of their `causes`. `message` is without its changing parts,
    and `sample_message` is that of one job, unchanged. `first_seen` and `last_seen` are the times of the
    first and last death. `last_hour` and `hour_before` count deaths, and `deaths` does so over time: pairs of
    the start of a span and a count, the oldest first, each span `deaths_span` seconds long; spans without a
    death are left out.
    """

    id: str | None
    type: str | None
    message: str
    count: int
    first_seen: float
    last_seen: float
    tasks: Sequence[str]
    sample_job_id: str
    sample_message: str
    sample_queue: str = ""
    queues: Sequence[str] = ()
    last_hour: int = 0
    hour_before: int = 0
    deaths: Sequence[tuple[float, int]] = ()
    deaths_span: float = 0.0
    value: object = None
    causes: int = 1

    @property
    def cause(self) -> str:
        """What was raised, such as `ValueError: no such address`."""
        return self.message if self.type is None else f"{self.type}: {self.message}".rstrip(": ")

    def trend(self, now: float) -> str | None:
        """`new` if the first death was in the last hour, `growing` if clearly more died in it than in the
        hour before, else None."""
        if self.first_seen > now - RECENT:
            return "new"
        grows = self.last_hour >= _LEAST and self.last_hour >= _GROWTH * self.hour_before
        return "growing" if grows else None


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """The groups of the dead-letter queues of these queues, with `scanned` jobs, the largest first.

    `by` is what they have in common: `cause`, `error`, `task`, `queue`, or an argument such as
    `kwargs.tenant`. `left_out` jobs are in no group, because there are too many. `read_at` is the server's
    time, epoch seconds.
    """

    queues: Sequence[str]
    by: str
    read_at: float
    scanned: int
    left_out: int
    groups: Sequence[FailureGroup]
