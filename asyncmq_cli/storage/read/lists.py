"""The lists of a queue's jobs.

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

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.jobs import Job
from asyncmq_cli.models.values import DEAD_STATES, WAITING_CHILDREN, as_number, chunked, in_parts
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.pipeline import Command, run_pipeline
from asyncmq_cli.storage.read import pieces, placed_jobs
from asyncmq_cli.storage.read.pieces import Piece, SeenNames
from asyncmq_cli.storage.read.placed_jobs import Found
from asyncmq_cli.storage.schema.codec import causes, sort_times
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.prefilter import Prefilter

PLACES = {"waiting": "waiting", "delayed": "delayed", "active": "active", "failed": "dlq", "expired": "dlq"}
"""By state, the place that its jobs are in. Jobs in other states are in no place."""
_ALL_PLACES = ("delayed", "waiting", "active", "dlq")
"""The order in which places are read: a job that moves during the read is found in one of them."""
_ENTRIES: dict[str, frozenset[bytes | None]] = {
    "completed": frozenset({b"completed", None}),
    "cancelled": frozenset({b"cancelled", None}),
    WAITING_CHILDREN: frozenset({b"waiting", b"wait", b"queued", b"waiting-children", None}),
}
"""By state, the entries that its jobs may have in the states hash. If there is no entry, the record
decides."""
_ENDED: frozenset[bytes | None] = frozenset({b"completed", b"cancelled"})
ALL = sys.maxsize
"""The count that means all jobs."""
CLOCKS_DIFFER = 300.0
"""Seconds by which a worker's clock may be behind a producer's."""
_OF_ONE_SCORE = 64
_SORTED_AT_ONCE = 1000
_SIZED_AT_A_TIME = 500
"""The number of queues whose sizes are read in one round trip."""
KEYS_AT_A_TIME = 200
_COUNTED_BY_LETTERS = 1000
"""Reading up to this many dead letters costs less than reading the states hash of a large queue."""

Placed = tuple[Piece, list[Found]]


class SortKey(NamedTuple):
    """The sort time of a job, and where to find it again: its id, its place, and its score in a sorted
    set. `size` is its approximate size in bytes."""

    time: float
    id: str
    place: str
    score: float
    size: int = 0


class JobLists:
    """Lists, counts and loads jobs. All methods raise WrongType."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self.read = 0
        """The number of jobs that were read so far, to show the progress of a search."""

    def in_state(self, queue: str, state: str, prefilter: Prefilter | None = None) -> Iterator[Job]:
        """Every job in a state, complete, in the order found. The state `all` yields each job of the queue
        once, `dlq` all jobs of the dead-letter queue.

        A prefilter skips jobs that certainly do not match, without decoding them; it may let others pass.
        """
        keys = QueueKeys(queue)
        for piece, found in self._in_state(keys, state, prefilter):
            yield from placed_jobs.to_jobs(self._redis, keys, piece, found)

    def dead_causes(self, queue: str, *, arguments: bool = False, newest: int | None = None) -> Iterator[Job]:
        """Every job in the dead-letter queue, or only the `newest` ones (a count), with only its id, its
        task, the cause of its death and, if requested, its `arguments`."""
        keys = QueueKeys(queue)
        if newest is None:
            pages = self._in_place(keys, "dlq", None)
        else:
            source = pieces.by_rank(self._redis, keys, "dlq", 0, last_first=True, count=newest)
            pages = self._complete(keys, "dlq", source)
        for piece, found in pages:
            unread = []
            for i, record in enumerate(causes(piece.members, arguments=arguments)):
                if record is None:
                    unread.append(i)
                else:
                    status = placed_jobs.status_in("dlq", piece.states[i])
                    job_id = to_text(piece.ids[i])
                    yield Job(queue, job_id, status, record, dead_at=piece.scores[i])
            rest = piece.only(unread)
            yield from placed_jobs.to_jobs(self._redis, keys, rest, [found[i] for i in unread])

    def sample(self, queue: str, place: str, size: int, count: int) -> Iterator[Job]:
        """About `count` random jobs of a place with `size` members. For `completed`, that many jobs of
        the queue are read, and the completed ones are returned."""
        from asyncmq_cli.storage.read import pieces

        keys = QueueKeys(queue)
        if place == "completed":
            stated = pieces.with_states(self._redis, keys, pieces.of_ids(self._redis, keys, count))
            done = (
                piece.only([i for i, entry in enumerate(piece.states) if entry == b"completed"])
                for piece in stated
            )
            source = (piece for piece in done if piece.ids)
            pages: Iterable[Placed] = self._nowhere(keys, source, None, whole=False)
        elif place == "active":
            pages = self._complete(keys, place, pieces.of_active(self._redis, keys, count))
        else:
            members = pieces.of_sorted_set(self._redis, keys, place, size, count)
            pages = self._complete(keys, place, members)
        for piece, found in pages:
            yield from placed_jobs.to_jobs(self._redis, keys, piece, found)

    def claims(self, queue: str) -> Iterator[tuple[str, bytes]]:
        """Yield the id of each active job, and its claim as stored."""
        for fields in scan.hash_fields(self._redis, QueueKeys(queue).active):
            for name, claim in fields.items():
                yield to_text(name), claim

    def in_order(self, queue: str, state: str, start: int = 0, count: int | None = None) -> Iterator[Job]:
        """`count` jobs in a state, or in the dead-letter queue (`dlq`), from the position `start`, in the
        order of the place: next to run, next due, first claimed, last dead. Jobs in no place are in
        the order of the hash. Reads only these jobs, except that for `failed` and `expired`, and for jobs in
        no place, the jobs before them are read too."""
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

    def best(
        self, queue: str, state: str, count: int, *, newest: bool, bound: float | None = None
    ) -> tuple[list[SortKey], int | None]:
        """The first `count` sort keys of a state, newest or oldest first, and the total number of jobs if all
        were read, else None. Jobs that sort after `bound` may be missing.

        A job dies after it was created. So if the last deaths are read first, the search for the newest dead
        jobs can stop when no job with an earlier death can be newer.
        """
        keys = QueueKeys(queue)
        found = _Best(count, bound, newest=newest)
        if count == ALL or not newest or state not in DEAD_STATES:
            for page in self._in_state(keys, state, None, whole=False):
                found.add(*page)
            return found.keys(), found.total
        before: frozenset[bytes] = frozenset()
        for piece in pieces.by_rank(self._redis, keys, "dlq", 0, last_first=True):
            # A job that dies in the meantime shifts the ranks, so the last members of the previous chunk are
            # returned again.
            before, again = frozenset(piece.members), before
            piece = piece.only([i for i, member in enumerate(piece.members) if member not in again])
            piece.states = scan.hash_get(self._redis, keys.states, piece.ids)
            found.add(*_of_dead(state, (piece, [("dlq", score) for score in piece.scores])))
            if piece.ids and found.bound is not None and found.bound > piece.scores[-1] + CLOCKS_DIFFER:
                return found.keys(), None
        return found.keys(), found.total

    def by_death(
        self, queue: str, count: int, *, last_first: bool, bound: float | None = None
    ) -> list[SortKey]:
        """The `count` jobs that died last, or first, with the times of death as sort times. Stops reading at
        a death that sorts after `bound`."""
        keys = QueueKeys(queue)
        found: list[SortKey] = []
        for piece in pieces.by_rank(self._redis, keys, "dlq", 0, last_first=last_first, count=count):
            found += (
                SortKey(score, to_text(name), "dlq", score)
                for name, score in zip(piece.ids, piece.scores, strict=True)
            )
            end = piece.scores[-1]
            if bound is not None and (end < bound if last_first else end > bound):
                break
        return found

    def by_keys(self, queue: str, wanted: Iterable[SortKey]) -> Iterator[Job]:
        """Read these jobs again, in this order. Jobs that are gone are left out."""
        keys = QueueKeys(queue)
        for some in in_parts(wanted, lambda key: key.size, KEYS_AT_A_TIME):
            # Jobs without an id may share a key.
            jobs: dict[SortKey, list[Job]] = {}
            for place in ("waiting", "delayed", "dlq"):
                there = [key for key in some if key.place == place]
                for key, job in self._by_score(keys, place, there):
                    jobs.setdefault(key, []).append(job)
            # A member of a sorted set may be no job, or a job without an id.
            rest = [key for key in some if key not in jobs and (key.id or key.place in ("", "active"))]
            for key, loaded in zip(rest, self.load(queue, [key.id for key in rest]), strict=True):
                jobs.setdefault(key, []).extend([] if loaded is None else [loaded])
            yield from (jobs[key].pop(0) for key in some if jobs.get(key))

    def count(self, queue: str, state: str) -> int:
        """The number of jobs in a state."""
        keys = QueueKeys(queue)
        if state in DEAD_STATES:
            return self._count_dead(keys, state)
        if state in _ALL_PLACES:
            return self._size(keys, state)
        ended = {to_bytes(state)} & _ENDED
        if not ended:
            return sum(len(piece.ids) for piece, _ in self._in_state(keys, state, None, whole=False))
        total = 0
        for piece in pieces.indexed(self._redis, keys):
            total += sum(entry in ended for entry in piece.states)
            # Old versions of AsyncMQ wrote no entries, so the records of their jobs decide.
            entryless = piece.only([i for i, entry in enumerate(piece.states) if entry is None])
            if entryless.ids:
                read = self._nowhere(keys, [entryless], None, whole=False)
                total += sum(len(_called(state, page)[0].ids) for page in read)
        return total

    def at_most(self, queue: str, state: str) -> tuple[int, bool]:
        """An upper bound for the number of jobs in a state, from sizes only, and whether it is exact."""
        size = self.at_most_each([queue], state)[0]
        if isinstance(size, WrongType):
            raise size
        return size, state in _ALL_PLACES or (state in DEAD_STATES and size == 0)

    def at_most_each(self, queues: Sequence[str], state: str) -> list[int | WrongType]:
        """The same upper bound for each of these queues, in one round trip for many queues; WrongType for a
        queue whose key has the wrong type."""
        found: list[int | WrongType] = []
        for some in chunked(queues, _SIZED_AT_A_TIME):
            commands = [_sizes(QueueKeys(queue), state) for queue in some]
            replies = iter(
                run_pipeline(self._redis, [one for each in commands for one in each], keep=WrongType)
            )
            for each in commands:
                sizes = [next(replies) for _ in each]
                problem = next((size for size in sizes if isinstance(size, WrongType)), None)
                # The sizes of the ids set and the states hash and, for `all`, of the places.
                found.append(problem or max(*sizes[:2], sum(sizes[2:])) if len(sizes) > 1 else sizes[0])
        return found

    def load(self, queue: str, job_ids: Sequence[str]) -> list[Job | None]:
        """The jobs with these ids; None for an id without a job."""
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
        """The entry of each of these jobs in the states hash, or None."""
        found = scan.hash_get(self._redis, QueueKeys(queue).states, [to_bytes(job_id) for job_id in job_ids])
        return [None if state is None else to_text(state) for state in found]

    def heartbeats(self, queue: str, job_ids: Sequence[str]) -> list[float | None]:
        """The time of the last heartbeat of each of these jobs. None if it cannot be read, or if the
        application does not check for stalled jobs."""
        key = QueueKeys(queue).heartbeats
        try:
            found = scan.hash_get(self._redis, key, [to_bytes(job_id) for job_id in job_ids])
        except WrongType:
            # The doctor reports this; a list of jobs need not fail because of it.
            return [None] * len(job_ids)
        return [None if beat is None else as_number(to_text(beat)) for beat in found]

    def _in_state(
        self, keys: QueueKeys, state: str, prefilter: Prefilter | None, *, whole: bool = True
    ) -> Iterator[Placed]:
        """The jobs in a state. Without `whole`, data that only serves to find contradictions is not read."""
        if state == "all":
            yield from self._all(keys, prefilter, whole=whole)
        elif state in DEAD_STATES:
            for page in self._in_place(keys, "dlq", prefilter):
                yield _of_dead(state, page)
        elif state in _ALL_PLACES:
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
        for place in _ALL_PLACES:
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

    def _nowhere(
        self, keys: QueueKeys, listed: Iterable[Piece], prefilter: Prefilter | None, *, whole: bool = True
    ) -> Iterator[Placed]:
        """The jobs found by their entries in the states hash, with the place of those that are in one.
        Jobs that have ended are not looked up in the places."""
        source = pieces.with_records(self._redis, keys, self._counted(listed), results=whole)
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

    def _by_score(
        self, keys: QueueKeys, place: str, wanted: Sequence[SortKey]
    ) -> Iterator[tuple[SortKey, Job]]:
        for some in chunked(wanted, 32):
            key: bytes = getattr(keys, place)
            # Many jobs may have died at the same time, so request the members of each score once.
            bounds = list(dict.fromkeys(repr(one.score) for one in some))
            commands = [("ZRANGEBYSCORE", key, bound, bound, "LIMIT", 0, _OF_ONE_SCORE) for bound in bounds]
            replies = run_pipeline(self._redis, commands)
            named = {
                bound: list(zip(found, pieces.ids_of_members(place, found), strict=True))
                for bound, found in zip(bounds, replies, strict=True)
            }
            met: list[SortKey] = []
            members: list[bytes] = []
            taken: set[bytes] = set()
            for one in some:
                name, of_score = to_bytes(one.id), named[repr(one.score)]
                candidates = [member for member, its in of_score if its == name and member not in taken]
                if candidates:
                    times = [time or 0.0 for time in sort_times(candidates)]
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
                for job in placed_jobs.to_jobs(self._redis, keys, page, places):
                    yield next(coming), job

    def _count_dead(self, keys: QueueKeys, state: str) -> int:
        """Count by the states hash if it has as many dead jobs as there are dead letters. Otherwise some of
        its entries are wrong or missing, so the dead letters are read."""
        before = self._size(keys, "dlq")
        if before > _COUNTED_BY_LETTERS:
            entries: Counter[bytes] = Counter()
            for piece in scan.hash_fields(self._redis, keys.states):
                entries.update(piece.values())
            after = self._size(keys, "dlq")
            failed, expired = entries[b"failed"], entries[b"expired"]
            if min(before, after) <= failed + expired <= max(before, after):
                return expired if state == "expired" else failed
        return sum(len(piece.ids) for piece, _ in self._in_state(keys, state, None, whole=False))

    def _size(self, keys: QueueKeys, place: str) -> int:
        return scan.card(self._redis, "HLEN" if place == "active" else "ZCARD", getattr(keys, place))


