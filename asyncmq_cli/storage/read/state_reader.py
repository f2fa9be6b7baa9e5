"""The jobs of each state, in chunks, with the place where each was found.

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

import redis

from asyncmq_cli.models.values import DEAD_STATES, WAITING_CHILDREN
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.read import pieces, placed_jobs
from asyncmq_cli.storage.read.pieces import Piece, Prefilter, SeenNames
from asyncmq_cli.storage.read.placed_jobs import Found
from asyncmq_cli.storage.schema.keys import QueueKeys, to_text

ALL_PLACES = ("delayed", "waiting", "active", "dlq")
"""The order in which places are read: a job that moves during the read is found in one of them."""
ENTRIES: dict[str, frozenset[bytes | None]] = {
    "completed": frozenset({b"completed", None}),
    "cancelled": frozenset({b"cancelled", None}),
    WAITING_CHILDREN: frozenset({b"waiting", b"wait", b"queued", b"waiting-children", None}),
}
"""By state, the entries that its jobs may have in the states hash. If there is no entry, the record
decides."""
ENDED: frozenset[bytes | None] = frozenset({b"completed", b"cancelled"})

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
                for i, where in zip(open_, placed_jobs.places_of(self._redis, keys, some), strict=True):
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
            stopped = set(placed_jobs.maybe_split(piece.records)).difference(passing)
            if stopped and self._redis.exists(*(keys.payload(to_text(piece.ids[i])) for i in stopped)):
                # The search did not cover their payload parts.
                passing = sorted({*passing, *stopped})
            if passing:
                yield piece.only(passing)

    def _forgive_moves(self, keys: QueueKeys, place: str, piece: Piece) -> None:
        """Drop the contradicting states of jobs that have moved since they were found."""
        contradicting = placed_jobs.contradicting(piece, place)
        if not contradicting:
            return
        if place == "active":
            left = scan.hash_get(self._redis, keys.active, [piece.ids[i] for i in contradicting])
        else:
            key: bytes = getattr(keys, place)
            left = scan.typed(key, self._redis.zmscore, key, [piece.members[i] for i in contradicting])
        gone = {i for i, held in zip(contradicting, left, strict=True) if held is None}
        piece.states = [None if i in gone else entry for i, entry in enumerate(piece.states)]


def of_dead(state: str, page: Placed) -> Placed:
    piece, found = page
    chosen = [i for i, entry in enumerate(piece.states) if (entry == b"expired") == (state == "expired")]
    return piece.only(chosen), [found[i] for i in chosen]


def called(state: str, page: Placed) -> Placed:
    """The jobs with this state that are in no place."""
    piece, found = page
    chosen = [
        i
        for i, (place, _) in enumerate(found)
        if place is None and placed_jobs.status_nowhere(piece, i) == state
    ]
    return piece.only(chosen), [found[i] for i in chosen]
