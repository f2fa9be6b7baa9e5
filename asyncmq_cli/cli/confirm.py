"""Asking before jobs are changed: which they are, in what state, and whether they can be had back."""

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
NO_BACKUP = "no backup: it cannot be taken back; --backup FILE would keep them"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """`states` has how many of the jobs are in which state, `total` how many match where a filter
    chose, and `remarks` what else is to be known before a yes."""

    verb: str
    queue: str
    job_ids: Sequence[str]
    states: Mapping[str, int]
    total: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()


def of_overflow(session: Session, count: int) -> list[str]:
    """What is to be known of a change of so many jobs that nothing older than it stays in the audit trail."""
    kept = session.config.audit_maxlen
    if count <= kept:
        return []
    return [
        f"the audit trail keeps about {kept:,} events (ASYNCMQ_AUDIT_MAXLEN): these {count:,} push every "
        "earlier one out of it; 'asyncmq audit --ndjson' takes them away first"
    ]


def ask(session: Session, meant: Confirmation, heads: Callable[[list[str]], Sequence[Job]]) -> None:
    """Show the first of the jobs, which `heads` reads, and ask. Raises NotConfirmed for anything
    but a yes. No jobs are nothing to ask about: the attempt itself reports why."""
    if not meant.job_ids:
        return
    from asyncmq_cli.output.text import reports

    what = reports.kinds(meant.states)
    if meant.total is not None and meant.total > len(meant.job_ids):
        what += f" (of {meant.total:,} that match)"
    lines: list[str] = []
    if can_ask():
        lines = reports.job_lines(
            heads(list(meant.job_ids[:_SHOWN])),
            meant.notes,
            more=max(0, len(meant.job_ids) - _SHOWN),
            with_state=len(meant.states) > 1,
            width=session.out.width,
        )
    ask_about(
        session,
        lines,
        f"{meant.verb.capitalize()} {what} in {meant.queue}?",
        f"{meant.verb} {what} in {meant.queue!r}",
        remarks=meant.remarks,
    )


def can_ask() -> bool:
    """Whether somebody sees a question and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_about(
    session: Session, lines: Sequence[str], question: str, deed: str, *, remarks: Sequence[str] = ()
) -> None:
    """Show the lines and the remarks, and ask. Raises NotConfirmed for anything but a yes; `deed`
    is what is told where nobody is there, with the remarks as a hint."""
    if not can_ask():
        raise NotConfirmed(
            f"this would {deed}, and nobody is there to ask",
            hint="; ".join(("--yes does it, --dry-run shows what it would do", *remarks)),
        )
    from asyncmq_cli.output.text.escape import escape

    try:
        session.out.prompt([*map(escape, [*lines, *remarks, f"{question} [y/N] "])])
        answer = sys.stdin.readline().strip().lower()
    except KeyboardInterrupt as exc:
        session.out.prompt(["\n"])
        raise interruption(exc, "nothing was changed") from exc
    if answer not in ("y", "yes"):
        raise NotConfirmed("not confirmed; nothing was changed")


def of_preview(verb: str, preview: ChangeReport, remarks: Sequence[str]) -> Confirmation:
    """What a dry run would have changed. Raises what ended it."""
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


def tell_of_backup(session: Session, path: str) -> None:
    """Say how a removal can be taken back, to somebody who sees it."""
    if session.out.stderr_is_terminal and not session.out.for_programs:
        session.out.remark("backup", f"{command_line('jobs', 'restore', path)} puts back what was removed")