def _sizes(keys: QueueKeys, state: str) -> list[Command]:
    """The commands whose replies give an upper bound for the number of jobs in a state."""

    def size(place: str) -> Command:
        return ("HLEN" if place == "active" else "ZCARD", getattr(keys, place))

    place = "dlq" if state in DEAD_STATES else state
    if place in _ALL_PLACES:
        return [size(place)]
    jobs: list[Command] = [("SCARD", keys.ids), ("HLEN", keys.states)]
    return [*jobs, *map(size, _ALL_PLACES)] if state == "all" else jobs


def _of_dead(state: str, page: Placed) -> Placed:
    piece, found = page
    chosen = [i for i, entry in enumerate(piece.states) if (entry == b"expired") == (state == "expired")]
    return piece.only(chosen), [found[i] for i in chosen]


def _called(state: str, page: Placed) -> Placed:
    """The jobs with this state that are in no place."""
    piece, found = page
    chosen = [
        i
        for i, (place, _) in enumerate(found)
        if place is None and placed_jobs.status_nowhere(piece, i) == state
    ]
    return piece.only(chosen), [found[i] for i in chosen]


def _from(start: int, count: int | None, pages: Iterable[Placed]) -> Iterator[Placed]:
    """Skip `start` jobs, then yield `count`."""
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
    """Yield the time of each claim, the job's id, and the claim as stored."""
    for fields in scan.hash_fields(client, keys.active):
        for name, claim in fields.items():
            try:
                since = float(claim)
            except ValueError:
                since = float("inf")
            yield since, name, claim


