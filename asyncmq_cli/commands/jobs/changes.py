"""`asyncmq jobs`: the verbs that change jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from asyncmq_cli.cli.around_typer import command
from asyncmq_cli.cli.changes.adding import FromStdinArg, IdOption, OneTaskOption, UniqueOption, add_jobs
from asyncmq_cli.cli.changes.bulk import change_jobs
from asyncmq_cli.cli.changes.definitions import (
    ArgsOption,
    BackoffOption,
    DelayOption,
    KwargsOption,
    PriorityOption,
    RetriesOption,
    TtlOption,
)
from asyncmq_cli.cli.changes.editing import SetOption, UnsetOption, edit_jobs, edits_of_retry
from asyncmq_cli.cli.changes.restoring import FileArg, FromAuditOption, restore_edits, restore_jobs
from asyncmq_cli.cli.options import option
from asyncmq_cli.cli.params import (
    BackupOption,
    DryRunOption,
    JobsArg,
    QueueArg,
    QueueOrJobArg,
    ReasonOption,
    WaitOption,
    YesOption,
)
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions, Targets, wait_limit
from asyncmq_cli.commands.jobs.reading import app, chosen_by_state
from asyncmq_cli.models.values import DEAD_STATES

DeadStateOption = Annotated[
    str | None,
    option(
        "--state",
        "STATE",
        "With a filter: failed or expired. [default: failed]",
        choices=DEAD_STATES,
    ),
]


HitStateOption = Annotated[str | None, chosen_by_state("waiting")]
StuckStateOption = Annotated[str | None, chosen_by_state("active")]
EditBackupOption = Annotated[
    str | None,
    option(
        "--backup",
        "FILE",
        "First write what is replaced to this new file, whole and unredacted, for 'jobs restore'.",
    ),
]
ResetOption = Annotated[
    bool,
    typer.Option("--reset", help="Start fresh: created now, no retries used, full time to live."),
]


@command(app, "retry", "queues", "filters", "bulk", "abort")
def retry(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    state: DeadStateOption = None,
    reset: ResetOption = False,
    sets: SetOption = None,
    unsets: UnsetOption = None,
    backup: EditBackupOption = None,
    wait: WaitOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Put dead jobs back into the queue, by id or by filter.

    A filter selects failed jobs, or expired ones with --state expired; 'dlq retry' selects both. --set and
    --unset edit the jobs that you name by id in the same step; 'jobs restore' undoes edit and retry as long
    as the jobs wait.

    \b
    Examples:
      asyncmq jobs retry emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
      asyncmq jobs retry emails --q smtp.example.org --limit 10 --dry-run
      asyncmq jobs retry emails --all --rate 50/s --abort-above 20%
      asyncmq jobs retry emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --wait 2m
      asyncmq jobs retry emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --set kwargs.to=a@b.c
    """
    targets = Targets(queue, job_ids, state, default_state="failed")
    edits = edits_of_retry(session, targets, sets or (), unsets or (), backup)
    change_jobs(
        session,
        targets,
        lambda request: session.job_changes.retry(request, reset=reset, edits=edits),
        ChangeOptions(
            "retry",
            reason=reason,
            dry_run=dry_run,
            yes=yes,
            destructive=False,
            backup=backup,
            wait=wait_limit(wait, dry_run=dry_run),
            edits=bool(edits),
        ),
    )


@command(app, "add")
def add(
    session: Session,
    queue: QueueArg,
    source: FromStdinArg = None,
    task: OneTaskOption = None,
    args: ArgsOption = None,
    kwargs: KwargsOption = None,
    job_id: IdOption = None,
    unique: UniqueOption = None,
    delay: DelayOption = None,
    priority: PriorityOption = 5,
    retries: RetriesOption = 0,
    ttl: TtlOption = None,
    backoff: BackoffOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask if the queue is new.")] = False,
) -> None:
    """Add a job, or many from standard input, as an application's producer would.

    \b
    Examples:
      asyncmq jobs add emails --task app.send_receipt --kwargs '{"order": 20481}'
      asyncmq jobs add emails --task app.send_digest --delay 2h --retries 3
      jq -c .jobs[] jobs.json | asyncmq jobs add imports -
    """
    given = {
        "task": task,
        "args": args,
        "kwargs": kwargs,
        "id": job_id,
        "unique": unique,
        "delay": delay,
        "priority": priority,
        "retries": retries,
        "ttl": ttl,
        "backoff": backoff,
    }
    add_jobs(session, queue, source, given, reason=reason, dry_run=dry_run, yes=yes)


