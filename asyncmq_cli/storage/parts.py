"""All that Redis holds of one job, byte for byte: what a removal takes away and a restore puts back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.errors import AdminError, ChangeRefused
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import QueueKeys, to_bytes

if TYPE_CHECKING:
    from asyncmq_cli.storage.locate import Location

Members = tuple[tuple[bytes, float], ...]

MOST_RELATIVES = 10_000
"""A script that compares or writes larger sets would hold Redis up."""


@dataclass(frozen=True, slots=True)
class Parts:
    """None is what is not there; an empty value is there. `claim` and `heartbeat` are the job's
    entries in the active and heartbeats hashes. `pending` are the parents that it waits for,
    `children` the jobs that wait for it, and `parents` those in whose sets of children it is."""

    queue: bytes
    id: bytes
    state: bytes | None = None
    record: bytes | None = None
    payload: bytes | None = None
    result: bytes | None = None
    claim: bytes | None = None
    heartbeat: bytes | None = None
    in_ids: bool = False
    cancelled: bool = False
    waiting: Members = ()
    delayed: Members = ()
    dlq: Members = ()
    pending: tuple[bytes, ...] = ()
    children: tuple[bytes, ...] = ()
    parents: tuple[bytes, ...] = ()

    @property
    def values(self) -> tuple[bytes | None, ...]:
        """In the order of the scripts' arguments."""
        return (self.state, self.record, self.payload, self.result, self.claim, self.heartbeat)

    @property
    def places(self) -> tuple[Members, ...]:
        return (self.waiting, self.delayed, self.dlq)

    @property
    def size(self) -> int:
        """About how many bytes they are."""
        texts = [value for value in self.values if value is not None]
        texts += [member for members in self.places for member, _ in members]
        return sum(map(len, [*texts, *self.pending, *self.children, *self.parents]))

    def digest(self, asked_parents: Sequence[str]) -> str:
        """What remove.lua must find again; the parents are those whose sets it looks into."""
        held = frozenset(self.parents)
        flags = [self.in_ids, self.cancelled, *(to_bytes(parent) in held for parent in asked_parents)]
        pieces = [b"-" if value is None else b"%d:%b" % (len(value), value) for value in self.values]
        pieces += [b"%d" % flag for flag in flags]
        return hashlib.sha1(b",".join(pieces), usedforsecurity=False).hexdigest()


def read_results(client: redis.Redis, queue: str, job_ids: Sequence[str]) -> list[bytes | None]:
    """Raises WrongType."""
    names = [to_bytes(job_id) for job_id in job_ids]
    return scan.hash_get_many(client, QueueKeys(queue).results, names, scan.Pace(start=8))


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
    questions = [_questions(keys, location) for location in readable]
    pipe: Any = client.pipeline(transaction=False)
    for command in (command for asked in questions for command in asked):
        pipe.execute_command(*command)
    replies = iter(pipe.execute(raise_on_error=False) if readable else ())
    for location, asked, result in zip(readable, questions, results, strict=True):
        try:
            answers = [_settled(command[1], next(replies)) for command in asked]
            location.parts = _parts(client, keys, location, result, answers)
        except AdminError as exc:
            location.problem = exc


def _questions(keys: QueueKeys, location: Location) -> list[tuple[Any, ...]]:
    """The commands, each with its key second, whose answers `_parts` takes in this order."""
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


def _settled(key: bytes, reply: Any) -> Any:
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        raise scan.WrongType(key)
    if isinstance(reply, Exception):
        raise reply
    return reply


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
