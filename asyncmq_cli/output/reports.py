"""What a change came to, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from asyncmq_cli.models.findings import RepairReport
from asyncmq_cli.models.repeatables import RepeatableChange
from asyncmq_cli.output.counts import counted
from asyncmq_cli.output.escape import escape
from asyncmq_cli.output.questions import kinds
from asyncmq_cli.output.redact import redact_text
from asyncmq_cli.output.times import rfc3339
from asyncmq_cli.output.views import schedule

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport, ChangeResult

# For each action: what was done, what would be done.
_WORDS = {
    "queue.pause": ("Paused", "Would pause"),
    "queue.resume": ("Resumed", "Would resume"),
    "queue.forget": ("Forgot", "Would forget"),
    "job.retry": ("Retried", "Would retry"),
    "job.requeue": ("Requeued", "Would requeue"),
    "job.remove": ("Removed", "Would remove"),
    "job.restore": ("Restored", "Would restore"),
    "job.cancel": ("Cancelled", "Would cancel"),
    "worker.forget": ("Forgot", "Would forget"),
    "repeatable.create": ("Added", "Would add"),
    "repeatable.pause": ("Paused", "Would pause"),
    "repeatable.resume": ("Resumed", "Would resume"),
    "repeatable.remove": ("Removed", "Would remove"),
    "dlq.retry": ("Retried", "Would retry"),
    "dlq.remove": ("Removed", "Would remove"),
    "doctor.repair": ("Repaired", "Would repair"),
}


_FIRST_SHOWN = 10
_MOST_SHOWN = 100


def single(report: ChangeReport) -> Iterator[tuple[str, str]]:
    """The lines for one target, each with the kind of line it is; none for a failure, which is
    told as an error."""
    result = report.results[0]
    if result.error is not None:
        return
    if isinstance(report, RepeatableChange):
        yield from _repeatable(report)
        return
    target = (
        f"queue {result.queue}"
        if result.job_id is None
        else f"{_noun(report)} {result.job_id} in {result.queue}"
    )
    if result.note is not None and result.job_id is None:
        # Pausing what is paused: there is nothing that was done to be told of.
        yield "done", escape(f"{target.capitalize()} {result.note}")
        return
    yield "done", escape(redact_text(f"{_WORDS[report.action][report.dry_run]} {target}"))
    if result.note is not None:
        yield "warning", result.note


def _noun(report: ChangeReport) -> str:
    return "worker" if report.action.startswith("worker.") else "job"


def worth_a_row(report: ChangeReport) -> list[ChangeResult]:
    """What people want to see of a long report: what failed, or has a note; in a dry run the
    first of the others too."""
    special = [result for result in report.results if result.error is not None or result.note]
    plain = [result for result in report.results if result.error is None and not result.note]
    return [*(plain[:_FIRST_SHOWN] if report.dry_run else []), *special[:_MOST_SHOWN]]


def summary(report: ChangeReport) -> str:
    if isinstance(report, RepairReport) and not report.matched:
        return "Nothing to repair" if report.left else f"No damage in {counted(len(report.checked), 'queue')}"
    if not report.matched:
        return "Nothing was done"
    tried = len(report.results)
    rest = f" (of {report.matched:,} that match)" if report.matched > tried else ""
    if report.failed:
        return f"{_words(report)} {report.succeeded:,} of {tried:,}{rest}; {report.failed:,} failed"
    if report.dry_run and report.action != "doctor.repair" and all(one.state for one in report.results):
        states = Counter(result.state or "" for result in report.results)
        return f"{_words(report)} {kinds(states)}{rest}"
    return f"{_words(report)} {tried:,}{rest or f' of {tried:,}'}"


def _words(report: ChangeReport) -> str:
    return _WORDS[report.action][report.dry_run]


def repeatable_name(report: RepeatableChange) -> str:
    """What a person knows a definition by: its task and its schedule."""
    definition = report.repeatable
    name = report.results[0].job_id or ""
    return name if definition is None else f"{name}, {schedule(definition)}"


def _repeatable(report: RepeatableChange) -> Iterator[tuple[str, str]]:
    result, definition = report.results[0], report.repeatable
    if report.unchanged:
        yield "done", escape(f"Repeatable {result.job_id} in {result.queue} {result.note}")
        return
    words = _WORDS[report.action]
    if report.action == "repeatable.create" and report.existed:
        words = ("Updated", "Would update")
    yield "done", escape(f"{words[report.dry_run]} {repeatable_name(report)}, in {result.queue}")
    if definition is not None:
        yield "done", f"  {definition.id}"
    if report.next_runs:
        yield "done", "Next runs:"
    for run in report.next_runs:
        yield "done", f"  {rfc3339(run)}"
    if result.note is not None:
        yield "warning", result.note
