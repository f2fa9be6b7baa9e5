"""`asyncmq tasks`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

from asyncmq_cli import durations
from asyncmq_cli.cli import listing
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.options import argument, option
from asyncmq_cli.cli.params import AnyQueueArg
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.tasks import TaskReport
    from asyncmq_cli.services.tasks import TaskSampler

app = noun(NOUNS["tasks"])

_USUAL_SPAN = 10.0
_DRAWN_EVERY = 1.0
ForOption = Annotated[
    str | None,
    option("--for", "DURATION", "How long to watch. [default: 10s; on a terminal until q or Ctrl-C]"),
]
TaskArg = Annotated[str, argument("TASK", "Full name of the task.")]


@command(app, "list", "queues", "filters", "list", "secrets")
def list_(session: Session, queue: AnyQueueArg = None) -> None:
    """Count the jobs of each task (waiting, active, dead), and show the share that failed.

    States of up to 2,500 jobs are counted exactly. Larger states are sampled at random: their counts are
    estimates, within 2 % of the size of the state at 95 % confidence, and a note names these states.

    \b
    Examples:
      asyncmq tasks list
      asyncmq tasks list emails --where 'kwargs.tenant == "acme"'
    """
    from asyncmq_cli.output.tables import tasks

    secrets = session.show_secrets
    wanted, scope = session.filter, session.scope(queue)
    report = session.tasks.report(scope, wanted)
    session.listing(
        report.tasks,
        tasks.tasks(report, show_secrets=secrets),
        lambda rows: tasks.tasks_document(report, show_secrets=secrets),
        lambda row: tasks.task_document(row, report, show_secrets=secrets),
        empty="" if wanted.narrows else f"no job {scope.where}",
    )
    if wanted.narrows and not report.tasks and not session.out.for_programs:
        session.out.remark("note", f"no job {scope.where} matches {' '.join(listing.given_filter(session))}")
    listing.note_no_queue_in(session, scope)
    _note_samples(session, report)


@command(app, "show", "queues", "filters", "secrets")
def show(session: Session, name: TaskArg) -> None:
    """Show one task: its jobs by state, and for its dead jobs the time from the last attempt to the death.

    \b
    Example:
      asyncmq tasks show app.send_receipt --queue emails
    """
    from asyncmq_cli.output.tables import tasks

    report = session.tasks.show(session.scope(None), session.filter, name)
    row, secrets = report.tasks[0], session.show_secrets
    session.detail(
        lambda: tasks.task_document(row, report, show_secrets=secrets),
        lambda now: tasks.task_lines(row, report, show_secrets=secrets),
    )
    _note_samples(session, report)


@command(app, "top", "queues", "list", "secrets")
def top(session: Session, queue: AnyQueueArg = None, span: ForOption = None) -> None:
    """Watch which tasks keep the workers busy, and how long their jobs run.

    Reads the active jobs every 50 ms. This gives each task's share of the run time of all jobs, and the
    duration of each job that ends in the meantime. Jobs that run for less than 50 ms are often missed; those
    that are seen show as < 50 ms. A terminal refreshes the table until q or Ctrl-C; elsewhere it is printed
    once after --for.

    \b
    Examples:
      asyncmq tasks top
      asyncmq tasks top emails --for 1m --json
    """
    from asyncmq_cli.output.tables import tasks
    from asyncmq_cli.services.tasks import TaskSampler

    sampler = TaskSampler(session.store, session.scope(queue))
    secrets = session.show_secrets
    if span is None and session.out.for_people and can_draw(session):
        _live(session, sampler)
    else:
        until = time.monotonic() + (_USUAL_SPAN if span is None else durations.seconds(span))
        while (left := until - time.monotonic()) > 0:
            session.out.rest(min(left, sampler.read()))
        sampler.read()
    report = sampler.report()
    session.listing(
        report.tasks,
        tasks.top_tasks(show_secrets=secrets),
        lambda rows: tasks.top_document(report, show_secrets=secrets),
        lambda row: tasks.top_task_document(row, show_secrets=secrets),
        empty="",
    )
    session.out.footer(tasks.top_footer(report))


def can_draw(session: Session) -> bool:
    """Whether stdout is a terminal on which a table can be redrawn in place."""
    return session.out.stdout_is_terminal and os.environ.get("TERM", "dumb") != "dumb"


def _live(session: Session, sampler: TaskSampler) -> None:
    """Draw the results so far every second, until q or Ctrl-C."""
    from asyncmq_cli.output.tables import tasks
    from asyncmq_cli.output.tables.tables import table
    from asyncmq_cli.output.terminal.live import LiveScreen

    columns = tasks.top_tasks(show_secrets=session.show_secrets)

    def frame(width: int, height: int) -> list[str]:
        report = sampler.report()
        drawn, _ = table(report.tasks[: max(0, height - 4)], columns, now=0.0, width=width)
        return [tasks.top_footer(report), "", *session.out.drawn(drawn)]

    session.has_screen = True
    try:
        with LiveScreen(frame) as screen:
            drawn = 0.0
            while screen.wait(sampler.read()):
                if time.monotonic() - drawn >= _DRAWN_EVERY:
                    screen.draw()
                    drawn = time.monotonic()
    except KeyboardInterrupt:
        # Ctrl-C only ends the screen: the caller prints the final table.
        pass
    finally:
        session.has_screen = False


def _note_samples(session: Session, report: TaskReport) -> None:
    from asyncmq_cli.output.tables import tasks

    if report.sampled and not session.out.for_programs:
        session.out.remark("note", tasks.sampled(report))
