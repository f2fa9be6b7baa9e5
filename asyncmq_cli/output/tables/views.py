"""The columns of queues, jobs, workers, problems and results of changes, in the order in which an operator
reads them; and the lines below these tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from asyncmq_cli.models.values import DEAD_STATES, as_number, counted
from asyncmq_cli.output.redaction.redact import redact_any, redact_text
from asyncmq_cli.output.tables.columns import Column, chosen
from asyncmq_cli.output.text.times import duration

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import AuditEvent, ChangeResult
    from asyncmq_cli.models.jobs import Job, JobPage, TreeNode
    from asyncmq_cli.models.monitoring.checks import Problem
    from asyncmq_cli.models.monitoring.snapshots import LatestJob, LatestQueue
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker, WorkerPage

T = TypeVar("T")

_MODULE = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_]\w*(?::|$))")

QUEUES: tuple[Column[QueueStats], ...] = (
    Column("NAME", lambda row: row.name, "id", key="name", may_be_cut=True, ample=40, least=24, worth=5),
    Column(
        "STATE",
        lambda row: row.state,
        "state",
        for_row=lambda row: _state(row),
        alarm=lambda row: row.is_unattended or row.finding is not None,
        worth=1,
        key="paused",
    ),
    Column("WAITING", lambda row: row.waiting, "number", worth=4, key="waiting"),
    Column("ACTIVE", lambda row: row.active, "number", worth=1, key="active"),
    Column("DELAYED", lambda row: row.delayed, "number", key="delayed"),
    Column("FAILED", lambda row: row.failed, "number", wide=True, worth=3, key="failed"),
    Column("COMPLETED", lambda row: row.completed, "number", wide=True, key="completed"),
    Column("EXPIRED", lambda row: row.expired, "number", wide=True, key="expired"),
    Column("CANCELLED", lambda row: row.cancelled, "number", wide=True, key="cancelled"),
    Column("CHILDREN", lambda row: row.waiting_children, "number", wide=True, key="waiting_children"),
    Column("DEAD", lambda row: row.dlq, "number", name="dlq", worth=3, key="dlq"),
    Column("REPEAT", lambda row: row.repeatables, "number", wide=True, key="repeatables"),
    Column(
        "WORKERS",
        lambda row: row.workers,
        "number",
        for_row=lambda row: "none" if row.is_unattended else row.workers,
        alarm=lambda row: row.is_unattended,
        worth=2,
        key="workers",
    ),
    Column("OLDEST", lambda row: row.oldest_waiting_seconds, "seconds", key="oldest_waiting_seconds"),
)


def _state(row: QueueStats) -> str:
    """The state in words; for a temporary pause, also the time that is left."""
    if row.state != "paused" or row.pause_seconds_left is None:
        return row.state
    return f"paused {duration(row.pause_seconds_left, units=1)}"


def queues_columns(for_people: bool, fields: Sequence[str] = ()) -> list[Column[QueueStats]]:
    """The columns of queues: those in `fields`, else all; for people only those that fit into 80 characters,
    which are also cheap to read. Raises UsageProblem for an unknown column."""
    if fields:
        return chosen(QUEUES, fields)
    return [column for column in QUEUES if not (for_people and column.wide)]


def fields_of(columns: Sequence[Column[QueueStats]]) -> frozenset[str]:
    """The fields of QueueStats that these columns need. The column STATE shows `no worker`, so it needs the
    counts of the jobs that a worker should run."""
    fields = {column.key for column in columns} - {"name"}
    return frozenset(fields | ({"workers"} if "paused" in fields else set()))


def on_screen(columns: Sequence[Column[T]]) -> list[Column[T]]:
    """The same columns for a full screen, on which names may be cut."""
    return [
        replace(column, may_be_cut=True, ample=24, least=16, worth=5) if column.kind == "id" else column
        for column in columns
    ]


CauseOf = Callable[["Job"], "tuple[str | None, str] | None"]
"""Returns the type of a job's root cause and the significant line of its message, or None."""
Heartbeats = Mapping[tuple[str, str], "float | None"]
"""By queue and id, the time of the last heartbeat of active jobs."""


def jobs(
    state: str | None,
    *,
    show_secrets: bool,
    with_queue: bool = False,
    cause_of: CauseOf | None = None,
    heartbeats: Heartbeats | None = None,
) -> tuple[Column[Job], ...]:
    """The columns that are useful for jobs in a state: since when a job runs, when it is due, or when and why
    it died. `state` is None for the dead-letter queue.

    On a narrow terminal, long texts are cut first.
    """
    shown = shown_text(show_secrets)
    is_dead = state in (None, *DEAD_STATES)
    status: Column[Job] = Column("STATE", lambda job: shown(job.status), "state", wide=state is None, worth=1)
    created: Column[Job] = Column("CREATED", lambda job: job.created_at, "time", wide=True, key="created_at")
    failures: Column[Job] = Column(
        "FAILURES",
        tries,
        "number",
        wide=True,
        for_row=lambda job: (tries(job) or "").replace("/", " of ") or None,
        name="tries",
        key="retries",
    )
    return (
        Column("ID", lambda job: shown(job.id), "id"),
        *((Column("QUEUE", lambda job: job.queue, "name", ample=12, worth=3),) if with_queue else ()),
        *((status,) if state in (None, "all") else ()),
        Column("TASK", lambda job: shown(job.task_id), "path", ample=14, least=10, worth=3, key="task_id"),
        *_when(state, created, heartbeats),
        Column("PRIO", lambda job: _number(job.get("priority")), "number", wide=True, key="priority"),
        *(() if state in ("completed", "repeatable") else (failures,)),
        *((_why_dead(shown, cause_of),) if is_dead else ()),
        *((_error(shown),) if not is_dead and state not in ("completed", "repeatable") else ()),
    )


