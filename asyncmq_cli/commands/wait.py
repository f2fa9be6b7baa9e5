"""`asyncmq wait`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from asyncmq_cli import durations
from asyncmq_cli.cli.around_typer import command, lone
from asyncmq_cli.cli.options import option
from asyncmq_cli.cli.params import JobsArg, QueueArg
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import has_filter
from asyncmq_cli.cli.targets import job_ids as ids_named
from asyncmq_cli.errors import OutputFailed, UsageProblem
from asyncmq_cli.models.monitoring.waits import WAIT_GOALS
from asyncmq_cli.models.values import ENDED_STATES

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.waits import StateChange, WaitReport
    from asyncmq_cli.output.terminal.progress import Waiting
    from asyncmq_cli.services.monitoring.wait import WaitOptions

app = lone()

_LEAST_INTERVAL = 0.1

GoalOption = Annotated[
    str | None,
    option(
        "--for",
        "WHAT",
        "drained: nothing waiting, delayed and due, or active; active-empty: nothing active; "
        "job: the jobs named have ended. [default: drained; with ids: job]",
        choices=WAIT_GOALS,
    ),
]
PatienceOption = Annotated[
    str | None,
    option(
        "--timeout",
        "DURATION",
        "Give up after this time, such as 10m, with exit status 124. [default: never] "
        "(The time limit for a reply from Redis goes before the command: asyncmq --timeout 5 wait …)",
    ),
]
IntervalOption = Annotated[str, option("--interval", "DURATION", "Time between two checks; 0.1s or more.")]
KeepWaitingOption = Annotated[
    bool,
    typer.Option(
        "--keep-waiting",
        help="Keep waiting while the queue is paused, has no live worker or Redis is unreachable; after a "
        "failed job, wait for the others.",
    ),
]


# --timeout of this command limits the wait. The global --timeout, for replies from Redis, goes before the
# command.
@command(app, "wait", "filters", without=("timeout",), several=False)
def wait(
    session: Session,
    queue: QueueArg,
    job_ids: JobsArg = None,
    goal: GoalOption = None,
    patience: PatienceOption = None,
    interval: IntervalOption = "1s",
    keep_waiting: KeepWaitingOption = False,
) -> None:
    """Wait until a queue is empty, or until jobs have ended.

    Name the jobs by id or by a filter; the filter is evaluated once, at the start. On a terminal and with
    --output jsonl, each change of their states is printed as it is seen.

    The exit status is 0 when the goal is reached; 1 as soon as it cannot be reached: a job has failed or is
    gone, the queue is paused, or it has had no live worker for the heartbeat TTL; 124 when the wait timed
    out. Delayed jobs that are not due do not count.

    \b
    Examples:
      asyncmq wait emails --timeout 10m
      asyncmq queues pause emails && asyncmq wait emails --for active-empty
      asyncmq wait emails --for job 7f3a 81d6 --timeout 5m
      asyncmq wait imports --where 'kwargs.customer == 42'
    """
    from asyncmq_cli.output.terminal import progress

    by_filter = has_filter(session.flags)
    goal = _goal(goal, job_ids, by_filter=by_filter)
    options = _options(patience, interval, keep_waiting)
    with progress.of_waiting(session.out, queue) as watch:
        if job_ids or by_filter:
            ids = ids_named(session, queue, job_ids or []) if job_ids else _matching(session, queue)
            prints = session.out.for_people or session.out.format == "ndjson"
            changed = partial(_print_changes, session, watch) if prints else None
            report = session.waits.jobs(queue, ids, options, watch, changed)
        else:
            report = session.waits.queue(queue, goal, options, watch)
    try:
        with session.out.outcome(lambda: f"{report.goal}: {report.outcome}"):
            _print(session, report)
    except OutputFailed:
        if report.error is None:
            raise
    if report.error is not None:
        raise report.error


def _goal(goal: str | None, job_ids: list[str] | None, *, by_filter: bool) -> str:
    if by_filter and job_ids:
        raise UsageProblem("ids and a filter exclude each other", hint="give one or the other")
    goal = goal or ("drained" if job_ids is None and not by_filter else "job")
    if (goal == "job") != (bool(job_ids) or by_filter):
        raise UsageProblem(
            "--for job needs ids or a filter, and these need --for job",
            hint="asyncmq wait QUEUE --for job ID…",
        )
    return goal


def _print_changes(session: Session, bar: Waiting, changes: Sequence[StateChange]) -> None:
    from asyncmq_cli.output.text import waits

    out = session.out
    with bar.aside():
        for change in changes:
            if out.for_programs:
                out.documents([waits.change_document(change, show_secrets=False)])
            else:
                out.line(waits.change_line(change, show_secrets=False, utc=out.utc))
        out.flush()


def _matching(session: Session, queue: str) -> list[str]:
    """The ids of the jobs that match the filter and have not ended."""
    from asyncmq_cli.models.jobs import QueueScope

    jobs = session.jobs.matching(QueueScope.of(queue), "all", session.filter)
    found = [job.id for job in jobs if job.id and job.status not in ENDED_STATES]
    if not found:
        session.out.remark("note", "all matching jobs have already ended")
    return found


def _options(patience: str | None, interval: str, keep_waiting: bool) -> WaitOptions:
    from asyncmq_cli.services.monitoring.wait import WaitOptions

    between = durations.interval("--interval", interval, _LEAST_INTERVAL)
    return WaitOptions(None if patience is None else durations.seconds(patience), between, keep_waiting)


def _print(session: Session, report: WaitReport) -> None:
    from asyncmq_cli.output.text import waits

    if session.out.for_programs:
        session.out.document(waits.document(report))
    elif report.goal == "job":
        session.out.rows(report.jobs, waits.JOBS, now=0.0)
    elif not session.out.for_people:
        session.out.rows([report], waits.QUEUE, now=0.0)
    elif report.error is None:
        session.out.line(waits.sentence(report))
