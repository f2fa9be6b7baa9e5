"""Group dead jobs by root cause, or by another value that they have in common."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from asyncmq_cli.errors import AmbiguousGroup, FormerGroup, GroupNotFound, nearest
from asyncmq_cli.models.failures import RECENT, FailureGroup
from asyncmq_cli.services.jobs.causes import Signature, cause, former_id, outer_error, signature
from asyncmq_cli.services.jobs.lookup import holding, in_each
from asyncmq_cli.services.jobs.where_fields import member_of, value_at

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job, JobFilter, QueueScope
    from asyncmq_cli.services.jobs.filter import Matcher
    from asyncmq_cli.storage.store import Store


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


def of_known_group(
    store: Store, scope: QueueScope, wanted: JobFilter, matches: Matcher, jobs: Iterable[Job]
) -> Iterator[Job]:
    """Yield the jobs of a scope that match a filter with a failure group. If there are none, search the
    dead-letter queues for the group: raises GroupNotFound with the nearest ids if it does not exist, or
    FormerGroup if it is an id of an older release. Raises AmbiguousGroup if jobs of two groups match."""
    group = wanted.group.strip().lower()
    found = False
    for job in filter(matches, jobs):
        if len(matches.groups) > 1:
            break
        found = True
        yield job
    if len(matches.groups) > 1:
        raise AmbiguousGroup(scope.queue, group, sorted(matches.groups))
    if found:
        return
    ids: set[str] = set()
    is_former = False
    queues = holding(store, scope, "dlq")
    for job in in_each(store, scope, queues, store.jobs.dead_causes):
        if len(ids) >= MAX_GROUPS:
            return
        ids.add(signature(job).id)
        is_former = is_former or former_id(job).startswith(group)
    if any(each.startswith(group) for each in ids):
        return
    raise (
        FormerGroup(scope.queue, group)
        if is_former
        else GroupNotFound(scope.queue, group, _nearest(group, sorted(ids)))
    )


def _nearest(group: str, ids: list[str]) -> list[str]:
    """The nearest ids, at most three. Prefixes are compared, because `group` may be a prefix."""
    by_start: dict[str, list[str]] = {}
    for each in ids:
        by_start.setdefault(each[: len(group)], []).append(each)
    return [each for start in nearest(group, by_start) for each in by_start[start]][:3]
