"""Whom a job waits for and who waits for it, one step away or as far as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.models.jobs import Family, Relative, Tree, TreeNode
from asyncmq_cli.models.values import chunked

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store

MOST_SHOWN = 100
"""Parents, and children, of one job that are read."""
MOST_NODES = 200
"""Jobs of one tree."""


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
    """The parents in the record (unchanged if they are not a list), then those that are only in the set."""
    stored = job.get("depends_on")
    named = [*map(str, stored)] if isinstance(stored, list) else [str(stored)] if stored else []
    return list(dict.fromkeys([*named, *pending]))


def tree_of(store: Store, job: Job) -> Tree:
    """The ancestors of a job and its descendants, up to a bound."""
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
    """Jobs that wait for each other, each ring once: none of them can ever run."""
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
