"""Jobs named on the command line, with their queue or without it.

`[QUEUE] ID…`: the first word is the queue if there is one of that name. Otherwise all words are ids, if the
first is one in any queue and none is a queue. With --queue they always are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmq_cli.cli.ids_from_stdin import STDIN, job_ids, literal, words
from asyncmq_cli.errors import JobNotFound, UsageProblem, command_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.services.changes.selection import Selection


_TRIED = 3
"""Words that are no ids and are tried as names of queues."""


def one_job(session: Session, queue: str | None, job_id: str | None) -> tuple[str, str]:
    """The queue and the id of the job that is meant by `[QUEUE] ID`. Raises JobNotFound or AmbiguousJob."""
    from asyncmq_cli.services.jobs.lookup import resolve_job_ids
    from asyncmq_cli.services.jobs.scope import find_one

    if queue is None:
        raise UsageProblem("which job? give its id", hint="'asyncmq jobs list' lists jobs")
    if job_id is not None:
        named = session.scope(literal(queue)).names[0]
        return named, resolve_job_ids(session.store, named, [literal(job_id)])[0]
    given = literal(queue)
    try:
        return find_one(session.store, session.scope(None), given)
    except JobNotFound as exc:
        if not session.flags.get("globs") and session.store.queues.exists(given):
            exc.hint = f"{given!r} is a queue: {command_line('jobs', 'list', given)} lists its jobs"
        raise


def named_jobs(session: Session, first: str | None, rest: Sequence[str]) -> tuple[str | None, Selection]:
    """The jobs that are meant by `[QUEUE] ID…`, and the queue if it is named. An id that is in no queue, or
    in several, is `unfound`. Raises UsageProblem if no id is given."""
    from asyncmq_cli.services.changes.selection import Selection

    queues = session.store.queues
    if session.flags.get("globs"):
        return None, _found(session, words(session, [*([] if first is None else [first]), *rest]))
    if first is None:
        raise which_jobs()
    name = literal(first)
    if not rest:
        if first != STDIN and queues.exists(name):
            raise which_jobs(name)
        return None, _found(session, words(session, [first]))
    if queues.exists(name):
        return name, Selection({name: job_ids(session, name, rest)})
    ids = words(session, rest)
    chosen = _found(session, [*words(session, [first]), *ids])
    nowhere = [job_id for job_id, error in chosen.unfound if isinstance(error, JobNotFound)]
    is_slip = name.strip() in map(str.strip, nowhere) or any(map(queues.exists, nowhere[:_TRIED]))
    if first == STDIN or not is_slip:
        return None, chosen
    # A queue's name with a slip, or behind the ids: the others are not to be taken for ids of whichever
    # queue has them.
    return name, Selection({name: ids})


def _found(session: Session, given: Sequence[str]) -> Selection:
    from asyncmq_cli.services.changes.selection import Selection
    from asyncmq_cli.services.jobs.lookup import job_not_found
    from asyncmq_cli.services.jobs.scope import find_each

    scope = session.scope(None)
    by_queue, unfound = find_each(session.store, scope, given)
    if len(unfound) == 1 and not by_queue and isinstance(unfound[0][1], JobNotFound):
        # Similar ids are looked for where there is a single one.
        job_id = unfound[0][0]
        unfound = [(job_id, job_not_found(session.store, None, job_id, scope))]
    return Selection(by_queue, unfound=unfound)


def which_jobs(queue: str | None = None) -> UsageProblem:
    """The error of a change that is given neither ids nor a filter."""
    hint = None
    if queue is not None:
        hint = f"{queue!r} is a queue; a job of that id is meant by --queue '*' {queue}"
    return UsageProblem(
        "which jobs? give ids, a filter (--q, --where, --task, --group, --older-than, …), or --all",
        hint=hint,
    )
