"""Group dead jobs by root cause, or by another value that they have in common."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from asyncmq_cli.models.failures import RECENT, FailureGroup
from asyncmq_cli.services.jobs.causes import Signature, cause, outer_error, signature
from asyncmq_cli.services.jobs.where_fields import member_of, value_at

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


MAX_GROUPS = 10_000
_MAX_NAMES = 20
_MAX_CAUSES = 100
_MAX_VALUE = 200
_SPANS = 32
_SHORTEST_SPAN = 60.0


class _Deaths(Struct):
    """Counts deaths over time in at most `_SPANS` spans of equal length. The longer the covered time, the
    longer the spans."""

    span: float = _SHORTEST_SPAN
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, died: float) -> None:
        if not math.isfinite(died):
            return
        number = int(died // self.span)
        if number in self.counts:
            self.counts[number] += 1
            return
        self.counts[number] = 1
        while max(self.counts) - min(self.counts) >= _SPANS:
            self._widen()

    def _widen(self) -> None:
        wider: dict[int, int] = {}
        for number, count in self.counts.items():
            wider[number // 2] = wider.get(number // 2, 0) + count
        self.span, self.counts = 2 * self.span, wider

    def over_time(self) -> list[tuple[float, int]]:
        return [(number * self.span, count) for number, count in sorted(self.counts.items())]


class _Count(Struct):
    sample: tuple[float, str, str]
    message: str
    last: float
    count: int = 0
    last_hour: int = 0
    hour_before: int = 0
    tasks: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    deaths: _Deaths = field(default_factory=_Deaths)
    causes: Counter[Signature] = field(default_factory=Counter)

    def add(self, job: Job, died: float, why: Signature, now: float) -> None:
        self.count += 1
        if (mine := (died, job.id, job.queue)) < self.sample:
            self.sample, self.message = mine, cause(job)[1]
        self.last = max(self.last, died)
        age = now - died
        self.last_hour += age < RECENT
        self.hour_before += RECENT <= age < 2 * RECENT
        self.deaths.add(died)
        if job.task_id and len(self.tasks) < _MAX_NAMES:
            self.tasks.add(job.task_id)
        if len(self.queues) < _MAX_NAMES:
            self.queues.add(job.queue)
        if len(self.causes) < _MAX_CAUSES or why in self.causes:
            self.causes[why] += 1

    def group(self, value: object, *, by_cause: bool) -> FailureGroup:
        why = self.causes.most_common(1)[0][0]
        died, job_id, queue = self.sample
        return FailureGroup(
            id=why.id if by_cause else None,
            type=why.type,
            message=why.message,
            count=self.count,
            first_seen=died,
            last_seen=self.last,
            tasks=tuple(sorted(self.tasks)),
            sample_job_id=job_id,
            sample_message=self.message,
            sample_queue=queue,
            queues=tuple(sorted(self.queues)),
            last_hour=self.last_hour,
            hour_before=self.hour_before,
            deaths=self.deaths.over_time(),
            deaths_span=self.deaths.span,
            value=value,
            causes=len(self.causes),
        )


def grouped(jobs: Iterable[Job], by: str = "cause", now: float = 0.0) -> tuple[int, int, list[FailureGroup]]:
    """The number of jobs, the number of jobs left out because there would be too many groups, and the groups,
    the largest first. `by` is as in FailureGroups; `now` is the server's time, epoch seconds."""
    value_of = None if by == "cause" else value_reader(by)
    counts: dict[Hashable, tuple[Any, _Count]] = {}
    scanned = left_out = 0
    for job in jobs:
        scanned += 1
        why = signature(job)
        value = None if value_of is None else value_of(job)
        # Include the type, because True and 1 are the same key of a dictionary.
        key: Hashable = why if value_of is None else (type(value), value)
        died = job.dead_at or 0.0
        found = counts.get(key)
        if found is None:
            if len(counts) >= MAX_GROUPS:
                left_out += 1
                continue
            found = counts[key] = value, _Count((died, job.id, job.queue), cause(job)[1], died)
        found[1].add(job, died, why, now)
    groups = [count.group(value, by_cause=value_of is None) for value, count in counts.values()]
    groups.sort(key=lambda group: (-group.count, group.id or "", str(group.value)))
    return scanned, left_out, groups


def is_argument(by: str) -> bool:
    """Whether `by` names an argument of the job, such as `kwargs.tenant` or `args.0`."""
    head, dot, rest = by.partition(".")
    return head in ("args", "kwargs") and bool(dot and all(rest.split(".")))


def value_reader(by: str) -> Callable[[Job], Hashable]:
    """A function that returns the value of a job by which it is grouped; see FailureGroups."""
    if by == "error":
        return outer_error
    if by in ("task", "queue"):
        return (lambda job: job.task_id) if by == "task" else (lambda job: job.queue)
    path = by.split(".")
    return lambda job: _argument(job, path)


def _argument(job: Job, path: Sequence[str]) -> Hashable:
    """The argument at this path: a scalar, or JSON text. None if the job has no such argument."""
    value = value_at(member_of(job, path[0]), path[1:])
    if isinstance(value, dict | list):
        try:
            value = json.dumps(value, sort_keys=True)
        except RecursionError:
            return "[nested too deeply to be shown]"
    return value[:_MAX_VALUE] if isinstance(value, str) else value
