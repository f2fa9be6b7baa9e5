"""Confirmation of a change: which jobs it hits, in what state, and whether it can be undone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncmq_cli.errors import NotConfirmed, command_line, interruption

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.jobs import Job

_SHOWN = 10
NO_BACKUP = "no backup: this cannot be undone; --backup FILE keeps a copy"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What to confirm. `states` counts the jobs by state, `total` is how many match where a filter selected
    them, and `remarks` are further lines to read before a yes."""

    verb: str
    queue: str
    job_ids: Sequence[str]
    states: Mapping[str, int]
    total: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()


def of_overflow(session: Session, count: int) -> list[str]:
    """The remark on a change of so many jobs that it pushes all older events out of the audit trail."""
    kept = session.config.audit_maxlen
    if count <= kept:
        return []
    return [
        f"the audit trail keeps about {kept:,} events (ASYNCMQ_AUDIT_MAXLEN): these {count:,} push out "
        "every earlier one; save them first with 'asyncmq audit --ndjson'"
    ]


def ask(session: Session, confirmation: Confirmation, heads: Callable[[list[str]], Sequence[Job]]) -> None:
    """Show the first jobs, which `heads` reads, and ask. Raises NotConfirmed for anything but a yes.
    Without jobs nothing is asked: the attempt itself reports why."""
    if not confirmation.job_ids:
        return
    session.guard.require_few(len(confirmation.job_ids))
    from asyncmq_cli.output.text import reports

    what = reports.kinds(confirmation.states)
    if confirmation.total is not None and confirmation.total > len(confirmation.job_ids):
        what += f" (of {confirmation.total:,} that match)"
    lines: list[str] = []
    if can_ask():
        lines = reports.job_lines(
            heads(list(confirmation.job_ids[:_SHOWN])),
            confirmation.notes,
            more=max(0, len(confirmation.job_ids) - _SHOWN),
            with_state=len(confirmation.states) > 1,
            width=session.out.width,
        )
    ask_about(
        session,
        lines,
        f"{confirmation.verb.capitalize()} {what} in {confirmation.queue}?",
        f"{confirmation.verb} {what} in {confirmation.queue!r}",
        remarks=confirmation.remarks,
    )


def can_ask() -> bool:
    """Whether there is a terminal to show a question on and to read the answer from."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_about(
    session: Session, lines: Sequence[str], question: str, deed: str, *, remarks: Sequence[str] = ()
) -> None:
    """Show the lines and the remarks, and ask. Raises NotConfirmed for anything but a yes. Without a
    terminal the error names the `deed`, and the hint has the remarks. In a context, both say its name."""
    if context := session.config.context:
        deed = f"{deed} on {context}"
        question = f"{question.removesuffix('?')} on {context} ({session.config.shown_url})?"
    wants_name = session.config.guard.must_confirm and not session.guard.confirmed
    if not can_ask():
        how = f"--yes --confirm {context} does" if wants_name else "--yes does"
        raise NotConfirmed(
            f"this would {deed}, and there is no terminal to confirm it on",
            hint="; ".join((f"--dry-run shows what it would do, {how} it without asking", *remarks)),
        )
    if wants_name:
        _type_name(session, [*lines, *remarks, question])
        session.guard.confirmed = True
        return
    from asyncmq_cli.output.text.escape import escape

    try:
        session.out.prompt([*map(escape, [*lines, *remarks, f"{question} [y/N] "])])
        answer = sys.stdin.readline().strip().lower()
    except KeyboardInterrupt as exc:
        session.out.prompt(["\n"])
        raise interruption(exc, "nothing was changed") from exc
    if answer not in ("y", "yes"):
        raise NotConfirmed("not confirmed; nothing was changed")


def ask_name(session: Session, deed: str) -> None:
    """Have the name of the context typed before what nothing else asks about. Raises NotConfirmed."""
    if not can_ask():
        session.guard.refuse(deed)
    where = session.config
    _type_name(session, [f"This would {deed} on {where.context} ({where.shown_url})."])


def _type_name(session: Session, lines: Sequence[str]) -> None:
    from asyncmq_cli.output.text.escape import escape

    name = session.config.context
    try:
        session.out.prompt([*map(escape, [*lines, f"Type {name} to go on: "])])
        answer = sys.stdin.readline().strip()
    except KeyboardInterrupt as exc:
        session.out.prompt(["\n"])
        raise interruption(exc, "nothing was changed") from exc
    if answer != name:
        raise NotConfirmed(f"not confirmed by the name {name!r}; nothing was changed")


def is_named(session: Session) -> bool:
    """Whether --confirm names the context. Raises NotConfirmed if it names another one."""
    given, name = session.flags.get("confirm"), session.config.context
    if given is not None and given != name:
        here = f"this is {name}" if name else f"{session.config.shown_url} is no context"
        raise NotConfirmed(f"--confirm names {given!r}, but {here}; nothing was changed")
    return given is not None


def of_preview(verb: str, preview: ChangeReport, remarks: Sequence[str]) -> Confirmation:
    """The confirmation of what a dry run would have changed. Raises what ended the dry run."""
    from collections import Counter

    if preview.interrupted is not None:
        raise preview.interrupted
    chosen = [result for result in preview.results if result.error is None]
    return Confirmation(
        verb,
        preview.queue or "",
        [result.job_id or "" for result in chosen],
        Counter(result.state or "unknown" for result in chosen),
        notes={result.job_id or "": result.note for result in chosen if result.note},
        remarks=remarks,
    )


def note_backup(session: Session, path: str) -> None:
    """Say on a terminal how to undo a removal."""
    if session.out.stderr_is_terminal and not session.out.for_programs:
        session.out.remark("backup", f"{command_line('jobs', 'restore', path)} restores what was removed")
