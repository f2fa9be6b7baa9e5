"""Reading jobs: by state, by id, and by the place in which they lie.

AsyncMQ looks for waiting, delayed and dead jobs in sorted sets, and for all others by the
state that the states hash (or, without an entry there, the record) gives. So do we: what is
listed under a state is what a worker or AsyncMQ's own inspection would find there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import redis

from asyncmq_cli.models import WAITING_CHILDREN, Job
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import decode_member
from asyncmq_cli.storage.hydrate import PENDING_STATES, RawJob, add_record, hydrate
from asyncmq_cli.storage.keys import QueueKeys, to_bytes, to_text

# Where the jobs of a state lie. A state that is not here can lie anywhere.
PLACE_OF_STATE = {"waiting": "waiting", "delayed": "delayed", "failed": "dlq", "expired": "dlq"}
PLACES = ("waiting", "delayed", "dlq")

_LARGE_RECORD = 16 * 1024
"""A job that was split and failed has its arguments in both parts; it is never smaller."""


class JobReader:
    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def in_state(self, queue: str, state: str) -> Iterator[Job]:
        """Every job of a state, whole, in the order found. `all` gives each job of the queue."""
        place = PLACE_OF_STATE.get(state)
        if place is not None:
            jobs = self.in_place(queue, place)
        else:
            jobs = (hydrate(queue, raw) for raw in self._anywhere(queue, _may_be(state), whole=True))
        for job in jobs:
            if state in ("all", job.status):
                yield job
        if state == "all":
            yield from self._loose(queue)

    def in_place(self, queue: str, place: str) -> Iterator[Job]:
        """Every member of the waiting or delayed set or the dead-letter queue, as a whole job."""
        keys = QueueKeys(queue)
        pace = scan.Pace()
        for found in self._members(keys, place):
            yield from (
                hydrate(queue, raw, place=place) for raw in self._with_records(keys, found, pace, whole=True)
            )

    def states_in_place(self, queue: str, place: str) -> Iterator[Job]:
        """As `in_place`, but only as much of each job as its state and its age need."""
        keys = QueueKeys(queue)
        pace = scan.Pace()
        for found in self._members(keys, place):
            # A dead letter's state cannot be `waiting-children`, so its record says nothing more.
            unread = [raw for raw in found if place != "dlq" or raw.state is None]
            read = iter(self._with_records(keys, unread, pace, whole=False))
            yield from (
                hydrate(queue, raw if place == "dlq" and raw.state is not None else next(read), place=place)
                for raw in found
            )

    def states_anywhere(self, queue: str) -> Iterator[str]:
        """The state of each job that has a record or an entry in the states hash."""
        for raw in self._anywhere(queue, lambda state: True, whole=False):
            if raw.state is not None and raw.state not in PENDING_STATES:
                yield raw.state
            else:
                yield hydrate(queue, raw).status

    def load(self, queue: str, job_ids: Sequence[str]) -> list[Job | None]:
        """The jobs of these ids, None for an id of which neither record nor state exists."""
        keys = QueueKeys(queue)
        found: list[Job | None] = []
        pace = scan.Pace()
        for piece in scan.chunked(job_ids):
            raws = self._with_states(keys, [RawJob(id=job_id) for job_id in piece])
            for raw in self._with_records(keys, raws, pace, whole=True):
                known = raw.record_size > 0 or raw.state is not None or raw.problem is not None
                found.append(hydrate(queue, raw) if known else None)
        return found

    def states(self, queue: str, job_ids: Sequence[str]) -> list[str | None]:
        """What the states hash says of these jobs."""
        found = scan.hash_get(self._redis, QueueKeys(queue).states, [to_bytes(job_id) for job_id in job_ids])
        return [None if state is None else to_text(state) for state in found]

    def _members(self, keys: QueueKeys, place: str) -> Iterator[list[RawJob]]:
        for members in scan.zset_members(self._redis, getattr(keys, place)):
            yield self._with_states(keys, [_from_member(place, *member) for member in members])

    def _anywhere(self, queue: str, wanted: Callable[[str | None], bool], *, whole: bool) -> Iterator[RawJob]:
        """Jobs by the ids set, then those that only the states hash knows."""
        keys = QueueKeys(queue)
        pace = scan.Pace()
        stated = 0
        for members in scan.set_members(self._redis, keys.ids):
            raws = self._with_states(keys, [RawJob(id=to_text(member)) for member in members])
            stated += sum(1 for raw in raws if raw.state is not None)
            yield from self._wanted(keys, raws, wanted, pace, whole)
        if scan.card(self._redis, "HLEN", keys.states) > stated:
            for fields in scan.hash_fields(self._redis, keys.states):
                raws = self._outside_ids(
                    keys, [RawJob(id=to_text(f), state=to_text(v)) for f, v in fields.items()]
                )
                yield from self._wanted(keys, raws, wanted, pace, whole)

    def _wanted(
        self,
        keys: QueueKeys,
        raws: list[RawJob],
        wanted: Callable[[str | None], bool],
        pace: scan.Pace,
        whole: bool,
    ) -> Iterator[RawJob]:
        chosen = [raw for raw in raws if wanted(raw.state)]
        if whole:
            yield from self._with_records(keys, chosen, pace, whole=True)
            return
        open_ones = [raw for raw in chosen if raw.state is None or raw.state in PENDING_STATES]
        yield from (raw for raw in chosen if raw.state is not None and raw.state not in PENDING_STATES)
        yield from self._with_records(keys, open_ones, pace, whole=False)

    def _loose(self, queue: str) -> Iterator[Job]:
        """Jobs that exist only as members of a sorted set, as old versions of AsyncMQ left them."""
        keys = QueueKeys(queue)
        seen: set[str] = set()
        for place in PLACES:
            for found in self._members(keys, place):
                stateless = [raw for raw in found if raw.state is None and raw.id not in seen]
                for raw in self._outside_ids(keys, stateless):
                    if raw.id:
                        seen.add(raw.id)
                    record = self._with_records(keys, [raw], scan.Pace(), whole=True)[0]
                    yield hydrate(queue, record, place=place)

    def _outside_ids(self, keys: QueueKeys, raws: list[RawJob]) -> list[RawJob]:
        if not raws:
            return []
        names = [to_bytes(raw.id) for raw in raws]
        inside = scan.typed(keys.ids, self._redis.smismember, keys.ids, names)
        return [raw for raw, member in zip(raws, inside, strict=True) if not member]

    def _with_states(self, keys: QueueKeys, raws: list[RawJob]) -> list[RawJob]:
        states = scan.hash_get(self._redis, keys.states, [to_bytes(raw.id) for raw in raws])
        for raw, state in zip(raws, states, strict=True):
            raw.state = None if state is None else to_text(state)
        return raws

    def _with_records(
        self, keys: QueueKeys, raws: list[RawJob], pace: scan.Pace, *, whole: bool
    ) -> list[RawJob]:
        if not raws:
            return []
        records = scan.get_many(self._redis, [keys.record(raw.id) for raw in raws], pace)
        for raw, record in zip(raws, records, strict=True):
            add_record(raw, record)
        if whole:
            self._complete(keys, raws)
        return raws

    def _complete(self, keys: QueueKeys, raws: list[RawJob]) -> None:
        """Add what lies outside the record: each asked for only where the job can have it."""
        split = [raw for raw in raws if _may_be_split(raw)]
        payloads = scan.get_many(self._redis, [keys.payload(raw.id) for raw in split], scan.Pace(start=16))
        for raw, payload in zip(split, payloads, strict=True):
            raw.payload = payload
        finished = [raw for raw in raws if raw.state in ("completed", None)]
        results = scan.hash_get(self._redis, keys.results, [to_bytes(raw.id) for raw in finished])
        for raw, result in zip(finished, results, strict=True):
            raw.result = result
        active = [raw for raw in raws if raw.state == "active"]
        claims = scan.hash_get(self._redis, keys.active, [to_bytes(raw.id) for raw in active])
        for raw, claim in zip(active, claims, strict=True):
            raw.claim = claim


def _from_member(place: str, member: bytes, score: float) -> RawJob:
    job = decode_member(member)
    if job is not None:
        job_id = job.get("id")
        problem = "the job has no id" if job_id is None else None
        return RawJob(id="" if job_id is None else str(job_id), member=job, score=score, problem=problem)
    if place == "waiting":
        return RawJob(id=to_text(member), score=score)
    return RawJob(id="", score=score, problem=f"a member is not a JSON object ({len(member)} bytes)")


def _may_be(state: str) -> Callable[[str | None], bool]:
    """Whether a job with this entry in the states hash can be in `state`."""
    if state == "all":
        return lambda entry: True
    if state == WAITING_CHILDREN:
        return lambda entry: entry is None or entry in PENDING_STATES
    return lambda entry: entry is None or entry == state


def _may_be_split(raw: RawJob) -> bool:
    record = raw.record
    return record is not None and (
        "args" not in record or "kwargs" not in record or raw.record_size >= _LARGE_RECORD
    )
