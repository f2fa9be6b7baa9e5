"""How a queue is listed.

A job is where a worker would look for it, so the list of a state is what is in one place:

    waiting, delayed    the sorted set
    active              the active hash
    failed, expired     the dead-letter queue; what the states hash calls expired is, all else has failed
    completed,          what the states hash (or, where it says nothing, the record) calls so
      cancelled
    waiting-children    what is called waiting, but is in none of these places
    all                 each of these jobs once, and what is called something else and is in no place

The sizes of the same places are the counts. A job in two places is in the lists of both. A dead
letter's member is the job as it died, and its record need not be read; all other jobs are what their
records say.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import redis

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.models.values import DEAD_STATES, WAITING_CHILDREN, chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.read import pieces, placed_jobs
from asyncmq_cli.storage.read.pieces import Piece, SeenNames
from asyncmq_cli.storage.read.placed_jobs import Found
from asyncmq_cli.storage.schema.codec import causes, sort_times
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.prefilter import Prefilter

PLACES = {"waiting": "waiting", "delayed": "delayed", "active": "active", "failed": "dlq", "expired": "dlq"}
"""Where the jobs of a state are; those of the others are in no place."""
_AS_JOBS_MOVE = ("delayed", "waiting", "active", "dlq")
"""A job that goes on from one to the next while they are read is met in one of them."""
_ENTRIES: dict[str, frozenset[bytes | None]] = {
    "completed": frozenset({b"completed", None}),
    "cancelled": frozenset({b"cancelled", None}),
    WAITING_CHILDREN: frozenset({b"waiting", b"wait", b"queued", b"waiting-children", None}),
}
"""What the states hash may say of the jobs of a state; without an entry the record tells."""
_ENDED: frozenset[bytes | None] = frozenset({b"completed", b"cancelled"})
CLOCKS_DIFFER = 300.0
"""Seconds by which the clock of a worker may be behind that of a producer."""
_OF_ONE_SCORE = 64

Placed = tuple[Piece, list[Found]]


class SortKey(NamedTuple):
    """What a list is sorted by, and where to find the job again. `score` is that of a sorted set."""

    time: float
    id: str
    place: str
    score: float


class JobLists:
    """All that read raise WrongType."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def in_state(self, queue: str, state: str, prefilter: Prefilter | None = None) -> Iterator[Job]:
        """Every job of a state, whole, in the order found. `all` gives each job of the queue once.

        A prefilter leaves out jobs that it can tell undecoded are not wanted; it need not find them all.
        """
        keys = QueueKeys(queue)
        for piece, found in self._in_state(keys, state, prefilter):
            yield from placed_jobs.to_jobs(self._redis, keys, piece, found)

    def in_place(self, queue: str, place: str, prefilter: Prefilter | None = None) -> Iterator[Job]:
        """Everything in `waiting`, `delayed`, `dlq` or `active`, as whole jobs."""
        keys = QueueKeys(queue)
        for piece, found in self._in_place(keys, place, prefilter):
            yield from placed_jobs.to_jobs(self._redis, keys, piece, found)

    def dead_causes(self, queue: str) -> Iterator[Job]:
        """Everything in the dead-letter queue, of each job only what tells which it is and why it died."""
        keys = QueueKeys(queue)
        for piece, found in self._in_place(keys, "dlq", None):
            unread = []
            for i, record in enumerate(causes(piece.members)):
                if record is None:
                    unread.append(i)
                else:
                    status = placed_jobs.status_in("dlq", piece.states[i])
                    job_id = to_text(piece.ids[i])
                    yield Job(queue, job_id, status, record, dead_at=piece.scores[i])
            rest = piece.only(unread)
            yield from placed_jobs.to_jobs(self._redis, keys, rest, [found[i] for i in unread])

    def in_order(self, queue: str, state: str, start: int = 0, count: int | None = None) -> Iterator[Job]:
        """Jobs of a state, or of the whole dead-letter queue (`dlq`), in the order of the place itself:
        what runs next, what is due next, what was claimed first, what died last. Jobs in no place come in
        the order of the hash. Reads no more than these, but for `failed` and `expired`, which lie
        among each other, and for what is in no place: there it reads what comes before them, too."""
        keys = QueueKeys(queue)
        if state in ("waiting", "delayed", "dlq"):
            source = pieces.by_rank(self._redis, keys, state, start, last_first=state == "dlq", count=count)
            pages: Iterable[Placed] = self._complete(keys, state, source)
        elif state in DEAD_STATES:
            source = pieces.by_rank(self._redis, keys, "dlq", 0, last_first=True)
            pages = _from(
                start, count, (_of_dead(state, page) for page in self._complete(keys, "dlq", source))
            )
        elif state == "active":
            claims = sorted(_claims(self._redis, keys))
            some = claims[start:] if count is None else claims[start : start + count]
            source = (
                Piece([name for _, name, _ in part], claims={i: claim for i, (*_, claim) in enumerate(part)})
                for part in chunked(some)
            )
            pages = self._complete(keys, state, source)
        else:
            pages = _from(start, count, self._in_state(keys, state, None))
        for piece, found in pages:
            yield from placed_jobs.to_jobs(self._redis, keys, piece, found)

    def sort_keys(self, queue: str, state: str) -> Iterator[SortKey]:
        """By what each job of a state is sorted: its `run_at`, else `created_at`, else `timestamp`."""
        for piece, found in self._in_state(QueueKeys(queue), state, None, whole=False):
            yield from _sort_keys(piece, found)

    def newest_dead(self, queue: str, state: str, count: int) -> tuple[list[SortKey], int | None]:
        """Of `failed` or `expired` jobs the newest, and how many there are where all were read.

        A job dies after it was created. So going backwards by death, one may stop once no earlier
        death can be that of a job newer than those found.
        """
        keys = QueueKeys(queue)
        top: list[SortKey] = []
        total = 0
        source = pieces.by_rank(self._redis, keys, "dlq", 0, last_first=True)
        for piece in source:
            piece.states = scan.hash_get(self._redis, keys.states, piece.ids)
            earliest = piece.scores[-1]
            chosen, found = _of_dead(state, (piece, [("dlq", score) for score in piece.scores]))
            total += len(chosen.ids)
            # A death meanwhile moves the ranks, and the last of the piece before comes again. What has no id
            # may have the same key as another.
            before = {key for key in top if key.id}
            top = heapq.nlargest(count, [*top, *(k for k in _sort_keys(chosen, found) if k not in before)])
            if len(top) == count and top[-1].time > earliest + CLOCKS_DIFFER:
                return top, None
        return top, total

    def by_keys(self, queue: str, wanted: Iterable[SortKey]) -> Iterator[Job]:
        """These jobs, in this order, read again; one that is gone meanwhile is left out."""
        keys = QueueKeys(queue)
        for some in chunked(wanted, 200):
            # What has no id may have the same key as another.
            jobs: dict[SortKey, list[Job]] = {}
            for place in ("waiting", "delayed", "dlq"):
                there = [key for key in some if key.place == place]
                for key, job in self._by_score(keys, place, there):
                    jobs.setdefault(key, []).append(job)
            # A member of a sorted set may be no job, or one without an id.
            rest = [key for key in some if key not in jobs and (key.id or key.place in ("", "active"))]
            for key, loaded in zip(rest, self.load(queue, [key.id for key in rest]), strict=True):
                jobs.setdefault(key, []).extend([] if loaded is None else [loaded])
            yield from (jobs[key].pop(0) for key in some if jobs.get(key))

    def count(self, queue: str, state: str) -> int:
        """How many jobs of a state there are."""
        keys = QueueKeys(queue)
        if state in DEAD_STATES:
            return self._count_dead(keys, state)
        if state in ("waiting", "delayed", "dlq", "active"):
            return self._size(keys, state)
        ended = {to_bytes(state)} & _ENDED
        if not ended:
            return sum(len(piece.ids) for piece, _ in self._in_state(keys, state, None, whole=False))
        total = 0
        for piece in pieces.indexed(self._redis, keys):
            total += sum(entry in ended for entry in piece.states)
            # Old versions of AsyncMQ wrote no entries: only the records of such jobs tell.
            entryless = piece.only([i for i, entry in enumerate(piece.states) if entry is None])
            if entryless.ids:
                read = self._nowhere(keys, [entryless], None, whole=False)
                total += sum(len(_called(state, page)[0].ids) for page in read)
        return total

    def at_most(self, queue: str, state: str) -> tuple[int, bool]:
        """As many jobs of a state there are at most, by the sizes of places alone; and whether there are
        exactly so many."""
        keys = QueueKeys(queue)
        if state in DEAD_STATES:
            size = self._size(keys, "dlq")
            return size, size == 0
        if state in ("waiting", "delayed", "dlq", "active"):
            return self._size(keys, state), True
        jobs = max(scan.card(self._redis, "SCARD", keys.ids), scan.card(self._redis, "HLEN", keys.states))
        in_places = sum(self._size(keys, place) for place in _AS_JOBS_MOVE)
        return (max(jobs, in_places) if state == "all" else jobs), False

    def load(self, queue: str, job_ids: Sequence[str]) -> list[Job | None]:
        """The jobs of these ids, None for an id of which nothing is there."""
        keys = QueueKeys(queue)
        loaded: list[Job | None] = []
        source = (Piece(names) for names in chunked(map(to_bytes, job_ids)))
        read = pieces.with_records(self._redis, keys, pieces.with_states(self._redis, keys, source))
        for piece in read:
            found = placed_jobs.places_of(self._redis, keys, piece)
            jobs = placed_jobs.to_jobs(self._redis, keys, piece, found)
            parts = zip(piece.records, piece.states, found, strict=True)
            there = [
                record is not None or entry is not None or place is not None
                for record, entry, (place, _) in parts
            ]
            if not all(there):
                inside = scan.typed(keys.ids, self._redis.smismember, keys.ids, list(piece.ids))
                there = [bool(is_there or is_in) for is_there, is_in in zip(there, inside, strict=True)]
            loaded += [job if is_there else None for job, is_there in zip(jobs, there, strict=True)]
        return loaded

    def states(self, queue: str, job_ids: Sequence[str]) -> list[str | None]:
        """What the states hash says of these jobs."""
        found = scan.hash_get(self._redis, QueueKeys(queue).states, [to_bytes(job_id) for job_id in job_ids])
        return [None if state is None else to_text(state) for state in found]

    def _in_state(
        self, keys: QueueKeys, state: str, prefilter: Prefilter | None, *, whole: bool = True
    ) -> Iterator[Placed]:
        """The jobs of a state. Where they need not be `whole`, what only tells of a contradiction is not
        read."""
        if state == "all":
            yield from self._all(keys, prefilter, whole=whole)
        elif state in DEAD_STATES:
            for page in self._in_place(keys, "dlq", prefilter):
                yield _of_dead(state, page)
        elif state in PLACES:
            yield from self._in_place(keys, state, prefilter, states=whole)
        else:
            entries = _ENTRIES[state]
            listed = (
                piece.only([i for i, entry in enumerate(piece.states) if entry in entries])
                for piece in pieces.indexed(self._redis, keys)
            )
            for page in self._nowhere(keys, listed, prefilter, whole=whole):
                yield _called(state, page)

    def _all(self, keys: QueueKeys, prefilter: Prefilter | None, *, whole: bool) -> Iterator[Placed]:
        seen = SeenNames()
        for place in _AS_JOBS_MOVE:
            source = (piece.only(seen.new(piece.ids)) for piece in self._pieces(keys, place))
            yield from self._complete(keys, place, source, prefilter, states=whole or place == "dlq")
        rest = (
            piece.only([i for i, name in enumerate(piece.ids) if name not in seen])
            for piece in pieces.indexed(self._redis, keys)
        )
        yield from self._nowhere(keys, rest, prefilter, whole=whole)

    def _in_place(
        self, keys: QueueKeys, place: str, prefilter: Prefilter | None, *, states: bool = True
    ) -> Iterator[Placed]:
        return self._complete(keys, place, self._pieces(keys, place), prefilter, states=states)

    def _pieces(self, keys: QueueKeys, place: str) -> Iterator[Piece]:
        if place == "active":
            return pieces.claimed(self._redis, keys)
        return pieces.scanned(self._redis, keys, place)

    def _complete(
        self,
        keys: QueueKeys,
        place: str,
        source: Iterable[Piece],
        prefilter: Prefilter | None = None,
        *,
        states: bool = True,
    ) -> Iterator[Placed]:
        """What is in a place, with all that is read of it. The body of a dead letter is its member."""
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

    def _nowhere(
        self, keys: QueueKeys, listed: Iterable[Piece], prefilter: Prefilter | None, *, whole: bool = True
    ) -> Iterator[Placed]:
        """Jobs by their states, with the place of those that are in one all the same. What has ended is
        taken at its word."""
        source = pieces.with_records(self._redis, keys, listed, results=whole)
        if prefilter is not None:
            source = self._passing(keys, source, prefilter)
        for piece in source:
            found: list[Found] = [(None, None)] * len(piece.ids)
            open_ = [i for i, entry in enumerate(piece.states) if entry not in _ENDED]
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
                # What is in the other part is not known.
                passing = sorted({*passing, *stopped})
            if passing:
                yield piece.only(passing)

    def _forgive_moves(self, keys: QueueKeys, place: str, piece: Piece) -> None:
        """Forget what the states hash says of jobs that have gone elsewhere since they were found."""
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

    def _by_score(
        self, keys: QueueKeys, place: str, wanted: Sequence[SortKey]
    ) -> Iterator[tuple[SortKey, Job]]:
        for some in chunked(wanted, 32):
            key: bytes = getattr(keys, place)
            bounds = [repr(one.score) for one in some]
            commands = [("ZRANGEBYSCORE", key, bound, bound, "LIMIT", 0, _OF_ONE_SCORE) for bound in bounds]
            met: list[SortKey] = []
            members: list[bytes] = []
            taken: set[bytes] = set()
            for one, found in zip(some, run_pipeline(self._redis, commands), strict=True):
                named = zip(found, pieces.ids_of_members(place, found), strict=True)
                name = to_bytes(one.id)
                candidates = [member for member, its in named if its == name and member not in taken]
                if candidates:
                    times = sort_times(candidates) if len(candidates) > 1 else [one.time]
                    member = candidates[times.index(one.time) if one.time in times else 0]
                    taken.add(member)
                    met.append(one)
                    members.append(member)
            if not members:
                continue
            names = pieces.ids_of_members(place, members)
            piece = Piece(names, members=members, scores=[one.score for one in met])
            coming = iter(met)
            for page, places in self._complete(keys, place, [piece]):
                jobs = placed_jobs.to_jobs(self._redis, keys, page, places)
                yield from zip(coming, jobs, strict=False)

    def _count_dead(self, keys: QueueKeys, state: str) -> int:
        dead = self._size(keys, "dlq")
        if not dead:
            return 0
        fields = scan.hash_fields(self._redis, keys.states)
        expired = min(dead, sum(list(piece.values()).count(b"expired") for piece in fields))
        return expired if state == "expired" else dead - expired

    def _size(self, keys: QueueKeys, place: str) -> int:
        return scan.card(self._redis, "HLEN" if place == "active" else "ZCARD", getattr(keys, place))


