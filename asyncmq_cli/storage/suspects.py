"""Walking through a queue for jobs that may be damaged.

Each walk reads one collection in bounded pieces and asks, piece by piece, whether what belongs to
its jobs elsewhere is there. It gives the ids of those of which something is not as it should be.
A healthy job that moves at that moment may be among them, so each needs a closer look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from asyncmq_cli.models.values import WAITING_CHILDREN, as_number
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import CorruptData, decode_member, loads
from asyncmq_cli.storage.evidence import (
    has_unreadable_arguments,
    parent_states,
    parents_of,
    record_types,
)
from asyncmq_cli.storage.hydrate import PENDING_STATES, RawJob, add_record, effective_state
from asyncmq_cli.storage.keys import (
    AUDIT_STREAM,
    DEPENDENCIES_PATTERN,
    METRICS_STREAM,
    PAYLOAD_PATTERN,
    QueueKeys,
    possible_queues,
    to_bytes,
    to_text,
)
from asyncmq_cli.storage.locate import expected_members

ENDED = ("completed", "failed", "expired", "cancelled")
DEAD = ("failed", "expired")
PENDING = ("waiting", "delayed", "active", WAITING_CHILDREN)
_PLACED = frozenset({None, "waiting", "wait", "delayed", "active", *ENDED})
_ENDED_BADLY = frozenset({None, *ENDED} - {"completed"})
_SAMPLES = 5
_AT_A_TIME = 1000
_REMEMBERED = 1_000_000
"""Ids of one sorted set of which it is known whether they came before; a number each."""


@dataclass(slots=True)
class Tally:
    """How many there were, and the first few."""

    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.samples) < _SAMPLES:
            self.samples.append(text)


@dataclass(frozen=True, slots=True)
class Stray:
    """A key beside the records, of a job that has none; or, with `wrong_key`, one of a wrong type."""

    queue: str
    job_id: str
    wrong_key: bytes | None = None


class QueueWalk:
    """The walks through one queue. What they find that is no job at all is tallied: records of a
    wrong type by their keys, and members of the delayed set and of the dead-letter queue that hold
    no job by their beginnings."""

    def __init__(self, client: redis.Redis, queue: str) -> None:
        self._redis = client
        self._keys = QueueKeys(queue)
        self._wrong: set[str] = set()
        self.wrong_records = Tally()
        self.unreadable: dict[str, Tally] = {"delayed": Tally(), "dlq": Tally()}

    def walks(self) -> dict[str, Callable[[], Iterator[list[str]]]]:
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

    def by_ids(self) -> Iterator[list[str]]:
        for members in scan.set_members(self._redis, self._keys.ids):
            for piece in scan.chunked(members, _AT_A_TIME):
                yield self._odd([to_text(member) for member in piece])

    def by_states(self) -> Iterator[list[str]]:
        for fields in scan.hash_fields(self._redis, self._keys.states):
            yield self._outside_ids([to_text(name) for name in fields])

    def by_waiting(self) -> Iterator[list[str]]:
        """Bare ids whose record a worker could not run, and whatever is to run more than once. A member
        that holds a whole job needs no record."""
        seen: set[int] = set()
        for members in scan.zset_members(self._redis, self._keys.waiting):
            bare: list[str] = []
            whole: list[str] = []
            for member, _ in members:
                job = decode_member(member)
                if job is None:
                    bare.append(to_text(member))
                elif job.get("id") is not None:
                    whole.append(str(job["id"]))
            yield [
                *self._unrunnable(bare, whole),
                *self._repeated(whole, seen),
                *self._called_otherwise(bare + whole, "delayed"),
            ]

    def by_delayed(self) -> Iterator[list[str]]:
        seen: set[int] = set()
        for job_ids in self._whole_members("delayed"):
            repeated = [*self._repeated(job_ids, seen), *self._called_otherwise(job_ids, "waiting")]
            yield [*self._without_record(job_ids), *repeated]

    def by_dlq(self) -> Iterator[list[str]]:
        for job_ids in self._whole_members("dlq"):
            stated = zip(job_ids, self._states(job_ids), strict=True)
            alive = [job_id for job_id, state in stated if state not in DEAD]
            yield [*self._without_record(job_ids), *alive]

    def by_cancelled(self) -> Iterator[list[str]]:
        for members in scan.set_members(self._redis, self._keys.cancelled):
            job_ids = [to_text(member) for member in members]
            stated = zip(job_ids, self._states(job_ids), strict=True)
            pending = [job_id for job_id, state in stated if state is None or state not in ENDED]
            yield [*self._without_record(job_ids), *pending]

    def by_active(self) -> Iterator[list[str]]:
        for fields in scan.hash_fields(self._redis, self._keys.active):
            job_ids = [to_text(name) for name in fields]
            stated = zip(job_ids, self._states(job_ids), strict=True)
            ended = [job_id for job_id, state in stated if state in ENDED]
            yield [*self._without_record(job_ids), *ended]

    def by_heartbeats(self) -> Iterator[list[str]]:
        """Heartbeats of jobs that nobody has claimed. Those of workers of old lie there as well."""
        for fields in scan.hash_fields(self._redis, self._keys.heartbeats):
            names = [name for name, value in fields.items() if as_number(to_text(value)) is not None]
            claims = scan.hash_get(self._redis, self._keys.active, names)
            yield [to_text(name) for name, claim in zip(names, claims, strict=True) if claim is None]

    def by_results(self) -> Iterator[list[str]]:
        for fields in scan.hash_fields(self._redis, self._keys.results):
            yield self._outside_ids([to_text(name) for name in fields])

    def _whole_members(self, place: str) -> Iterator[list[str]]:
        for members in scan.zset_members(self._redis, getattr(self._keys, place)):
            job_ids: list[str] = []
            for member, _ in members:
                job = decode_member(member)
                if job is None or job.get("id") is None:
                    self.unreadable[place].add(to_text(member[:60]))
                else:
                    job_ids.append(str(job["id"]))
            if job_ids:
                yield job_ids

    def _states(self, job_ids: Sequence[str]) -> list[str | None]:
        found = scan.hash_get(self._redis, self._keys.states, [to_bytes(job_id) for job_id in job_ids])
        return [None if state is None else to_text(state) for state in found]

    def _outside_ids(self, job_ids: Sequence[str]) -> list[str]:
        names = [to_bytes(job_id) for job_id in job_ids]
        inside = scan.typed(self._keys.ids, self._redis.smismember, self._keys.ids, names)
        outside = [job_id for job_id, member in zip(job_ids, inside, strict=True) if not member]
        self._without_record(outside)
        return outside

    def _without_record(self, job_ids: Sequence[str]) -> list[str]:
        """Those of which there is none. One of a wrong type is tallied."""
        types = record_types(self._redis, self._keys, job_ids)
        for job_id, kind in zip(job_ids, types, strict=True):
            if kind not in (b"none", b"string"):
                self._add_wrong(job_id)
        return [job_id for job_id, kind in zip(job_ids, types, strict=True) if kind == b"none"]

    def _add_wrong(self, job_id: str) -> None:
        # Several collections may know the job.
        if job_id not in self._wrong:
            self._wrong.add(job_id)
            self.wrong_records.add(to_text(self._keys.record(job_id)))

    def _records(self, job_ids: Sequence[str]) -> Iterator[list[tuple[str, bytes | None]]]:
        """The record of each, piece by piece."""
        coming = iter(job_ids)
        keys = [self._keys.record(job_id) for job_id in job_ids]
        for records in scan.strings(self._redis, keys, scan.Pace()):
            yield [(job_id, record) for record, job_id in zip(records, coming, strict=False)]

    def _unrunnable(self, bare: list[str], whole: list[str]) -> Iterator[str]:
        """Waiting jobs that a worker drops or cannot run, or that their record says have ended."""
        recordless: list[str] = []
        for piece in self._records([*bare, *whole]):
            split: list[RawJob] = []
            for job_id, record in piece:
                raw = RawJob(id=job_id)
                add_record(raw, record)
                if record is None:
                    recordless.append(job_id)
                elif raw.record is None or raw.record.get("status") in ENDED:
                    yield job_id
                elif "args" not in raw.record or "kwargs" not in raw.record:
                    split.append(raw)
            yield from self._argumentless(split)
        # What lies there as a whole needs no record.
        by_id = set(bare)
        yield from (job_id for job_id in self._without_record(recordless) if job_id in by_id)

    def _argumentless(self, raws: Sequence[RawJob]) -> Iterator[str]:
        coming = iter(raws)
        for payloads in scan.strings(self._redis, [self._keys.payload(raw.id) for raw in raws], scan.Pace()):
            for payload, raw in zip(payloads, coming, strict=False):
                if has_unreadable_arguments(raw.record or {}, payload):
                    yield raw.id

    def _repeated(self, job_ids: Sequence[str], seen: set[int]) -> Iterator[str]:
        """Of jobs that lie somewhere as a whole, those that lie there twice, or wait by their id too."""
        for job_id, absent in self._absences(job_ids):
            number = hash(job_id)
            if number in seen or not absent:
                yield job_id
            if len(seen) < _REMEMBERED:
                seen.add(number)

    def _called_otherwise(self, job_ids: Sequence[str], other: str) -> Iterator[str]:
        """Of jobs that are still to run, those that are said to run, to have ended, or to lie elsewhere."""
        for job_id, state in zip(job_ids, self._states(job_ids), strict=True):
            if state in ("active", other, *ENDED):
                yield job_id

    def _odd(self, job_ids: list[str]) -> list[str]:
        """Those of a piece of the ids set that are not where their state says, or have no record."""
        types = record_types(self._redis, self._keys, job_ids)
        odd = [job_id for job_id, kind in zip(job_ids, types, strict=True) if kind == b"none"]
        readable: list[RawJob] = []
        for job_id, kind, state in zip(job_ids, types, self._states(job_ids), strict=True):
            if kind == b"string":
                readable.append(RawJob(id=job_id, state=state))
            elif kind != b"none":
                self._add_wrong(job_id)
        return [*odd, *self._misplaced(readable)]

    def _misplaced(self, raws: list[RawJob]) -> Iterator[str]:
        active = [raw for raw in raws if raw.state == "active"]
        names = [to_bytes(raw.id) for raw in active]
        claims = scan.hash_get(self._redis, self._keys.active, names)
        yield from (raw.id for raw, claim in zip(active, claims, strict=True) if claim is None)
        # Wherever such a job lies: a state that no place belongs to tells nothing of it.
        yield from (raw.id for raw in raws if raw.state not in _PLACED)

        waiting = [raw.id for raw in raws if raw.state in (None, "waiting", "wait")]
        absent = {job_id for job_id, is_absent in self._absences(waiting) if is_absent}
        unsettled = [
            raw
            for raw in raws
            if raw.state is None or raw.state in DEAD or raw.state == "delayed" or raw.id in absent
        ]
        yield from self._unsettled(unsettled, absent)

    def _unsettled(self, raws: Sequence[RawJob], absent: set[str]) -> Iterator[str]:
        """Of jobs whose state or place the record tells, those that are not there."""
        states = {raw.id: raw.state for raw in raws}
        for piece in self._records(list(states)):
            children: list[RawJob] = []
            placed: list[tuple[str, str, bytes]] = []
            for job_id, record in piece:
                raw = RawJob(id=job_id, state=states[job_id])
                add_record(raw, record)
                status = effective_state(raw.state, raw.record, None)
                if status == WAITING_CHILDREN:
                    children.append(raw)
                elif status == "delayed" or status in DEAD:
                    placed.append((job_id, "delayed" if status == "delayed" else "dlq", record or b""))
                elif self._lies_elsewhere(status, job_id in absent):
                    yield job_id
            yield from self._not_listed(placed)
            yield from self._waiting_in_vain(children)

    @staticmethod
    def _lies_elsewhere(status: str, is_absent: bool) -> bool:
        if status in PENDING_STATES:
            return is_absent
        return status == "active" or status not in _PLACED

    def _absences(self, job_ids: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Each with whether the waiting set lacks its id."""
        if job_ids:
            key = self._keys.waiting
            scores = scan.typed(key, self._redis.zmscore, key, [to_bytes(job_id) for job_id in job_ids])
            yield from ((job_id, score is None) for job_id, score in zip(job_ids, scores, strict=True))

    def _not_listed(self, placed: Sequence[tuple[str, str, bytes]]) -> Iterator[str]:
        """Jobs of which the member that AsyncMQ writes beside their record is not there."""
        pipe: Any = self._redis.pipeline(transaction=False)
        for _, place, record in placed:
            members = expected_members(record, place)
            pipe.zmscore(getattr(self._keys, place), members)
        replies = pipe.execute(raise_on_error=False) if placed else []
        for (job_id, place, _), scores in zip(placed, replies, strict=True):
            if isinstance(scores, Exception):
                scan.typed(getattr(self._keys, place), _raise, scores)
            elif all(score is None for score in scores):
                yield job_id

    def _waiting_in_vain(self, children: Sequence[RawJob]) -> Iterator[str]:
        """Jobs that wait for one that has ended badly or is gone, or for none that is still to come; and
        those whose arguments may be damaged."""
        wanted = {raw.id: parents_of(raw.record) for raw in children}
        states = parent_states(
            self._redis, self._keys, (parent for parents in wanted.values() for parent in parents)
        )
        for raw in children:
            of_them = {states[parent] for parent in wanted[raw.id]}
            in_vain = of_them <= {"completed"} or not of_them.isdisjoint(
                {None, "failed", "expired", "cancelled"}
            )
            if in_vain or "args" not in (raw.record or {}) or "kwargs" not in (raw.record or {}):
                yield raw.id


