"""Select the jobs that a change by filter hits: those that a list with the same filter shows."""

from __future__ import annotations

import heapq
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the matching jobs are hit, oldest first: at most `limit`, `percent` of them, or all."""

    limit: int | None = None
    percent: float | None = None

    def of(self, total: int) -> int:
        """How many of `total` jobs; a percentage is rounded up."""
        count = total if self.percent is None else math.ceil(total * self.percent / 100)
        return count if self.limit is None else min(count, self.limit)


@dataclass(frozen=True, slots=True)
class Selection:
    """`job_ids` are hit in this order. `total` jobs match; None where ids were named. `states` counts the
    selected jobs by state, as far as known. `nameless` more jobs match but have no id, and are not hit."""

    job_ids: list[str]
    total: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    nameless: int = 0


def select(jobs: Iterable[Job], share: Share) -> Selection:
    """Select the oldest jobs. Memory holds a time, an id and a state per match; with a plain limit, only of
    the jobs that are hit."""
    total = nameless = 0

    def keys() -> Iterator[tuple[float, str, str]]:
        nonlocal total, nameless
        for job in jobs:
            if job.id:
                total += 1
                yield job.moment, job.id, sys.intern(job.status)
            else:
                nameless += 1

    if share.limit is not None and share.percent is None:
        hit = heapq.nsmallest(share.limit, keys())
    else:
        hit = sorted(keys())
        del hit[share.of(total) :]
    return Selection([job_id for _, job_id, _ in hit], total, Counter(state for *_, state in hit), nameless)