class _Best:
    """Collects the newest (or oldest) `count` of the jobs that are added. `bound` is the time of the last of
    them once there are enough; jobs that sort after it are ignored."""

    def __init__(self, count: int, bound: float | None, *, newest: bool) -> None:
        self._count = count
        self._newest = newest
        self._kept: list[SortKey] = []
        # Sort a long list only from time to time.
        self._most = count if count < _SORTED_AT_ONCE else count + max(_SORTED_AT_ONCE, count // 8)
        self.bound = bound
        self.total = 0

    def add(self, piece: Piece, found: Sequence[Found]) -> None:
        self.total += len(piece.ids)
        times, bound = _times(piece), self.bound
        chosen: Sequence[int] = range(len(times))
        if bound is not None:
            chosen = [i for i, time in enumerate(times) if (time >= bound if self._newest else time <= bound)]
        self._kept += (_sort_key(piece, found, i, times[i]) for i in chosen)
        if chosen and len(self._kept) >= self._most:
            self.keys()

    def keys(self) -> list[SortKey]:
        self._kept = sorted(self._kept, reverse=self._newest)[: self._count]
        if len(self._kept) == self._count > 0:
            self.bound = self._kept[-1].time
        return self._kept


def _times(piece: Piece) -> list[float]:
    """The sort times of the jobs."""
    times: Sequence[float | None] = sort_times(piece.records) if piece.records else [None] * len(piece.ids)
    if piece.members and None in times:
        # If a member has no record, the member itself is the job.
        times = [
            of_member if of_record is None else of_record
            for of_record, of_member in zip(times, sort_times(piece.members), strict=True)
        ]
    return [time or 0.0 for time in times]


def _sort_key(piece: Piece, found: Sequence[Found], i: int, time: float) -> SortKey:
    place, score = found[i]
    return SortKey(time, to_text(piece.ids[i]), place or "", score or 0.0, sum(map(len, piece.bodies(i))))
