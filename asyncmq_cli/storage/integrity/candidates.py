"""Find jobs that may be damaged: the candidates of the doctor's first pass.

Each walk reads one collection in chunks, and checks for each chunk that the other collections agree with it.
It yields the ids of jobs for which data is missing or contradictory. A healthy job that moves at that moment
may be among them, so every candidate is read again as evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.findings import Samples
from asyncmq_cli.models.values import DEAD_STATES, ENDED_STATES, WAITING_CHILDREN, as_number
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import pack, pack_for_names
from asyncmq_cli.storage.integrity.probes import Probes, parent_states, parents_of
from asyncmq_cli.storage.read import pieces
from asyncmq_cli.storage.read.locate import expected_members
from asyncmq_cli.storage.read.pieces import Piece, SeenNames
from asyncmq_cli.storage.schema.codec import named_member, outlines
from asyncmq_cli.storage.schema.job import (
    PENDING_STATES,
    RawJob,
    add_record,
    effective_state,
    has_unreadable_arguments,
)
from asyncmq_cli.storage.schema.keys import PLACES, QueueKeys, to_bytes, to_text

_REMEMBERED = 1_000_000
"""At most this many ids of a sorted set are remembered, each by a hash, to find repeated ids."""


class QueueWalk:
    """The walks through one queue. Damage that is not about a job is only counted, with samples: keys of
    records with the wrong type, and the beginnings of members of the delayed set and the dead-letter queue
    that contain no job."""

    def __init__(self, client: redis.Redis, queue: str) -> None:
        self._redis = client
        self._keys = QueueKeys(queue)
        self._probes = Probes(client, queue)
        self._wrong: set[str] = set()
        # By sorted set, the jobs that it contains as whole members, as far as it was walked.
        self._held = {place: SeenNames() for place in PLACES}
        self._walked: set[str] = set()
        self.wrong_records = Samples()
        self.unreadable = {"delayed": Samples(), "dlq": Samples()}

    def walks(self) -> dict[str, Callable[[], Iterator[list[str]]]]:
        """The walks, by the collection that they read. Iterating a walk may raise WrongType."""
        return {
            "ids": self.by_ids,
            "states": self.by_states,
            "waiting": self.by_waiting,
            "delayed": self.by_delayed,
            "dlq": self.by_dlq,
            "cancelled": self.by_cancelled,
            "active": self.by_active,
            "heartbeats": self.by_heartbeats,
            "results": self.by_results,
        }

    def places_of(self, job_ids: Iterable[str]) -> list[str]:
        """The sorted sets that may contain any of these jobs as a whole member: those in which a walk found
        one, and those that no walk has read to the end."""
        # The walks do not remember an empty id, so each set may contain it.
        names = list(map(to_bytes, job_ids))
        return [
            place
            for place, held in self._held.items()
            if place not in self._walked or b"" in names or any(name in held for name in names)
        ]

    def _remember(self, place: str, names: Sequence[bytes]) -> None:
        held = self._held[place]
        if held.count < _REMEMBERED:
            held.new(names)

    def _has_walked(self, place: str) -> None:
        if self._held[place].count < _REMEMBERED:
            self._walked.add(place)

    def by_ids(self) -> Iterator[list[str]]:
        """Jobs without a record, and jobs that are not where their state says."""
        source = self._with_records(map(Piece, scan.set_members(self._redis, self._keys.ids)))
        checks = (_PlaceCheck(self._keys, piece) for piece in source)
        for check, replies in pieces.asked_ahead(self._redis, checks, _PlaceCheck.commands):
            # A record of the wrong type is treated as missing.
            yield [*self._recordless(check.recordless), *check.out_of_place(self._probes, replies)]

    def by_states(self) -> Iterator[list[str]]:
        """States of jobs that are not in the ids set."""
        return self._outside_ids(scan.hash_fields(self._redis, self._keys.states))

    def by_waiting(self) -> Iterator[list[str]]:
        """Ids whose record a worker could not run, and jobs that would run more than once. A member that
        contains a whole job needs no record."""
        seen: set[int] = set()
        for piece in self._with_records(self._waiting()):
            pairs = zip(piece.ids, piece.members, strict=True)
            held = [name for name, member in pairs if name != member]
            self._remember("waiting", held)
            whole = list(map(to_text, held))
            yield [
                *self._unrunnable(piece),
                *self._repeated(whole, seen),
                *_in_state(piece, ("active", "delayed", *ENDED_STATES).__contains__),
            ]
        self._has_walked("waiting")

    def by_delayed(self) -> Iterator[list[str]]:
        """Delayed jobs without a record, and jobs that would run more than once."""
        seen: set[int] = set()
        for piece, without_record in self._stated(self._whole_members("delayed")):
            called = _in_state(piece, ("active", "waiting", *ENDED_STATES).__contains__)
            yield [*without_record, *self._repeated(list(map(to_text, piece.ids)), seen), *called]
        self._has_walked("delayed")

    def by_dlq(self) -> Iterator[list[str]]:
        """Dead letters of jobs without a record, or whose state is not failed or expired."""
        for piece, without_record in self._stated(self._whole_members("dlq")):
            yield [*without_record, *_in_state(piece, lambda state: state not in DEAD_STATES)]
        self._has_walked("dlq")

    def by_cancelled(self) -> Iterator[list[str]]:
        """Cancel marks of jobs that have no record or have not ended."""
        marked = map(Piece, scan.set_members(self._redis, self._keys.cancelled))
        for piece, without_record in self._stated(marked):
            yield [*without_record, *_in_state(piece, lambda state: state not in ENDED_STATES)]

    def by_active(self) -> Iterator[list[str]]:
        """Claims of jobs that have no record or have ended."""
        for piece, without_record in self._stated(pieces.claimed(self._redis, self._keys)):
            yield [*without_record, *_in_state(piece, lambda state: state in ENDED_STATES)]

    def by_heartbeats(self) -> Iterator[list[str]]:
        """Heartbeats of jobs that are not claimed. Older workers store their own heartbeats in the same
        hash."""
        for fields in scan.hash_fields(self._redis, self._keys.heartbeats):
            names = [name for name, value in fields.items() if as_number(to_text(value)) is not None]
            claims = scan.hash_get(self._redis, self._keys.active, names)
            yield [to_text(name) for name, claim in zip(names, claims, strict=True) if claim is None]

    def by_results(self) -> Iterator[list[str]]:
        """Results of jobs that are not in the ids set."""
        return self._outside_ids(scan.hash_fields(self._redis, self._keys.results))

    def _with_records(self, source: Iterable[Piece]) -> Iterator[Piece]:
        stated = pieces.with_states(self._redis, self._keys, source)
        return pieces.with_records(self._redis, self._keys, stated, results=False)

    def _stated(self, source: Iterable[Piece]) -> Iterator[tuple[Piece, list[str]]]:
        """The same pieces with their states, and the jobs of each that have no record. Jobs in the ids set
        are not among these, because the walk through that set finds them."""

        def commands(piece: Piece) -> list[tuple[bytes, bytes]]:
            states = (self._keys.states, pack_for_names((b"HMGET", self._keys.states), piece.ids))
            return [states, self._of_ids(piece.ids)]

        filled = (piece for piece in source if piece.ids)
        for piece, (states, inside) in pieces.asked_ahead(self._redis, filled, commands):
            if isinstance(states, WrongType):
                raise states
            piece.states = states
            if isinstance(inside, WrongType):
                inside = [0] * len(piece.ids)
            yield piece, self._recordless(_outside(piece.ids, inside))

    def _of_ids(self, names: Sequence[bytes]) -> tuple[bytes, bytes]:
        return self._keys.ids, pack_for_names((b"SMISMEMBER", self._keys.ids), names)

    def _waiting(self) -> Iterator[Piece]:
        """The members of the waiting set. A member that is only an id is not kept a second time."""
        for members in scan.zset_members(self._redis, self._keys.waiting):
            jobs = [(member, named_member(member)) for member, _ in members]
            named = [
                (member if job is None else to_bytes(str(job["id"])), member)
                for member, job in jobs
                if job is None or job.get("id") is not None
            ]
            yield Piece([name for name, _ in named], members=[member for _, member in named])

    def _whole_members(self, place: str) -> Iterator[Piece]:
        for piece in pieces.scanned(self._redis, self._keys, place):
            chosen: list[int] = []
            for i, (name, member) in enumerate(zip(piece.ids, piece.members, strict=True)):
                # If it has no name, it contains no job, or a job with an empty id.
                if name or (named_member(member) or {}).get("id") is not None:
                    chosen.append(i)
                else:
                    self.unreadable[place].add(to_text(member[:60]))
            named = piece.only(chosen)
            self._remember(place, named.ids)
            yield named

    def _outside_ids(self, source: Iterable[Mapping[bytes, bytes]]) -> Iterator[list[str]]:
        """The jobs of a hash that are not in the ids set."""
        found = (list(fields) for fields in source if fields)
        for names, (inside,) in pieces.asked_ahead(self._redis, found, lambda names: [self._of_ids(names)]):
            if isinstance(inside, WrongType):
                raise inside
            outside = _outside(names, inside)
            self._recordless(outside)
            yield outside

    def _without_record(self, job_ids: Sequence[str]) -> list[str]:
        """The jobs without a record, except those in the ids set, which the walk through that set finds."""
        try:
            inside = self._probes.in_ids(job_ids)
        except WrongType:
            inside = [False] * len(job_ids)
        return self._recordless([job_id for job_id, is_in in zip(job_ids, inside, strict=True) if not is_in])

    def _recordless(self, job_ids: Sequence[str]) -> list[str]:
        """The jobs without a record. Records of the wrong type are counted."""
        types = self._probes.record_types(job_ids)
        for job_id, kind in zip(job_ids, types, strict=True):
            if kind not in (b"none", b"string"):
                self._add_wrong(job_id)
        return [job_id for job_id, kind in zip(job_ids, types, strict=True) if kind == b"none"]

    def _add_wrong(self, job_id: str) -> None:
        # The job may be in several collections.
        if job_id not in self._wrong:
            self._wrong.add(job_id)
            self.wrong_records.add(to_text(self._keys.record(job_id)))

    def _unrunnable(self, piece: Piece) -> Iterator[str]:
        """Waiting jobs that a worker would drop, cannot run, or whose record says that they have ended."""
        recordless: list[str] = []
        split: list[RawJob] = []
        for name, member, record in zip(piece.ids, piece.members, piece.records, strict=True):
            raw = RawJob(id=to_text(name))
            add_record(raw, record)
            if record is None:
                # A member that holds a whole job needs no record.
                recordless += [raw.id] if name == member else []
            elif raw.record is None or raw.record.get("status") in ENDED_STATES:
                yield raw.id
            elif "args" not in raw.record or "kwargs" not in raw.record:
                split.append(raw)
        yield from self._argumentless(split)
        yield from self._without_record(recordless)

    def _argumentless(self, raws: Sequence[RawJob]) -> Iterator[str]:
        coming = iter(raws)
        for payloads in scan.strings(self._redis, [self._keys.payload(raw.id) for raw in raws], scan.Pace()):
            for payload, raw in zip(payloads, coming, strict=False):
                if has_unreadable_arguments(raw.record or {}, payload):
                    yield raw.id

    def _repeated(self, job_ids: Sequence[str], seen: set[int]) -> Iterator[str]:
        """The jobs that are twice in a sorted set, or whose id alone is also in the waiting set."""
        for job_id, waits in zip(job_ids, self._probes.waits_by_id(job_ids), strict=True):
            number = hash(job_id)
            if number in seen or waits:
                yield job_id
            if len(seen) < _REMEMBERED:
                seen.add(number)


def _outside(names: Sequence[bytes], inside: Sequence[int]) -> list[str]:
    return [to_text(name) for name, is_in in zip(names, inside, strict=True) if not is_in]


def _in_state(piece: Piece, contradicts: Callable[[str | None], bool]) -> list[str]:
    """The jobs whose entry in the states hash contradicts the place in which they were found."""
    states = (None if state is None else to_text(state) for state in piece.states)
    return [to_text(name) for name, state in zip(piece.ids, states, strict=True) if contradicts(state)]


_PLACED = frozenset({None, "waiting", "wait", "delayed", "active", *ENDED_STATES})
_ENDED_BADLY = frozenset({None, *ENDED_STATES} - {"completed"})


class _PlaceCheck:
    """Checks whether the jobs of a piece are in the places that their states require. `recordless` are the
    jobs that have no record and are not checked."""

    def __init__(self, keys: QueueKeys, piece: Piece) -> None:
        self._keys = keys
        self._records: dict[str, bytes] = {}
        self._states: dict[str, str | None] = {}
        self.recordless: list[str] = []
        for name, record, state in zip(piece.ids, piece.records, piece.states, strict=True):
            job_id = to_text(name)
            if record is None:
                self.recordless.append(job_id)
            else:
                self._records[job_id] = record
                self._states[job_id] = None if state is None else to_text(state)
        self._active = [job_id for job_id, state in self._states.items() if state == "active"]
        self._waiting = [
            job_id for job_id, state in self._states.items() if state in (None, "waiting", "wait")
        ]
        placed = {job: state for job, state in self._states.items() if state in ("delayed", *DEAD_STATES)}
        self._placed = _ByRecord(self._records, placed, set())

    def commands(self) -> list[tuple[bytes, bytes]]:
        """What to ask of Redis, for `asked_ahead`."""
        asked = [
            (self._keys.active, b"HMGET", self._active),
            (self._keys.waiting, b"ZMSCORE", self._waiting),
        ]
        commands = [
            (key, pack_for_names((name, key), list(map(to_bytes, job_ids))))
            for key, name, job_ids in asked
            if job_ids
        ]
        return commands + self._placed.commands(self._keys)

    def out_of_place(self, probes: Probes, replies: Sequence[Any]) -> Iterator[str]:
        """The ids of the jobs that are not in their places; some may be repeated. `replies` are those to the
        commands. Raises WrongType."""
        for reply in replies:
            if isinstance(reply, WrongType):
                raise reply
        coming = iter(replies)
        claims = next(coming) if self._active else ()
        scores = next(coming) if self._waiting else ()
        yield from (job_id for job_id, claim in zip(self._active, claims, strict=True) if claim is None)
        # A job with an unknown state is always a candidate.
        yield from (job_id for job_id, state in self._states.items() if state not in _PLACED)
        absent = {job_id for job_id, score in zip(self._waiting, scores, strict=True) if score is None}
        rest = {job: state for job, state in self._states.items() if state is None or job in absent}
        yield from self._placed.out_of_place(probes, list(coming))
        if rest:
            check = _ByRecord(self._records, rest, absent)
            ((_, replies),) = pieces.asked_ahead(probes.client, [self._keys], check.commands)
            yield from check.out_of_place(probes, replies)


class _ByRecord:
    """Checks jobs whose state or place depends on their record. `absent` are those that are not in the
    waiting set, although their state may require it."""

    def __init__(
        self, records: Mapping[str, bytes], states: Mapping[str, str | None], absent: Collection[str]
    ) -> None:
        self._elsewhere: list[str] = []
        self._children: dict[str, bytes] = {}
        self._members: dict[str, list[tuple[str, bytes]]] = {"delayed": [], "dlq": []}
        """By sorted set, the members that AsyncMQ writes together with the records, with the job of each."""
        heads = outlines([records[job_id] for job_id in states])
        for (job_id, state), head in zip(states.items(), heads, strict=True):
            status = effective_state(state, head, None)
            if status == WAITING_CHILDREN:
                self._children[job_id] = records[job_id]
            elif status == "delayed" or status in DEAD_STATES:
                place = "delayed" if status == "delayed" else "dlq"
                members = expected_members(records[job_id], place)
                self._members[place] += [(job_id, member) for member in members]
            elif _lies_elsewhere(status, job_id in absent):
                self._elsewhere.append(job_id)

    def commands(self, keys: QueueKeys) -> list[tuple[bytes, bytes]]:
        """What to ask of Redis, for `asked_ahead`."""
        return [
            (getattr(keys, place), pack(b"ZMSCORE", getattr(keys, place), *(member for _, member in pairs)))
            for place, pairs in self._members.items()
            if pairs
        ]

    def out_of_place(self, probes: Probes, replies: Sequence[Any]) -> Iterator[str]:
        """The ids of the jobs that are not where they should be. `replies` are those to the commands. Raises
        WrongType."""
        yield from self._elsewhere
        asked = [pairs for pairs in self._members.values() if pairs]
        for pairs, scores in zip(asked, replies, strict=True):
            if isinstance(scores, WrongType):
                raise scores
            listed = {job_id for (job_id, _), score in zip(pairs, scores, strict=True) if score is not None}
            yield from {job_id: None for job_id, _ in pairs if job_id not in listed}
        yield from _waiting_in_vain(probes, self._children)


def _lies_elsewhere(status: str, is_absent: bool) -> bool:
    """Whether a job with this state is not where it should be. `is_absent` says that it is not in the waiting
    set."""
    if status in PENDING_STATES:
        return is_absent
    return status == "active" or status not in _PLACED


def _waiting_in_vain(probes: Probes, children: Mapping[str, bytes]) -> Iterator[str]:
    """The jobs whose parents have all completed, or that have a parent which failed or is gone; and jobs
    whose arguments may be damaged."""
    raws = {job_id: RawJob(id=job_id) for job_id in children}
    for job_id, raw in raws.items():
        add_record(raw, children[job_id])
    wanted = {job_id: parents_of(raw.record) for job_id, raw in raws.items()}
    states = parent_states(probes, chain.from_iterable(wanted.values()))
    for job_id, raw in raws.items():
        of_them = {states[parent] for parent in wanted[job_id]}
        in_vain = of_them <= {"completed"} or not of_them.isdisjoint(_ENDED_BADLY)
        if in_vain or "args" not in (raw.record or {}) or "kwargs" not in (raw.record or {}):
            yield job_id
