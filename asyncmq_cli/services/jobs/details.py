"""Show single jobs with their parents and children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from asyncmq_cli.models.jobs import Family, JobDetail, Relative, Tree, TreeNode
from asyncmq_cli.models.values import chunked
from asyncmq_cli.services.jobs.lookup import job_not_found, require_queue

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store

TIMED = {"delayed": "delayed", "failed": "dlq", "expired": "dlq"}
"""By state, the sorted set whose scores are times: when a job is due, or when it died."""


class JobDetailService:
    """Reads single jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
