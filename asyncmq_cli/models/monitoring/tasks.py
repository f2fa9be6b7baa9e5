"""Tasks: the counts and durations of jobs by the name of their task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

TASK_STATES = ("waiting", "active", "delayed", "dead", "completed")

INTERVAL = 0.05
"""Seconds between two reads of the active hashes; more if a read takes longer."""


def _rank(sorted_values: Sequence[float], share: float) -> int:
    """The position of a percentile by nearest rank."""
    return min(len(sorted_values) - 1, int(share * len(sorted_values)))


class TaskStats(Struct, frozen=True):
    """The jobs of a task; `task` is None for jobs without one. `counts` are by TASK_STATES; the count of a
    state that was sampled is an estimate. `oldest_waiting` and `last_death` are epoch seconds. `durations`
    are the seconds from the last attempt to the death of each dead job that was read, sorted."""

    task: str | None
    counts: Mapping[str, int]
    oldest_waiting: float | None
    last_death: float | None
    durations: Sequence[float]

    @property
    def failing_share(self) -> float | None:
        """The share of dead jobs among the dead and completed jobs, 0 to 1; None if there are neither."""
        ended = self.counts["dead"] + self.counts["completed"]
        return self.counts["dead"] / ended if ended else None

    def duration(self, share: float) -> float | None:
        """A percentile by nearest rank: the duration in seconds that this share (0 to 1) of the dead jobs did
        not exceed."""
        if not self.durations:
            return None
        return self.durations[_rank(self.durations, share)]


class TopTask(Struct, frozen=True):
    """One task of `tasks top`. `busy_share` is its share of the run time of all jobs, 0 to 1, or None if none
    ran; `concurrency` is how many of its jobs ran at once on average. `active` of its jobs are running now;
    `seen` counts all that were seen. `durations` are the seconds that each ended job ran, sorted; `below`
    counts those that ran no longer than the interval between two reads."""

    task: str | None
    busy_share: float | None
    concurrency: float
    active: int
    seen: int
    below: int
    durations: Sequence[float]

    def duration(self, share: float) -> float | None:
        """A percentile by nearest rank: the duration in seconds that this share (0 to 1) of the ended jobs
        did not exceed. None if no job ended, or if it is below the interval between two reads."""
        if not self.durations or self.is_below(share):
            return None
        return self.durations[_rank(self.durations, share)]

    def is_below(self, share: float) -> bool:
        """Whether the percentile is below the interval between two reads, and therefore unknown."""
        return bool(self.durations) and _rank(self.durations, share) < self.below


class TopReport(Struct, frozen=True):
    """The tasks, those with most run time first, from `reads` reads over `seconds` seconds. `began` is the
    server's time of the first read; `interval` is the average number of seconds between two reads."""

    queue: str | None
    began: float
    seconds: float
    reads: int
    interval: float
    tasks: Sequence[TopTask]


class Sample(Struct, frozen=True):
    """A random sample: `read` of the `size` jobs in a state. `margin` is the error margin of a share, 0 to 1,
    at 95 % confidence."""

    size: int
    read: int
    margin: float


class TaskReport(Struct, frozen=True):
    """All tasks, those with most dead jobs first. `sampled` has a Sample for each state of which not all jobs
    were read."""

    queue: str | None
    read_at: float
    tasks: Sequence[TaskStats]
    sampled: Mapping[str, Sample]
