"""A job that is not there may be one whose id was cut off. It is looked for only to be named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from asyncmq_cli.errors import JobNotFound
from asyncmq_cli.services import offers

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.storage.store import Store

LEAST_ID = 6
"""Characters that must be there: fewer would be the beginning of some job by chance."""


def job_not_found(store: Store, queue: str, job_id: str) -> JobNotFound:
    """The error, with all jobs that begin so where they can be found as fast as TAB would."""
    if len(job_id) < LEAST_ID:
        return JobNotFound(queue, job_id)
    wish = offers.Wish("jobs", job_id, queue=queue)
    found = offers.whole(store.config, wish, offers.PATIENCE) or ()
    return JobNotFound(queue, job_id, [offer.value for offer in found])


def named(store: Store, report: ChangeReport) -> ChangeReport:
    """The same report; where the one job meant is not there, its error says which begin so."""
    if len(report.results) != 1 or not isinstance(report.results[0].error, JobNotFound):
        return report
    (result,) = report.results
    error = job_not_found(store, result.queue, result.job_id or "")
    return replace(report, results=(replace(result, error=error),))
