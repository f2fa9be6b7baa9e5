"""Reading jobs: by state, by id, and by the place in which they lie.

AsyncMQ looks for waiting, delayed and dead jobs in sorted sets, and for all others by the
state that the states hash (or, without an entry there, the record) gives. So do we: what is
listed under a state is what a worker or AsyncMQ's own inspection would find there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import redis

from asyncmq_cli.models.values import WAITING_CHILDREN
from asyncmq_cli.storage import scan, walk
from asyncmq_cli.storage.codec import TooLarge, decode_member, is_too_large, large_outline, member_ids
from asyncmq_cli.storage.hydrate import RawJob, add_record, hydrate
from asyncmq_cli.storage.keys import PLACE_OF_STATE, PLACES, QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.sieve import SPLIT_AND_WHOLE, Sieve, may_be_split
from asyncmq_cli.storage.tally import PENDING_ENTRIES
from asyncmq_cli.storage.walk import Listed, Read, Wanted

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


_IDS = {"waiting": walk.waiting_ids, "delayed": member_ids, "dlq": member_ids}


class JobReader:
    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def in_state(self, queue: str, state: str, sieve: Sieve | None = None) -> Iterator[Job]:
        """Every job of a state, whole, in the order found. `all` gives each job of the queue.

        A sieve leaves out jobs that it can tell unread are not wanted; it need not find them all.
        """
        place = PLACE_OF_STATE.get(state)
        if place is not None:
            jobs = self._in_place(QueueKeys(queue), place, _may_be(state), sieve)
        else:
            jobs = self._anywhere(QueueKeys(queue), _may_be(state), sieve)
        for job in jobs:
            if state in ("all", job.status):
                yield job
        if state == "all":
            yield from self._loose(queue)

    def in_place(self, queue: str, place: str, sieve: Sieve | None = None) -> Iterator[Job]:
        """Every member of the waiting or delayed set or the dead-letter queue, as a whole job."""
        return self._in_place(QueueKeys(queue), place, _may_be("all"), sieve)

    def states_in_place(self, queue: str, place: str) -> Iterator[Job]:
        """As `in_place`, but only as much of each job as its state and its age need."""
        keys = QueueKeys(queue)
        for piece in walk.members_of(self._redis, keys, place, _IDS[place]):
            # A dead letter's state cannot be `waiting-children`, so its record says nothing more.
            told = [i for i, state in enumerate(piece.states) if place == "dlq" and state is not None]
            for i in told:
                yield hydrate(queue, _raw(piece, i, place), place=place)
            rest = piece.only([i for i, state in enumerate(piece.states) if place != "dlq" or state is None])
            for raw in self._with_records(keys, rest, place):
                yield hydrate(queue, raw, place=place)

    def states_anywhere(self, queue: str) -> Iterator[str]:
        """The state of each job that has a record or an entry in the states hash."""
        keys = QueueKeys(queue)
        for piece in self.listed_anywhere(keys):
            unread = []
            for i, state in enumerate(piece.states):
                if state is None or state in PENDING_ENTRIES:
                    unread.append(i)
                else:
                    yield to_text(state)
            for raw in self._with_records(keys, piece.only(unread), None):
                yield hydrate(queue, raw).status

    def load(self, queue: str, job_ids: Sequence[str]) -> list[Job | None]:
        """The jobs of these ids, None for an id of which neither record nor state exists."""
        keys = QueueKeys(queue)
        found: list[Job | None] = []
        for piece in scan.chunked(map(to_bytes, job_ids)):
            listed = Listed(piece, scan.hash_get(self._redis, keys.states, piece))
            for read in walk.with_records(self._redis, keys, [listed], _may_be("all")):
                for raw in self._whole(keys, read, None):
                    known = raw.record_size > 0 or raw.state is not None or raw.problem is not None
                    found.append(hydrate(queue, raw) if known else None)
        return found

    def states(self, queue: str, job_ids: Sequence[str]) -> list[str | None]:
        """What the states hash says of these jobs."""
        found = scan.hash_get(self._redis, QueueKeys(queue).states, [to_bytes(job_id) for job_id in job_ids])
        return [None if state is None else to_text(state) for state in found]

    def _in_place(self, keys: QueueKeys, place: str, wanted: Wanted, sieve: Sieve | None) -> Iterator[Job]:
        if sieve is not None and place != "waiting" and self._has_nameless(keys):
            sieve = None
        pieces = walk.members_of(self._redis, keys, place, _IDS[place])
        for read in self._read(keys, pieces, wanted, sieve):
            for raw in self._whole(keys, read, place):
                yield hydrate(keys.queue, raw, place=place)

    def _anywhere(self, keys: QueueKeys, wanted: Wanted, sieve: Sieve | None) -> Iterator[Job]:
        for read in self._read(keys, self.listed_anywhere(keys), wanted, sieve):
            for raw in self._whole(keys, read, None):
                yield hydrate(keys.queue, raw)

    def _read(
        self, keys: QueueKeys, pieces: Iterable[Listed], wanted: Wanted, sieve: Sieve | None
    ) -> Iterator[Read]:
        sifting = sieve is not None
        for read in walk.with_records(self._redis, keys, pieces, wanted, count_payloads=sifting):
            yield read if sieve is None else self._sifted(keys, read, sieve)

    def _sifted(self, keys: QueueKeys, read: Read, sieve: Sieve) -> Read:
        split: list[int] = []
        if read.payloads:
            split = [i for i, record in enumerate(read.records) if may_be_split(record)]
            names = [keys.payload(to_text(read.listed.ids[i])) for i in split]
            if not names or self._redis.exists(*names) != read.payloads:
                # Some other job has a payload part, which only a look at the whole job explains.
                return read
        whole = sorted(set(range(len(read.records))).difference(split))
        passing = [whole[i] for i in sieve.passing(read.only(whole))]
        return read.only(sorted([*split, *passing]))

    def _has_nameless(self, keys: QueueKeys) -> bool:
        """Whether anything is kept under the empty id, as which a member counts that holds no job."""
        nothing = scan.hash_get(self._redis, keys.states, [b""]) == [None]
        return not nothing or scan.get_many(self._redis, [keys.record("")], scan.Pace()) != [None]

    def listed_anywhere(self, keys: QueueKeys) -> Iterator[Listed]:
        """Jobs by the ids set, then those that only the states hash knows."""
        stated = 0
        for piece in walk.by_ids(self._redis, keys):
            stated += len(piece.states) - piece.states.count(None)
            yield piece
        if scan.card(self._redis, "HLEN", keys.states) > stated:
            for fields in scan.hash_fields(self._redis, keys.states):
                listed = Listed(list(fields), list(fields.values()))
                yield listed.only(self._outside_ids(keys, listed.ids))

    def _loose(self, queue: str) -> Iterator[Job]:
        """Jobs that exist only as members of a sorted set, as old versions of AsyncMQ left them."""
        keys = QueueKeys(queue)
        seen: set[bytes] = set()
        for place in PLACES:
            for found in walk.members_of(self._redis, keys, place, _IDS[place]):
                stateless = found.only(
                    [i for i, id_ in enumerate(found.ids) if found.states[i] is None and id_ not in seen]
                )
                outside = stateless.only(self._outside_ids(keys, stateless.ids))
                seen.update(filter(None, outside.ids))
                for read in walk.with_records(self._redis, keys, [outside], _may_be("all")):
                    for raw in self._whole(keys, read, place):
                        yield hydrate(queue, raw, place=place)

    def _outside_ids(self, keys: QueueKeys, ids: Sequence[bytes]) -> list[int]:
        if not ids:
            return []
        inside = scan.typed(keys.ids, self._redis.smismember, keys.ids, list(ids))
        return [i for i, member in enumerate(inside) if not member]

    def _with_records(self, keys: QueueKeys, listed: Listed, place: str | None) -> Iterator[RawJob]:
        """The jobs with their records and nothing that lies beside them."""
        for read in walk.with_records(self._redis, keys, [listed], _may_be("all"), beside=False):
            for i, record in enumerate(read.records):
                raw = _raw(read.listed, i, place)
                add_record(raw, record)
                yield raw

    def _whole(self, keys: QueueKeys, read: Read, place: str | None) -> list[RawJob]:
        """The jobs with all that belongs to them."""
        raws = []
        for i in range(len(read.records)):
            if place is None or place == "waiting":
                raw = _raw(read.listed, i, place)
                _add_read(raw, read, i)
            else:
                raw = _from_body(read, i, place)
            raws.append(raw)
        split = [raw for raw in raws if _may_be_split(raw)]
        payloads = scan.get_many(self._redis, [keys.payload(raw.id) for raw in split], scan.Pace(start=16))
        for raw, payload in zip(split, payloads, strict=True):
            raw.payload = payload
        return raws


def _from_body(read: Read, i: int, place: str) -> RawJob:
    """A job whose member is its body. Mostly the record is the same text: then it is decoded once."""
    listed, record = read.listed, read.records[i]
    if record is not None and record == listed.members[i]:
        raw = _raw(listed, i, None)
        _add_read(raw, read, i)
        if raw.record and raw.record.get("id") == raw.id:
            raw.score = float(listed.scores[i])
            return raw
    raw = _raw(listed, i, place)
    _add_read(raw, read, i)
    return raw


def _add_read(raw: RawJob, read: Read, i: int) -> None:
    add_record(raw, read.records[i])
    raw.result, raw.claim = read.results.get(i), read.claims.get(i)


def _raw(listed: Listed, i: int, place: str | None) -> RawJob:
    """The job without its record; where `place` is a sorted set, with what its member holds."""
    if place is None:
        return RawJob(id=to_text(listed.ids[i]), state=_text_or_none(listed.states[i]))
    raw = _from_member(place, listed.members[i], float(listed.scores[i]))
    raw.state = _text_or_none(listed.states[i])
    return raw


def _text_or_none(value: bytes | None) -> str | None:
    return None if value is None else to_text(value)


def _from_member(place: str, member: bytes, score: float) -> RawJob:
    job = decode_member(member)
    if job is not None:
        job_id = job.get("id")
        problem = "the job has no id" if job_id is None else None
        return RawJob(id="" if job_id is None else str(job_id), member=job, score=score, problem=problem)
    if place == "waiting":
        return RawJob(id=to_text(member), score=score)
    if is_too_large(member):
        named, problem = large_outline(member), f"the job is {TooLarge(len(member))}"
        return RawJob(id=named.get("id") or "", member=named, score=score, problem=problem)
    return RawJob(id="", score=score, problem=f"a member is not a JSON object ({len(member)} bytes)")


def _may_be(state: str) -> Wanted:
    """Whether a job with this entry in the states hash can be in `state`."""
    if state == "all":
        return lambda entry: True
    if state == WAITING_CHILDREN:
        return frozenset({None, *PENDING_ENTRIES}).__contains__
    entries = (b"waiting", b"wait") if state == "waiting" else (to_bytes(state),)
    return frozenset({None, *entries}).__contains__


def _may_be_split(raw: RawJob) -> bool:
    record = raw.record
    return record is not None and (
        "args" not in record or "kwargs" not in record or raw.record_size >= SPLIT_AND_WHOLE
    )
