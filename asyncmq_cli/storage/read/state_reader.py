"""The jobs of each state: read in chunks with the place where each was found, and built from their stored
parts.

A job's state follows from the place where a worker would find it, so the list of a state is the
content of one place:

    waiting, delayed    the sorted set
    active              the active hash
    failed, expired     the dead-letter queue; expired by the states hash, all others have failed
    completed,          by the states hash or, without an entry, by the record
      cancelled
    waiting-children    waiting by the states hash, but in none of these places
    all                 each of these jobs once, and jobs in no place with any other state

The counts are the sizes of the same places. A job in two places is in both lists. The member of a
dead letter is the job as it died, so its record is not read; all other jobs are read from their records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import redis

from asyncmq_cli.models.values import DEAD_STATES, WAITING_CHILDREN, chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.read import pieces
from asyncmq_cli.storage.read.locate import expected_members
from asyncmq_cli.storage.read.pieces import Piece, Prefilter, SeenNames
from asyncmq_cli.storage.read.sizes import PENDING_ENTRIES
from asyncmq_cli.storage.schema.bounds import LIMITS, weight
from asyncmq_cli.storage.schema.codec import (
    TooLarge,
    decode_strict_member,
    is_too_large,
    large_outline,
    whole_arguments,
)
from asyncmq_cli.storage.schema.job import (
    PENDING_STATES,
    Payloads,
    RawJob,
    add_record,
    effective_state,
    has_pending_parents,
    hydrate,
)
from asyncmq_cli.storage.schema.keys import PLACE_OF_STATE, QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job

ALL_PLACES = ("delayed", "waiting", "active", "dlq")
"""The order in which places are read: a job that moves during the read is found in one of them."""
ENTRIES: dict[str, frozenset[bytes | None]] = {
    "completed": frozenset({b"completed", None}),
    "cancelled": frozenset({b"cancelled", None}),
    WAITING_CHILDREN: frozenset({*PENDING_ENTRIES, None}),
}
"""By state, the entries that its jobs may have in the states hash. If there is no entry, the record
decides."""
ENDED: frozenset[bytes | None] = frozenset({b"completed", b"cancelled"})
_NAMES = {
    "waiting": "waiting set",
    "delayed": "delayed set",
    "dlq": "dead-letter queue",
    "active": "active hash",
}
_AGREEING: dict[str, frozenset[bytes | None]] = {
    "waiting": frozenset({None, b"waiting", b"wait", b"queued"}),
    "delayed": frozenset({None, b"delayed"}),
    "dlq": frozenset({None, b"failed", b"expired"}),
    "active": frozenset({None, b"active"}),
}
"""By place, the entries of the states hash that agree with it."""
_UNDECIDED = frozenset({*map(to_bytes, PENDING_STATES), b"wait", b"unknown"})
"""The entries with which the record decides the state of a job that is in no place."""

_SPLIT_AND_WHOLE = 16 * 1024
"""Bytes. A split job that failed has its arguments in both parts, and then its record is at least this
large."""

_DECODED_AT_ONCE = 8 * 1024 * 1024
"""Bytes of text. If a piece has more, its jobs are decoded one at a time."""
_WEIGHED_FROM = 4096
"""Bytes. Shorter texts are not weighed: a page of them takes at most some hundred MB, whatever they
contain."""

Found = tuple[str | None, float | None]
"""The place that a job is in, or None, and its score there, or None."""
Placed = tuple[Piece, list[Found]]


class StateReader:
    """Reads the jobs of a state, complete, in the order found. All methods raise WrongType."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self.read = 0
        """The number of jobs that were read so far."""

    def in_state(
        self, keys: QueueKeys, state: str, prefilter: Prefilter | None, *, whole: bool = True
    ) -> Iterator[Placed]:
        """The jobs in a state. Without `whole`, data that only serves to find contradictions is not read."""
        if state == "all":
            yield from self._all(keys, prefilter, whole=whole)
        elif state in DEAD_STATES:
            for page in self.in_place(keys, "dlq", prefilter):
                yield of_dead(state, page)
        elif state in ALL_PLACES:
            yield from self.in_place(keys, state, prefilter, states=whole)
        else:
            entries = ENTRIES[state]
            listed = (
                piece.only([i for i, entry in enumerate(piece.states) if entry in entries])
                for piece in pieces.indexed(self._redis, keys)
            )
            for page in self.nowhere(keys, listed, prefilter, whole=whole):
                yield called(state, page)

    def _all(self, keys: QueueKeys, prefilter: Prefilter | None, *, whole: bool) -> Iterator[Placed]:
        seen = SeenNames()
        for place in ALL_PLACES:
            source = (piece.only(seen.new(piece.ids)) for piece in self._pieces(keys, place))
            yield from self.complete(keys, place, source, prefilter, states=whole or place == "dlq")
        rest = (
            piece.only([i for i, name in enumerate(piece.ids) if name not in seen])
            for piece in pieces.indexed(self._redis, keys)
        )
        yield from self.nowhere(keys, rest, prefilter, whole=whole)

    def in_place(
        self, keys: QueueKeys, place: str, prefilter: Prefilter | None, *, states: bool = True
    ) -> Iterator[Placed]:
        return self.complete(keys, place, self._pieces(keys, place), prefilter, states=states)

    def _pieces(self, keys: QueueKeys, place: str) -> Iterator[Piece]:
        if place == "active":
            return pieces.claimed(self._redis, keys)
        return pieces.scanned(self._redis, keys, place)

    def complete(
        self,
        keys: QueueKeys,
        place: str,
        source: Iterable[Piece],
        prefilter: Prefilter | None = None,
        *,
        states: bool = True,
    ) -> Iterator[Placed]:
        """The jobs of a place, with their records and states. The body of a dead letter is its
        member."""
        source = self._counted(source)
        if place != "dlq":
            source = pieces.with_records(self._redis, keys, source)
        if prefilter is not None:
            source = self._passing(keys, source, prefilter)
        if states:
            source = pieces.with_states(self._redis, keys, source)
        for piece in source:
            self._forgive_moves(keys, place, piece)
            scored: Sequence[float | None] = piece.scores or [None] * len(piece.ids)
            yield piece, [(place, score) for score in scored]

    def _counted(self, source: Iterable[Piece]) -> Iterator[Piece]:
        for piece in source:
            self.read += len(piece.ids)
            yield piece

    def nowhere(
        self, keys: QueueKeys, listed: Iterable[Piece], prefilter: Prefilter | None, *, whole: bool = True
    ) -> Iterator[Placed]:
        """The jobs found by their entries in the states hash, with the place of those that are in one.
        Jobs that have ended are not looked up in the places."""
        source = pieces.with_records(self._redis, keys, self._counted(listed), results=whole)
        if prefilter is not None:
            source = self._passing(keys, source, prefilter)
        for piece in source:
            found: list[Found] = [(None, None)] * len(piece.ids)
            open_ = [i for i, entry in enumerate(piece.states) if entry not in ENDED]
            if open_:
                some = piece.only(open_)
                states = list(piece.states)
                for i, where in zip(open_, self.places_of(keys, some), strict=True):
                    found[i] = where
                for new, old in enumerate(open_):
                    states[old] = some.states[new]
                    if new in some.claims:
                        piece.claims[old] = some.claims[new]
                piece.states = states
            yield piece, found

    def _passing(self, keys: QueueKeys, source: Iterable[Piece], prefilter: Prefilter) -> Iterator[Piece]:
        for piece in source:
            passing = prefilter.passing(piece)
            stopped = set(_maybe_split(piece.records)).difference(passing)
            if stopped and self._redis.exists(*(keys.payload(to_text(piece.ids[i])) for i in stopped)):
                # The search did not cover their payload parts.
                passing = sorted({*passing, *stopped})
            if passing:
                yield piece.only(passing)

    def _forgive_moves(self, keys: QueueKeys, place: str, piece: Piece) -> None:
        """Drop the contradicting states of jobs that have moved since they were found."""
        agreeing = _AGREEING[place]
        if not set(piece.states) - agreeing:
            return
        contradicting = [i for i, entry in enumerate(piece.states) if entry not in agreeing]
        if place == "active":
            left = scan.hash_get(self._redis, keys.active, [piece.ids[i] for i in contradicting])
        else:
            key: bytes = getattr(keys, place)
            left = scan.typed(key, self._redis.zmscore, key, [piece.members[i] for i in contradicting])
        gone = {i for i, held in zip(contradicting, left, strict=True) if held is None}
        piece.states = [None if i in gone else entry for i, entry in enumerate(piece.states)]

    def places_of(self, keys: QueueKeys, piece: Piece) -> list[Found]:
        """The place that each of these jobs is in now, and its score there. In the delayed set and the
        dead-letter queue, only the members that AsyncMQ writes together with a record are found. Also reads
        the states of the piece again. Raises WrongType."""
        names = piece.ids
        # Read in the order in which jobs move: a job that is claimed in the meantime is in the active hash.
        waiting = run_pipeline(self._redis, [("ZMSCORE", keys.waiting, *names)])[0]
        found: list[Found] = [(None, None) if score is None else ("waiting", score) for score in waiting]
        claims, piece.states = run_pipeline(
            self._redis, [("HMGET", keys.active, *names), ("HMGET", keys.states, *names)]
        )
        for i, claim in enumerate(claims):
            if claim is not None:
                found[i] = ("active", None)
                piece.claims[i] = claim
        commands = [
            (i, place, ("ZMSCORE", getattr(keys, place), *expected_members(record, place)))
            for i, record in enumerate(piece.records)
            if found[i][0] is None and record is not None
            for place in _where_to_look(piece.states[i])
        ]
        for some in chunked(commands, 20):
            replies = run_pipeline(self._redis, [command for _, _, command in some])
            for (i, place, _), scores in zip(some, replies, strict=True):
                score = next((score for score in scores if score is not None), None)
                if score is not None and found[i][0] is None:
                    found[i] = (place, score)
        return found

    def to_jobs(self, keys: QueueKeys, pages: Iterable[Placed]) -> Iterator[Job]:
        """The jobs of these pieces. Payload parts are read on first use."""
        for piece, found in pages:
            if piece.size <= _DECODED_AT_ONCE:
                yield from self._to_jobs(keys, piece, found)
            else:
                for i in range(len(piece.ids)):
                    yield from self._to_jobs(keys, piece.only([i]), [found[i]])

    def _to_jobs(self, keys: QueueKeys, piece: Piece, found: Sequence[Found]) -> list[Job]:
        raws = [_raw(piece, i, *found[i]) for i in range(len(piece.ids))]
        split = [raw for raw in raws if _may_be_split(raw)]
        payloads = Payloads(self._redis, [keys.payload(raw.id) for raw in split])
        for i, raw in enumerate(split):
            raw.payload = payloads.part(i)
        jobs = []
        for i, raw in enumerate(raws):
            place = found[i][0]
            entry = piece.states[i] if piece.states else None
            status = _status_nowhere(raw) if place is None else status_in(place, entry)
            if place is None:
                raw.problem = raw.problem or _homeless(raw, status)
            else:
                if entry not in _AGREEING[place]:
                    raw.problem = raw.problem or _contradiction(place, entry or b"")
                raw.state = None if entry is None else status
            jobs.append(hydrate(keys.queue, raw, place=place, status=status))
        return jobs


