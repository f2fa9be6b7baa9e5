"""Look up the queues and jobs that were named, and find similar names for those that do not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from asyncmq_cli.errors import (
    AdminError,
    AmbiguousJob,
    JobNotFound,
    QueueNotFound,
    UsageProblem,
    WrongType,
    did_you_mean,
    nearest,
)
from asyncmq_cli.models.jobs import QueueScope

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.storage.store import Store


def require_queue(store: Store, queue: str) -> None:
    """Raise QueueNotFound, with the nearest names, if Redis has no key of the queue."""
    if not store.queue_names.exists(queue):
        raise QueueNotFound(queue, nearest_queues(store, queue))


def near_new(store: Store, queue: str) -> Sequence[str] | None:
    """Similar names if the queue does not exist yet; None if it exists. Raises UsageProblem for a new queue
    with an empty name: that probably comes from a shell variable that is not set."""
    if store.queue_names.exists(queue):
        return None
    if not queue.strip():
        raise UsageProblem("a new queue needs a name", hint="is the variable set that names it?")
    return nearest_queues(store, queue)


def nearest_suffix(near: Sequence[str]) -> str:
    """The nearest names as the end of a message, in parentheses; "" if there are none."""
    return f" ({did_you_mean(near)})" if near else ""


def nearest_queues(store: Store, queue: str) -> list[str]:
    """At most three names of queues that are similar to this one."""
    return nearest(queue, store.queue_names.all(), cutoff=0.7)


def resolve_job_ids(store: Store, queue: str, given: Sequence[str]) -> list[str]:
    """The ids. An id that no job has is stripped of white space."""
    odd = [job_id for job_id in given if job_id != job_id.strip()]
    if not odd:
        return list(given)
    unknown = {job_id for job_id, job in zip(odd, store.jobs.load(queue, odd), strict=True) if job is None}
    return [job_id.strip() or job_id if job_id in unknown else job_id for job_id in given]


def resolve_queues(store: Store, given: Sequence[str]) -> list[str]:
    """The names of queues. A name that no queue has is stripped of white space."""
    return [
        name if name == name.strip() or store.queue_names.exists(name) else name.strip() or name
        for name in given
    ]


LEAST_ID = 6
"""Characters. A shorter text may be the beginning of some id by chance."""


def job_not_found(
    store: Store, queue: str | None, job_id: str, scope: QueueScope | None = None
) -> JobNotFound:
    """The error for an unknown job. It lists the ids that begin with `job_id`, if they are found within the
    time limit of completion. If `queue` is None, all queues of the scope were searched."""
    from asyncmq_cli.services import candidates

    where = "in any queue" if scope is None else scope.where
    if len(job_id) < LEAST_ID:
        return JobNotFound(queue, job_id, where=where)
    names = tuple(scope.names) if queue is None and scope is not None else None
    request = candidates.CandidateRequest("jobs", job_id, queue=queue, queues=names)
    found = candidates.whole(store.config, request, candidates.PATIENCE) or ()
    return JobNotFound(queue, job_id, [candidate.value for candidate in found], where=where)


def with_similar_ids(store: Store, report: ChangeReport) -> ChangeReport:
    """The same report, but if its only job was not found, the error lists the ids that begin with the given
    one."""
    if len(report.results) != 1 or not isinstance(report.results[0].error, JobNotFound):
        return report
    (result,) = report.results
    if result.queue is None:
        # All queues were searched for the job; a second search would take too long.
        return report
    error = job_not_found(store, result.queue, result.job_id or "")
    return replace(report, results=(replace(result, error=error),))


T = TypeVar("T")


def scope_of(store: Store, queue: str | None, globs: Sequence[str] = ()) -> QueueScope:
    """The scope of a named queue, of the queues whose names match one of the globs, or of all queues. Raises
    QueueNotFound for a glob that no name matches. Whether a named queue exists is not checked."""
    if queue is not None:
        return QueueScope.of(queue)
    return QueueScope(None, sorted(require_queues(store, globs)), globs)


def named_or_matching(store: Store, globs: Sequence[str]) -> tuple[list[str], list[str]]:
    """The queues that have one of these names or match one of the globs, in order, and the words that match
    no queue. The names of all queues are read only if there is a glob."""
    names = store.queue_names.all() if any(map(has_wildcard, globs)) else []
    found: dict[str, None] = {}
    unknown = []
    for glob in dict.fromkeys(globs):
        if has_wildcard(glob):
            its = [name for name in names if matches(name, [glob])]
        else:
            its = [glob] if store.queue_names.exists(glob) else []
        found.update(dict.fromkeys(its))
        if not its:
            unknown.append(glob)
    return list(found), unknown


def require_queues(store: Store, globs: Sequence[str]) -> list[str]:
    """The queues that have one of these names or match one of the globs; all if no word is given. Raises
    QueueNotFound for a word that matches no queue."""
    if not globs:
        return store.queue_names.all()
    found, unknown = named_or_matching(store, globs)
    if unknown:
        raise QueueNotFound(unknown[0], nearest_queues(store, unknown[0]))
    return found


def has_wildcard(glob: str) -> bool:
    return any(sign in glob for sign in "*?[")


def matches(name: str, globs: Sequence[str]) -> bool:
    """Whether one of the globs matches the name, or is equal to it: names may contain `*`, `?` and `[`."""
    return any(name == glob or fnmatchcase(name, glob) for glob in globs)


def sizes_in(store: Store, scope: QueueScope, state: str) -> dict[str, int]:
    """By queue of a scope, an upper bound for the number of its jobs in a state (`dlq` for dead jobs), from
    sizes alone. Empty queues are left out, and so is, with a warning, a queue that cannot be read, unless it
    was named."""
    found: dict[str, int] = {}
    for queue, size in zip(scope.names, store.jobs.at_most_each(scope.names, state), strict=True):
        if isinstance(size, WrongType):
            if scope.queue is not None:
                raise size
            store.warn_of(queue, size.message)
        elif size:
            found[queue] = size
    return found


def holding(store: Store, scope: QueueScope, state: str) -> list[str]:
    """The queues of a scope that may have jobs in a state, judged by their sizes. A queue that was named is
    always one of them."""
    return [scope.queue] if scope.queue is not None else list(sizes_in(store, scope, state))


def in_each(
    store: Store, scope: QueueScope, queues: Iterable[str], read: Callable[[str], Iterable[T]]
) -> Iterator[T]:
    """Yield what `read` returns for each of these queues. If there are several, a queue that cannot be read
    is left out with a warning."""
    for queue in queues:
        try:
            yield from read(queue)
        except WrongType as exc:
            if scope.queue is not None:
                raise
            store.warn_of(queue, exc.message)


def find_each(
    store: Store, scope: QueueScope, given: Sequence[str]
) -> tuple[dict[str, list[str]], list[tuple[str, AdminError]]]:
    """The ids by queue, and the ids that are in no queue, or in several, each with its error. An id that no
    job has is stripped of white space."""
    stripped = {job_id: job_id.strip() for job_id in given if job_id != job_id.strip() and job_id.strip()}
    found = store.find_jobs(scope.names, [*given, *stripped.values()])
    by_queue: dict[str, list[str]] = {}
    unfound: list[tuple[str, AdminError]] = []
    for one in dict.fromkeys(given):
        job_id = one if found[one] or one not in stripped else stripped[one]
        queues = found[job_id]
        if len(queues) == 1:
            by_queue.setdefault(queues[0], []).append(job_id)
        else:
            error = AmbiguousJob(job_id, queues) if queues else JobNotFound(None, job_id, where=scope.where)
            unfound.append((job_id, error))
    return by_queue, unfound


def find_one(store: Store, scope: QueueScope, given: str) -> tuple[str, str]:
    """The queue and the id of a job. Raises JobNotFound, with similar ids, or AmbiguousJob."""
    by_queue, unfound = find_each(store, scope, [given])
    for job_id, error in unfound:
        if isinstance(error, JobNotFound):
            raise job_not_found(store, None, job_id, scope)
        raise error
    ((queue, (job_id,)),) = by_queue.items()
    return queue, job_id
