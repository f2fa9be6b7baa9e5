"""Count the jobs of queues.

A job's state follows from the place where a worker would find it, so most counts are sizes: ZCARD of
the waiting set, the delayed set and the dead-letter queue, HLEN of the active hash. The sizes of many queues
take few round trips, however large the queues are.

Sizes do not show which dead letters have expired, nor the states of jobs in no place (completed,
cancelled, or waiting for parents). For these, the states hash is read once, in chunks. The same pass finds
contradictions between the states and the sizes, which are damage.

The oldest waiting job is searched for among the first jobs of each priority. The waiting set is sorted by
priority and then by sequence, so these jobs are found by jumping from one priority to the next.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import redis
from msgspec import Struct
from redis.exceptions import NoPermissionError

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.values import as_number, chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import (
    PipelinedConnection,
    pack,
    pack_for_names,
    pack_scan,
    run_pipeline,
)
from asyncmq_cli.storage.schema.codec import Outline, member_id, named_member, outlines
from asyncmq_cli.storage.schema.keys import QueueKeys, to_text

QUEUES_AT_A_TIME = 100
"""The number of queues that are read in one round trip."""
PRIORITY = 10**12
"""The score of a waiting job is `priority * PRIORITY + sequence`.
Source: `enqueue` in asyncmq.backends.redis."""

PENDING_ENTRIES = frozenset({b"waiting", b"wait", b"queued", b"waiting-children"})
"""The entries in the states hash that a job may have which waits for its parents and is therefore in no
place."""

_FIRST_PAGE = 64
"""The number of entries of a states hash that are requested together with the sizes. A small hash is then
complete."""
_MOST_PRIORITIES = 64
"""At most this many priorities are searched for the oldest job. AsyncMQ's own are about 0 to 10."""


class Sizes(Struct, frozen=True):
    """The sizes of a queue's collections. A size is None if its key has the wrong type; `wrong` lists these
    keys.

    `pause_seconds_left` is the time until a temporary pause ends, else None. `due` is the
    number of delayed jobs that are due. `heartbeats` is the number of entries that may be
    workers. `ids` and `states` are the sizes of the ids set and the states hash, and `sequence` is the
    number of the job that was enqueued last.
    """

    queue: str
    paused: bool
    waiting: int | None
    active: int | None
    delayed: int | None
    due: int | None
    dlq: int | None
    repeatables: int | None
    heartbeats: int | None
    ids: int | None
    states: int | None
    sequence: int | None = None
    pause_seconds_left: float | None = None
    wrong: tuple[bytes, ...] = ()

    @property
    def jobs(self) -> int:
        """A lower bound for the number of jobs."""
        placed = (self.waiting, self.active, self.delayed, self.dlq)
        return max(self.ids or 0, self.states or 0, sum(size or 0 for size in placed))

    @property
    def is_empty(self) -> bool:
        """Whether every collection of the queue is empty."""
        return not (self.jobs or self.paused or self.repeatables or self.heartbeats or self.wrong)


class StateCounts(Struct, frozen=True):
    """The counts that need the states hash. `problem` says how it contradicts the sizes, or is None.

    A count is None if a key that it needs has the wrong type. `read_at` is epoch seconds by the server's
    clock.
    """

    read_at: float | None = None

    completed: int | None = None
    cancelled: int | None = None
    expired: int | None = None
    waiting_children: int | None = None
    problem: str | None = None


def read_sizes(client: redis.Redis, queues: Iterable[str], now: float) -> Iterator[Sizes]:
    """The sizes of each queue; `now` is the server's time, epoch seconds."""
    groups = chunked(queues, QUEUES_AT_A_TIME)
    with PipelinedConnection(client) as connection:
        asked: deque[list[QueueKeys]] = deque()
        while True:
            # Redis works on the next group while the replies of this one are read.
            if (group := next(groups, None)) is not None:
                asked.append([QueueKeys(queue) for queue in group])
                connection.send(*_size_commands(asked[-1], now))
            elif not asked:
                return
            if group is None or len(asked) > 1:
                yield from _receive_sizes(client, connection, asked.popleft())