def of_dead(state: str, page: Placed) -> Placed:
    piece, found = page
    chosen = [i for i, entry in enumerate(piece.states) if (entry == b"expired") == (state == "expired")]
    return piece.only(chosen), [found[i] for i in chosen]


def called(state: str, page: Placed) -> Placed:
    """The jobs with this state that are in no place."""
    piece, found = page
    chosen = [
        i for i, (place, _) in enumerate(found) if place is None and _status_in_no_place(piece, i) == state
    ]
    return piece.only(chosen), [found[i] for i in chosen]


def status_in(place: str, entry: bytes | None) -> str:
    """The state of a job in this place, given its entry in the states hash."""
    if place == "dlq":
        return "expired" if entry == b"expired" else "failed"
    return place


def _where_to_look(entry: bytes | None) -> tuple[str, ...]:
    if entry in (b"completed", b"cancelled", b"active"):
        return ()
    if entry in (b"failed", b"expired"):
        return ("dlq",)
    return ("delayed",) if entry == b"delayed" else ("waiting", "delayed", "dlq")


def _status_in_no_place(piece: Piece, i: int) -> str:
    """The state of a job that is in no place, from the states hash or its record. If that is waiting,
    the job waits for its parents."""
    entry = piece.states[i]
    if entry is not None and entry not in _UNDECIDED:
        return to_text(entry)
    return _status_nowhere(_raw(piece, i, None, None))


