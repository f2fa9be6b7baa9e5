"""Completion candidates from Redis, within a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from asyncmq_cli.models.program import Candidate
from asyncmq_cli.models.values import DEAD_STATES, ENDED_STATES

if TYPE_CHECKING:
    from asyncmq_cli.config import Config
    from asyncmq_cli.storage.completion import CandidateReader

T = TypeVar("T")

PATIENCE = 0.3
"""Seconds to wait for Redis, by default."""
LEAST_ID = 3
"""Characters of a job id that must be typed before ids are completed: fewer would match too many."""
_MAX_JOBS = 100
_SAMPLE = 200
_ID_SHOWN = 10


class CandidateRequest(Struct, frozen=True):
    """A request for candidates that begin with `prefix`. `kind` is a key of LOOKUPS, `command` the words of
    the command, such as ("jobs", "retry"). Candidates come from `queue` if one was named, else from `queues`,
    or from all queues if that is None."""

    kind: str
    prefix: str
    command: tuple[str, ...] = ()
    queue: str | None = None
    queues: tuple[str, ...] | None = None


class _Results(Struct):
    """The candidates found so far, with their descriptions. `is_whole` says that the search has ended and has
    found all."""

    abouts: dict[str, str] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def candidates(self) -> list[Candidate]:
        return [Candidate(value, about) for value, about in sorted(self.abouts.copy().items())]


class _Search(Struct):
    reader: CandidateReader
    request: CandidateRequest
    deadline: float
    found: dict[str, str]
    is_cut: bool = False

    def in_time(self, pieces: Iterable[T]) -> Iterator[T]:
        for piece in pieces:
            yield piece
            if time.monotonic() > self.deadline:
                self.is_cut = True
                return


def live(config: Config, request: CandidateRequest, patience: float) -> Sequence[Candidate]:
    """The candidates found within `patience` seconds. Empty if Redis is unreachable or refuses, because
    completion never prints an error."""
    found = _look_up(config, request, patience)
    return found.candidates if found.is_whole else without_insertion(found.candidates, request.prefix)


def without_insertion(partial: Sequence[Candidate], prefix: str) -> Sequence[Candidate]:
    """Mark an incomplete answer. If the candidates share a longer prefix than the one typed, return none of
    them: the shell would take them for all candidates and insert that prefix."""
    following = {each.value[len(prefix) :][:1] for each in partial}
    return partial if len(following) > 1 else []


def whole(config: Config, request: CandidateRequest, patience: float) -> list[Candidate] | None:
    """The same as `live`, but None unless all candidates were found in time."""
    found = _look_up(config, request, patience)
    return found.candidates if found.is_whole else None


def _look_up(config: Config, request: CandidateRequest, patience: float) -> _Results:
    # Import this before the time limit starts: the import is slow, which has nothing to do with Redis.
    from asyncmq_cli.storage.completion import CandidateReader

    found = _Results()
    hasty = replace(config, timeout=patience)
    # Search in a thread, because resolving a host name has no timeout.
    thread = Thread(
        target=_search,
        args=(lambda: CandidateReader(hasty), request, patience, found),
        daemon=True,
    )
    thread.start()
    thread.join(patience)
    return found


def _search(
    connect: Callable[[], CandidateReader], request: CandidateRequest, patience: float, found: _Results
) -> None:
    from redis.exceptions import RedisError

    from asyncmq_cli.errors import AdminError

    try:
        # Stop before the limit: groups are found all at once, and must be ready before the thread is
        # abandoned.
        deadline = time.monotonic() + patience * 0.8
        with connect() as reader:
            search = _Search(reader, request, deadline, found.abouts)
            LOOKUPS[request.kind](search)
            found.is_whole = not search.is_cut
    except (AdminError, RedisError, OSError):
        return


def _queues(search: _Search) -> None:
    for names in search.in_time(search.reader.queues(search.request.prefix)):
        search.found.update(dict.fromkeys(names, ""))


def _jobs(search: _Search) -> None:
    request = search.request
    if len(request.prefix) < LEAST_ID:
        return
    fits = _state_filter(request.command)
    for jobs in search.in_time(_job_ids(search)):
        search.found.update({job_id: state or "" for job_id, state in jobs.items() if fits(state)})
        if len(search.found) >= _MAX_JOBS:
            search.is_cut = True
            return


def _job_ids(search: _Search) -> Iterator[dict[str, str | None]]:
    """Jobs with their states: of the queue that was named, or of all queues. If the word in its place is no
    queue, it is an id (`jobs retry ID ID`), so all queues are searched."""
    reader, request = search.reader, search.request
    found = False
    if request.queue is not None:
        for jobs in reader.job_ids(request.queue, request.prefix):
            found = found or bool(jobs)
            yield jobs
    if found or (request.command[-1:] == ("show",) and request.queue is not None):
        return
    if request.queue is not None and reader.has_queue(request.queue):
        return
    for queue in _all_queues(search):
        yield from reader.job_ids(queue, request.prefix)


def _state_filter(command: tuple[str, ...]) -> Callable[[str | None], bool]:
    """A predicate for the states of jobs that a command can change. It accepts an unknown state."""
    if command[:1] == ("dlq",) or command[-1:] == ("retry",):
        return lambda state: state is None or state in DEAD_STATES
    if command[-1:] == ("cancel",):
        return lambda state: state is None or state not in ENDED_STATES
    return lambda state: True


def _repeatables(search: _Search) -> None:
    from asyncmq_cli.storage.read.repeatables import IDENTITY_PREFIX

    request = search.request
    if request.queue is None:
        return
    paused = {"pause": False, "resume": True}.get("".join(request.command[-1:]))
    written_out = request.prefix.startswith(IDENTITY_PREFIX[:1])
    for member in search.reader.definitions(request.queue):
        if member.definition is None or paused not in (None, member.paused):
            continue
        bare = member.id.removeprefix(IDENTITY_PREFIX)
        length = max(_ID_SHOWN, len(request.prefix))
        name = IDENTITY_PREFIX + bare if written_out else bare[:length]
        if name.startswith(request.prefix):
            search.found[name] = _task_of(member.definition) + (" (paused)" if member.paused else "")


def _queues_meant(search: _Search) -> Iterator[str]:
    """The queue that was named, else all queues."""
    queue = search.request.queue
    return _all_queues(search) if queue is None else iter([queue])


def _all_queues(search: _Search) -> Iterator[str]:
    queues = search.request.queues
    for names in search.reader.queues("") if queues is None else [queues]:
        yield from sorted(names)


def _groups(search: _Search) -> None:
    from asyncmq_cli.services.jobs.failure_groups import grouped

    dead = (job for queue in _queues_meant(search) for job in search.reader.dead_jobs(queue))
    for group in grouped(search.in_time(dead))[2]:
        if group.id is not None and group.id.startswith(search.request.prefix):
            kind = f"{group.type.rpartition('.')[2]}: " if group.type else ""
            search.found[group.id] = f"{group.count:,} x {kind}{group.message}"


def _tasks(search: _Search) -> None:
    """The tasks of definitions, and unless the command is about definitions, also the tasks of a sample of
    jobs."""
    request = search.request
    if request.command[:1] == ("repeatables",) and request.queue is None:
        return
    for queue in search.in_time(_queues_meant(search)):
        names = [_task_of(member.definition or {}) for member in search.reader.definitions(queue)]
        if request.command[:1] != ("repeatables",):
            names += [job.task_id or "" for job in search.reader.sample(queue, _SAMPLE)]
        search.found.update(dict.fromkeys((name for name in names if name.startswith(request.prefix)), ""))
    search.found.pop("", None)


def _edits(search: _Search) -> None:
    """The audit events of the newest edits that can be undone."""
    for event in search.in_time(islice(search.reader.events(), _SAMPLE)):
        if event.id.startswith(search.request.prefix) and "was" in event.details:
            search.found[event.id] = f"{event.action} {event.queue} {event.job_id}"


def _task_of(definition: Mapping[str, Any]) -> str:
    return str(definition.get("task_id") or definition.get("task") or "")


LOOKUPS: dict[str, Callable[[_Search], None]] = {
    "queues": _queues,
    "jobs": _jobs,
    "repeatables": _repeatables,
    "groups": _groups,
    "tasks": _tasks,
    "edits": _edits,
}
