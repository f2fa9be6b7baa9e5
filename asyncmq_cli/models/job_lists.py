"""Filters and pages of job lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncmq_cli.models.values import page_count

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A filter of a list. An empty text matches every job.

    `group` is the id of a failure group, or its start. `where` is an expression of `services.jobs.where`.
    Ages are seconds.
    """

    q: str = ""
    task: str = ""
    job_id: str = ""
    group: str = ""
    older_than: float | None = None
    newer_than: float | None = None
    where: str = ""

    @property
    def narrows(self) -> bool:
        """Whether it may exclude any job."""
        return self != JobFilter()


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a list. `queue` is None where several queues were listed. `state` is None for the dead-letter
    queue, which holds several. If `is_exact` is False, `total` is an upper bound."""

    queue: str | None
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
