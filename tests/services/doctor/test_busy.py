"""Busy queues with real workers: no damage is found in healthy ones, and no repair runs a job twice."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import redis
from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker
from asyncmq.tasks import task

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import run_tool
from tests.demo.processes import eventually
from tests.services.doctor.support import due_in
from tests.support import library
from tests.support.forked import LIBRARY, Forked

QUEUE = "busy"
VISITS = 3
FLOWS = 20

pytestmark = pytest.mark.usefixtures("real_grace")


@task(queue=QUEUE)
async def sometimes(number: int, seconds: float = 0.0) -> int:
    await anyio.sleep(seconds or random.uniform(0, 0.02))
    if number % 3 == 0 and random.random() < 0.7:
        raise ValueError("not this time")
    return number


@task(queue=QUEUE)
async def note(name: str) -> None:
    await monkay.settings.backend.redis.rpush("runs", name)


def record(name: str, number: int, **fields: Any) -> dict[str, Any]:
    plain = {"task": sometimes.task_id, "args": [number], "kwargs": {}, "max_retries": 2, "backoff": 0.05}
    return library.job(name, **{**plain, **fields})


async def produce(backend: RedisBackend) -> None:
    """All changes of jobs by applications and operators, with calls of the library."""
    await backend.upsert_repeatable(QUEUE, {"task_id": sometimes.task_id, "args": [1], "every": 0.1})
    number = 0
    while True:
        number += 1
        name = f"{os.getpid()}-{number}"
        await backend.enqueue(QUEUE, record(name, number))
        due = due_in(random.uniform(0, 0.5))
        await backend.enqueue_delayed(QUEUE, record(f"{name}-later", number, delay_until=due), due)
        if number % 10 == 0:
            # A parent that ends before its child is known to it would leave the child waiting for ever.
            parent = record(f"{name}-parent", 1, args=[1, 2.0])
            child = record(f"{name}-child", 1, depends_on=[parent["id"]])
            await backend.atomic_add_flow(QUEUE, [parent, child], [(parent["id"], child["id"])])
        if number % 7 == 0:
            for dead in await backend.list_jobs(QUEUE, "failed"):
                await backend.retry_job(QUEUE, dead["id"])
        if number % 11 == 0:
            await backend.cancel_job(QUEUE, f"{os.getpid()}-{number - 1}-later")
            # Not one that may be running: its worker would leave a heartbeat behind.
            await backend.enqueue_delayed(QUEUE, record(f"{name}-never", number), due_in(3600))
            await backend.remove_job(QUEUE, f"{name}-never")


async def flow(backend: RedisBackend) -> None:
    """Parents of which every second one ends before its children are known to it."""
    for number in range(FLOWS):
        names = [f"{os.getpid()}-{number}-{role}" for role in ("parent", "child")]
        parent, child = (library.job(name, task=note.task_id, args=[name], kwargs={}) for name in names)
        child["depends_on"] = [parent["id"]]
        if number % 2:
            await backend.atomic_add_flow(QUEUE, [parent, child], [(parent["id"], child["id"])])
            continue
        await backend.enqueue(QUEUE, parent)
        while await backend.get_job_state(QUEUE, parent["id"]) != "completed":
            await anyio.sleep(0.01)
        await backend.enqueue(QUEUE, child)


async def work(backend: RedisBackend) -> None:
    # Heartbeats of the jobs as well, which come and go.
    monkay.settings.enable_stalled_check = True
    monkay.settings.stalled_threshold, monkay.settings.stalled_check_interval = 20.0, 0.2
    await run_worker(QUEUE, backend, concurrency=8, scan_interval=0.05)


ROLES: dict[str, Callable[[RedisBackend], Awaitable[None]]] = {"produce": produce, "flow": flow, "work": work}


def main() -> None:
    logging.disable(logging.CRITICAL)
    backend = RedisBackend(sys.argv[1])
    monkay.settings.backend = backend

    async def run() -> None:
        await ROLES[sys.argv[2]](backend)

    asyncio.run(run())


@contextmanager
def running(url: str, *roles: str) -> Iterator[list[Forked]]:
    command = ["-c", "from tests.services.doctor.test_busy import main; main()", url]
    started = [Forked([*command, role], env=os.environ, origin=LIBRARY) for role in roles]
    try:
        yield started
    finally:
        for each in started:
            each.kill()
            each.wait()


def test_a_busy_healthy_queue_is_clean_at_every_visit(server: PrivateRedis, client: redis.Redis) -> None:
    with running(server.url, "produce", "work", "work") as processes:
        assert eventually(lambda: client.hlen(f"jobs:{QUEUE}:states") > 100)
        for _ in range(VISITS):
            before = client.get(f"queue:{QUEUE}:waiting:seq")
            reported = run_tool("doctor", QUEUE, "--json", url=server.url)
            assert (reported.stdout, reported.stderr, reported.code) == (
                '{"checked":["busy"],"findings":[]}\n',
                "",
                0,
            )
            assert client.get(f"queue:{QUEUE}:waiting:seq") != before
        assert [each.poll() for each in processes] == [None] * 3


@pytest.mark.extended
def test_children_that_a_fast_worker_has_left_waiting_run_once_after_a_repair(
    server: PrivateRedis, client: redis.Redis
) -> None:
    """In AsyncMQ 0.10.1 a parent that ends while its flow is being added does not free its child."""
    with running(server.url, "work", "work"), running(server.url, "flow", "flow") as producers:
        visits = 0
        assert eventually(lambda: client.exists(f"jobs:{QUEUE}:ids"))
        while any(each.poll() is None for each in producers):
            assert run_tool("doctor", QUEUE, "--repair", "--yes", "--json", url=server.url).code == 0
            visits += 1
        assert [each.poll() for each in producers] == [0, 0] and visits
        last = run_tool("doctor", QUEUE, "--repair", "--yes", "--json", url=server.url)
        assert (last.code, last.json["findings"], last.json["failed"]) == (0, [], 0)
        assert eventually(lambda: client.llen("runs") >= 4 * FLOWS)
        assert run_tool("doctor", QUEUE, url=server.url).code == 0
    runs = Counter(client.lrange("runs", 0, -1))
    assert (len(runs), set(runs.values())) == (4 * FLOWS, {1})
    repaired = Counter(event["job_id"] for event in library.events(client) if event["status"] == "success")
    late = {
        name
        for name in map(bytes.decode, runs)
        if name.endswith("child") and int(name.split("-")[1]) % 2 == 0
    }
    assert late <= set(repaired) and set(repaired.values()) == {1}
