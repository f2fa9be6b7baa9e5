"""Ask for confirmation of a change: show which jobs it changes, in what state, and whether it can be
undone."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct, field

from asyncmq_cli.errors import NotConfirmed, command_line, did_you_mean
from asyncmq_cli.system.process import interruption

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.jobs import Job

_SHOWN = 10
_QUEUES_SHOWN = 5
NO_BACKUP = "no backup: this cannot be undone; --backup FILE keeps a copy"


class Confirmation(Struct, frozen=True):
    """A change to confirm. `by_queue` has the ids of its jobs, and `states` counts them by state. `total` is
    how many jobs match the filter, or None without a filter. `notes` are by queue and id. `remarks` are
    further lines that are shown before the question."""

    verb: str
    by_queue: Mapping[str, Sequence[str]]
    states: Mapping[str, int]
    total: int | None = None
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    @property
    def count(self) -> int:
        """The number of jobs."""
        return sum(map(len, self.by_queue.values()))

    def first(self, count: int) -> list[tuple[str, str]]:
        """The first jobs, each as its queue and its id."""
        pairs = ((queue, one) for queue, ids in self.by_queue.items() for one in ids)
        return list(islice(pairs, count))

    @property
    def where(self) -> tuple[str, str]:
        """The queues as the question names them, and as an error message quotes them."""
        if len(self.by_queue) > 1:
            return f"{len(self.by_queue):,} queues", f"{len(self.by_queue):,} queues"
        name = next(iter(self.by_queue))
        return name, repr(name)

    @property
    def shares(self) -> list[str]:
        """One line with the number of jobs in each queue, the most first; none if there is a single queue."""
        if len(self.by_queue) < 2:
            return []
        counts = sorted(
            ((len(ids), queue) for queue, ids in self.by_queue.items()), key=lambda each: -each[0]
        )
        shown = [f"{queue} {count:,}" for count, queue in counts[:_QUEUES_SHOWN]]
        more = [f"{len(counts) - len(shown):,} more queues"] if len(counts) > len(shown) else []
        return [f"in {', '.join([*shown, *more])}"]


def ask(
    session: Session,
    confirmation: Confirmation,
    heads: Callable[[Sequence[tuple[str, str]]], Sequence[Job]],
) -> None:
    """Show the first jobs, which `heads` reads, and ask. Raises NotConfirmed for any answer but yes. If there
    are no jobs, it does not ask: the change itself then reports why."""
    if not confirmation.count:
        return
    session.guard.require_few(confirmation.count)
    from asyncmq_cli.output.text import reports
    from asyncmq_cli.services.jobs.causes import root_error

    what = reports.kinds(confirmation.states)
    if confirmation.total is not None and confirmation.total > confirmation.count:
        what += f" (of {confirmation.total:,} that match)"
    shown, spelt = confirmation.where
    lines: list[str] = []
    if can_ask():
        lines = reports.job_lines(
            heads(confirmation.first(_SHOWN)),
            confirmation.notes,
            more=max(0, confirmation.count - _SHOWN),
            with_state=len(confirmation.states) > 1,
            with_queue=len(confirmation.by_queue) > 1,
            width=session.out.width,
            cause_of=root_error,
        )
    verb = confirmation.verb.replace("-", " ")
    ask_about(
        session,
        lines,
        f"{verb.capitalize()} {what} in {shown}?",
        f"{verb} {what} in {spelt}",
        remarks=[*confirmation.shares, *confirmation.remarks],
    )


def of_new_queue(queue: str, near: Sequence[str]) -> str:
    """A warning that this queue does not exist yet, with similar names: no worker would read a mistyped
    queue."""
    return "; ".join(filter(None, (f"there is no queue named {queue!r} yet", did_you_mean(near))))


def can_ask() -> bool:
    """Whether there is a terminal on which to ask a question and read the answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_about(
    session: Session, lines: Sequence[str], question: str, deed: str, *, remarks: Sequence[str] = ()
) -> None:
    """Show the lines and the remarks, and ask. Raises NotConfirmed for any answer but yes. Without a
    terminal, the error names the `deed`, such as `remove 3 jobs`, and the hint has the remarks. Question and
    error both name the Redis."""
    context, url = session.config.context, session.config.shown_url
    deed = f"{deed} on {context or url}"
    question = f"{question.removesuffix('?')} on {f'{context} ({url})' if context else url}?"
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
    if _answer(session, [*lines, *remarks, f"{question} [y/N] "]).lower() not in ("y", "yes"):
        raise NotConfirmed("not confirmed; nothing was changed")


def ask_for_name(session: Session, name: str, question: str, deed: str, *, remarks: Sequence[str]) -> None:
    """Show what would be done, and ask for the name of the target. Raises NotConfirmed unless it is typed."""
    where = session.config.context or session.config.shown_url
    if not can_ask():
        raise NotConfirmed(
            f"this would {deed} on {where}, and there is no terminal to confirm it on",
            hint="; ".join(("--dry-run shows what it would do, --yes does it without asking", *remarks)),
        )
    _type_name(session, [*remarks, f"{question}, on {where}"], name)


def ask_name(session: Session, deed: str) -> None:
    """Ask for the name of the context, before a change that asks nothing else. Raises NotConfirmed unless it
    is typed."""
    if not can_ask():
        session.guard.refuse(deed)
    where = session.config
    _type_name(session, [f"This would {deed} on {where.context} ({where.shown_url})."])


def _type_name(session: Session, lines: Sequence[str], name: str | None = None) -> None:
    """Ask for `name`, by default the name of the context. Raises NotConfirmed unless it is typed."""
    name = session.config.context if name is None else name
    if _answer(session, [*lines, f"Type {name} to go on: "]) != name:
        raise NotConfirmed(f"not confirmed: {name!r} was not typed; nothing was changed")


def _answer(session: Session, lines: Sequence[str]) -> str:
    """Print the lines, which end with the question, and read the answer."""
    from asyncmq_cli.output.text.escape import escape

    try:
        session.out.prompt([*map(escape, lines)])
        return sys.stdin.readline().strip()
    except KeyboardInterrupt as exc:
        session.out.prompt(["\n"])
        raise interruption(exc, "nothing was changed") from exc


def of_preview(verb: str, preview: ChangeReport, remarks: Sequence[str]) -> Confirmation:
    """The confirmation of the changes that a dry run found. Raises the error that ended the dry run, if
    any."""
    if preview.interrupted is not None:
        raise preview.interrupted
    chosen = [result for result in preview.results if result.error is None]
    by_queue: dict[str, list[str]] = {}
    for result in chosen:
        by_queue.setdefault(result.queue or "", []).append(result.job_id or "")
    return Confirmation(
        verb,
        by_queue,
        Counter(result.state or "unknown" for result in chosen),
        notes={(each.queue or "", each.job_id or ""): each.note for each in chosen if each.note},
        remarks=remarks,
    )


def note_backup(session: Session, path: str) -> None:
    """On a terminal, print how to undo a removal."""
    if session.out.stderr_is_terminal and not session.out.for_programs:
        session.out.remark("backup", f"{command_line('jobs', 'restore', path)} restores what was removed")
