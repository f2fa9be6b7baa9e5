"""Workers against the real AsyncMQ: a running one is healthy, and the library lists the same."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import redis
from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, Run
from tests.support import library

QUEUE = "mail"


def test_a_running_worker_is_healthy_and_gone_once_deregistered(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def listed() -> Any:
        done: Result = await anyio.to_thread.run_sync(lambda: cli("workers", "list", "--json"))
        return done.json

    async def story(opened: RedisBackend) -> None:
        monkay.settings.backend = opened
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: run_worker(QUEUE, opened, concurrency=4, scan_interval=0.05))
                while not (document := await listed())["workers"]:
                    await anyio.sleep(0.02)
                tasks.cancel_scope.cancel()
        (worker,) = document["workers"]
        assert (worker["queue"], worker["concurrency"], worker["health"]) == (QUEUE, 4, "healthy")
        assert document["summary"] == {"total": 1, "healthy": 1, "attention": 0, "capacity": 4, "queues": 1}
        await opened.deregister_worker(worker["id"])
        assert (await listed())["workers"] == []

    library.with_backend(server.url, story)


def test_the_live_workers_are_those_that_the_library_lists(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    now = time.time()

    async def register(opened: RedisBackend) -> list[Any]:
        for number, age in enumerate((0, 5, 15, 3600)):
            await opened.register_worker(f"worker-{number}", f"queue-{number % 2}", number, now - age)
        # The layout of older workers, which wrote into the hash with the heartbeats of running jobs.
        old = json.dumps({"heartbeat": now - 2, "concurrency": 7})
        await opened.redis.hset("queue:old:heartbeats", mapping={"worker-old": old, "some-job": str(now)})
        return list(await opened.list_workers())

    theirs = library.with_backend(server.url, register)
    ours = cli("workers", "list", "--json").json["workers"]
    live = [worker for worker in ours if worker["health"] != "stale"]
    assert sorted((one["id"], one["queue"], one["concurrency"], one["heartbeat"]) for one in live) == sorted(
        (one.id, one.queue, one.concurrency, one.heartbeat) for one in theirs
    )
    assert [one["id"] for one in ours if one["health"] == "stale"] == ["worker-3"]


def test_a_queue_s_workers_are_counted_by_the_same_rules(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    now = time.time()
    entry = json.dumps({"heartbeat": now, "concurrency": 1})
    client.hset("queue:tenant:a:worker_heartbeats", mapping={"both": entry, "new": entry})
    client.hset("queue:tenant:a:heartbeats", mapping={"both": entry, "job": str(now)})
    assert cli("queues", "show", "tenant:a", "--json").json["workers"] == 2
    rows = cli("workers", "list", "--json").json["workers"]
    assert [(row["id"], row["queue"]) for row in rows] == [("both", "tenant:a"), ("new", "tenant:a")]
