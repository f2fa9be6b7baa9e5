"""Read and change repeatable definitions. Source: asyncmq.core.repeatables, and the methods for repeatables
in asyncmq.backends.redis.

A queue has few definitions, and its scheduler loads all of them in each round. Here they are read in chunks.
For sorting, up to HELD_BYTES of them are kept in memory; of the others, only a digest.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import redis
from msgspec import Struct

from asyncmq_cli.errors import ChangeRefused, WrongType
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.schema.codec import decode_member, dumps
from asyncmq_cli.storage.schema.keys import AUDIT_STREAM, QueueKeys, to_text
from asyncmq_cli.storage.write import preflight
from asyncmq_cli.storage.write.scripts import REPEATABLE_REPLACE, WRONG_TYPE, Scripts

if TYPE_CHECKING:
    from asyncmq_cli.storage.write.audit_stream import AuditLog, EventDraft

# The return codes of the script, as its header gives them.
MOVED = -1
SCHEDULER_AT_WORK = -2

# Keys of a definition that are not part of its identity.
_EPHEMERAL = frozenset(
    {"id", "next_run", "paused", "queue", "queue_name", "repeat_id", "status", "_last_run"}
)
IDENTITY_PREFIX = "repeatable:"

Place = tuple[float, bytes]
"""The sort key of a member: its score, then its text."""
HELD_BYTES = 8 * 1024 * 1024
"""Bytes of members kept to sort them, or up to twice as many. A queue with more is read again for each so
many."""


class NotNow(ChangeRefused):
    """The definitions were changed concurrently. Nothing was written; retrying is safe."""


class Member(Struct, frozen=True):
    """One member of a queue's repeatables, byte for byte. `score` is its next run in epoch seconds.

    If the member cannot be read, `definition` is None and `problem` says why.
    """

    raw: bytes
    score: float
    id: str = ""
    definition: Mapping[str, Any] | None = None
    problem: str | None = None

    @property
    def place(self) -> Place:
        return self.score, self.raw

    @property
    def digest(self) -> bytes:
        """A short hash that identifies the member."""
        return digest_of(self.raw)

    @property
    def paused(self) -> bool:
        """Whether the definition is paused; False if it cannot be read."""
        return self.definition is not None and bool(self.definition.get("paused", False))


class Found(Struct, frozen=True):
    """The members of one definition, next run first. `count` is the number of all members in the queue."""

    queue: str
    count: int
    members: Sequence[Member]


class Repeatables:
    """Reads a queue's definitions, and changes one at a time."""

    def __init__(self, client: redis.Redis, scripts: Scripts, audit: AuditLog) -> None:
        self._redis = client
        self._scripts = scripts
        self._audit = audit
        self._allowed: set[str] = set()

    def each(self, queue: str) -> Iterator[Member]:
        """Yield every definition once, in the order found. Raises WrongType."""
        seen: set[bytes] = set()
        for piece in scan.zset_members(self._redis, QueueKeys(queue).repeatables):
            for raw, score in piece:
                # A scan may return a member twice.
                digest = digest_of(raw)
                if digest not in seen:
                    seen.add(digest)
                    yield _member((score, raw))

    def in_order(self, queue: str) -> Iterator[tuple[Member, int]]:
        """Yield every member, next run first, with the number of times that its definition is stored. Raises
        WrongType.

        If the queue has more than HELD_BYTES of definitions, a member whose score changes during the read may
        be yielded twice or not at all.
        """
        stored: Counter[str] | None = None
        for places, are_all in _in_order(self._redis, queue):
            if stored is None:
                all_members = map(_member, places) if are_all else self.each(queue)
                stored = Counter(member.id for member in all_members)
            for member in map(_member, places):
                yield member, stored[member.id]

    def find(self, queue: str, wanted: str) -> Found:
        """The members with this identity, if any. Raises WrongType."""
        count = 0
        members = []
        for member in self.each(queue):
            count += 1
            if member.id == wanted:
                members.append(member)
        return Found(queue, count, sorted(members, key=lambda member: member.place))

    def require_idle_scheduler(self, queue: str) -> None:
        """Raise NotNow if a scheduler is advancing the queue's definitions. It removes a definition before it
        adds it again, so a definition may be missing for a moment."""
        if self._redis.exists(QueueKeys(queue).scheduler_lock):
            raise scheduler_at_work(queue)

    def replace(self, found: Found, member: str | bytes | None, next_run: float, draft: EventDraft) -> None:
        """Replace the members that were found by `member`, or delete them if it is None. Raises NotNow and
        WrongType."""
        keys = QueueKeys(found.queue)
        used = [keys.repeatables, keys.scheduler_lock, AUDIT_STREAM]
        if found.queue not in self._allowed:
            preflight.check(self._redis, REPEATABLE_REPLACE, used)
            self._allowed.add(found.queue)
        listed = [part for one in found.members for part in (one.raw, repr(one.score))]
        args = [found.count, member or "", repr(next_run), self._audit.maxlen, draft.encode()]
        reply = self._scripts.run(REPEATABLE_REPLACE, used, [*args, len(listed), *listed])
        if reply[0] == WRONG_TYPE:
            raise WrongType(used[reply[1] - 1])
        if reply[0] == SCHEDULER_AT_WORK:
            raise scheduler_at_work(found.queue)
        if reply[0] == MOVED:
            raise NotNow(
                "repeatable_moved",
                f"the repeatables of {found.queue!r} keep changing; nothing was changed",
            )


