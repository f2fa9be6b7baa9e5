"""Reading jobs: by state, by id, and by the place in which they lie.

AsyncMQ looks for waiting, delayed and dead jobs in sorted sets, and for all others by the
state that the states hash (or, without an entry there, the record) gives. So do we: what is
listed under a state is what a worker or AsyncMQ's own inspection would find there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.models.values import WAITING_CHILDREN
from asyncmq_cli.storage import scan, walk
from asyncmq_cli.storage.codec import TooLarge, decode_member, is_too_large, large_outline, member_ids
from asyncmq_cli.storage.hydrate import RawJob, add_record, hydrate
from asyncmq_cli.storage.keys import QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.lists import JobLists
from asyncmq_cli.storage.tally import PENDING_ENTRIES
from asyncmq_cli.storage.walk import Listed, Wanted

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


_IDS = {"waiting": walk.waiting_ids, "delayed": member_ids, "dlq": member_ids}


class JobReader(JobLists):
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
