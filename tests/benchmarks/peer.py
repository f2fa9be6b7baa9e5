"""rq at two tasks that we have too: `python -m tests.benchmarks.peer NAME`. `fill` writes as many jobs of rq
as `keyspace.fill` writes of AsyncMQ."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

import redis

from tests.benchmarks.keyspace import BIG, Writer, counts_of, small_counts, small_queues

PAGE = 20
_CHUNK = 1000


def _client() -> Any:
    return redis.Redis.from_url(os.environ["ASYNCMQ_REDIS_URL"])


def fill(path: str, total: int) -> None:
    """The queues of the other keyspace, with jobs of rq in the states that it has too. Each job is a copy of
    one that rq has made."""
    writer = Writer(path)
    with redis.Redis(unix_socket_path=path) as client:
        hashed = _made(client)
    for queue, counts in ((BIG, counts_of(total)), *((name, small_counts()) for name in small_queues())):
        writer.add(b"SADD", b"rq:queues", b"rq:queue:%b" % queue.encode())
        number = 0
        for state, count in counts.items():
            ids = (b"%b-%08d" % (queue.encode(), number + each) for each in range(count))
            number += count
            while piece := list(islice(ids, _CHUNK)):
                _write(writer, queue.encode(), state, piece, hashed)
    writer.flush()
    writer.close()


def _made(client: Any) -> list[bytes]:
    from rq.job import Job

    kwargs = {"to": "customer-1@example.org", "subject": "Your order 1", "reference": "0123456789abcdef" * 3}
    job = Job.create("app.mail.send", args=[1], kwargs=kwargs, connection=client, id="template")
    job.save()
    found = [part for pair in client.hgetall(job.key).items() for part in pair]
    client.delete(job.key)
    return found


def _write(writer: Writer, queue: bytes, state: str, ids: list[bytes], hashed: list[bytes]) -> None:
    for job_id in ids:
        writer.add(b"HSET", b"rq:job:%b" % job_id, *hashed)
    if state == "waiting":
        writer.add(b"RPUSH", b"rq:queue:%b" % queue, *ids)
    else:
        place = {"delayed": b"scheduled", "active": b"wip", "failed": b"failed", "expired": b"failed"}
        scored = [part for job_id in ids for part in (b"4000000000", job_id)]
        writer.add(b"ZADD", b"rq:%b:%b" % (place.get(state, b"finished"), queue), *scored)
    writer.flush()


def info() -> None:
    """What `rq info` prints."""
    from rq.cli import main

    sys.argv = ["rq", "info", "--url", os.environ["ASYNCMQ_REDIS_URL"]]
    main()


def failed() -> None:
    """The first page of the failed jobs."""
    from rq import Queue
    from rq.job import Job

    client = _client()
    ids = Queue(BIG, connection=client).failed_job_registry.get_job_ids(0, PAGE - 1)
    for job in Job.fetch_many(ids, connection=client):
        assert job is not None
        sys.stdout.write(f"{job.id}\t{job.func_name}\t{job.created_at}\t{job.exc_info}\n")


TASKS: dict[str, Callable[[], None]] = {"info": info, "failed": failed}

if __name__ == "__main__":
    TASKS[sys.argv[1]]()