def scheduler_at_work(queue: str) -> NotNow:
    """The error for a queue whose scheduler holds its lock."""
    lock = to_text(QueueKeys(queue).scheduler_lock)
    return NotNow(
        "scheduler_at_work",
        f"the scheduler of {queue!r} is at work on its repeatables; nothing was changed",
        facts={"lock": lock},
    )


def read(client: redis.Redis, queue: str) -> Iterator[Member]:
    """Yield every member, next run first, in the order of `Repeatables.in_order`."""
    for places, _ in _in_order(client, queue):
        yield from map(_member, places)


def _in_order(client: redis.Redis, queue: str) -> Iterator[tuple[list[Place], bool]]:
    """Yield the members in order, in batches of HELD_BYTES, and whether the batch has all members."""
    after: Place | None = None
    rest = True
    while rest:
        held, rest = _next_after(client, queue, after)
        if held:
            yield held, after is None and not rest
            after = held[-1]


def _next_after(client: redis.Redis, queue: str, after: Place | None) -> tuple[list[Place], bool]:
    """The first members after `after`, and whether there are more."""
    held: dict[bytes, float] = {}
    size = 0
    last: Place | None = None
    for piece in scan.zset_members(client, QueueKeys(queue).repeatables):
        for raw, score in piece:
            if (after is None or (score, raw) > after) and (last is None or (score, raw) < last):
                # A scan may return a member twice; use its later score.
                size += 0 if raw in held else len(raw)
                held[raw] = score
        if size > 2 * HELD_BYTES:
            places = _first_of(held)
            last = places[-1]
            held = {raw: score for score, raw in places}
            size = sum(map(len, held))
    return _sorted(held), last is not None


def _first_of(held: Mapping[bytes, float]) -> list[Place]:
    """The first HELD_BYTES of the members, but at least one member."""
    places = _sorted(held)
    sizes = accumulate(len(raw) for _, raw in places)
    return [place for place, size in zip(places, sizes, strict=True) if size <= HELD_BYTES] or places[:1]


def _sorted(held: Mapping[bytes, float]) -> list[Place]:
    return sorted((score, raw) for raw, score in held.items())


def digest_of(raw: bytes) -> bytes:
    return hashlib.sha1(raw, usedforsecurity=False).digest()


def normalized(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition without keys that change from run to run, and without nulls."""
    clean = {key: value for key, value in definition.items() if key not in _EPHEMERAL and value is not None}
    if "task" in clean and "task_id" not in clean:
        clean["task_id"] = clean.pop("task")
    return clean


def identity(definition: Mapping[str, Any]) -> str:
    """The id of a definition: `repeatable:` and the SHA-1 of its canonical JSON."""
    canonical = json.dumps(normalized(definition), sort_keys=True, separators=(",", ":"))
    return IDENTITY_PREFIX + hashlib.sha1(canonical.encode(), usedforsecurity=False).hexdigest()


def encode(definition: Mapping[str, Any], *, paused: bool) -> str:
    """The member that AsyncMQ stores for a definition, with the keys in the definition's order.

    Source: `_store_repeatable` and `pause_repeatable` in asyncmq.backends.redis.
    """
    clean = normalized(definition)
    return dumps({**clean, "paused": True} if paused else clean)


def _member(place: Place) -> Member:
    score, raw = place
    definition = decode_member(raw)
    if definition is None:
        return Member(raw, score, problem=f"a definition is not a JSON object ({len(raw)} bytes)")
    try:
        return Member(raw, score, identity(definition), definition)
    except RecursionError:
        return Member(raw, score, problem=f"a definition is nested too deeply ({len(raw)} bytes)")
