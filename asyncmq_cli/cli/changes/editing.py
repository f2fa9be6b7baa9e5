"""Edit jobs by options, or a single job in an editor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from msgspec.structs import replace

from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.bulk import change_jobs
from asyncmq_cli.cli.options import option
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions, Targets, is_by_filter, one_job
from asyncmq_cli.errors import UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.services.changes.edits import Edit

SetOption = Annotated[
    list[str] | None,
    option(
        "--set",
        "PATH=VALUE",
        "Set a value: kwargs.to=a@b.c, args[0]=7. VALUE is JSON, else a string; may be repeated.",
    ),
]
UnsetOption = Annotated[
    list[str] | None, option("--unset", "PATH", "Remove a value: kwargs.cc; may be repeated.")
]


def edit_jobs(
    session: Session,
    queue: str | None,
    job_ids: list[str] | None,
    sets: Sequence[str],
    unsets: Sequence[str],
    options: ChangeOptions,
) -> None:
    from asyncmq_cli.services.changes import edits as parsing

    edits = parsing.parse(sets, unsets)
    if not edits:
        if job_ids and len(job_ids) > 1:
            raise UsageProblem("an editor takes one job", hint="--set and --unset edit several")
        queue, job_id = one_job(session, queue, job_ids[0] if job_ids else None)
        job_ids, edits = [job_id], _by_editor(session, queue, job_id, options)
    if edits:
        change_jobs(
            session,
            Targets(queue, job_ids),
            lambda request: session.job_changes.edit(request, edits),
            replace(options, edits=True),
        )


def edits_of_retry(
    session: Session, targets: Targets, sets: Sequence[str], unsets: Sequence[str], backup: str | None
) -> list[Edit]:
    """The edits of --set and --unset that `jobs retry` makes. Raises UsageProblem if they cannot go with the
    retry."""
    from asyncmq_cli.services.changes import edits as parsing

    edits = parsing.parse(sets, unsets)
    if not edits and backup is not None:
        raise UsageProblem("--backup needs --set or --unset")
    if edits and is_by_filter(targets, session.flags):
        raise UsageProblem("--set and --unset need ids", hint="they set the same values in every job")
    return edits


def _by_editor(session: Session, queue: str, job_id: str, options: ChangeOptions) -> list[Edit]:
    """The edits that a person makes to one job in $VISUAL or $EDITOR; none if nothing was changed."""
    if not confirm.can_ask():
        raise UsageProblem("--set or --unset is missing, and there is no terminal for an editor")
    edits, lines = by_hand(session.job_changes.editable(queue, job_id))
    if not edits:
        session.out.remark("note", "nothing was changed")
        return []
    if not (options.yes or options.dry_run):
        confirm.ask_about(
            session, lines, f"Edit job {job_id} in {queue}?", f"edit job {job_id!r} in {queue!r}"
        )
    return edits


def by_hand(record: dict[str, Any]) -> tuple[list[Edit], list[str]]:
    """The edits that a person makes to the editable fields of a job in $VISUAL or $EDITOR, and their lines as
    a diff. Raises UsageProblem."""
    import difflib

    import click

    from asyncmq_cli.services.changes.edits import difference

    before = json.dumps(record, indent=2) + "\n"
    try:
        after = click.edit(before, extension=".json")
    except (click.ClickException, OSError, ValueError) as exc:
        # Click does not catch a variable with unbalanced quotes, or an unreadable file left by the editor.
        why = exc.message if isinstance(exc, click.ClickException) else exc
        raise UsageProblem(
            f"the editor failed: {why}; nothing was changed", hint="VISUAL or EDITOR names another"
        ) from exc
    edited = _object(before if after is None else after)
    lines = difflib.unified_diff(before.splitlines(), _lines(edited), "stored", "edited", lineterm="")
    return difference(record, edited), list(lines)


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=2).splitlines()


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageProblem(f"the edited text is not JSON: {exc}; nothing was changed") from exc
    if not isinstance(found, dict):
        raise UsageProblem("the edited text is not a JSON object; nothing was changed")
    return found
