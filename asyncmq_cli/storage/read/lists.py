"""The lists and counts of a queue's jobs, and their order.

`state_reader` defines which jobs are in a state.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.jobs import Job
from asyncmq_cli.models.values import DEAD_STATES, as_number, chunked, in_parts
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import Command, run_pipeline
from asyncmq_cli.storage.read import pieces
from asyncmq_cli.storage.read.pieces import Piece, Prefilter
from asyncmq_cli.storage.read.state_reader import (
    ALL_PLACES,
    ENDED,
    Placed,
    StateReader,
    called,
    of_dead,
    status_in,
)
from asyncmq_cli.storage.schema.codec import causes, sort_times
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.state_reader import Found

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
        self._reader = StateReader(client)

    @property
    def read(self) -> int:
        """The number of jobs that were read so far, to show the progress of a search."""
        return self._reader.read

    def in_state(self, queue: str, state: str, prefilter: Prefilter | None = None) -> Iterator[Job]:
        """Every job in a state, complete, in the order found. The state `all` yields each job of the queue
        once, `dlq` all jobs of the dead-letter queue.

        A prefilter skips jobs that certainly do not match, without decoding them; it may let others pass.
        """
        return self._reader.to_jobs(QueueKeys(queue), self.pages(queue, state, prefilter))

    def pages(self, queue: str, state: str, prefilter: Prefilter | None = None) -> Iterator[Placed]:
        """The stored parts of the jobs of `in_state`, some hundred at a time, for `of_page`."""
        return self._reader.in_state(QueueKeys(queue), state, prefilter)

    def of_page(self, queue: str, page: Placed, start: int = 0) -> Iterator[Job]:
        """The jobs of a page, without the first `start` jobs."""
        piece, found = page
        if start:
            piece, found = piece.only(range(start, len(piece.ids))), found[start:]
        return self._reader.to_jobs(QueueKeys(queue), [(piece, found)])

    def dead_causes(self, queue: str, *, arguments: bool = False, newest: int | None = None) -> Iterator[Job]:
        """Every job in the dead-letter queue, or only the `newest` ones (a count), with only its id, its
        task, the cause of its death and, if requested, its `arguments`."""
        keys = QueueKeys(queue)
        if newest is None:
            pages = self._reader.in_place(keys, "dlq", None)
        else:
            source = pieces.by_rank(self._redis, keys, "dlq", 0, last_first=True, count=newest)
            pages = self._reader.complete(keys, "dlq", source)
        for piece, found in pages:
            unread = []
            for i, record in enumerate(causes(piece.members, arguments=arguments)):
                if record is None:
                    unread.append(i)
                else:
                    status = status_in("dlq", piece.states[i])
                    job_id = to_text(piece.ids[i])
                    yield Job(queue, job_id, status, record, dead_at=piece.scores[i])
            rest = (piece.only(unread), [found[i] for i in unread])
            yield from self._reader.to_jobs(keys, [rest])

    def sample(self, queue: str, place: str, size: int, count: int) -> Iterator[Job]:
        """About `count` random jobs of a place with `size` members. For `completed`, that many jobs of
        the queue are read, and the completed ones are returned."""
        keys = QueueKeys(queue)
        if place == "completed":
            stated = pieces.with_states(self._redis, keys, pieces.of_ids(self._redis, keys, count))
            done = (
                piece.only([i for i, entry in enumerate(piece.states) if entry == b"completed"])
                for piece in stated
            )
            pages: Iterable[Placed] = self._reader.nowhere(keys, done, None, whole=False)
        elif place == "active":
            pages = self._reader.complete(keys, place, pieces.of_active(self._redis, keys, count))
        else:
            members = pieces.of_sorted_set(self._redis, keys, place, size, count)
            pages = self._reader.complete(keys, place, members)
        return self._reader.to_jobs(keys, pages)

    def claims(self, queue: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the id of each active job, and its claim, both as stored."""
        for fields in scan.hash_fields(self._redis, QueueKeys(queue).active):
            yield from fields.items()

    def in_order(self, queue: str, state: str, start: int = 0, count: int | None = None) -> Iterator[Job]:
        """`count` jobs in a state, or in the dead-letter queue (`dlq`), from the position `start`, in the
        order of the place: next to run, next due, first claimed, last dead. Jobs in no place are in
        the order of the hash. Reads only these jobs, except that for `failed` and `expired`, and for jobs in
        no place, the jobs before them are read too."""
        keys = QueueKeys(queue)
        if state in ("waiting", "delayed", "dlq"):
            source = pieces.by_rank(self._redis, keys, state, start, last_first=state == "dlq", count=count)
            pages: Iterable[Placed] = self._reader.complete(keys, state, source)
        elif state in DEAD_STATES:
            source = pieces.by_rank(self._redis, keys, "dlq", 0, last_first=True)
            pages = _from(
                start, count, (of_dead(state, page) for page in self._reader.complete(keys, "dlq", source))
            )
        elif state == "active":
            claims = sorted(self.claims(queue), key=_since)
            some = claims[start:] if count is None else claims[start : start + count]
            source = (
                Piece([name for name, _ in part], claims={i: claim for i, (_, claim) in enumerate(part)})
                for part in chunked(some)
            )
            pages = self._reader.complete(keys, state, source)
        else:
            pages = _from(start, count, self._reader.in_state(keys, state, None))
        return self._reader.to_jobs(keys, pages)

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
            for page in self._reader.in_state(keys, state, None, whole=False):
                found.add(*page)
            return found.keys(), found.total
        before: frozenset[bytes] = frozenset()
        for piece in pieces.by_rank(self._redis, keys, "dlq", 0, last_first=True):
            # A job that dies in the meantime shifts the ranks, so the last members of the previous chunk are
            # returned again.
            before, again = frozenset(piece.members), before
            piece = piece.only([i for i, member in enumerate(piece.members) if member not in again])
            piece.states = scan.hash_get(self._redis, keys.states, piece.ids)
            found.add(*of_dead(state, (piece, [("dlq", score) for score in piece.scores])))
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
        if state in ALL_PLACES:
            return self._size(keys, state)
        ended = {to_bytes(state)} & ENDED
        if not ended:
            return sum(len(piece.ids) for piece, _ in self._reader.in_state(keys, state, None, whole=False))
        total = 0
        for piece in pieces.indexed(self._redis, keys):
            total += sum(entry in ended for entry in piece.states)
            # Old versions of AsyncMQ wrote no entries, so the records of their jobs decide.
            entryless = piece.only([i for i, entry in enumerate(piece.states) if entry is None])
            if entryless.ids:
                read = self._reader.nowhere(keys, [entryless], None, whole=False)
                total += sum(len(called(state, page)[0].ids) for page in read)
        return total

    def at_most(self, queue: str, state: str) -> tuple[int, bool]:
        """An upper bound for the number of jobs in a state, from sizes only, and whether it is exact."""
        size = self.at_most_each([queue], state)[0]
        if isinstance(size, WrongType):
            raise size
        return size, state in ALL_PLACES or (state in DEAD_STATES and size == 0)

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
            found = self._reader.places_of(keys, piece)
            jobs = self._reader.to_jobs(keys, [(piece, found)])
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
            jobs = self._reader.to_jobs(keys, self._reader.complete(keys, place, [piece]))
            yield from zip(met, jobs, strict=True)

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
        return sum(len(piece.ids) for piece, _ in self._reader.in_state(keys, state, None, whole=False))

    def _size(self, keys: QueueKeys, place: str) -> int:
        return scan.card(self._redis, *_size(keys, place))


def _size(keys: QueueKeys, place: str) -> Command:
    return ("HLEN" if place == "active" else "ZCARD", getattr(keys, place))


def _sizes(keys: QueueKeys, state: str) -> list[Command]:
    """The commands whose replies give an upper bound for the number of jobs in a state."""
    place = "dlq" if state in DEAD_STATES else state
    if place in ALL_PLACES:
        return [_size(keys, place)]
    jobs: list[Command] = [("SCARD", keys.ids), ("HLEN", keys.states)]
    return [*jobs, *(_size(keys, place) for place in ALL_PLACES)] if state == "all" else jobs


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


def _since(claim: tuple[bytes, bytes]) -> tuple[float, bytes]:
    """The sort key of a claim: its time, or infinity if it has none, and the job's id."""
    name, text = claim
    try:
        return float(text), name
    except ValueError:
        return math.inf, name


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