@command(app, "run-now", "queues", "filters", "bulk")
def run_now(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Run delayed jobs now: put them into the waiting set before they are due, by id or by filter.

    \b
    Examples:
      asyncmq jobs run-now emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
      asyncmq jobs run-now emails --task newsletter --limit 10
    """
    change_jobs(
        session,
        Targets(queue, job_ids, default_state="delayed"),
        session.job_changes.run_now,
        ChangeOptions("run-now", reason=reason, dry_run=dry_run, yes=yes, destructive=False),
    )


@command(app, "rerun", "queues")
def rerun(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Run completed or cancelled jobs again: add a copy of each under a new id.

    What the first run did is not undone. For failed jobs, use 'jobs retry'.

    \b
    Example:
      asyncmq jobs rerun emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --reason "lost by the mail server"
    """
    change_jobs(
        session,
        Targets(queue, job_ids),
        session.job_changes.rerun,
        ChangeOptions("rerun", reason=reason, dry_run=dry_run, yes=yes, destructive=False),
    )


@command(app, "requeue", "queues", "filters", "bulk")
def requeue(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also active jobs that a worker may still be running.")
    ] = False,
    state: StuckStateOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Put stuck jobs back into the queue: active jobs whose worker is gone, and jobs that no worker can find.

    AsyncMQ does not store which worker runs a job. A job that may still be running is requeued only with
    --force, and runs twice if it is. A filter selects active jobs unless --state names another state.

    \b
    Examples:
      asyncmq jobs requeue emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
      asyncmq jobs requeue emails --older-than 2h --force --dry-run
    """
    change_jobs(
        session,
        Targets(queue, job_ids, state, default_state="active"),
        lambda request: session.job_changes.requeue(request, force=force),
        ChangeOptions("requeue", reason=reason, dry_run=dry_run, yes=yes),
    )


@command(app, "remove", "queues", "filters", "bulk")
def remove(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    state: HitStateOption = None,
    force: Annotated[bool, typer.Option("--force", help="Remove active jobs too.")] = False,
    backup: BackupOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove jobs with everything stored about them. Without a backup this cannot be undone.

    \b
    Examples:
      asyncmq jobs remove emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --dry-run
      asyncmq jobs remove emails --state completed --older-than 30d --yes
      asyncmq jobs remove emails --q test-run --backup emails.ndjson
    """
    change_jobs(
        session,
        Targets(queue, job_ids, state),
        lambda request: session.job_changes.remove(request, force=force),
        ChangeOptions("remove", reason=reason, dry_run=dry_run, yes=yes, backup=backup),
    )


@command(app, "edit", "queues")
def edit(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    sets: SetOption = None,
    unsets: UnsetOption = None,
    backup: EditBackupOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Edit the arguments and options of waiting, delayed or dead jobs. They stay where they are.

    Without --set and --unset, a single job opens in $VISUAL or $EDITOR as JSON, secrets included; you see
    the difference before it is stored. The old job is kept in the backup, or up to 64 KiB in the audit
    event: 'jobs restore' undoes the edit, unless the job has changed since.

    \b
    Examples:
      asyncmq jobs edit emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --set kwargs.to=a@b.c --unset kwargs.cc
      asyncmq jobs edit emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --set 'args[0]=7' --backup edit.ndjson
    """
    options = ChangeOptions("edit", reason=reason, dry_run=dry_run, yes=yes, destructive=False, backup=backup)
    edit_jobs(session, queue, job_ids, sets or (), unsets or (), options)


@command(app, "restore", "pace")
def restore(
    session: Session,
    file: FileArg = None,
    job_ids: JobsArg = None,
    from_audit: FromAuditOption = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also restore jobs that may not have been removed, or were restored before.",
        ),
    ] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Restore removed jobs from a backup, all of them or some by id, or undo edits.

    An existing job is never overwritten. A restored job may run again. --from-audit undoes an edit that was
    made without a backup, unless the job has changed since.

    \b
    Examples:
      asyncmq jobs restore emails.ndjson --dry-run
      asyncmq jobs restore emails.ndjson 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
      asyncmq jobs restore --from-audit 1795908272470-0
    """
    options = ChangeOptions("restore", reason=reason, dry_run=dry_run, yes=yes)
    if from_audit:
        restore_edits(session, from_audit, file, options, force=force)
    else:
        restore_jobs(session, file, job_ids, options, force=force)


@command(app, "cancel", "queues", "filters", "bulk")
def cancel(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    state: HitStateOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Cancel jobs that have not ended. One that is already running is not stopped.

    \b
    Examples:
      asyncmq jobs cancel emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --yes
      asyncmq jobs cancel emails --state delayed --task newsletter
    """
    change_jobs(
        session,
        Targets(queue, job_ids, state),
        session.job_changes.cancel,
        ChangeOptions("cancel", reason=reason, dry_run=dry_run, yes=yes),
    )