def _status_nowhere(raw: RawJob) -> str:
    status = effective_state(raw.state, raw.record, None)
    if raw.is_note:
        return status
    return WAITING_CHILDREN if status in PENDING_STATES - {"delayed"} else status


def _contradiction(place: str, entry: bytes) -> str:
    return f"the states hash calls it {to_text(entry)!r}, but it is in the {_NAMES[place]}"


def _homeless(raw: RawJob, status: str) -> str | None:
    if raw.record is None:
        # This problem is reported anyway.
        return None
    if raw.is_note:
        return "this is metadata of AsyncMQ's RabbitMQ backend: the job itself is in RabbitMQ"
    if status == WAITING_CHILDREN:
        if has_pending_parents(raw.record):
            return None
        return "it waits for no other job, but is in no place where a worker would look for it"
    home = PLACE_OF_STATE.get(status)
    return None if home is None else f"its state is {status}, but it is not in the {_NAMES[home]}"


def _raw(piece: Piece, i: int, place: str | None, score: float | None) -> RawJob:
    raw = _from_member(place, piece.members[i]) if piece.members else RawJob(id=to_text(piece.ids[i]))
    raw.score = score
    entry = piece.states[i] if piece.states else None
    raw.state = None if entry is None else to_text(entry)
    record = piece.records[i] if piece.records else None
    if record is not None and piece.members and record == piece.members[i]:
        # AsyncMQ usually writes the same text to both, so decode it once.
        raw.record, raw.record_size = raw.member, len(record)
        if raw.member is None:
            add_record(raw, record)
    else:
        add_record(raw, record)
    raw.result, raw.claim = piece.results.get(i), piece.claims.get(i)
    raw.size = sum(map(_memory, piece.bodies(i))) + _memory(raw.result or b"")
    return raw