def _when(state: str | None, created: Column[Job], heartbeats: Heartbeats | None) -> tuple[Column[Job], ...]:
    """The columns of times that matter in a state, the most important first."""
    # Use the same dictionary even if it is empty, because it may be filled while the rows are printed.
    beats = {} if heartbeats is None else heartbeats
    if state in (None, *DEAD_STATES):
        return Column("DIED", lambda job: job.dead_at, "time", worth=1, key="failed_at"), created
    if state == "active":
        since: Column[Job] = Column("SINCE", lambda job: as_number(job.get("active_since")), "time", worth=1)
        beat: Column[Job] = Column(
            "HEARTBEAT", lambda job: beats.get((job.queue, job.id)), "time", if_any=True
        )
        return since, *((beat,) if heartbeats is not None else ()), created
    if state == "delayed":
        return Column("DUE", lambda job: job.delay_until, "time", worth=1, key="runs"), created
    if state == "repeatable":
        return (Column("NEXT RUN", lambda job: as_number(job.run_at), "time", worth=1),)
    return (replace(created, wide=state == "all", worth=1),)


def _why_dead(shown: Callable[[Any], Any], cause_of: CauseOf | None) -> Column[Job]:
    def cause(job: Job) -> Any:
        return shown(_cause(job, cause_of))

    return Column("CAUSE", cause, short=without_module, ample=30, worth=2, key="error")


def _cause(job: Job, cause_of: CauseOf | None) -> str | None:
    """The root cause, or the exception that the worker caught if `cause_of` is None; or the reason why the
    job cannot be read."""
    found = None if job.problem or cause_of is None else cause_of(job)
    if found is None:
        return job.problem or _last_line(job.get("last_error"))
    return ": ".join(filter(None, found)) or None


def _error(shown: Callable[[Any], Any]) -> Column[Job]:
    return Column(
        "ERROR",
        lambda job: shown(job.problem or _last_line(job.get("last_error"))),
        short=without_module,
        ample=19,
        worth=2,
        if_any=True,
        key="last_error",
    )


PROBLEMS: tuple[Column[Problem], ...] = (
    Column("QUEUE", lambda one: one.queue, "name", ample=14, least=8, worth=2),
    Column(
        "PROBLEM",
        lambda one: redact_text(one.message),
        alarm=lambda one: one.severity == "critical",
        ample=30,
        least=20,
        worth=3,
    ),
    Column("SEVERITY", lambda one: one.severity, "state", wide=True),
    Column("NEXT", lambda one: next_command(one), "id", may_be_cut=True, ample=28, least=24, worth=1),
)
"""The columns of the overview's problems. Each problem has a command that shows more."""

_NEXT_COMMANDS: dict[str, tuple[str, ...]] = {
    "unattended": ("workers", "list"),
    "lost": ("doctor", "QUEUE"),
    "growing": ("dlq", "groups", "QUEUE"),
    "overdue": ("repeatables", "list", "QUEUE"),
    "paused": ("queues", "show", "QUEUE"),
    "silent": ("doctor", "QUEUE"),
    "contradiction": ("doctor", "QUEUE"),
    "worker_silent": ("workers", "list", "--health", "stale"),
    "unreadable": ("doctor", "QUEUE"),
}


def next_command(problem: Problem) -> str:
    """The command that shows more about a problem. It changes nothing."""
    words = (problem.queue if word == "QUEUE" else word for word in _NEXT_COMMANDS[problem.kind])
    return shlex.join(["asyncmq", *words])


TREE: tuple[Column[tuple[int, TreeNode, str | None, AuditEvent | None]], ...] = (
    Column("DEPTH", lambda row: row[0], "number"),
    Column("ID", lambda row: redact_text(row[1].id), "id"),
    Column("STATE", lambda row: redact_any(row[1].status), "state"),
    Column("TASK", lambda row: redact_any(row[1].task_id), "path"),
    Column("NOTE", lambda row: row[2]),
    Column("ACTION", lambda row: row[3] and redact_any(row[3].action)),
    Column("ACTOR", lambda row: row[3] and redact_any(row[3].actor)),
    Column("CHANGED", lambda row: row[3] and row[3].timestamp, "time"),
)
"""The columns of the jobs that `Tree.drawn` yields, with the last change of each job."""

