"""The jobs that a job waits for, and those that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.schema.keys import QueueKeys, to_text


@dataclass(frozen=True, slots=True)
class Bonds:
    """What the sets of dependencies hold of one job, each up to a bound: `pending` parents, and `children`
    that wait for it, of which there are `children_total`."""

    pending: Sequence[str]
    children: Sequence[str]
    children_total: int


def read_bonds(
    client: redis.Redis, queue: str, job_ids: Sequence[str], most: int, warn: Callable[[WrongType], None]
) -> list[Bonds]:
    """The bonds of these few jobs. `warn` is called for a key that cannot be read."""
    keys = QueueKeys(queue)
    sets = [key for job_id in job_ids for key in (keys.pending_parents(job_id), keys.children(job_id))]
    sizes = run_pipeline(client, [("SCARD", key) for key in sets], keep=WrongType)
    members: list[list[str]] = []
    for key, size in zip(sets, sizes, strict=True):
        if isinstance(size, WrongType):
            warn(size)
        is_empty = isinstance(size, WrongType) or not size
        members.append([] if is_empty else _some(client, key, most))
    totals = [0 if isinstance(size, WrongType) else int(size) for size in sizes]
    return [
        Bonds(members[i], members[i + 1], max(totals[i + 1], len(members[i + 1])))
        for i in range(0, len(sets), 2)
    ]


def _some(client: redis.Redis, key: bytes, most: int) -> list[str]:
    found = (to_text(member) for piece in scan.set_members(client, key) for member in piece)
    return sorted(set(islice(found, most)))
