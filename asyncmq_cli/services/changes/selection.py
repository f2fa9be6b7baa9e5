"""The jobs of a change, and its options. A filter selects the same jobs that a list with this filter
shows."""

from __future__ import annotations

import heapq
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.services.changes.runner import Stop

Noun = Literal["job", "dlq", "queue"]


class Share(Struct, frozen=True):
    """How many of the matching jobs to select, oldest first: at most `limit`, `percent` of them, or all."""

    limit: int | None = None
    percent: float | None = None

    def of(self, total: int) -> int:
        """The number of jobs to select out of `total`. A percentage is rounded up."""
        count = total if self.percent is None else math.ceil(total * self.percent / 100)
        return count if self.limit is None else min(count, self.limit)


class Selection(Struct, frozen=True):
    """The selected jobs: ids by queue, in the order in which they are changed. `total` jobs match; None if
    ids were named. `states` counts the selected jobs by state, as far as known. `nameless` more jobs match
    but have no id, and are not selected. `oldest` and `newest` are the times of the first and the last
    selected job; None if there are none, or if ids were named. `unfound` are ids that were named without a
    queue and are in no queue, or in several, each with its error."""

    by_queue: Mapping[str, Sequence[str]]
    total: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    nameless: int = 0
    unfound: Sequence[tuple[str, AdminError]] = ()
    oldest: float | None = None
    newest: float | None = None

    @property
    def count(self) -> int:
        """The number of selected jobs."""
        return sum(map(len, self.by_queue.values())) + len(self.unfound)

    @property
    def job_ids(self) -> list[str]:
        """The selected ids of all queues."""
        return [job_id for job_ids in self.by_queue.values() for job_id in job_ids]

    @property
    def targets(self) -> list[tuple[str | None, str]]:
        """The selected jobs, each as its queue and its id."""
        unfound = [(None, job_id) for job_id, _ in self.unfound]
        return [*unfound, *((queue, one) for queue, ids in self.by_queue.items() for one in ids)]


class BulkOptions(Struct, frozen=True):
    """How a change of many jobs runs. `rate` is jobs per second. `abort_above` is the share (0 to 1) of
    retried jobs that may fail again before the run stops. `progress` is called with the number of jobs just
    handled. Another thread can end the run through `stop`."""

    rate: float | None = None
    abort_above: float | None = None
    progress: Callable[[int], None] | None = None
    stop: Stop | None = None


class ChangeRequest(Struct, frozen=True):
    """The jobs to change, and how. `queue` is the one that was named, or None if the jobs may be in several.

    The action in the audit trail is `noun`, a dot, and `verb`; by default the verb is the name of the change.
    `backup` is the file to which jobs are written before they are removed.
    """

    queue: str | None
    selection: Selection
    reason: str | None = None
    dry_run: bool = False
    noun: Noun = "job"
    options: BulkOptions = BulkOptions()
    backup: str | None = None
    verb: str | None = None


SelectionKey = tuple[float, str, str, str]
"""What a selection keeps of a job: its time, id, queue and state. Jobs are sorted by it."""


def _key(job: Job) -> SelectionKey:
    return job.moment, job.id, sys.intern(job.queue), sys.intern(job.status)


def keys_of(jobs: Iterable[Job]) -> list[SelectionKey]:
    return list(map(_key, jobs))


def select(jobs: Iterable[Job], share: Share) -> Selection:
    """Select the oldest jobs of all queues together. Keeps a key in memory for each match; with a `limit`,
    only for the selected jobs."""
    return _of_keys(map(_key, jobs), share)


def select_shared(
    pieces: Iterable[tuple[list[SelectionKey] | None, Iterator[Job]]], share: Share
) -> Selection:
    """The same for the pieces of `JobService.shared`, with the work `keys_of`."""
    found = chain.from_iterable(map(_key, rest) if done is None else done for done, rest in pieces)
    return _of_keys(found, share)


def _of_keys(found: Iterable[SelectionKey], share: Share) -> Selection:
    total = nameless = 0

    def keys() -> Iterator[SelectionKey]:
        nonlocal total, nameless
        for key in found:
            if key[1]:
                total += 1
                yield key
            else:
                nameless += 1

    if share.limit is not None and share.percent is None:
        hit = heapq.nsmallest(share.limit, keys())
    else:
        hit = sorted(keys())
        del hit[share.of(total) :]
    by_queue: dict[str, list[str]] = {}
    for _, job_id, queue, _ in hit:
        by_queue.setdefault(queue, []).append(job_id)
    ends = (hit[0][0], hit[-1][0]) if hit else (None, None)
    states = Counter(state for *_, state in hit)
    return Selection(by_queue, total, states, nameless, oldest=ends[0], newest=ends[1])
