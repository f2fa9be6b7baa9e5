"""Damaged queues, made with the real library and by hand, and a real worker for the repaired jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import redis
from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker
from asyncmq.tasks import task

from asyncmq_cli.demo.server import PrivateRedis
from tests.support import library

QUEUE = "mail"
AT_ONCE = (
    "-c",
    "from asyncmq_cli.services.doctor import scan; scan.GRACE = 0.02; "
    "from asyncmq_cli.__main__ import main; main()",
)
"""The tool for queues in which nothing moves, so that there is little to wait for between two passes."""
RUNS: list[str] = []

Use = Callable[[RedisBackend], Awaitable[Any]]


@task(queue=QUEUE)
async def note_down(label: str) -> str:
    RUNS.append(label)
    return label


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    """A job that a worker of these tests can run."""
    plain = {"task": note_down.task_id, "args": [job_id], "kwargs": {}, "max_retries": 0}
    return library.job(job_id, **{**plain, **fields})


def put(url: str, *jobs: tuple[str, str]) -> None:
    made = [(state, job(name)) for state, name in jobs]
    library.with_backend(url, lambda opened: library.fill(opened, QUEUE, made))


def work(server: PrivateRedis, expected: int) -> list[str]:
    """The jobs that a worker of the library runs, given enough time to run one twice."""
    RUNS.clear()

    async def run(opened: RedisBackend) -> None:
        monkay.settings.backend = opened
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: run_worker(QUEUE, opened, concurrency=4, scan_interval=0.05))
                while len(RUNS) < expected:
                    await anyio.sleep(0.02)
                await anyio.sleep(0.3)
                tasks.cancel_scope.cancel()

    library.with_backend(server.url, run)
    return sorted(RUNS)


def places_of(client: redis.Redis, job_id: str, queue: str = QUEUE) -> list[str]:
    """The places where a worker or a list of dead jobs would find the job."""
    found = []
    for place in ("waiting", "delayed", "dlq"):
        for member in client.zrange(f"queue:{queue}:{place}", 0, -1):
            text = member.decode()
            held = json.loads(text)["id"] if text.startswith("{") else text
            found += [place] if held == job_id else []
    return found + (["active"] if client.hexists(f"queue:{queue}:active", job_id) else [])


def due_in(seconds: float) -> float:
    return time.time() + seconds
