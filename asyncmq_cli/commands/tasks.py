"""`asyncmq tasks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from asyncmq_cli.cli.around_typer import noun
from asyncmq_cli.cli.decorators import command
from asyncmq_cli.cli.params import AnyQueueArg, argument
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS

if TYPE_CHECKING:
    from asyncmq_cli.models.tasks import TaskReport

app = noun(NOUNS["tasks"])

TaskArg = Annotated[str, argument("TASK", "Name of the task, whole.")]


@command(app, "list", "queues", "filters", "list", "secrets")
def list_(session: Session, queue: AnyQueueArg = None) -> None:
    """Count the jobs of each task: those that wait, run and died, and which share of the ended ones failed.

    A state of at most 2,500 jobs is read whole. Of a larger one a random sample is read, and its counts are
    estimates, within 2 % of the size of the state 19 times of 20; a note says which.

    \b
    Examples:
      asyncmq tasks list
      asyncmq tasks list emails --where 'kwargs.tenant == "acme"'
    """
    from asyncmq_cli.output.json import tasks
    from asyncmq_cli.output.tables import views

    secrets = session.show_secrets
    report = session.tasks.report(session.scope(queue), session.filter)
    session.listing(
        report.tasks,
        views.tasks(report, show_secrets=secrets),
        lambda rows: tasks.tasks(report, show_secrets=secrets),
        lambda row: tasks.task(row, report, show_secrets=secrets),
    )
    _note_samples(session, report)


@command(app, "show", "queues", "filters", "secrets")
def show(session: Session, name: TaskArg) -> None:
    """Show one task: its jobs by state, and how long its dead jobs took from the last attempt to the death.

    \b
    Example:
      asyncmq tasks show app.send_receipt --queue emails
    """
    from asyncmq_cli.output.json import tasks
    from asyncmq_cli.output.text import tasks as text

    report = session.tasks.show(session.scope(None), session.filter, name)
    row, secrets = report.tasks[0], session.show_secrets
    session.detail(
        lambda: tasks.task(row, report, show_secrets=secrets),
        lambda now: text.task_lines(row, report, show_secrets=secrets),
    )
    _note_samples(session, report)


def _note_samples(session: Session, report: TaskReport) -> None:
    from asyncmq_cli.output.text import tasks

    if report.sampled and not session.out.for_programs:
        session.out.remark("note", tasks.sampled(report))
