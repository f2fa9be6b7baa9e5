"""Tasks: the jobs of one name, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TASK_STATES = ("waiting", "active", "delayed", "dead", "completed")

INTERVAL = 0.05
"""Seconds between two reads of the active hashes; more if a read takes longer."""


@dataclass(frozen=True, slots=True)
class TaskStats:
    """The jobs of a task. `counts` are by TASK_STATES; they are estimates where the state was sampled.
    `oldest_waiting` and `last_death` are epoch seconds, `durations` the seconds from the last attempt to the
    death of each dead job that was read, in order."""

    task: str | None
    counts: Mapping[str, int]
    oldest_waiting: float | None
    last_death: float | None
    durations: Sequence[float]

    @property
    def failing_share(self) -> float | None:
        """Dead jobs as a share of the dead and the completed, 0 to 1; None if there are neither."""
        ended = self.counts["dead"] + self.counts["completed"]
        return self.counts["dead"] / ended if ended else None

    def duration(self, share: float) -> float | None:
        """The duration that this share of the dead jobs did not exceed (nearest rank)."""
        if not self.durations:
            return None
        return self.durations[min(len(self.durations) - 1, int(share * len(self.durations)))]


@dataclass(frozen=True, slots=True)
class TopTask:
    """What the reads of the active hashes showed of a task. `busy_share` is its share of the time that all
    jobs ran, 0 to 1, None if none ran; `concurrency` how many of its jobs ran at once on average. `active`
    run now, `seen` have run. `durations` are the seconds of those that ended, in order; `below` of them ran
    no longer than the interval between two reads."""

    task: str | None
    busy_share: float | None
    concurrency: float
    active: int
    seen: int
    below: int
    durations: Sequence[float]

    def duration(self, share: float) -> float | None:
        """The duration that this share of the ended jobs did not exceed (nearest rank); None without any, and
        where it is below the interval."""
        if not self.durations or self.is_below(share):
            return None
        return self.durations[self._rank(share)]

    def is_below(self, share: float) -> bool:
        """Whether that duration is below the interval between two reads, and so unknown."""
        return bool(self.durations) and self._rank(share) < self.below

    def _rank(self, share: float) -> int:
        return min(len(self.durations) - 1, int(share * len(self.durations)))


@dataclass(frozen=True, slots=True)
class TopReport:
    """Tasks by the time that they take, seen in `seconds` from `began`, the server's time, in this many reads
    (`looks`) with `interval` seconds between them on average."""

    queue: str | None
    began: float
    seconds: float
    looks: int
    interval: float
    tasks: Sequence[TopTask]


@dataclass(frozen=True, slots=True)
class Sample:
    """How many jobs of a place were read at random, of `size`. `margin` is that of a share, 0 to 1, with 95 %
    confidence."""

    size: int
    read: int
    margin: float


@dataclass(frozen=True, slots=True)
class TaskReport:
    """All tasks, those with most dead jobs first. `sampled` has the states that were not read whole."""

    queue: str | None
    read_at: float
    tasks: Sequence[TaskStats]
    sampled: Mapping[str, Sample]