def read_states(
    client: redis.Redis, queues: Iterable[str], now: float
) -> Iterator[tuple[Sizes, StateCounts]]:
    """The sizes of each queue and the counts of its states hash, each hash read once."""
    with PipelinedConnection(client) as connection:
        for group in chunked(queues, QUEUES_AT_A_TIME):
            every = [QueueKeys(queue) for queue in group]
            scans = [pack_scan(b"HSCAN", keys.states, b"0", _FIRST_PAGE) for keys in every]
            connection.send(*_size_commands(every, now), *scans)
            sizes = _receive_sizes(client, connection, every)
            pages = [connection.receive(keep=WrongType) for _ in every]
            for keys, before, page in zip(every, sizes, pages, strict=True):
                yield _counted(client, connection, keys, before, page, now)


def oldest_waiting(client: redis.Redis, queues: Iterable[str]) -> dict[str, float]:
    """By queue, the creation time (epoch seconds) of the oldest among the first jobs of each priority.

    A queue is left out if it has no waiting job, or none with a time, or if its waiting set has the wrong
    type.
    """
    found: dict[str, float] = {}
    for group in chunked(queues, QUEUES_AT_A_TIME):
        heads = [
            (queue, member) for queue, members in first_of_priorities(client, group) for member in members
        ]
        for queue, _, outline in outlined(client, heads):
            if (created := as_number(outline.get("created_at"))) is not None:
                found[queue] = min(created, found.get(queue, created))
    return found


def _size_commands(group: Sequence[QueueKeys], now: float) -> list[tuple[bytes, bytes]]:
    """The commands whose replies `_receive_sizes` reads. Pause marks, which few queues have, and sequences
    are each requested by one command for all queues: with very many queues, the number of replies determines
    the time."""
    paused = [keys.paused for keys in group]
    sequences = [keys.waiting_seq for keys in group]
    commands = [
        (paused[0], pack_for_names([b"EXISTS"], paused)),
        (sequences[0], pack_for_names([b"MGET"], sequences)),
    ]
    due = repr(now).encode()
    for keys in group:
        commands += (
            (keys.waiting, pack(b"ZCARD", keys.waiting)),
            (keys.active, pack(b"HLEN", keys.active)),
            (keys.delayed, pack(b"ZCARD", keys.delayed)),
            (keys.delayed, pack(b"ZCOUNT", keys.delayed, b"-inf", due)),
            (keys.dlq, pack(b"ZCARD", keys.dlq)),
            (keys.repeatables, pack(b"ZCARD", keys.repeatables)),
            (keys.worker_heartbeats, pack(b"HLEN", keys.worker_heartbeats)),
            (keys.heartbeats, pack(b"HLEN", keys.heartbeats)),
            (keys.ids, pack(b"SCARD", keys.ids)),
            (keys.states, pack(b"HLEN", keys.states)),
        )
    return commands


_REPLIES = 10
"""The number of replies per queue."""
_NO_KEY = -2
"""The reply of PTTL for a key that does not exist."""


def _receive_sizes(
    client: redis.Redis, connection: PipelinedConnection, group: Sequence[QueueKeys]
) -> list[Sizes]:
    marks = connection.receive(keep=NoPermissionError)
    sequences = connection.receive(keep=NoPermissionError)
    replies = [[connection.receive(keep=WrongType) for _ in range(_REPLIES)] for _ in group]
    # Read them one by one, to find the paused queues, or to name the key that may not be read.
    paused = [_NO_KEY] * len(group)
    if marks != 0:
        paused = run_pipeline(client, [("PTTL", keys.paused) for keys in group])
    if isinstance(sequences, Exception):
        found = run_pipeline(client, [("MGET", keys.waiting_seq) for keys in group])
        sequences = [sequence for (sequence,) in found]
    return [
        _sizes(keys, mark, _number(sequence), of_queue)
        for keys, mark, sequence, of_queue in zip(group, paused, sequences, replies, strict=True)
    ]


