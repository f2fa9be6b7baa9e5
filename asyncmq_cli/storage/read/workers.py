"""Read workers and claims. Source: `register_worker` and `list_workers` in asyncmq.backends.redis.

Current workers write their heartbeats into a separate hash. Older workers wrote them into the hash of the
jobs' heartbeats, where a job's heartbeat is a number and a worker's is a JSON object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import redis
from msgspec import Struct
from redis.exceptions import NoPermissionError, ResponseError

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.values import as_number, chunked
from asyncmq_cli.models.workers import Worker
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import Command, run_pipeline
from asyncmq_cli.storage.client.replies import ReplyTooLarge
from asyncmq_cli.storage.read.liveness import Expiry, Liveness, judge, offset_in_words
from asyncmq_cli.storage.read.sizes import QUEUES_AT_A_TIME
from asyncmq_cli.storage.schema.codec import CorruptData, loads
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.read.lists import JobLists


_NO_TTL, _GONE = -1, -2
"""The replies of PTTL for a key without a TTL, and for a key that does not exist."""
_FIRST_FIELDS = 64
"""The number of entries of a hash that are requested first. A small hash is then complete."""
_QUEUES_AT_ONCE = 200
"""The number of queues whose claims are read together."""
_READ = ("heartbeat", "concurrency")
"""The fields of an entry that are read."""


class WorkerReader:
    """Reads workers. `warn` is called for entries that cannot be read, and for clocks that differ.
    `heartbeat_ttl` is the TTL in seconds that is assumed if Redis does not show another."""

    def __init__(self, client: redis.Redis, heartbeat_ttl: float, warn: Callable[[str], None]) -> None:
        self._redis = client
        self._heartbeat_ttl = heartbeat_ttl
        self._warn = warn
        self._may_ask_expiry = True

    def in_queue(self, queue: str, ttl: float | None = None) -> list[Worker]:
        """All workers of the queue, live or not, each with its latest heartbeat. They are judged by `ttl`
        (seconds), or if it is None by their own TTL. Raises WrongType."""
        keys = QueueKeys(queue)
        now, expiry = self._clock(keys.worker_heartbeats)
        of_workers = scan.hash_fields(self._redis, keys.worker_heartbeats)
        of_jobs = scan.hash_fields(self._redis, keys.heartbeats)
        return self._judged(queue, now, expiry, (of_workers, of_jobs), ttl)

    def in_queues(
        self, queues: Iterable[str], ttl: float | None = None
    ) -> Iterator[tuple[str, list[Worker] | WrongType]]:
        """Yield each queue with its workers, or with WrongType if they cannot be read. Takes one round trip
        for many queues."""
        for group in chunked(queues, QUEUES_AT_A_TIME):
            every = [QueueKeys(queue) for queue in group]
            commands: list[Command] = [("TIME",)]
            for keys in every:
                commands.append(("PTTL", keys.worker_heartbeats))
                commands += [
                    ("HSCAN", key, 0, "COUNT", _FIRST_FIELDS)
                    for key in (keys.worker_heartbeats, keys.heartbeats)
                ]
            clock, *replies = run_pipeline(self._redis, commands, keep=(WrongType, NoPermissionError))
            if isinstance(clock, NoPermissionError):
                raise clock
            seconds, microseconds = clock
            now = float(seconds) + float(microseconds) / 1e6
            for keys, of_queue in zip(every, chunked(replies, 3), strict=True):
                yield keys.queue, self._of_replies(keys, now, of_queue, ttl)

    def _of_replies(
        self, keys: QueueKeys, now: float, replies: Sequence[Any], ttl: float | None
    ) -> list[Worker] | WrongType:
        wrong = next((reply for reply in replies if isinstance(reply, WrongType)), None)
        if wrong is not None:
            return wrong
        if any(isinstance(reply, Exception) or reply[0] != 0 for reply in replies[1:]) or isinstance(
            replies[0], Exception
        ):
            # The user may not run a command, or there are more entries than one reply has.
            return self.in_queue(keys.queue, ttl)
        left, *hashes = replies
        return self._judged(keys.queue, now, _expiry(left), [[fields] for _, fields in hashes], ttl)

    def _judged(
        self,
        queue: str,
        now: float,
        expiry: Expiry,
        hashes: Sequence[Iterable[Mapping[bytes, bytes]]],
        ttl: float | None,
    ) -> list[Worker]:
        damaged: list[str] = []
        found: list[Worker] = []
        for pieces, expires, with_jobs in zip(hashes, (expiry, "never"), (False, True), strict=True):
            entries = dict(_entries(pieces, with_jobs, damaged))
            found += _workers(queue, entries, expires, now, ttl, ttl or self._heartbeat_ttl)
        damaged += [f"{worker.id!r}: {worker.problem}" for worker in found if worker.problem is not None]
        if damaged:
            more = f", and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
            self._warn(f"queue {queue!r}: a heartbeat cannot be read ({damaged[0]}){more}")
        latest: dict[str, Worker] = {}
        for worker in found:
            known = latest.get(worker.id)
            if known is None or (worker.heartbeat or 0.0) > (known.heartbeat or 0.0):
                latest[worker.id] = worker
        self._warn_of_clocks(queue, list(latest.values()))
        return list(latest.values())

    def entries(self, queue: str, worker_id: str) -> tuple[bytes, bytes]:
        """The worker's entries in both hashes of heartbeats; b"" for none. Raises WrongType."""
        keys, name = QueueKeys(queue), to_bytes(worker_id)
        first, second = (
            scan.hash_get(self._redis, key, [name])[0] or b""
            for key in (keys.worker_heartbeats, keys.heartbeats)
        )
        return first, second

    def _clock(self, key: bytes) -> tuple[float, Expiry]:
        """The server's time and the expiry of the heartbeats, read in one round trip."""
        commands: list[Command] = [("TIME",), ("PTTL", key)]
        replies = run_pipeline(
            self._redis, commands if self._may_ask_expiry else commands[:1], keep=NoPermissionError
        )
        if isinstance(replies[0], Exception):
            raise replies[0]
        seconds, microseconds = replies[0]
        now = float(seconds) + float(microseconds) / 1e6
        left = replies[1] if len(replies) > 1 else None
        if isinstance(left, NoPermissionError):
            self._may_ask_expiry = False
            self._warn(
                "this Redis user may not run PTTL: workers are judged only by their own clocks (grant +pttl)"
            )
            return now, "unknown"
        return now, _expiry(left)

    def _warn_of_clocks(self, queue: str, workers: Sequence[Worker]) -> None:
        differing = [worker for worker in workers if worker.clock_offset is not None]
        if not differing:
            return
        first = differing[0]
        offset = first.clock_offset or 0.0
        more = f", and {len(differing) - 1:,} more clocks differ" if len(differing) > 1 else ""
        self._warn(
            f"queue {queue!r}: the clock of worker {first.id!r} is {offset_in_words(offset)} the server's"
            f"{more}: no active job of the queue counts as lost"
            + (f" (or their heartbeat_ttl is not {first.ttl:g} s)" if offset < 0 else "")
        )


