"""Everything that Redis stores about a job, byte for byte: what a removal deletes, and what an edit
replaces."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli.storage.schema.keys import to_bytes

Members = tuple[tuple[bytes, float], ...]
"""Members of a sorted set, each with its score."""


class JobDump(Struct, frozen=True):
    """Everything stored about a job. A value that does not exist is None. `claim` and `heartbeat` are the
    job's entries in the active hash and the heartbeats hash. `pending` are the parents that it waits for,
    `children` the jobs that wait for it, and `parents` the jobs whose sets of children contain it."""

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
        """The same job, unclaimed and in the waiting set with this score."""
        held = ((self.id, score),)
        return replace(self, state=b"waiting", claim=None, heartbeat=None, in_ids=True, waiting=held)

    @property
    def values(self) -> tuple[bytes | None, ...]:
        """The values in the order of the scripts' arguments."""
        return (self.state, self.record, self.payload, self.result, self.claim, self.heartbeat)

    @property
    def places(self) -> tuple[Members, ...]:
        """The members of the waiting set, the delayed set and the dead-letter queue."""
        return (self.waiting, self.delayed, self.dlq)

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        texts = [value for value in self.values if value is not None]
        texts += [member for members in self.places for member, _ in members]
        return sum(map(len, [*texts, *self.pending, *self.children, *self.parents]))

    def digest(self, asked_parents: Sequence[str]) -> str:
        """The digest that remove.lua compares. It covers the sets of children of the parents in
        `asked_parents`."""
        held = frozenset(self.parents)
        flags = [self.in_ids, self.cancelled, *(to_bytes(parent) in held for parent in asked_parents)]
        pieces = [b"-" if value is None else b"%d:%b" % (len(value), value) for value in self.values]
        pieces += [b"%d" % flag for flag in flags]
        return hashlib.sha1(b",".join(pieces), usedforsecurity=False).hexdigest()


class Texts(Struct, frozen=True):
    """The texts of a job that an edit can replace: its member of a sorted set, its record, and its payload
    part, b"" for none. In the waiting set, the member is usually the id."""

    member: bytes
    record: bytes
    payload: bytes = b""

    @property
    def size(self) -> int:
        """The size in bytes. A text that is stored twice counts once."""
        return sum(map(len, {self.member, self.record, self.payload}))

    @property
    def digest(self) -> str:
        """A digest that is equal for equal texts."""
        return hashlib.sha256(b"\n".join((self.member, self.record, self.payload))).hexdigest()


class DeadLetter(Struct, frozen=True):
    """The other data of a dead job: the score of its dead letter, its state and its result (None for none),
    and whether it is in the ids set."""

    score: float
    state: bytes | None
    result: bytes | None
    in_ids: bool


class JobEdit(Struct, frozen=True):
    """An edit of a job. `place` is the sorted set in which the job was found. If the same change also retried
    the job, `retried` has its data as a dead job."""

    queue: bytes
    id: bytes
    place: str
    before: Texts
    after: Texts
    retried: DeadLetter | None = None

    @property
    def reversed(self) -> JobEdit:
        """The edit that undoes this one, if the job was not retried."""
        return JobEdit(self.queue, self.id, self.place, self.after, self.before)

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        return sum(len(t.member) + len(t.record) + len(t.payload) for t in (self.before, self.after))
