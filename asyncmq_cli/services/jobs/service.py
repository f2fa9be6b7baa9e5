"""List jobs and dead letters of one or several queues, and show single jobs with their parents and
children."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from asyncmq_cli.models.failures import FailureGroups
from asyncmq_cli.models.jobs import Family, JobDetail, JobFilter, JobPage, Relative, Tree, TreeNode
from asyncmq_cli.models.values import DEAD_STATES, chunked
from asyncmq_cli.services.jobs.filter import Matcher
from asyncmq_cli.services.jobs.lookup import holding, in_each, job_not_found, require_queue
from asyncmq_cli.services.jobs.pages import Page, every, every_unfiltered, filtered, unfiltered
from asyncmq_cli.system import parallel

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job, QueueScope
    from asyncmq_cli.storage.store import Store

R = TypeVar("R")

_FEW = 500
"""At most this many jobs are searched to find the states in which a filter matches."""
TIMED = {"delayed": "delayed", "failed": "dlq", "expired": "dlq"}
"""By state, the sorted set whose scores are times: when a job is due, or when it died."""


def _require(store: Store, scope: QueueScope) -> None:
    if scope.queue is not None:
        require_queue(store, scope.queue)


def _shared(
    store: Store, scope: QueueScope, state: str, wanted: JobFilter, work: Callable[[Iterator[Job]], R]
) -> Iterator[tuple[R | None, Iterator[Job]]]:
    """The pieces of `JobService.shared`."""
    matches = Matcher(wanted, store.now())

    def pages(queue: str) -> Iterator[tuple[str, Any]]:
        return ((queue, page) for page in store.jobs.pages(queue, state, matches.prefilter))

    def done(item: tuple[str, Any]) -> tuple[R, int]:
        taken = 0

        def jobs() -> Iterator[Job]:
            nonlocal taken
            for job in store.jobs.of_page(*item):
                taken += 1
                yield job

        return work(filter(matches, jobs())), taken

    found = in_each(store, scope, holding(store, scope, state), pages)
    for (queue, page), reply in parallel.shared(done, found):
        result, taken = reply or (None, 0)
        yield result, filter(matches, store.jobs.of_page(queue, page, taken))


class JobService:
    """Lists jobs, and reads single jobs. All lists raise QueueNotFound for a named queue that does not
    exist."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        scope: QueueScope,
        state: str,
        wanted: JobFilter,
        *,
        sort: str,
        page: int,
        size: int,
        exact: bool = True,
    ) -> JobPage:
        """One page of the jobs in a state; past the end it is empty. Without `exact`, the total may be an
        upper bound, taken from the sizes of places."""
        which = Page(sort, page, size)
        is_exact = True
        if wanted.narrows or state == "repeatable":
            jobs = self.matching(scope, state, wanted, sort=sort)
            found, total = filtered(self._store, jobs, _time, which)
        else:
            _require(self._store, scope)
            found, total, is_exact = unfiltered(self._store, scope, state, which, exact=exact)
        return JobPage(scope.queue, state, page, size, total, sort, wanted, found, is_exact)

    def every(self, scope: QueueScope, state: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match instead of one page. `sort` is None for the order found."""
        if sort not in (None, "queue") and not wanted.narrows and state != "repeatable":
            _require(self._store, scope)
            return every_unfiltered(self._store, scope, state, sort=sort)
        jobs = self.matching(scope, state, wanted, sort=sort)
        return every(self._store, jobs, _time, sort=sort)

    def matching(
        self, scope: QueueScope, state: str, wanted: JobFilter, *, sort: str | None = None
    ) -> Iterator[Job]:
        """The jobs in a state, or in the dead-letter queues (`dlq`), that match a filter, queue by queue: in
        the order of the queue itself if `sort` is `queue`, else in the order found. If the filter has a
        failure group, iterating raises the errors of `of_known_group`."""
        _require(self._store, scope)
        matches = Matcher(wanted, self._store.now())
        queues = scope.names if state == "repeatable" else holding(self._store, scope, state)

        def read(queue: str) -> Iterator[Job]:
            if state == "repeatable":
                return self._store.queues.repeatables_as_jobs(queue)
            if sort == "queue":
                return self._store.jobs.in_order(queue, state)
            return self._store.jobs.in_state(queue, state, matches.prefilter)

        jobs = in_each(self._store, scope, queues, read)
        if wanted.group.strip():
            from asyncmq_cli.services.jobs.failure_groups import of_known_group

            return of_known_group(self._store, scope, wanted, matches, jobs)
        return filter(matches, jobs) if wanted.narrows else jobs

    def shared(
        self, scope: QueueScope, state: str, wanted: JobFilter, work: Callable[[Iterator[Job]], R]
    ) -> Iterator[tuple[R | None, Iterator[Job]]]:
        """The jobs of `matching`, in the order found, in pieces, so that other processes can do a part of the
        work: what `work` returned for the first jobs of a piece, and the jobs that it has left. It need not
        take all jobs that it is given. For a filter with a failure group, all jobs are left."""
        _require(self._store, scope)
        if wanted.group.strip() or state == "repeatable":
            return iter([(None, self.matching(scope, state, wanted))])
        return _shared(self._store, scope, state, wanted, work)

    def elsewhere(self, scope: QueueScope, state: str | None, wanted: JobFilter) -> dict[str, int] | None:
        """By state, how many jobs in other states of the queue match. None if that would read more than a few
        hundred jobs, or if the filter has a failure group, which only dead jobs have. `state` is None for the
        dead-letter queue."""
        if scope.queue is None or wanted.group:
            return None
        sizes = self._store.queues.stats(
            scope.queue, self._store.now(), {"waiting", "active", "delayed", "dlq"}
        )
        places = {"waiting": sizes.waiting, "active": sizes.active, "delayed": sizes.delayed}
        others = {place for place in places if place != state}
        if state is not None:
            places["dlq"] = sizes.dlq
            others |= {dead for dead in DEAD_STATES if dead != state}
        if sum(size or 0 for size in places.values()) > _FEW:
            return None
        counts = {
            other: sum(1 for _ in self.matching(scope, other, wanted))
            for other in (*places, *DEAD_STATES)
            if other in others
        }
        return {other: count for other, count in counts.items() if count}

    def show(self, queue: str, job_id: str) -> JobDetail:
        """One job with its result, error and relatives. Raises QueueNotFound or JobNotFound."""
        # Read the job first: with the RabbitMQ backend it can be read even though the queue cannot.
        job = self._store.jobs.load(queue, [job_id])[0]
        if job is None:
            require_queue(self._store, queue)
            location = self._store.locate(queue, [job_id])[0]
            if not location.exists:
                raise job_not_found(self._store, queue, job_id)
            job = location.job
        elif job.status in TIMED and job.due_at is None and job.dead_at is None:
            # The member differs from the one that AsyncMQ would have written for this record, so find it.
            location = self._store.locate(queue, [job_id], (TIMED[job.status],))[0]
            if location.members[TIMED[job.status]]:
                times = location.job
                job = replace(job, due_at=times.due_at, dead_at=times.dead_at, problem=times.problem)
        job = job.whole()
        from asyncmq_cli.services.jobs.causes import job_error

        return JobDetail(job, job.get("result"), job_error(job), family_of(self._store, job))

    def tree(self, queue: str, job_id: str) -> Tree:
        """The ancestors and descendants of a job. Raises QueueNotFound or JobNotFound."""
        return tree_of(self._store, self.show(queue, job_id).job)

    def heartbeats(self, jobs: Sequence[Job]) -> dict[tuple[str, str], float | None]:
        """By queue and id, the time of the last heartbeat of each of these jobs, or None."""
        found: dict[tuple[str, str], float | None] = {}
        for queue in dict.fromkeys(job.queue for job in jobs):
            ids = [job.id for job in jobs if job.queue == queue]
            beats = self._store.jobs.heartbeats(queue, ids)
            found |= {(queue, job_id): beat for job_id, beat in zip(ids, beats, strict=True)}
        return found

    def heads(self, targets: Sequence[tuple[str, str]]) -> list[Job]:
        """Read a few jobs, given by queue and id, in this order. A missing job has no record."""
        by_queue: dict[str, list[str]] = {}
        for queue, job_id in targets:
            by_queue.setdefault(queue, []).append(job_id)
        found = {
            (queue, location.id): location.job
            for queue, job_ids in by_queue.items()
            for location in self._store.locate(queue, job_ids)
        }
        return [found[target] for target in targets]


class DlqService:
    """Lists dead letters. All methods raise QueueNotFound for a named queue that does not exist."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs = JobService(store)

    def page(self, scope: QueueScope, wanted: JobFilter, *, sort: str, page: int, size: int) -> JobPage:
        """One page of the dead-letter queue, sorted by time of death. Its `state` is None."""
        which = Page("newest" if sort == "queue" else sort, page, size)
        if wanted.narrows:
            found, total = filtered(self._store, self._jobs.matching(scope, "dlq", wanted), _died, which)
        else:
            _require(self._store, scope)
            found, total, _ = unfiltered(self._store, scope, "dlq", which)
        return JobPage(scope.queue, None, page, size, total, sort, wanted, found)

    def every(self, scope: QueueScope, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match instead of one page. `sort` is None for the order found."""
        order = "newest" if sort == "queue" else sort
        if order == "newest" and not wanted.narrows and scope.queue is not None:
            _require(self._store, scope)
            return self._store.jobs.in_order(scope.queue, "dlq")
        return every(self._store, self._jobs.matching(scope, "dlq", wanted), _died, sort=order)

    def groups(self, scope: QueueScope, wanted: JobFilter, by: str = "cause") -> FailureGroups:
        """The failure groups of the matching jobs, the largest first. `by` is as in FailureGroups."""
        from asyncmq_cli.services.jobs.failure_groups import grouped, is_argument

        _require(self._store, scope)
        queues = holding(self._store, scope, "dlq")
        if wanted.narrows:
            jobs = self._jobs.matching(scope, "dlq", wanted)
        else:
            read = partial(self._store.jobs.dead_causes, arguments=is_argument(by))
            jobs = in_each(self._store, scope, queues, read)
        now = self._store.now()
        scanned, left_out, groups = grouped(jobs, by, now)
        if left_out:
            self._store.warn(f"{left_out:,} jobs are in no group: there are too many causes")
        return FailureGroups(queues, by, now, scanned, left_out, groups)


def _time(job: Job) -> float:
    return job.sort_time


def _died(job: Job) -> float:
    return job.dead_at or 0.0


MOST_SHOWN = 100
"""At most this many parents, and this many children, of one job are read."""
MOST_NODES = 200
"""A tree has at most this many jobs."""


def family_of(store: Store, job: Job) -> Family:
    """The parents and children of a job, with their states."""
    bonds = store.bonds(job.queue, [job.id], MOST_SHOWN)[0]
    parents = _parents(job, bonds.pending)
    names = [*parents[:MOST_SHOWN], *bonds.children]
    states = dict(zip(names, store.jobs.load(job.queue, names), strict=True)) if names else {}

    def relative(name: str, *, pending: bool) -> Relative:
        found = states[name]
        return Relative(name, None if found is None else found.status, pending=pending)

    return Family(
        [relative(name, pending=name in bonds.pending) for name in parents[:MOST_SHOWN]],
        [relative(name, pending=True) for name in bonds.children],
        len(parents),
        bonds.children_total,
    )


def _parents(job: Job, pending: Sequence[str]) -> list[str]:
    """The parents in the record, then those that are only in the set of pending parents."""
    stored = job.get("depends_on")
    named = [*map(str, stored)] if isinstance(stored, list) else [str(stored)] if stored else []
    return list(dict.fromkeys([*named, *pending]))


def tree_of(store: Store, job: Job) -> Tree:
    """The ancestors and descendants of a job, at most MOST_NODES jobs."""
    found: dict[str, TreeNode] = {}
    is_whole = True
    for upwards in (True, False):
        level = [job.id]
        while level:
            taken = level if level == [job.id] else level[: MOST_NODES - len(found)]
            is_whole = is_whole and len(taken) == len(level)
            nodes = _nodes(store, job.queue, taken)
            is_whole = is_whole and all(node.is_whole for node in nodes)
            found |= {node.id: node for node in nodes}
            near = (node.parents if upwards else node.children for node in nodes)
            level = [name for name in dict.fromkeys(n for some in near for n in some) if name not in found]
    return Tree(job.queue, job.id, found, _cycles(found), is_whole)


def _nodes(store: Store, queue: str, names: Sequence[str]) -> list[TreeNode]:
    nodes = []
    for some in chunked(names, MOST_SHOWN):
        jobs = store.jobs.load(queue, some)
        for name, job, bonds in zip(some, jobs, store.bonds(queue, some, MOST_SHOWN), strict=True):
            parents = [*bonds.pending] if job is None else _parents(job, bonds.pending)
            nodes.append(
                TreeNode(
                    name,
                    None if job is None else job.status,
                    None if job is None else job.task_id,
                    parents[:MOST_SHOWN],
                    bonds.children,
                    is_whole=len(parents) <= MOST_SHOWN and bonds.children_total <= len(bonds.children),
                )
            )
    return nodes


def _cycles(found: Mapping[str, TreeNode]) -> list[list[str]]:
    """The rings of jobs that wait for each other, each ring once. Such jobs can never run."""
    rings: dict[frozenset[str], list[str]] = {}
    done: set[str] = set()
    for start in found:
        path: list[str] = []
        stack = [(start, 0)]
        while stack:
            name, step = stack.pop()
            if step == 0:
                if name in path:
                    ring = path[path.index(name) :]
                    rings.setdefault(frozenset(ring), ring)
                    continue
                if name in done or name not in found:
                    continue
                path.append(name)
            parents = found[name].parents
            if step < len(parents):
                stack += [(name, step + 1), (parents[step], 0)]
            else:
                done.add(path.pop())
    return list(rings.values())