def _memory(text: bytes) -> int:
    """The approximate bytes that the decoded text takes in memory; 0 if it is too large to be decoded."""
    return len(text) if len(text) < _WEIGHED_FROM else weight(text, LIMITS.decoded) or 0


def _from_member(place: str | None, member: bytes) -> RawJob:
    found = decode_strict_member(member)
    if found is not None:
        job, is_strict = found
        job_id = job.get("id")
        return RawJob(
            id="" if job_id is None else str(job_id),
            member=job,
            problem="the job has no id" if job_id is None else None,
            text=member if is_strict else None,
        )
    if place == "waiting":
        return RawJob(id=to_text(member))
    if is_too_large(member):
        named, problem = large_outline(member), f"the job is {TooLarge(len(member))}"
        return RawJob(id=named.get("id") or "", member=named, problem=problem)
    return RawJob(id="", problem=f"a member is not a JSON object ({len(member)} bytes)")


def _may_be_split(raw: RawJob) -> bool:
    record = raw.record
    return record is not None and (
        "args" not in record or "kwargs" not in record or raw.record_size >= _SPLIT_AND_WHOLE
    )


def _maybe_split(records: Sequence[bytes | None]) -> list[int]:
    """The positions of records that may have a payload part."""
    found = whole_arguments([record or b"" for record in records])
    return [
        i
        for i, record in enumerate(records)
        if record is not None and (len(record) >= _SPLIT_AND_WHOLE or not found[i])
    ]
