"""Whether a group of failures that was named is there at all, and only one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from asyncmq_cli.errors import AmbiguousGroup, GroupNotFound
from asyncmq_cli.services.groups import grouped

if TYPE_CHECKING:
    from asyncmq_cli.models.job_lists import JobFilter
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.services.matching import Matcher
    from asyncmq_cli.storage.store import Store


def of_known_group(
    store: Store, queue: str, wanted: JobFilter, matches: Matcher, jobs: Iterable[Job]
) -> Iterator[Job]:
    """The jobs that match. Where there are none, the dead-letter queue is asked for the group that the
    filter names: GroupNotFound, with the nearest ids, is raised for one that there is not; and
    AmbiguousGroup once there are jobs of two."""
    matching = filter(matches, jobs)
    if not wanted.group.strip():
        return matching
    return _or_raise(store, queue, wanted.group.strip().lower(), matches, matching)


def _or_raise(
    store: Store, queue: str, group: str, matches: Matcher, matching: Iterable[Job]
) -> Iterator[Job]:
    found = False
    for job in matching:
        if len(matches.groups) > 1:
            break
        found = True
        yield job
    if len(matches.groups) > 1:
        raise AmbiguousGroup(queue, group, sorted(matches.groups))
    if found:
        return
    _, left_out, groups = grouped(store.jobs.dead_causes(queue))
    ids = [each.id for each in groups]
    if not left_out and not any(each.startswith(group) for each in ids):
        raise GroupNotFound(queue, group, _nearest(group, ids))


def _nearest(group: str, ids: list[str]) -> list[str]:
    """At most three. An id may be given by its beginning alone, so beginnings are compared."""
    from difflib import get_close_matches

    by_start: dict[str, list[str]] = {}
    for each in ids:
        by_start.setdefault(each[: len(group)], []).append(each)
    near = get_close_matches(group, by_start, n=3, cutoff=0.6)
    return [each for start in near for each in by_start[start]][:3]
