"""Add jobs from options or standard input; ask before a job goes to a new queue."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.bulk import of_overflow, report_change
from asyncmq_cli.cli.changes.definitions import MOST_PRIORITY, job_of
from asyncmq_cli.cli.options import argument, option
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import STDIN
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.system.process import lines_of_stdin

if TYPE_CHECKING:
    from asyncmq_cli.services.changes.adding import NewJob

FromStdinArg = Annotated[
    str | None,
    argument("[-]", "Read jobs from standard input: one JSON object per line, with option names as keys."),
]
OneTaskOption = Annotated[str | None, option("--task", "NAME", "Id of the task to run.")]
IdOption = Annotated[str | None, option("--id", "ID", "Id of the job, which must be new. [default: a UUID]")]
UniqueOption = Annotated[
    str | None,
    option("--unique", "KEY", "Add it only if no unfinished job of the queue has this deduplication key."),
]
_TYPES: Mapping[str, tuple[type[Any], ...]] = {
    "task": (str,),
    "args": (list,),
    "kwargs": (dict,),
    "id": (str,),
    "priority": (int,),
    "retries": (int,),
    "delay": (str, int, float),
    "ttl": (str, int, float),
    "backoff": (int, float),
    "unique": (str,),
}
_EXAMPLE = 'a line is like {"task": "app.send", "args": [1]}'


def add_jobs(
    session: Session,
    queue: str,
    source: str | None,
    options: Mapping[str, Any],
    *,
    reason: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Add the job that the options describe or, if `source` is `-`, the jobs on standard input."""
    from asyncmq_cli.output.terminal import progress

    jobs = [_job(options)] if source is None else _from_stdin(source, options)
    near = session.queues.near_new(queue)
    if near is not None and not dry_run:
        _about_new_queue(session, queue, near, yes=yes)
    for line in of_overflow(session, len(jobs)):
        session.out.remark("warning", line)
    with progress.of_changes(session.out, "add", len(jobs)) as advance:
        report = session.additions.add(queue, jobs, reason=reason, dry_run=dry_run, progress=advance)
    report_change(session, report, brief=len(jobs) > 1)


def _about_new_queue(session: Session, queue: str, near: Sequence[str], *, yes: bool) -> None:
    """Ask for confirmation to add to a new queue. A script only gets a warning."""
    text = confirm.of_new_queue(queue, near)
    if yes or not confirm.can_ask():
        session.out.remark("warning", text)
        return
    confirm.ask_about(session, [text], "Add to it anyway?", f"add to the new queue {queue!r}")


def _job(given: Mapping[str, Any]) -> NewJob:
    from asyncmq_cli.services.changes.adding import NewJob

    if not given.get("task"):
        raise UsageProblem("no task given: give --task", hint="or - for many from standard input")
    for name in ("task", "id", "unique"):
        if name in given and given[name] is not None and not given[name].strip():
            # Probably a shell variable that is not set. With a new id, or without a key, a second run would
            # add a second job.
            raise UsageProblem(f"--{name} is empty", hint="give it a value, or leave it out")
    return NewJob(**job_of({name: value for name, value in given.items() if value is not None}))


def _from_stdin(source: str, options: Mapping[str, Any]) -> list[NewJob]:
    """The jobs on standard input, one per line. `options` are the defaults for each line. Raises UsageProblem
    if a line is wrong; then no job is added."""
    if source != STDIN:
        raise UsageProblem(f"unexpected argument {source!r}", hint="- reads jobs from standard input")
    common = {name: value for name, value in options.items() if value is not None}
    for name in ("id", "unique"):
        if name in common:
            raise UsageProblem(f"--{name} is for a single job", hint=f"give {name!r} in each line")
    jobs = []
    for number, line in enumerate(lines_of_stdin(), start=1):
        text = line.removeprefix(codecs.BOM_UTF8).strip()
        if text:
            try:
                jobs.append(_job({**common, **_object(text)}))
            except UsageProblem as exc:
                raise UsageProblem(f"line {number}: {exc.message}; nothing was added", hint=exc.hint) from exc
    if not jobs:
        raise UsageProblem("standard input has no jobs", hint=_EXAMPLE)
    return jobs


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageProblem("not JSON", hint=_EXAMPLE) from exc
    if not isinstance(found, dict):
        raise UsageProblem("not a JSON object", hint=_EXAMPLE)
    for name, value in found.items():
        if name not in _TYPES:
            raise UsageProblem(f"unknown key {name!r}", hint=f"the keys are {', '.join(_TYPES)}")
        if value is not None and (not isinstance(value, _TYPES[name]) or isinstance(value, bool)):
            raise UsageProblem(f"{name!r} has the wrong type")
    priority, retries = found.get("priority") or 0, found.get("retries") or 0
    if not -MOST_PRIORITY <= priority <= MOST_PRIORITY or retries < 0:
        raise UsageProblem(
            f"priority must be from -{MOST_PRIORITY} to {MOST_PRIORITY}, and retries 0 or more"
        )
    return found
