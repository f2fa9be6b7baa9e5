"""Workers, by their heartbeats. Source: `register_worker` and `list_workers` in asyncmq.backends.redis.

Today's layout has a hash of its own for them. Older workers wrote into the hash of the running
jobs' heartbeats, where those are bare numbers and the workers' are JSON objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import NoPermissionError

from asyncmq_cli.models.values import as_number
from asyncmq_cli.models.workers import Worker
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.pipeline import Command, run_pipeline
from asyncmq_cli.storage.read.liveness import Expiry, Liveness, judge, offset_in_words
from asyncmq_cli.storage.schema.codec import CorruptData, loads
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.read.lists import JobLists


_NO_TTL, _GONE = -1, -2
"""What PTTL says of a key without a TTL, and of none."""


class WorkerReader:
    """`warn` is told of entries that cannot be read, and of clocks that differ. `heartbeat_ttl` is the
    TTL in seconds that is assumed where nothing else tells."""

    def __init__(self, client: redis.Redis, heartbeat_ttl: float, warn: Callable[[str], None]) -> None:
        self._redis = client
        self._heartbeat_ttl = heartbeat_ttl
        self._warn = warn
        self._may_ask_expiry = True

    def in_queue(self, queue: str, ttl: float | None = None) -> list[Worker]:
        """The queue's workers, live or not, each once: what it said last counts. With `ttl` (seconds)
        they are judged by that one instead of their own. Raises WrongType."""
        keys = QueueKeys(queue)
        damaged: list[str] = []
        found: list[Worker] = []
        now, expiry = self._clock(keys.worker_heartbeats)
        for key, expires in ((keys.worker_heartbeats, expiry), (keys.heartbeats, "never")):
            entries = dict(self._entries(key, key == keys.heartbeats, damaged))
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
        """What the workers' hash and the jobs' hold of it, b"" for nothing. Raises WrongType."""
        keys, name = QueueKeys(queue), to_bytes(worker_id)
        first, second = (
            scan.hash_get(self._redis, key, [name])[0] or b""
            for key in (keys.worker_heartbeats, keys.heartbeats)
        )
        return first, second

    def _clock(self, key: bytes) -> tuple[float, Expiry]:
        """The server's time, and when the heartbeats expire, by one look."""
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
                "this Redis user may not run PTTL: workers are judged by their own clocks alone (grant +pttl)"
            )
            return now, "unknown"
        if left is None or left == _GONE:
            # Where it comes now, it was written just now.
            return now, "unknown"
        return now, "never" if left == _NO_TTL else left / 1000

    def _entries(
        self, key: bytes, with_jobs: bool, damaged: list[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for fields in scan.hash_fields(self._redis, key):
            for field, value in fields.items():
                name = to_text(field)
                try:
                    entry = loads(value)
                except CorruptData as exc:
                    damaged.append(f"{name!r}: {exc}")
                    continue
                if isinstance(entry, dict):
                    yield name, entry
                elif not with_jobs or as_number(entry) is None:
                    damaged.append(f"{name!r}: not a JSON object ({len(value)} bytes)")

    def _warn_of_clocks(self, queue: str, workers: Sequence[Worker]) -> None:
        differing = [worker for worker in workers if worker.clock_offset is not None]
        if not differing:
            return
        first = differing[0]
        offset = first.clock_offset or 0.0
        more = f", and of {len(differing) - 1:,} more its clock too" if len(differing) > 1 else ""
        self._warn(
            f"queue {queue!r}: the clock of worker {first.id!r} is {offset_in_words(offset)} the server's"
            f"{more}: no active job of the queue is called lost"
            + (f" (or their heartbeat_ttl is not {first.ttl:g} s)" if offset < 0 else "")
        )


def _workers(
    queue: str,
    entries: Mapping[str, dict[str, Any]],
    expiry: Expiry,
    now: float,
    ttl: float | None,
    configured: float,
) -> list[Worker]:
    """`ttl` is what they are to be judged by, None for their own; `configured` is what it is likely to be."""
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


@dataclass(frozen=True, slots=True)
class Claim:
    """`since` is when a worker took the job, by that worker's clock; None where it cannot be read.

    `heartbeat` is the job's own, None where it has none: only applications that turn AsyncMQ's
    stalled check on write them. `state` is the job's, None where neither the states hash nor a
    record tells it.
    """

    job_id: str
    since: float | None
    heartbeat: float | None
    state: str | None


class ClaimReader:
    """The active hash of a queue, with what else is known of its jobs."""

    def __init__(self, client: redis.Redis, jobs: JobLists) -> None:
        self._redis = client
        self._jobs = jobs

    def of(self, queue: str) -> Iterator[list[Claim]]:
        """Every claim, in bounded pieces; of a job that is not active too. Raises WrongType."""
        keys = QueueKeys(queue)
        # Few applications have AsyncMQ write any.
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
