"""A real AsyncMQ worker in its own process, so that it can be killed, and its tasks."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import redis
from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker
from asyncmq.tasks import task

from tests.demo.processes import eventually
from tests.support import library
from tests.support.forked import LIBRARY, Forked

QUEUE = "mail"


@task(queue=QUEUE)
async def nap(seconds: float) -> float:
    await anyio.sleep(seconds)
    return seconds


@task(queue=QUEUE)
async def doze(seconds: float) -> float:
    """The same as `nap`, under another name."""
    await anyio.sleep(seconds)
    return seconds


@task(queue=QUEUE)
async def hold(file: str) -> None:
    """Run until the file exists."""
    while not Path(file).exists():
        await anyio.sleep(0.02)


@task(queue=QUEUE)
async def fail() -> None:
    raise ValueError("as asked")


def napping(job_id: str, seconds: float = 0.0, **fields: Any) -> dict[str, Any]:
    return library.job(job_id, task=nap.task_id, args=[seconds], kwargs={}, max_retries=0, **fields)


def dozing(job_id: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return library.job(job_id, task=doze.task_id, args=[seconds], kwargs={}, max_retries=0, **fields)


def holding(job_id: str, until: Path, **fields: Any) -> dict[str, Any]:
    return library.job(job_id, task=hold.task_id, args=[str(until)], kwargs={}, max_retries=0, **fields)


def failing(job_id: str, **fields: Any) -> dict[str, Any]:
    return library.job(job_id, task=fail.task_id, args=[], kwargs={}, max_retries=0, **fields)


@contextmanager
def working(
    url: str,
    queue: str = QUEUE,
    *,
    concurrency: int = 2,
    ttl: int = 30,
    stalled: float = 0.0,
    skew: float = 0.0,
) -> Iterator[Forked]:
    """A registered worker, which is stopped at the end. It may be killed earlier.

    It takes back jobs that have been silent for `stalled` seconds, unless that is 0. Its clock is `skew`
    seconds ahead.
    """
    program = ["-c", "from tests.support.workers import main; main()"]
    arguments = [url, queue, str(concurrency), str(ttl), str(stalled), str(skew)]
    with redis.Redis.from_url(url) as client:
        others = workers_of(client, queue)
        worker = Forked([*program, *arguments], env=os.environ, origin=LIBRARY)
        try:
            assert eventually(lambda: bool(workers_of(client, queue) - others))
            # The library sets the TTL of the key in a second command.
            assert eventually(lambda: client.ttl(f"queue:{queue}:worker_heartbeats") > 0)
            yield worker
        finally:
            worker.kill()
            worker.wait()


def workers_of(client: redis.Redis, queue: str) -> set[bytes]:
    return set(client.hkeys(f"queue:{queue}:worker_heartbeats"))


def main() -> None:
    url, queue, concurrency, ttl, stalled, skew = sys.argv[1:]
    true_time = time.time
    time.time = lambda: true_time() + float(skew)
    # AsyncMQ logs the traceback of every failed job, and some jobs fail intentionally.
    logging.disable(logging.CRITICAL)
    backend = RedisBackend(url)
    settings = monkay.settings
    settings.backend, settings.heartbeat_ttl = backend, int(ttl)
    settings.stalled_check_interval = 0.2
    settings.enable_stalled_check, settings.stalled_threshold = float(stalled) > 0, float(stalled)
    asyncio.run(run_worker(queue, backend, concurrency=int(concurrency), scan_interval=0.05))
