"""Plans of edits: of one job in an editor, or of several jobs by paths. Dead jobs can be retried in the same
step."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.values import DEAD_STATES
from asyncmq_cli.services.changes.edits import Edit, parse
from asyncmq_cli.services.changes.selection import BulkOptions, ChangeRequest, Selection
from asyncmq_cli.ui.plans.plan import REASON, SHOWN, Given, Plan

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.changes import ChangeReport

_BACKUP = {"backup": "a new file that keeps what is replaced"}
_RETRY = {"then_retry": "yes or no: whether it is retried at once"}
_PATHS = {
    "set": "PATH=VALUE, such as kwargs.to=a@b.c; separate several by spaces",
    "unset": "PATH to remove, such as kwargs.cc",
}
_PLAIN = re.compile(r"[^.\[\]=\s\"]+")
_MOST_LINES = 200


def of_job(session: Session, queue: str, job_id: str, edits: Sequence[Edit], diff: Sequence[str]) -> Plan:
    """The plan to edit one job. `diff` has the lines of the difference. Raises AdminError."""
    by_queue = {queue: [job_id]}
    is_dead = session.job_details.show(queue, job_id).job.status in DEAD_STATES
    refusals = _refusals(_edited(session, by_queue, edits, Given(dry_run=True)))
    shown = [f"  {line}" for line in diff if not line.startswith(("---", "+++", "@@"))]
    return Plan(
        "job.edit",
        f"Edit {job_id} in {queue}" if not refusals else f"{job_id} cannot be edited",
        [*shown[:_MOST_LINES], *refusals],
        {**(_RETRY if is_dead else {}), **REASON, **_BACKUP},
        [],
        1,
        lambda own, given: _run(own, by_queue, edits, given),
        refused=bool(refusals),
        values={"then_retry": "yes"} if is_dead else {},
        line=lambda given: _line(queue, [job_id], words_of(edits), given),
    )


def of_jobs(session: Session, by_queue: Mapping[str, Sequence[str]]) -> Plan:
    """The plan to edit several jobs. The dialog asks for the values. Raises AdminError."""
    ids = [job_id for some in by_queue.values() for job_id in some]
    jobs = session.job_details.heads(
        [(queue, job_id) for queue, some in by_queue.items() for job_id in some][:SHOWN]
    )
    is_dead = all(job.status in DEAD_STATES for job in jobs)
    more = [f"  … and {len(ids) - SHOWN:,} more"] if len(ids) > SHOWN else []

    def run(own: Session, given: Given) -> ChangeReport:
        try:
            sets, unsets = (shlex.split(given.fields.get(name, "")) for name in ("set", "unset"))
        except ValueError as exc:
            raise UsageProblem(f"the paths cannot be read: {exc}") from exc
        edits = parse(sets, unsets)
        if not edits:
            raise UsageProblem("nothing is set", hint="such as kwargs.to=a@b.c in the field 'set'")
        return _run(own, by_queue, edits, given)

    def line(given: Given) -> Sequence[str]:
        words = []
        for name in ("set", "unset"):
            typed = given.fields.get(name, "")
            # While the user types, a quote may still be open.
            some = shlex.split(typed) if typed.count("'") % 2 == typed.count('"') % 2 == 0 else [typed]
            words += [word for one in some for word in (f"--{name}", one)]
        return _line(next(iter(by_queue)) if len(by_queue) == 1 else None, ids, words, given)

    where = next(iter(by_queue)) if len(by_queue) == 1 else f"{len(by_queue):,} queues"
    return Plan(
        "job.edit",
        f"Edit {len(ids):,} jobs in {where}",
        [*(f"  {job.id}  {job.task_id or ''}" for job in jobs), *more],
        {**_PATHS, **(_RETRY if is_dead else {}), **REASON, **_BACKUP},
        [],
        len(ids),
        run,
        values={"then_retry": "no"} if is_dead else {},
        line=line,
    )


def words_of(edits: Sequence[Edit]) -> list[str]:
    """The edits as options of the command line."""
    words = []
    for edit in edits:
        name = str(edit.path[0])
        path = name if _PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"
        words += ["--unset", path] if edit.removes else ["--set", f"{path}={json.dumps(edit.value)}"]
    return words


def _line(queue: str | None, ids: Sequence[str], edits: Sequence[str], given: Given) -> list[str]:
    options = Given({name: text for name, text in given.fields.items() if name in ("reason", "backup")})
    verb = "retry" if given.fields.get("then_retry") == "yes" else "edit"
    return ["jobs", verb, *([] if queue is None else [queue]), *ids, *edits, *options.options]


def _refusals(report: ChangeReport) -> list[str]:
    return [f"  refused: {one.error.message}" for one in report.results if one.error is not None][:SHOWN]


def _edited(
    session: Session, by_queue: Mapping[str, Sequence[str]], edits: Sequence[Edit], given: Given
) -> ChangeReport:
    return session.job_changes.edit(_request(by_queue, given, given.backup()), edits)


def _request(by_queue: Mapping[str, Sequence[str]], given: Given, backup: str | None = None) -> ChangeRequest:
    queue = next(iter(by_queue)) if len(by_queue) == 1 else None
    pace = BulkOptions(progress=given.progress, stop=given.stop)
    return ChangeRequest(queue, Selection(by_queue), given.reason, given.dry_run, options=pace, backup=backup)


def _run(
    session: Session, by_queue: Mapping[str, Sequence[str]], edits: Sequence[Edit], given: Given
) -> ChangeReport:
    """Edit the jobs, and retry those that were edited if the user wants that. Raises AdminError."""
    retry = given.fields.get("then_retry", "no")
    if retry not in ("yes", "no"):
        raise UsageProblem(f"then-retry must be yes or no, not {retry!r}")
    edited = _edited(session, by_queue, edits, given)
    if retry == "no" or given.dry_run or edited.interrupted is not None or not edited.succeeded:
        return edited
    done = {(one.queue, one.job_id) for one in edited.results if one.error is None}
    chosen = {queue: [one for one in ids if (queue, one) in done] for queue, ids in by_queue.items()}
    retried = session.job_changes.retry(
        _request({q: ids for q, ids in chosen.items() if ids}, given), reset=False
    )
    unedited = [one for one in edited.results if one.error is not None]
    return replace(
        retried, results=[*unedited, *(replace(one, note=_noted(one.note)) for one in retried.results)]
    )


def _noted(note: str | None) -> str:
    return "; ".join(filter(None, ("with what was edited", note)))
