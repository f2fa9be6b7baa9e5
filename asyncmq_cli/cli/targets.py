"""The queues and jobs that names, ids and filters on the command line stand for."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from asyncmq_cli.cli.options import literal
from asyncmq_cli.cli.session import FILTERS
from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import JobNotFound, UsageProblem, command_line
from asyncmq_cli.models.values import DEAD_STATES
from asyncmq_cli.system.process import lines_of_stdin

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.services.changes.selection import Selection


STDIN = "-"


def job_ids(session: Session, queue: str, given: Sequence[str]) -> list[str]:
    """The given ids, with `-` replaced by the lines of standard input. White space around an id, which is
    often pasted with it, is dropped unless a job has exactly that id."""
    from asyncmq_cli.services.jobs.lookup import resolve_job_ids

    return resolve_job_ids(session.store, queue, words(session, given))


def queue_names(session: Session, given: Sequence[str], *, may_be_none: bool = True) -> list[str]:
    """The names of queues, with `-` replaced by the lines of standard input. If `may_be_none`, a note is
    printed if there are no names."""
    from asyncmq_cli.services.jobs.lookup import resolve_queues

    names = resolve_queues(session.store, words(session, given, may_be_none=may_be_none))
    if not names and session.store.queue_names.exists(STDIN):
        session.out.remark("note", "'./-' is the queue named '-'")
    return names


def words(session: Session, given: Sequence[str], *, may_be_none: bool = True) -> list[str]:
    """The words, with `-` replaced by the lines of standard input, unchanged. If `may_be_none`, a note is
    printed if there are none."""
    found: list[str] = []
    for word in given:
        if word != STDIN:
            found.append(literal(word))
            continue
        if sys.stdin.isatty():
            session.out.remark("note", "reading names, one per line, until Ctrl-D; './-' means the name '-'")
        lines = b"\n".join(lines_of_stdin()).removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
        read = [line.rstrip("\r") for line in lines.split("\n") if line.strip()]
        if not read and may_be_none:
            session.out.remark("note", "standard input has no names")
        found += read
    return found


_TRIED = 3
"""At most this many words that are no ids are tried as names of queues."""


def one_job(session: Session, queue: str | None, job_id: str | None) -> tuple[str, str]:
    """The queue and the id of the job that `[QUEUE] ID` stands for. Raises JobNotFound or AmbiguousJob."""
    from asyncmq_cli.services.jobs.lookup import find_one, resolve_job_ids

    if queue is None:
        raise UsageProblem("no job given: give its id", hint="'asyncmq jobs list' lists jobs")
    if job_id is not None:
        named = session.scope(literal(queue)).names[0]
        return named, resolve_job_ids(session.store, named, [literal(job_id)])[0]
    given = literal(queue)
    try:
        return find_one(session.store, session.scope(None), given)
    except JobNotFound as exc:
        if not session.flags.get("globs") and session.store.queue_names.exists(given):
            exc.hint = f"{given!r} is a queue: {command_line('jobs', 'list', given)} lists its jobs"
        raise


def named_jobs(session: Session, first: str | None, rest: Sequence[str]) -> tuple[str | None, Selection]:
    """The queue if it is named, and the jobs that `[QUEUE] ID…` stands for. An id that is in no queue, or in
    several, is in `unfound` of the selection. Raises UsageProblem if no id is given."""
    from asyncmq_cli.services.changes.selection import Selection

    exists = session.store.queue_names.exists
    if session.flags.get("globs"):
        return None, _found(session, words(session, [*([] if first is None else [first]), *rest]))
    if first is None:
        raise which_jobs()
    name = literal(first)
    if not rest:
        if first != STDIN and exists(name):
            raise which_jobs(name)
        return None, _found(session, words(session, [first]))
    if exists(name):
        return name, Selection({name: job_ids(session, name, rest)})
    ids = words(session, rest)
    chosen = _found(session, [*words(session, [first]), *ids])
    nowhere = [job_id for job_id, error in chosen.unfound if isinstance(error, JobNotFound)]
    is_slip = name.strip() in map(str.strip, nowhere) or any(map(exists, nowhere[:_TRIED]))
    if first == STDIN or not is_slip:
        return None, chosen
    # Probably the name of the queue is mistyped, or comes after the ids. Do not look the other words up in
    # all queues: they would hit whichever queue has such ids.
    return name, Selection({name: ids})


def _found(session: Session, given: Sequence[str]) -> Selection:
    from asyncmq_cli.services.changes.selection import Selection
    from asyncmq_cli.services.jobs.lookup import find_each, job_not_found

    scope = session.scope(None)
    by_queue, unfound = find_each(session.store, scope, given)
    if len(unfound) == 1 and not by_queue and isinstance(unfound[0][1], JobNotFound):
        # Search for similar ids only if there is a single id.
        job_id = unfound[0][0]
        unfound = [(job_id, job_not_found(session.store, None, job_id, scope))]
    return Selection(by_queue, unfound=unfound)


def which_jobs(queue: str | None = None) -> UsageProblem:
    """The error for a change that is given neither ids nor a filter."""
    hint = None
    if queue is not None:
        hint = f"{queue!r} is a queue; for a job with that id, give --queue '*' {queue}"
    return UsageProblem(
        "no jobs given: give ids, a filter (--q, --where, --task, --group, --older-than, …), or --all",
        hint=hint,
    )


_RATE = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*/\s*(?P<unit>s|sec|second|m|min|minute)")
_UNIT_SECONDS = {"s": 1, "m": 60}
_SHARE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*%?")


class Targets(Struct, frozen=True):
    """The jobs that the command line names or filters. `queue` is its first word, which may also be an id.
    `dead` selects from the dead-letter queue, whatever the state. `more_states` are searched besides
    `state`."""

    queue: str | None
    job_ids: list[str] | None
    state: str | None = None
    default_state: str = "waiting"
    dead: bool = False
    more_states: Sequence[str] = ()

    @property
    def searched(self) -> str:
        """The state that a filter searches."""
        return "dead" if self.dead else " or ".join((self.state or self.default_state, *self.more_states))

    @property
    def other_states(self) -> str | None:
        """A hint with the option that searches other states, or None if there are none."""
        if self.dead or self.more_states:
            return None
        if self.default_state in DEAD_STATES:
            return f"--state {next(state for state in DEAD_STATES if state != self.searched)} searches those"
        # Never suggest `all`: this hint appears before changes, and some of these cannot be undone.
        return "--state chooses another state"


class ChangeOptions(Struct, frozen=True):
    """The options of a change. A change that is not destructive needs confirmation only if a filter selected
    the jobs."""

    verb: str
    noun: Literal["job", "dlq", "queue"] = "job"
    reason: str | None = None
    dry_run: bool = False
    yes: bool = False
    destructive: bool = True
    backup: str | None = None
    wait: float | None = None
    """Seconds to wait for the retried jobs to end; None to not wait."""
    edits: bool = False
    """Whether the change edits jobs. Without a backup, the old jobs are kept in the audit events."""


def wait_limit(text: str | None, *, dry_run: bool) -> float | None:
    """The value of --wait in seconds, or None. Raises UsageProblem."""
    if text is None:
        return None
    if dry_run:
        raise UsageProblem("--wait and --dry-run exclude each other")
    return seconds(text)


def has_filter(flags: Mapping[str, Any]) -> bool:
    """Whether a filter option is given. Raises UsageProblem for an empty one: it would match every job, and
    probably comes from a shell variable that is not set."""
    given = [name for name in FILTERS if name in flags]
    for name in given:
        if not flags[name].strip():
            raise UsageProblem(f"--{name.replace('_', '-')} is empty", hint="give it a value")
    return bool(given)


def is_by_filter(targets: Targets, flags: Mapping[str, Any]) -> bool:
    """Whether a filter selects the jobs, not ids. Raises UsageProblem if both or neither are given, and for
    an empty filter."""
    chooses = has_filter(flags) or targets.state is not None or bool(flags.get("all_jobs"))
    if targets.job_ids and chooses:
        raise UsageProblem("ids and a filter exclude each other", hint="give one or the other")
    if not targets.job_ids and targets.queue is None and not chooses:
        raise which_jobs()
    if not chooses and (flags.get("limit") is not None or flags.get("percent") is not None):
        raise UsageProblem("--limit and --percent need a filter or --all")
    return chooses


def rate_of(flags: Mapping[str, Any]) -> float | None:
    """The value of --rate in jobs per second, or None. Raises UsageProblem."""
    text = flags.get("rate")
    if text is None:
        return None
    found = _RATE.fullmatch(text.strip().lower())
    rate = float(found["count"]) / _UNIT_SECONDS[found["unit"][0]] if found else 0.0
    if rate <= 0:
        raise UsageProblem(f"--rate must be like 50/s or 300/m, not {text!r}")
    return rate


def abort_share_of(flags: Mapping[str, Any]) -> float | None:
    """The value of --abort-above as a share from 0 to 1, or None. Raises UsageProblem."""
    percent = percent_of(flags, "abort_above", "--abort-above")
    if percent is None:
        return None
    if flags.get("rate") is None:
        raise UsageProblem(
            "--abort-above needs --rate",
            hint="without --rate, all jobs are retried before the first one ends",
        )
    return percent / 100


def percent_of(flags: Mapping[str, Any], name: str, option: str) -> float | None:
    """The value of a percentage option, with or without its % sign: 0 to 100, or None. Raises
    UsageProblem."""
    text = flags.get(name)
    if text is None:
        return None
    found = _SHARE.fullmatch(text.strip())
    if found is None:
        raise UsageProblem(f"{option} must be a share, not {text!r}", hint="such as 20% or 20")
    if float(found["number"]) > 100:
        raise UsageProblem(f"{option} must be at most 100%, not {text!r}")
    return float(found["number"])
