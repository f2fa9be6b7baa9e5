"""The real AsyncMQ library as producer, worker and oracle."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import redis
from asyncmq.backends.redis import RedisBackend
from asyncmq.jobs import Job

T = TypeVar("T")

TRACEBACK = """Traceback (most recent call last):
  File "/app/mail.py", line 12, in connect
    sock.connect(address)
    ~~~~~~~~~~~~^^^^^^^^^
ConnectionRefusedError: [Errno 111] Connection refused

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/tasks.py", line 30, in send
    raise DeliveryError("no mail server") from exc
app.errors.DeliveryError: no mail server
"""


def with_backend(url: str, use: Callable[[RedisBackend], Awaitable[T]]) -> T:
    """Run a coroutine with a backend of its own, and close the backend."""

    async def run() -> T:
        async with backend(url) as opened:
            return await use(opened)

    return asyncio.run(run())


@asynccontextmanager
async def backend(url: str) -> Any:
    opened = RedisBackend(url)
    try:
        yield opened
    finally:
        await opened.redis.aclose()
        await opened.redis.connection_pool.disconnect()


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    """The record of a job as the library's own class makes it, with some fields set."""
    made = Job(task_id="app.send", args=[1], kwargs={"to": "a@example.org"}, job_id=job_id).to_dict()
    return {**made, **fields}


async def put(opened: RedisBackend, queue: str, state: str, record: dict[str, Any]) -> None:
    """Bring a job into a state, only by calls of the library."""
    job_id = record["id"]
    if state in ("waiting", "waiting-children"):
        await opened.enqueue(queue, record)
    elif state == "delayed":
        await opened.enqueue_delayed(queue, record, time.time() + 3600)
    elif state == "delayed-overdue":
        await opened.enqueue_delayed(queue, record, time.time() - 60)
    elif state == "dead-directly":
        await opened.enqueue(queue, record)
        await opened.move_to_dlq(queue, {**record, "status": "failed"})
    else:
        # With the highest priority, so that the claim takes this job.
        await opened.enqueue(queue, {**record, "priority": -1000})
        claimed = await opened.dequeue(queue)
        assert claimed is not None and claimed["id"] == job_id
        claimed["priority"] = record.get("priority", 5)
        await _end(opened, queue, state, claimed)


async def _end(opened: RedisBackend, queue: str, state: str, claimed: dict[str, Any]) -> None:
    if state == "completed":
        await opened.complete_active_job(queue, claimed, {"sent": [claimed["id"]]})
    elif state == "failed":
        failure = {"last_error": TRACEBACK, "error_traceback": TRACEBACK, "retries": 4}
        await opened.fail_active_job(queue, {**claimed, **failure})
    elif state == "expired":
        await opened.expire_active_job(queue, claimed)
    elif state == "retried":
        await opened.retry_active_job(queue, claimed, time.time() + 3600)
    elif state == "cancelled":
        await opened.cancel_job(queue, claimed["id"])
    elif state != "active":
        raise AssertionError(state)


STATES = (
    "waiting",
    "waiting-children",
    "delayed",
    "delayed-overdue",
    "dead-directly",
    "completed",
    "failed",
    "expired",
    "retried",
    "cancelled",
    "active",
)


async def fill(opened: RedisBackend, queue: str, jobs: list[tuple[str, dict[str, Any]]]) -> None:
    for state, record in jobs:
        await put(opened, queue, state, record)


async def enlist(opened: RedisBackend, worker: str, queue: str, concurrency: int) -> None:
    """Register a worker with a heartbeat_ttl of a day, so that it is live during any test."""
    await opened.register_worker(worker, queue, concurrency, time.time())
    await opened.redis.expire(f"queue:{queue}:worker_heartbeats", 86_400)


def bury(client: redis.Redis, queue: str, records: list[dict[str, Any]], died: float) -> None:
    """Write many dead letters at once, in the same form as `move_to_dlq` does for small jobs; a test compares
    the two."""
    pipe = client.pipeline(transaction=False)
    for number, record in enumerate(records):
        text = json.dumps(record)
        pipe.zadd(f"queue:{queue}:dlq", {text: died + number * 1e-3})
        pipe.set(f"jobs:{queue}:{record['id']}", text)
        pipe.sadd(f"jobs:{queue}:ids", record["id"])
        pipe.hset(f"jobs:{queue}:states", record["id"], record["status"])
    pipe.execute()


def dump(client: redis.Redis) -> dict[bytes, Any]:
    """The whole keyspace except our own streams, as comparable values."""
    found: dict[bytes, Any] = {}
    for key in client.scan_iter(count=1000):
        if not key.startswith(b"asyncmq-cli:"):
            found[key] = value_of(client, key)
    return found


def value_of(client: redis.Redis, key: bytes) -> Any:
    kind = client.type(key).decode()
    readers: dict[str, Callable[[], Any]] = {
        "string": lambda: client.get(key),
        "set": lambda: client.smembers(key),
        "hash": lambda: client.hgetall(key),
        "zset": lambda: sorted(client.zrange(key, 0, -1, withscores=True)),
        "stream": lambda: client.xrange(key),
        "list": lambda: client.lrange(key, 0, -1),
    }
    return kind, readers[kind]()


def copy_database(source: redis.Redis, target: redis.Redis) -> None:
    target.flushdb()
    for key in source.scan_iter(count=1000):
        ttl = source.pttl(key)
        target.restore(key, max(ttl, 0), source.dump(key))


def events(client: redis.Redis) -> list[dict[str, Any]]:
    """The stored audit trail, oldest first."""
    return [
        {"timestamp": float(fields[b"timestamp"]), **json.loads(fields[b"event"])}
        for _, fields in client.xrange(b"asyncmq-cli:audit")
    ]