def stray_payloads(client: redis.Redis, names: Sequence[str]) -> Iterator[Stray]:
    """The payload parts without a record, and those of a wrong type, among queues of these names.

    The names may hold colons: a part is of the queue with the longest name that fits.
    """
    queues = {to_bytes(name): QueueKeys(name) for name in names}
    for piece, kinds in _typed_keys(client, PAYLOAD_PATTERN):
        pipe: Any = client.pipeline(transaction=False)
        for key in piece:
            pipe.type(key.rpartition(b":")[0])
        for key, kind, of_record in zip(piece, kinds, pipe.execute(), strict=True):
            if of_record != b"none" and kind == b"string":
                continue
            owners = ((keys, keys.job_of_payload(key)) for keys in _owners(queues, key))
            keys, job_id = next(((keys, one) for keys, one in owners if one is not None), (None, ""))
            if keys is None or kind == b"none":
                continue
            if kind != b"string":
                yield Stray(keys.queue, job_id, key)
            elif not _is_record(client, keys, key, job_id):
                yield Stray(keys.queue, job_id)


def stray_dependencies(client: redis.Redis, names: Sequence[str]) -> Iterator[Stray]:
    """As `stray_payloads`, the sets of parents and of children. One that may be of a job that there is
    is not given, whichever way its name can be read."""
    queues = {to_bytes(name): QueueKeys(name) for name in names}
    for piece, kinds in _typed_keys(client, DEPENDENCIES_PATTERN):
        owners = [
            [(keys, job_id) for keys in _owners(queues, key) for job_id in keys.jobs_of_dependencies(key)]
            for key in piece
        ]
        pipe: Any = client.pipeline(transaction=False)
        for of_key in owners:
            if of_key:
                pipe.exists(*(keys.record(job_id) for keys, job_id in of_key))
        living = iter(pipe.execute())
        for key, kind, of_key in zip(piece, kinds, owners, strict=True):
            if of_key:
                keys, job_id = of_key[0]
                lives = next(living)
                if kind not in (b"none", b"set"):
                    yield Stray(keys.queue, job_id, key)
                elif not lives:
                    yield Stray(keys.queue, job_id)


