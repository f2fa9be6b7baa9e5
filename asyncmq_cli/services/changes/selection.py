"""Which jobs a change by filter hits: exactly those that the list shows for the same filter."""

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
    """How much of what matches is hit, the oldest first: so many, so many in a hundred, or all."""

    limit: int | None = None
    percent: float | None = None

    def of(self, total: int) -> int:
        """How many of so many."""
        count = total if self.percent is None else math.ceil(total * self.percent / 100)
        return count if self.limit is None else min(count, self.limit)


@dataclass(frozen=True, slots=True)
class Selection:
    """`job_ids` are to be hit, in this order; `total` jobs match, None where ids were named.
    `states` has how many of them are in which state, as far as that is known. `nameless` more match, but
    have no id, and are not hit."""

    job_ids: list[str]
    total: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    nameless: int = 0


def select(jobs: Iterable[Job], share: Share) -> Selection:
    """Keeps a time, an id and a state for each match, of no more than are hit where that is known
    beforehand, and nothing else of it."""
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