def _sizes(keys: QueueKeys, pause: int, sequence: int | None, replies: Sequence[Any]) -> Sizes:
    wrong: dict[bytes, None] = {}
    sizes: Sequence[int | None] = replies
    if set(map(type, replies)) != {int}:
        wrong = dict.fromkeys(reply.key for reply in replies if isinstance(reply, WrongType))
        sizes = [None if isinstance(reply, WrongType) else reply for reply in replies]
    waiting, active, delayed, due, dlq, repeatables, workers, heartbeats, ids, states = sizes
    return Sizes(
        queue=keys.queue,
        paused=pause != _NO_KEY,
        pause_seconds_left=pause / 1000 if pause >= 0 else None,
        waiting=waiting,
        active=active,
        delayed=delayed,
        due=due,
        dlq=dlq,
        repeatables=repeatables,
        heartbeats=None if workers is None or heartbeats is None else workers + heartbeats,
        ids=ids,
        states=states,
        sequence=sequence,
        wrong=tuple(wrong),
    )


def _number(text: bytes | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _counted(
    client: redis.Redis,
    connection: PipelinedConnection,
    keys: QueueKeys,
    before: Sizes,
    page: Any,
    now: float,
) -> tuple[Sizes, StateCounts]:
    """The counts from the states hash, whose first page is `page`, and the sizes after it was read."""
    if isinstance(page, WrongType):
        return before, StateCounts(read_at=now)
    entries: Counter[bytes] = Counter()
    pace = scan.Pace(start=_FIRST_PAGE)
    cursor, found = page
    while True:
        pace.learn(len(found) // 2, sum(map(len, found)))
        if cursor != b"0":
            # Redis works on the next page while this one is counted.
            connection.send(pack_scan(b"HSCAN", keys.states, cursor, pace.count))
        entries.update(found[1::2])
        if cursor == b"0":
            break
        cursor, found = connection.receive()
    counts = state_counts(entries, before, before, now)
    if page[0] == b"0" and counts.problem is None and not counts.waiting_children:
        return before, counts
    # Jobs may have moved during the read, so read the sizes again.
    connection.send(*_size_commands([keys], now))
    (after,) = _receive_sizes(client, connection, [keys])
    return after, state_counts(entries, before, after, now)


def state_counts(entries: Mapping[bytes, int], before: Sizes, after: Sizes, now: float) -> StateCounts:
    """The counts from the entries of the states hash, which were read between two reads of the sizes.

    A job that waits for parents is in no place, and its entry is `waiting` or missing (older versions
    wrote none). So their number is the number of `waiting` entries minus the size of the waiting set, plus
    the number of ids without an entry minus the members of the other places without one. A difference is
    ignored if as many jobs have moved between the two reads.
    """
    count = {to_text(entry): number for entry, number in entries.items()}
    pending = sum(entries.get(entry, 0) for entry in PENDING_ENTRIES)
    dead = count.get("failed", 0) + count.get("expired", 0)
    moved = _moved(before, after)
    orphaned, unnamed = [], []
    surplus = 0
    for word, size, stated in (
        ("waiting", after.waiting, pending),
        ("active", after.active, count.get("active", 0)),
        ("delayed", after.delayed, count.get("delayed", 0)),
        ("dead", after.dlq, dead),
    ):
        if size is None or abs(size - stated) <= moved:
            continue
        text = f"{size:,} {word}, but by the states hash {stated:,}"
        if size > stated:
            unnamed.append((size - stated, text))
        elif word == "waiting":
            surplus = stated - size
        else:
            orphaned.append(text)
    without_entry = sum(excess for excess, _ in unnamed)
    stateless = None if after.ids is None or after.states is None else max(0, after.ids - after.states)
    if stateless is None or without_entry > stateless + moved:
        orphaned += [text for _, text in unnamed]
    children = None
    if stateless is not None and after.waiting is not None:
        children = surplus + max(0, stateless - without_entry)
    return StateCounts(
        read_at=now,
        completed=count.get("completed", 0),
        cancelled=count.get("cancelled", 0),
        expired=None if after.dlq is None else min(count.get("expired", 0), after.dlq),
        waiting_children=children,
        problem="; ".join(orphaned) or None,
    )


def _moved(before: Sizes, after: Sizes) -> int:
    """The number of jobs that have moved, in either direction, judged by the sizes."""
    names = ("sequence", "waiting", "active", "delayed", "dlq", "ids", "states")
    pairs = [(getattr(before, name) or 0, getattr(after, name) or 0) for name in names]
    return sum(abs(new - old) for old, new in pairs)


def first_of_priorities(
    client: redis.Redis, queues: Sequence[str], count: int = 1, *, last: bool = False
) -> Iterator[tuple[str, list[bytes]]]:
    """Yield each queue with the first (or `last`) `count` members of each priority in its waiting set. Each
    request jumps to the next priority. A waiting set of the wrong type is skipped."""
    bounds = dict.fromkeys(queues, b"+inf" if last else b"-inf")
    with PipelinedConnection(client) as connection:
        for _ in range(_MOST_PRIORITIES):
            asked = list(bounds.items())
            connection.send(
                # Request one more than wanted, to know whether there are others.
                *(_beyond(QueueKeys(queue).waiting, bound, count + 1, last=last) for queue, bound in asked)
            )
            for queue, _bound in asked:
                reply = connection.receive(keep=WrongType)
                if isinstance(reply, WrongType) or not reply:
                    del bounds[queue]
                    continue
                score = float(reply[1])
                of_priority = [
                    member
                    for member, other in zip(reply[: 2 * count : 2], reply[1 : 2 * count : 2], strict=True)
                    if _priority(float(other)) == _priority(score)
                ]
                if len(reply) == 2 * len(of_priority):
                    del bounds[queue]
                else:
                    bounds[queue] = _next_bound(score, last=last)
                yield queue, of_priority
            if not bounds:
                return


def _beyond(key: bytes, bound: bytes, count: int, *, last: bool) -> tuple[bytes, bytes]:
    order: tuple[bytes, ...] = (b"-inf", b"BYSCORE", b"REV") if last else (b"+inf", b"BYSCORE")
    limit = (b"LIMIT", b"0", b"%d" % count, b"WITHSCORES")
    return key, pack(b"ZRANGE", key, bound, *order, *limit)


def _priority(score: float) -> float:
    return math.floor(score / PRIORITY) if math.isfinite(score) else score


def _next_bound(score: float, *, last: bool) -> bytes:
    """The score at which the next priority begins, as an argument of ZRANGE."""
    if math.isfinite(score):
        bound = (math.floor(score / PRIORITY) + (0 if last else 1)) * PRIORITY
        if last and float(bound) <= score:
            return b"(%d" % bound
        if not last and float(bound) > score:
            return b"%d" % bound
    # AsyncMQ does not write such a score.
    return b"(" + repr(score).encode()


def outlined(
    client: redis.Redis, members: Sequence[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes, Outline]]:
    """For pairs of a queue and a member of its waiting set or active hash, yield the queue, the job's id, and
    the outline of its record. Jobs that cannot be read are left out."""
    # Older versions stored the whole job in the waiting set.
    bodies = [named_member(member) for _, member in members]
    ids = [
        member if body is None else member_id(member)
        for (_, member), body in zip(members, bodies, strict=True)
    ]
    names = [QueueKeys(queue).record("") + job_id for (queue, _), job_id in zip(members, ids, strict=True)]
    coming = zip(members, ids, bodies, strict=True)
    for records in scan.strings(client, names, scan.Pace()):
        outlines_of = iter(outlines([record for record in records if record is not None]))
        for record, ((queue, _), job_id, body) in zip(records, coming, strict=False):
            outline = (next(outlines_of) if record is not None else None) or cast("Outline | None", body)
            if outline:
                yield queue, job_id, outline
