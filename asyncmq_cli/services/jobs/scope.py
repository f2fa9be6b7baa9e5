"""Which queues a command is about, and in which of them a job is that was named by its id alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from asyncmq_cli.errors import AdminError, AmbiguousJob, JobNotFound, QueueNotFound, WrongType
from asyncmq_cli.models.queues import QueueScope
from asyncmq_cli.nearest import nearest
from asyncmq_cli.services.jobs.lookup import job_not_found

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

T = TypeVar("T")


def scope_of(store: Store, queue: str | None, globs: Sequence[str] = ()) -> QueueScope:
    """The scope of a named queue, of the queues whose names match one of the globs, or of all. Raises
    QueueNotFound for a glob that no name matches. A named queue is not looked for."""
    if queue is not None:
        return QueueScope.of(queue)
    names = store.queues.names()
    chosen = names
    if globs:
        for glob in globs:
            if not any(_matches(name, glob) for name in names):
                raise QueueNotFound(glob, nearest(glob, names, cutoff=0.7))
        chosen = [name for name in names if any(_matches(name, glob) for glob in globs)]
    return QueueScope(None, chosen, globs)


def _matches(name: str, glob: str) -> bool:
    # A name may hold the signs of a glob.
    return name == glob or fnmatchcase(name, glob)


def holding(store: Store, scope: QueueScope, state: str) -> list[str]:
    """Those queues of a scope that may hold jobs of a state (`dlq`: dead ones), by their sizes. One that
    cannot be asked is left out with a warning, unless it is the one that was named."""
    if scope.queue is not None:
        return [scope.queue]
    found = []
    for queue, size in zip(scope.names, store.jobs.at_most_each(scope.names, state), strict=True):
        if isinstance(size, WrongType):
            store.warn_of(queue, size.message)
        elif size:
            found.append(queue)
    return found


def in_each(
    store: Store, scope: QueueScope, queues: Iterable[str], read: Callable[[str], Iterable[T]]
) -> Iterator[T]:
    """What `read` gives for each of these queues of a scope. Where several are read, one that cannot be is
    left out with a warning."""
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
    """The ids by their queue, and those that are in none, or in several, with the error. An id that no job
    has is stripped of white space."""
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
