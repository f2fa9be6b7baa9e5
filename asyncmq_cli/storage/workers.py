"""Workers, by their heartbeats. Source: `register_worker` and `list_workers` in asyncmq.backends.redis.

Today's layout has a hash of its own for them. Older workers wrote into the hash of the running
jobs' heartbeats, where those are bare numbers and the workers' are JSON objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import redis

from asyncmq_cli.models.values import as_number
from asyncmq_cli.models.workers import Worker
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import CorruptData, loads
from asyncmq_cli.storage.keys import QueueKeys, to_text


class WorkerReader:
    """`warn` is told of entries that cannot be read. `heartbeat_ttl` is seconds."""

    def __init__(self, client: redis.Redis, heartbeat_ttl: float, warn: Callable[[str], None]) -> None:
        self._redis = client
        self._heartbeat_ttl = heartbeat_ttl
        self._warn = warn

    def in_queue(self, queue: str, now: float, ttl: float | None = None) -> list[Worker]:
        """The queue's workers, live or not, each once: what it said last counts. Raises WrongType."""
        found: dict[str, Worker] = {}
        damaged: list[str] = []
        for worker_id, entry in self._entries(QueueKeys(queue), damaged):
            worker = _worker(queue, worker_id, entry, now, ttl or self._heartbeat_ttl)
            if worker.problem is not None:
                damaged.append(f"{worker_id!r}: {worker.problem}")
            known = found.get(worker_id)
            if known is None or (worker.heartbeat or 0.0) > (known.heartbeat or 0.0):
                found[worker_id] = worker
        if damaged:
            more = f", and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
            self._warn(f"queue {queue!r}: a heartbeat cannot be read ({damaged[0]}){more}")
        return list(found.values())

    def _entries(self, keys: QueueKeys, damaged: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for key in (keys.worker_heartbeats, keys.heartbeats):
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
                    elif key != keys.heartbeats or as_number(entry) is None:
                        damaged.append(f"{name!r}: not a JSON object ({len(value)} bytes)")


def _worker(queue: str, worker_id: str, entry: dict[str, Any], now: float, ttl: float) -> Worker:
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
        # A worker's clock may be ahead of the server's.
        age_seconds=None if heartbeat is None else max(0.0, now - heartbeat),
        ttl=ttl,
        problem=problem,
    )