WORKERS: tuple[Column[Worker], ...] = (
    # AsyncMQ's own ids, which have 36 characters, are not cut.
    Column("ID", lambda worker: worker.id, "id", may_be_cut=True, ample=36, least=36, worth=5),
    Column("QUEUE", lambda worker: worker.queue, "name"),
    Column("CONCURRENCY", lambda worker: worker.concurrency, "number", worth=-1),
    Column("HEARTBEAT", lambda worker: worker.heartbeat, "time", wide=True, worth=-2),
    Column("AGE", lambda worker: worker.age_seconds, "seconds"),
    Column("HEALTH", lambda worker: worker.health, "state", worth=1),
)

LATEST_JOBS: tuple[Column[LatestJob], ...] = (
    # If a job cannot be read, its id may be the complete stored text, so redact it.
    Column("ID", lambda job: redact_text(job.id), "id"),
    Column("QUEUE", lambda job: job.queue, "name"),
    Column("STATE", lambda job: redact_text(job.state), "state"),
    Column("CREATED", lambda job: job.created or None, "time"),
)

LATEST_QUEUES: tuple[Column[LatestQueue], ...] = (
    Column("NAME", lambda queue: queue.name, "id", may_be_cut=True, ample=40, least=24, worth=5),
    Column("NEWEST JOB", lambda queue: queue.active_at or None, "time"),
)


def titled(columns: Sequence[Column[T]], title: str) -> tuple[Column[T], ...]:
    """The same columns, but with another title for the first."""
    return (replace(columns[0], title=title), *columns[1:])


def changes(*, dry_run: bool) -> tuple[Column[ChangeResult], ...]:
    """The columns of a change's results. The results of a dry run are not called success, not even in a
    pipe."""
    done = "dry-run" if dry_run else "success"
    return (
        Column("STATUS", lambda result: done if result.error is None else "failed", "state"),
        Column("QUEUE", lambda result: result.queue, "name"),
        Column("JOB", lambda result: redact_any(result.job_id), "id"),
        Column(
            "NOTE",
            _note,
            for_row=lambda result: _after_id(_note(result), result.job_id),
            worth=1,
        ),
    )


def _note(result: ChangeResult) -> Any:
    return redact_any(result.note if result.error is None else result.error.message)


def _after_id(note: Any, job_id: str | None) -> Any:
    """The note without the `job 'ID' ` that many begin with: the row has the id, and a narrow column would
    show little else."""
    return note.removeprefix(f"job {job_id!r} ") if isinstance(note, str) else note


def worker_footer(page: WorkerPage) -> str:
    summary = page.summary
    if not summary.total:
        return "no worker is registered"
    text = f"{counted(summary.total, 'worker')} on {counted(summary.queues, 'queue')}: "
    text += f"{summary.healthy:,} healthy, {summary.attention:,} aging or stale; "
    text += f"room for {counted(summary.capacity, 'job')} at once"
    if page.page > page.total_pages:
        text += f"; no page {page.page:,}, but {counted(page.total_pages, 'page')}"
    elif page.total_pages > 1:
        text += f"; page {page.page:,} of {page.total_pages:,}"
    return text


def folded_workers(page: WorkerPage) -> str:
    """The line that counts the stale workers that are not shown."""
    return f"{counted(page.folded, 'stale worker')} not shown: --health stale"


def page_footer(page: JobPage) -> str:
    jobs = counted(page.total, "job")
    about = "" if page.is_exact else "at most "
    if page.page > page.total_pages:
        pages = f" on {counted(page.total_pages, 'page')}" if page.total else ""
        return f"no page {page.page:,}: {about}{jobs}{pages}"
    if not page.is_exact:
        shown = f"{len(page.jobs):,} of at most {jobs}"
        return shown if page.page == 1 else f"{shown}, page {page.page:,}"
    if page.total_pages == 1 and page.page == 1:
        return jobs
    return f"{jobs}, page {page.page:,} of {page.total_pages:,}"


def shown_text(show_secrets: bool) -> Callable[[Any], Any]:
    return (lambda text: text) if show_secrets else redact_any


def tries(job: Job) -> str | None:
    """Attempts as `failed/allowed`. AsyncMQ counts each failure as a retry, also the last one."""
    failed, most = job.get("retries"), job.get("max_retries")
    if not isinstance(failed, int) or isinstance(failed, bool):
        return None
    return f"{failed}/{most + 1}" if isinstance(most, int) else str(failed)


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def short_error(job: Job, cause_of: CauseOf | None = None) -> str | None:
    """The root cause, or the exception that was raised, without the module of its class; or the reason why
    the job cannot be read."""
    error = _cause(job, cause_of)
    return None if error is None else without_module(error)


def _last_line(error: Any) -> str | None:
    """The last line of an error, which is the exception: the worker stores the whole traceback as the
    error."""
    lines = [line for line in str(error or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else None


def without_module(error: str) -> str:
    """The error without the module of its class: `app.errors.DeliveryError: …` becomes `DeliveryError: …`."""
    return _MODULE.sub("", error)
