"""Finding the queue of a job by its id alone, and the jobs that it waits for or that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.pipeline import Command, run_pipeline
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text

_IDS_AT_A_TIME = 100
_ASKED_AT_A_TIME = 20_000
"""Pairs of a queue and an id in one round trip."""


def find_jobs(
    client: redis.Redis, queues: Sequence[str], job_ids: Sequence[str], warn: Callable[[WrongType], None]
) -> dict[str, list[str]]:
    """The queues of each of these jobs, in the order given. The ids set, the states hash, the records, the
    waiting set and the active hash are asked; not those sorted sets that would have to be read. `warn` is
    called for a key that cannot be."""
    found: dict[str, list[str]] = {job_id: [] for job_id in job_ids}
    for some in chunked(list(found), _IDS_AT_A_TIME):
        for part in chunked(queues, max(1, _ASKED_AT_A_TIME // len(some))):
            for queue, job_id in _there(client, part, some, warn):
                found[job_id].append(queue)
    return found


def _there(
    client: redis.Redis, queues: Sequence[str], job_ids: Sequence[str], warn: Callable[[WrongType], None]
) -> Iterator[tuple[str, str]]:
    names = [to_bytes(job_id) for job_id in job_ids]
    commands = [_questions(QueueKeys(queue), job_ids, names) for queue in queues]
    replies = iter(run_pipeline(client, [one for each in commands for one in each], keep=WrongType))
    for queue, each in zip(queues, commands, strict=True):
        answers = [next(replies) for _ in each]
        for problem in answers:
            if isinstance(problem, WrongType):
                warn(problem)
        # One answer by id: of the sets and hashes. The records are asked for one by one.
        lists = [answer for answer in answers[:4] if isinstance(answer, list)]
        for i, job_id in enumerate(job_ids):
            has_record = answers[4 + i] == 1 and QueueKeys(queue).has_own_record(job_id)
            if has_record or any(answer[i] not in (None, 0) for answer in lists):
                yield queue, job_id


def _questions(keys: QueueKeys, job_ids: Sequence[str], names: Sequence[bytes]) -> list[Command]:
    return [
        ("SMISMEMBER", keys.ids, *names),
        ("HMGET", keys.states, *names),
        ("HMGET", keys.active, *names),
        ("ZMSCORE", keys.waiting, *names),
        *(("EXISTS", keys.record(job_id)) for job_id in job_ids),
    ]


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
