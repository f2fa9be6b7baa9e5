"""The library's own backend at the same task: `python -m tests.benchmarks.rival NAME ARGUMENT…`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from asyncmq.backends.redis import RedisBackend
from asyncmq.contrib.dashboard.controllers._counts import get_queue_state_counts

from tests.benchmarks.keyspace import BIG


async def listing(backend: RedisBackend, state: str, text: str) -> None:
    await backend.inspect_jobs(BIG, state, q=text)


async def counts(backend: RedisBackend) -> None:
    """The dashboard's page of queues."""
    for queue in await backend.list_queues():
        await backend.is_queue_paused(queue)
        await get_queue_state_counts(backend, queue)


async def retry(backend: RedisBackend, text: str) -> None:
    page = await backend.inspect_jobs(BIG, "failed", q=text, size=1_000_000)
    for job in page.jobs:
        assert await backend.retry_job(BIG, job["id"])


TASKS: dict[str, Callable[..., Awaitable[Any]]] = {"listing": listing, "counts": counts, "retry": retry}


async def main(name: str, *args: str) -> None:
    backend = RedisBackend(os.environ["ASYNCMQ_REDIS_URL"])
    await TASKS[name](backend, *args)
    await backend.redis.aclose()
    await backend.redis.connection_pool.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
