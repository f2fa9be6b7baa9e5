"""What jobs are listed by, and the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncmq_cli.models.values import page_count

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a list narrows by; an empty text matches everything.

    `group` is the id of a group of failures, or the start of one. Ages are seconds.
    """

    q: str = ""
    task: str = ""
    job_id: str = ""
    group: str = ""
    older_than: float | None = None
    newer_than: float | None = None

    @property
    def narrows(self) -> bool:
        """Whether there is a job that it may not let through."""
        return self != JobFilter()


@dataclass(frozen=True, slots=True)
class JobPage:
    """`state` is None for a page of the dead-letter queue, which holds more than one. Where `is_exact`
    is False, there are at most `total` jobs."""

    queue: str
    state: str | None
    page: int
    size: int
    total: int
    sort: str
    filters: JobFilter
    jobs: Sequence[Job]
    is_exact: bool = True

    @property
    def total_pages(self) -> int:
        """At least 1."""
        return page_count(self.total, self.size)