def _expiry(left: int | None) -> Expiry:
    """The expiry from `left`, the reply of PTTL, which is None if PTTL was not requested."""
    if left is None or left == _GONE:
        # If the key exists by now, it was just written.
        return "unknown"
    return "never" if left == _NO_TTL else left / 1000


def _entries(
    pieces: Iterable[Mapping[bytes, bytes]], with_jobs: bool, damaged: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for fields in pieces:
        for field, value in fields.items():
            name = to_text(field)
            try:
                entry = loads(value)
            except CorruptData as exc:
                damaged.append(f"{name!r}: {exc}")
                continue
            if isinstance(entry, dict):
                # Do not keep other data of an application in memory.
                yield name, {field: entry[field] for field in _READ if field in entry}
            elif not with_jobs or as_number(entry) is None:
                damaged.append(f"{name!r}: not a JSON object ({len(value)} bytes)")


def _workers(
    queue: str,
    entries: Mapping[str, dict[str, Any]],
    expiry: Expiry,
    now: float,
    ttl: float | None,
    configured: float,
) -> list[Worker]:
    """The workers of these entries, judged by `ttl`, or if it is None by their own TTL. `configured` is the
    TTL that is assumed if Redis does not show theirs."""
    times = {name: as_number(entry.get("heartbeat")) for name, entry in entries.items()}
    known = {name: heartbeat for name, heartbeat in times.items() if heartbeat is not None}
    liveness = judge(known, expiry, now, configured)
    return [_worker(queue, name, entry, liveness, ttl, now) for name, entry in entries.items()]


def _worker(
    queue: str, worker_id: str, entry: dict[str, Any], liveness: Liveness, ttl: float | None, now: float
) -> Worker:
    heartbeat, concurrency = as_number(entry.get("heartbeat")), as_number(entry.get("concurrency", 0))
    problem = None
    if heartbeat is None:
        problem = "it holds no time"
    elif concurrency is None:
        problem = "its concurrency is not a number"
    return Worker(
        id=worker_id,
        queue=queue,
        concurrency=None if concurrency is None else max(0, int(concurrency)),
        heartbeat=heartbeat,
        age_seconds=liveness.ages.get(worker_id),
        ttl=ttl or liveness.ttl,
        problem=problem,
        clock_offset=liveness.offsets.get(worker_id),
        read_at=now,
    )


class Claim(Struct, frozen=True):
    """An entry of the active hash. `since` is when a worker claimed the job, by that worker's clock; None if
    it cannot be read.

    `heartbeat` is the job's own last heartbeat, or None: only applications that turn on AsyncMQ's stalled
    check write it. `state` is the job's state from the states hash, else from its record, or None.
    """

    job_id: str
    since: float | None
    heartbeat: float | None
    state: str | None


class ClaimReader:
    """Reads the active hash of a queue, with the heartbeats and states of its jobs."""

    def __init__(self, client: redis.Redis, jobs: JobLists) -> None:
        self._redis = client
        self._jobs = jobs

    def of(self, queue: str) -> Iterator[list[Claim]]:
        """Yield every claim in chunks, even of jobs that are not active. Raises WrongType."""
        keys = QueueKeys(queue)
        # In most applications, jobs have no heartbeats.
        have_heartbeats = self._redis.exists(keys.heartbeats)
        for fields in scan.hash_fields(self._redis, keys.active):
            names = list(fields)
            heartbeats: Sequence[bytes | None] = [None] * len(names)
            if have_heartbeats:
                heartbeats = scan.hash_get(self._redis, keys.heartbeats, names)
            job_ids = [to_text(name) for name in names]
            yield [
                Claim(
                    job_id=job_id,
                    since=as_number(to_text(fields[name])),
                    heartbeat=None if heartbeat is None else as_number(to_text(heartbeat)),
                    state=state,
                )
                for name, job_id, heartbeat, state in zip(
                    names, job_ids, heartbeats, self._states(queue, job_ids), strict=True
                )
            ]

    def of_small(self, queues: Sequence[str]) -> dict[str, list[Claim]]:
        """By queue, all claims, for queues that have few. Takes two round trips for `_QUEUES_AT_ONCE` queues.
        A queue with more claims, or with an error, is left out: `of` reads it, or raises the error."""
        found: dict[str, list[Claim]] = {}
        for some in chunked(queues, _QUEUES_AT_ONCE):
            with suppress(ReplyTooLarge):
                found.update(self._together(some))
        return found

    def _together(self, queues: Sequence[str]) -> Iterator[tuple[str, list[Claim]]]:
        keys = [QueueKeys(queue) for queue in queues]
        scans = [("HSCAN", one.active, 0, "COUNT", scan.CHUNK) for one in keys]
        beats = [("EXISTS", one.heartbeats) for one in keys]
        errors = (WrongType, ResponseError)
        replies = run_pipeline(self._redis, [*scans, *beats], keep=errors)
        read = {
            at: hashed[1]
            for at, (hashed, beat) in enumerate(zip(replies, replies[len(keys) :], strict=False))
            if not isinstance(hashed, Exception) and hashed[0] == 0 and hashed[1] and beat == 0
        }
        wanted = [("HMGET", keys[at].states, *fields) for at, fields in read.items()]
        for (at, fields), states in zip(
            read.items(), run_pipeline(self._redis, wanted, keep=errors), strict=True
        ):
            if not isinstance(states, Exception) and None not in states:
                yield (
                    queues[at],
                    [
                        Claim(to_text(name), as_number(to_text(since)), None, to_text(state))
                        for (name, since), state in zip(fields.items(), states, strict=True)
                    ],
                )

    def _states(self, queue: str, job_ids: list[str]) -> list[str | None]:
        states = self._jobs.states(queue, job_ids)
        stateless = [job_id for job_id, state in zip(job_ids, states, strict=True) if state is None]
        if not stateless:
            return states
        recorded = dict(zip(stateless, self._jobs.load(queue, stateless), strict=True))
        return [
            state if state is not None else _recorded(recorded.get(job_id))
            for job_id, state in zip(job_ids, states, strict=True)
        ]


def _recorded(job: Job | None) -> str | None:
    return None if job is None or job.record is None else job.status
