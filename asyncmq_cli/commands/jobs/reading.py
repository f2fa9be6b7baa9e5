"""`asyncmq jobs`: the verbs that only read."""

from __future__ import annotations

from typing import Annotated, Any

from asyncmq_cli import durations
from asyncmq_cli.cli import listing
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.changes.bulk import chosen_jobs
from asyncmq_cli.cli.listing import PageOption, Paging, SizeOption
from asyncmq_cli.cli.options import option
from asyncmq_cli.cli.params import AnyQueueArg, JobArg, JobsArg, QueueOrJobArg
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import Targets, one_job
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.models.values import JOB_STATES, LISTED_STATES
from asyncmq_cli.output.formats import DOCUMENTS

app = noun(NOUNS["jobs"])

SORTS = ("newest", "oldest", "queue")

StateOption = Annotated[
    str,
    option("--state", "STATE", ", ".join(LISTED_STATES) + ".", choices=LISTED_STATES),
]


def _sorted_by(times: str, queue: str, default: str = "newest") -> Any:
    return option(
        "--sort",
        "ORDER",
        f"newest or oldest first, by {times}; queue: {queue}. "
        f"[default: {default}; with --ndjson: as found, in constant memory]",
        choices=SORTS,
    )


SortOption = Annotated[
    str | None,
    _sorted_by(
        "run_at or creation time",
        "in the order of the queue itself (what runs next, what died last), without sorting",
        "newest; in a table of delayed jobs, what is due next",
    ),
]
DeadSortOption = Annotated[str | None, _sorted_by("when they died", "the same as newest")]


def chosen_by_state(default: str) -> Any:
    return option(
        "--state",
        "STATE",
        f"Jobs in this state (see 'jobs list'), with or without a filter. [default: {default}]",
        choices=(*JOB_STATES, "all"),
    )


_LEAST_INTERVAL = 0.05
FollowedOption = Annotated[str | None, chosen_by_state("waiting")]
FollowTimeOption = Annotated[
    str | None,
    option(
        "--timeout",
        "DURATION",
        "Give up after this time, such as 10m, with exit status 124. [default: never]",
    ),
]
FollowIntervalOption = Annotated[
    str,
    option("--interval", "DURATION", f"Time between two reads; {_LEAST_INTERVAL} s or more."),
]


@command(app, "list", "queues", "filters", "list", "secrets")
def list_(
    session: Session,
    queue: AnyQueueArg = None,
    state: StateOption = "waiting",
    sort: SortOption = None,
    page: PageOption = None,
    size: SizeOption = None,
) -> None:
    """List the jobs in one state, of one queue or of all queues.

    \b
    Examples:
      asyncmq jobs list --state failed
      asyncmq jobs list emails --state failed --task send --q customer-123
      asyncmq jobs list emails --state failed --ndjson --jq .payload.kwargs
    """
    # In a table of delayed jobs, people want the jobs that are due next at the top.
    usual = "queue" if state == "delayed" and not session.out.for_programs else "newest"
    listing.print_jobs(session, queue, state, sort, Paging(page, size), usual)


@command(app, "show", "queues", "secrets", "full")
def show(session: Session, queue: QueueOrJobArg = None, job_id: JobArg = None) -> None:
    """Show one job: its state, why it failed, and its arguments.

    \b
    Examples:
      asyncmq jobs show 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
      asyncmq jobs show emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
    """
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.text import job_detail

    found = session.job_details.show(*one_job(session, queue, job_id))
    listing.warn_of_problems(session, [found.job])
    secrets = session.show_secrets
    audit = session.audit.of_job(found.job.queue, found.job.id)
    if not session.out.for_people:
        session.detail(
            lambda: documents.job_detail(found, show_secrets=secrets, changes=audit), lambda now: ()
        )
        return
    lines = job_detail.job_lines(
        found,
        now=session.now(),
        show_secrets=secrets,
        full=session.full,
        audit=audit,
        width=session.out.line_width,
    )
    if session.out.in_color:
        session.out.draw(job_detail.coloured(lines))
    else:
        for line in lines:
            session.out.line(line)


@command(app, "tree", "queues")
def tree(session: Session, queue: QueueOrJobArg = None, job_id: JobArg = None) -> None:
    """Draw a job's dependencies as a tree: what it waits for and what waits for it, with states.

    Each job is shown with its last change and who made it, if that is among the newest 5,000 events of the
    audit trail.

    \b
    Example:
      asyncmq jobs tree 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
    """
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.output.text import job_detail

    found = session.job_details.tree(*one_job(session, queue, job_id))
    changes = session.audit.last_of_each(found.queue, found.nodes.keys())
    if session.out.for_programs or session.out.for_people:
        session.detail(
            lambda: documents.tree(found, changes),
            lambda now: job_detail.tree_lines(found, changes, now, session.out.line_width),
        )
        return
    rows = [(depth, node, note, changes.get(node.id)) for depth, node, note in found.drawn()]
    session.out.rows(rows, views.TREE, now=session.now())


@command(
    app, "follow", "queues", "filters", "secrets", without=("timeout",), formats=DOCUMENTS, several=False
)
def follow(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    state: FollowedOption = None,
    patience: FollowTimeOption = None,
    interval: FollowIntervalOption = "0.2s",
) -> None:
    """Print each state change of these jobs as it happens, until all have ended.

    The exit status is 0 if all completed, 1 if one did not, 124 after --timeout. A state that lasts less
    than --interval may be missed. A filter selects among the jobs that exist at the start.

    \b
    Examples:
      asyncmq jobs follow 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
      asyncmq jobs follow imports --where 'kwargs.customer == 42' --state waiting --timeout 10m
    """
    from asyncmq_cli.output.text import waits

    chosen = chosen_jobs(session, Targets(queue, job_ids, state, default_state="waiting"))
    for _, error in chosen.unfound:
        raise error
    out, secrets = session.out, session.show_secrets
    changes = session.waits.follow(
        chosen.by_queue,
        interval=durations.interval("--interval", interval, _LEAST_INTERVAL),
        timeout=None if patience is None else durations.seconds(patience),
        rest=out.rest,
    )
    for change in changes:
        if out.for_programs:
            out.documents([waits.change_document(change, show_secrets=secrets)])
        elif out.for_people:
            out.line(waits.change_line(change, show_secrets=secrets, utc=out.utc))
        else:
            out.line(waits.change_row(change, show_secrets=secrets))
        out.flush()