def _of_dead(state: str, page: Placed) -> Placed:
    piece, found = page
    chosen = [i for i, entry in enumerate(piece.states) if (entry == b"expired") == (state == "expired")]
    return piece.only(chosen), [found[i] for i in chosen]


def _called(state: str, page: Placed) -> Placed:
    """The jobs that are in no place, and of this state."""
    piece, found = page
    chosen = [
        i
        for i, (place, _) in enumerate(found)
        if place is None and placed_jobs.status_nowhere(piece, i) == state
    ]
    return piece.only(chosen), [found[i] for i in chosen]


def _from(start: int, count: int | None, pages: Iterable[Placed]) -> Iterator[Placed]:
    """So many jobs, after so many others."""
    for piece, found in pages:
        size = len(piece.ids)
        if start >= size:
            start -= size
            continue
        end = size if count is None else min(size, start + count)
        yield piece.only(range(start, end)), found[start:end]
        count = None if count is None else count - (end - start)
        start = 0
        if count == 0:
            return


def _claims(client: redis.Redis, keys: QueueKeys) -> Iterator[tuple[float, bytes, bytes]]:
    """When each job was claimed, its id, and the claim as stored."""
    for fields in scan.hash_fields(client, keys.active):
        for name, claim in fields.items():
            try:
                since = float(claim)
            except ValueError:
                since = float("inf")
            yield since, name, claim


def _sort_keys(piece: Piece, found: Sequence[Found]) -> Iterator[SortKey]:
    times: Sequence[float | None] = sort_times(piece.records) if piece.records else [None] * len(piece.ids)
    if piece.members and None in times:
        # Without a record the member is the job.
        times = [
            of_member if of_record is None else of_record
            for of_record, of_member in zip(times, sort_times(piece.members), strict=True)
        ]
    for name, time, (place, score) in zip(piece.ids, times, found, strict=True):
        yield SortKey(time or 0.0, to_text(name), place or "", score or 0.0)
