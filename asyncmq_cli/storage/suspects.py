"""Walking through a queue for jobs that may be damaged.

Each walk reads one collection in bounded pieces and asks, piece by piece, whether what belongs to
its jobs elsewhere is there. It gives the ids of those of which something is not as it should be.
A healthy job that moves at that moment may be among them, so each needs a closer look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from asyncmq_cli.models.values import WAITING_CHILDREN, as_number
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import CorruptData, decode_member, loads
from asyncmq_cli.storage.evidence import parent_states, parents_of, record_types
from asyncmq_cli.storage.hydrate import PENDING_STATES, RawJob, add_record, effective_state
from asyncmq_cli.storage.keys import PAYLOAD_PATTERN, QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.locate import expected_members

ENDED = ("completed", "failed", "expired", "cancelled")
DEAD = ("failed", "expired")
_SAMPLES = 5
_AT_A_TIME = 250
"""Jobs whose records are held at a time."""


@dataclass(slots=True)
class Tally:
    """How many there were, and the first few."""

    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.samples) < _SAMPLES:
            self.samples.append(text)


class QueueWalk:
    """The walks through one queue. What they find that is no job at all is tallied: records of a
    wrong type by their keys, and members of the delayed set and of the dead-letter queue that hold
    no job by their beginnings."""

    def __init__(self, client: redis.Redis, queue: str) -> None:
        self._redis = client
        self._keys = QueueKeys(queue)
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
        """Bare ids without a record; a member that holds a whole job needs none."""
        for members in scan.zset_members(self._redis, self._keys.waiting):
            bare = [to_text(member) for member, _ in members if decode_member(member) is None]
            yield self._without_record(bare)

    def by_delayed(self) -> Iterator[list[str]]:
        for job_ids in self._whole_members("delayed"):
            waiting = scan.typed(
                self._keys.waiting,
                self._redis.zmscore,
                self._keys.waiting,
                [to_bytes(job_id) for job_id in job_ids],
            )
            twice = [job_id for job_id, score in zip(job_ids, waiting, strict=True) if score is not None]
            yield [*self._without_record(job_ids), *twice]

    def by_dlq(self) -> Iterator[list[str]]:
        for job_ids in self._whole_members("dlq"):
            stated = zip(job_ids, self._states(job_ids), strict=True)
            alive = [job_id for job_id, state in stated if state is not None and state not in DEAD]
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
        return [job_id for job_id, member in zip(job_ids, inside, strict=True) if not member]

    def _without_record(self, job_ids: Sequence[str]) -> list[str]:
        types = record_types(self._redis, self._keys, job_ids)
        return [job_id for job_id, kind in zip(job_ids, types, strict=True) if kind == b"none"]

    def _odd(self, job_ids: list[str]) -> list[str]:
        """Those of a piece of the ids set that are not where their state says, or have no record."""
        types = record_types(self._redis, self._keys, job_ids)
        odd = [job_id for job_id, kind in zip(job_ids, types, strict=True) if kind == b"none"]
        readable: list[RawJob] = []
        for job_id, kind, state in zip(job_ids, types, self._states(job_ids), strict=True):
            if kind == b"string":
                readable.append(RawJob(id=job_id, state=state))
            elif kind != b"none":
                self.wrong_records.add(to_text(self._keys.record(job_id)))
        return [*odd, *self._misplaced(readable)]

    def _misplaced(self, raws: list[RawJob]) -> Iterator[str]:
        active = [raw for raw in raws if raw.state == "active"]
        names = [to_bytes(raw.id) for raw in active]
        claims = scan.hash_get(self._redis, self._keys.active, names)
        yield from (raw.id for raw, claim in zip(active, claims, strict=True) if claim is None)

        waiting = {raw.id for raw in raws if raw.state in (None, "waiting", "wait")}
        absent = self._not_waiting([raw.id for raw in raws if raw.id in waiting])
        unsettled = [
            raw
            for raw in raws
            if raw.state is None or raw.state in DEAD or raw.state == "delayed" or raw.id in absent
        ]
        records = scan.get_many(self._redis, [self._keys.record(raw.id) for raw in unsettled], scan.Pace())
        children: list[RawJob] = []
        placed: list[tuple[RawJob, str, bytes]] = []
        for raw, record in zip(unsettled, records, strict=True):
            add_record(raw, record)
            status = effective_state(raw.state, raw.record, None)
            if status == WAITING_CHILDREN:
                children.append(raw)
            elif status == "delayed" or status in DEAD:
                placed.append((raw, "delayed" if status == "delayed" else "dlq", record or b""))
            elif status == "active" or (status in (*PENDING_STATES, "unknown") and raw.id in absent):
                yield raw.id
        yield from self._not_listed(placed)
        yield from self._waiting_in_vain(children)

    def _not_waiting(self, job_ids: list[str]) -> set[str]:
        if not job_ids:
            return set()
        key = self._keys.waiting
        scores = scan.typed(key, self._redis.zmscore, key, [to_bytes(job_id) for job_id in job_ids])
        return {job_id for job_id, score in zip(job_ids, scores, strict=True) if score is None}

    def _not_listed(self, placed: Sequence[tuple[RawJob, str, bytes]]) -> Iterator[str]:
        """Jobs of which the member that AsyncMQ writes beside their record is not there."""
        pipe: Any = self._redis.pipeline(transaction=False)
        for _, place, record in placed:
            members = expected_members(record, place)
            pipe.zmscore(getattr(self._keys, place), members)
        replies = pipe.execute(raise_on_error=False)
        for (raw, place, _), scores in zip(placed, replies, strict=True):
            if isinstance(scores, Exception):
                scan.typed(getattr(self._keys, place), _raise, scores)
            elif all(score is None for score in scores):
                yield raw.id

    def _waiting_in_vain(self, children: Sequence[RawJob]) -> Iterator[str]:
        """Jobs that wait for one that has ended badly or is gone, or for none that is still to come."""
        wanted = {raw.id: parents_of(raw.record) for raw in children}
        every = [parent for parents in wanted.values() for parent in parents]
        states = parent_states(self._redis, self._keys, every)
        for job_id, parents in wanted.items():
            of_them = [states[parent] for parent in parents]
            if all(state == "completed" for state in of_them) or any(
                state is None or state in ("failed", "expired", "cancelled") for state in of_them
            ):
                yield job_id


def orphaned_payloads(client: redis.Redis, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The queue and the job id of each payload part without a record, among queues of these names.

    The names may hold colons: a part is of the queue with the longest name that fits.
    """
    by_length = sorted((QueueKeys(name) for name in names), key=lambda keys: len(keys.queue), reverse=True)
    for found in scan.key_names(client, PAYLOAD_PATTERN):
        for piece in scan.chunked(found):
            pipe: Any = client.pipeline(transaction=False)
            for key in piece:
                pipe.type(key.rpartition(b":")[0])
            for key, kind in zip(piece, pipe.execute(), strict=True):
                if kind != b"none":
                    continue
                for keys in by_length:
                    job_id = keys.job_of_payload(key)
                    if job_id is not None:
                        if not _is_record(client, keys, key, job_id):
                            yield keys.queue, job_id
                        break


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
