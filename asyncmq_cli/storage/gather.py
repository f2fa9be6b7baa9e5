"""Gathering all that Redis holds of jobs that were found, for a backup of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from asyncmq_cli.errors import AdminError, ChangeRefused
from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.location import Location
from asyncmq_cli.storage.parts import Parts
from asyncmq_cli.storage.questions import Question, answer, ask
from asyncmq_cli.storage.rewrites import priority_of, record_of

_PRIORITY_STEP = 10**12
MOST_RELATIVES = 10_000
"""A script that compares or writes larger sets would hold Redis up."""


def read_results(client: redis.Redis, queue: str, job_ids: Sequence[str]) -> list[bytes | None]:
    """What the results hash holds of each, as it is. Raises WrongType."""
    names = [to_bytes(job_id) for job_id in job_ids]
    return scan.hash_get_many(client, QueueKeys(queue).results, names, scan.Pace(start=8))


def next_score(client: redis.Redis, queue: str, parts: Parts) -> float:
    """Where a job of the priority in these parts waits behind those that wait now. Raises ChangeRefused
    where its record cannot be read. Source: `enqueue` in asyncmq.backends.redis."""
    job_id = to_text(parts.id)
    record = record_of(Location(queue, job_id, record=parts.record))
    found: Any = client.mget([QueueKeys(queue).waiting_seq])
    number = None if found[0] is None else as_number(to_text(found[0]))
    return float(priority_of(record, job_id) * _PRIORITY_STEP + (number or 0))


def read_parts(client: redis.Redis, queue: str, locations: Sequence[Location]) -> None:
    """Give each of these locations its parts, or the problem with them: a few round trips."""
    keys = QueueKeys(queue)
    readable = [location for location in locations if location.problem is None and location.exists]
    try:
        results = read_results(client, queue, [location.id for location in readable])
    except scan.WrongType as exc:
        for location in readable:
            location.problem = exc
        return
    asked = [_questions(keys, location) for location in readable]
    replies = iter(ask(client, [question for questions in asked for question in questions]))
    for location, questions, result in zip(readable, asked, results, strict=True):
        # All of a job's own, before one of them is found to be a problem.
        of_job = [next(replies) for _ in questions]
        try:
            location.parts = _parts(client, keys, location, result, [answer(reply) for reply in of_job])
        except AdminError as exc:
            location.problem = exc


def _questions(keys: QueueKeys, location: Location) -> list[Question]:
    """Those whose answers `_parts` takes in this order."""
    name = to_bytes(location.id)
    return [
        ("HMGET", keys.active, name),
        ("HMGET", keys.heartbeats, name),
        ("SCARD", keys.pending_parents(location.id)),
        ("SCARD", keys.children(location.id)),
        *(
            ("ZSCORE", getattr(keys, place), member)
            for place, members in location.members.items()
            for member in members
        ),
        *(("SISMEMBER", keys.children(parent), name) for parent in location.parents),
    ]


def _parts(
    client: redis.Redis, keys: QueueKeys, location: Location, result: bytes | None, answers: list[Any]
) -> Parts:
    (claim,), (heartbeat,), pending, children, *rest = answers
    if max(pending, children) > MOST_RELATIVES:
        raise _too_many(location.id)
    scores = iter(rest)
    # A member without a score has left meanwhile. The script looks for it, and will say so.
    places = {
        place: tuple((member, float(score)) for member in members if (score := next(scores)) is not None)
        for place, members in location.members.items()
    }
    return Parts(
        queue=to_bytes(location.queue),
        id=to_bytes(location.id),
        state=None if location.state is None else to_bytes(location.state),
        record=location.record,
        payload=location.payload,
        result=result,
        claim=claim,
        heartbeat=heartbeat,
        in_ids=location.in_ids,
        cancelled=location.cancelled,
        **places,
        pending=_set(client, keys.pending_parents(location.id)) if pending else (),
        children=_set(client, keys.children(location.id)) if children else (),
        parents=tuple(
            to_bytes(parent) for parent, is_in in zip(location.parents, scores, strict=True) if is_in
        ),
    )


def _set(client: redis.Redis, key: bytes) -> tuple[bytes, ...]:
    found: set[bytes] = set()
    for members in scan.set_members(client, key):
        found.update(members)
        if len(found) > MOST_RELATIVES:
            break
    return tuple(sorted(found))


def _too_many(job_id: str) -> AdminError:
    return ChangeRefused(
        "job_too_large",
        f"more than {MOST_RELATIVES:,} jobs wait for job {job_id!r}, which are too many for a backup",
        hint="it can be removed without --backup",
    )
