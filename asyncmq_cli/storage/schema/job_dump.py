"""All that Redis holds of one job, byte for byte: what a removal takes away and a restore puts back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from asyncmq_cli.storage.schema.keys import to_bytes

Members = tuple[tuple[bytes, float], ...]
"""Of a sorted set, each with its score."""


@dataclass(frozen=True, slots=True)
class JobDump:
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

    def waiting_at(self, score: float) -> JobDump:
        """The same job, as it is before a worker claims it."""
        held = ((self.id, score),)
        return replace(self, state=b"waiting", claim=None, heartbeat=None, in_ids=True, waiting=held)

    @property
    def values(self) -> tuple[bytes | None, ...]:
        """In the order of the scripts' arguments."""
        return (self.state, self.record, self.payload, self.result, self.claim, self.heartbeat)

    @property
    def places(self) -> tuple[Members, ...]:
        """The members of the waiting set, the delayed set and the dead-letter queue."""
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
