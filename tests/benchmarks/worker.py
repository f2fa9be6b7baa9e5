"""A real worker of the large queue that finishes its jobs at a steady pace: `python -m
tests.benchmarks.worker JOBS_A_SECOND`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker
from asyncmq.tasks import task

from tests.benchmarks.keyspace import BIG, TASKS


def _known_as(name: str) -> None:
    async def done(*args: Any, **kwargs: Any) -> None:
        pass

    done.__module__, _, done.__name__ = name.rpartition(".")
    task(queue=BIG)(done)


def main() -> None:
    logging.disable(logging.CRITICAL)
    for name in TASKS:
        _known_as(name)
    backend = RedisBackend(os.environ["ASYNCMQ_REDIS_URL"])
    monkay.settings.backend = backend
    asyncio.run(run_worker(BIG, backend, concurrency=20, rate_limit=int(sys.argv[1]), rate_interval=1.0))


main()
