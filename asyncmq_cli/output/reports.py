"""What a change came to, in words."""

from __future__ import annotations

from collections.abc import Iterator

from asyncmq_cli.models import ChangeReport
from asyncmq_cli.output.escape import escape

# For each action: what was done, what would be done.
_WORDS = {
    "queue.pause": ("Paused", "Would pause"),
    "queue.resume": ("Resumed", "Would resume"),
    "job.retry": ("Retried", "Would retry"),
    "job.remove": ("Removed", "Would remove"),
    "job.cancel": ("Cancelled", "Would cancel"),
}


def single(report: ChangeReport) -> Iterator[tuple[str, str]]:
    """The lines for one target, each with the kind of line it is; none for a failure, which is
    told as an error."""
    result = report.results[0]
    if result.error is not None:
        return
    target = f"queue {result.queue}" if result.job_id is None else f"job {result.job_id} in {result.queue}"
    if result.note is not None and result.job_id is None:
        # Pausing what is paused: there is nothing that was done to be told of.
        yield "done", escape(f"{target.capitalize()} {result.note}")
        return
    yield "done", escape(f"{_WORDS[report.action][report.dry_run]} {target}")
    if result.note is not None:
        yield "warning", result.note


def summary(report: ChangeReport) -> str:
    done = f"{_WORDS[report.action][report.dry_run]} {report.succeeded:,} of {len(report.results):,}"
    return f"{done}; {report.failed:,} failed" if report.failed else done