def _typed_keys(client: redis.Redis, pattern: bytes) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The names of the keys that match, each with its type, in bounded pieces."""
    for found in scan.key_names(client, pattern):
        for piece in scan.chunked(found):
            pipe: Any = client.pipeline(transaction=False)
            for key in piece:
                pipe.type(key)
            yield piece, pipe.execute()


def _owners(queues: Mapping[bytes, QueueKeys], key: bytes) -> Iterator[QueueKeys]:
    return (queues[name] for name in possible_queues(key) if name in queues)


def wrong_streams(client: redis.Redis) -> list[str]:
    """Those of the tool's own streams that are none."""
    return [
        to_text(key) for key in (AUDIT_STREAM, METRICS_STREAM) if client.type(key) not in (b"none", b"stream")
    ]


def sequence_is_a_number(client: redis.Redis, queue: str) -> bool:
    """Whether the counter behind the waiting set's order can be counted on; absent, it can."""
    key = QueueKeys(queue).waiting_seq
    value = scan.get_many(client, [key], scan.Pace())[0]
    if value is None:
        return True
    try:
        return isinstance(loads(value), int) and len(value) < 16
    except CorruptData:
        return False


def wrong_keys(client: redis.Redis, queue: str) -> list[str]:
    """The keys of the queue that do not hold what AsyncMQ keeps there."""
    keys = _of_wrong_type(client, QueueKeys(queue))
    if not sequence_is_a_number(client, queue):
        keys.append(QueueKeys(queue).waiting_seq)
    return [to_text(key) for key in dict.fromkeys(keys)]


def _of_wrong_type(client: redis.Redis, keys: QueueKeys) -> list[bytes]:
    expected = keys.evidence()
    pipe: Any = client.pipeline(transaction=False)
    for key in expected:
        pipe.type(key)
    # Whatever type the pause mark is of, the queue is paused: workers look whether it exists.
    return [
        key
        for (key, kind), found in zip(expected.items(), pipe.execute(), strict=True)
        if found not in (b"none", kind) and not key.endswith(b":paused")
    ]


def _is_record(client: redis.Redis, keys: QueueKeys, key: bytes, job_id: str) -> bool:
    """Whether the key is the record of a job whose id happens to end like that."""
    name = to_bytes(job_id) + b":payload"
    in_ids = scan.typed(keys.ids, client.smismember, keys.ids, [name])[0]
    return bool(in_ids) or scan.hash_get(client, keys.states, [name])[0] is not None


def _raise(error: Exception) -> None:
    raise error
