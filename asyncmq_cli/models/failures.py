"""Failure groups: dead jobs with the same cause or another value in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

RECENT = 3600.0
"""Seconds. A cause whose first death is more recent is `new`. Whether a cause grows is judged by its deaths
in this time and in the same time before it."""
_LEAST = 3
_GROWTH = 1.5


def is_growing(last_hour: int, hour_before: int) -> bool:
    """Whether clearly more jobs died in the last hour than in the hour before."""
    return last_hour >= _LEAST and last_hour >= _GROWTH * hour_before


class FailureGroup(Struct, frozen=True):
    """Dead jobs with the same cause, or with another value in common.

    `id` is None if the group is not by cause; then `value` is the value that its jobs have in common, and
    `type` and `message` are those of the most frequent of its `causes` causes. `message` is without the parts
    that vary from job to job; `sample_message` is the message of one job, unchanged. `first_seen` and
    `last_seen` are the times of the first and last death. `last_hour` and `hour_before` count deaths.
    `deaths` counts them over time: pairs of the start of a span and a count, the oldest first; each span is
    `deaths_span` seconds long, and spans without a death are left out.
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
        """The exception and its message, such as `ValueError: no such address`."""
        return self.message if self.type is None else f"{self.type}: {self.message}".rstrip(": ")

    def trend(self, now: float, covered_from: float = 0.0) -> str | None:
        """`new` if the first death was in the last hour, `growing` if clearly more jobs died in it than in
        the hour before, else None. Also None if not all deaths of these two hours were read."""
        if self.first_seen > now - RECENT:
            return "new" if covered_from <= now - RECENT else None
        if covered_from > now - 2 * RECENT:
            return None
        return "growing" if is_growing(self.last_hour, self.hour_before) else None


class FailureGroups(Struct, frozen=True):
    """The failure groups of these queues, the largest first, made from `scanned` dead jobs.

    `by` is what the jobs of a group have in common: `cause`, `error`, `task`, `queue`, or an argument such as
    `kwargs.tenant`. `left_out` jobs are in no group, because there would be too many groups. `read_at` is the
    server's time, epoch seconds.

    `latest` is set if only this many of the latest dead jobs of each queue were read. Then `covered` maps
    each queue that has more to the time since which all of its deaths are known, and `queues_left_out` counts
    the queues with dead jobs that were not read.
    """

    queues: Sequence[str]
    by: str
    read_at: float
    scanned: int
    left_out: int
    groups: Sequence[FailureGroup]
    covered: Mapping[str, float] = field(default_factory=dict)
    latest: int | None = None
    queues_left_out: int = 0

    def trend(self, group: FailureGroup) -> str | None:
        """See FailureGroup.trend."""
        return group.trend(self.read_at, self.covered_from(group))

    def covered_from(self, group: FailureGroup) -> float:
        """The time since which all deaths of the group are known; 0 if all deaths were read."""
        return max((self.covered.get(queue, 0.0) for queue in group.queues), default=0.0)


NO_GROUPS = FailureGroups((), "cause", 0.0, 0, 0, ())
"""Before any dead job was read."""
