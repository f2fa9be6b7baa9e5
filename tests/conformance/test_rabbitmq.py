"""Data of AsyncMQ's RabbitMQ backend in Redis is not a queue of the Redis backend, and is never changed.

The data is made with the backend's own metadata store; there is no broker.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import redis
from asyncmq.stores.rabbitmq import RabbitMQJobStore

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.faults import scale
from tests.support import library


def note(job_id: str, status: str, **more: Any) -> dict[str, Any]:
    """Save a record like `enqueue`, `ack` and other calls of the backend."""
    payload = {**library.job(job_id), "status": status, "_delivery_token": "t"}
    return {"id": job_id, "payload": payload, "status": status, **more}


@pytest.fixture
def rabbit(server: PrivateRedis, client: redis.Redis) -> redis.Redis:
    async def fill() -> None:
        store = RabbitMQJobStore(redis_url=server.url)
        for job_id, status in (("w", "waiting"), ("d", "delayed"), ("f", "failed"), ("c", "completed")):
            await store.save("mail", job_id, note(job_id, status))
        definition = {"task_id": "app.tick", "every": 60}
        await store.save(
            "ticks",
            "repeatable:1",
            {
                "id": "repeatable:1",
                "job_def": definition,
                "next_run": 1.0,
                "paused": False,
                "status": "repeatable",
            },
        )
        await store.save("__asyncmq_queue_controls__", "mail", {"queue_name": "mail", "paused": True})
        await store.save("__asyncmq_removed_jobs__", "mail:x", {"queue_name": "mail", "job_id": "x"})
        worker = {"id": "w1", "queue": "mail", "concurrency": 2, "heartbeat": 1.0}
        await store.save("workers", "w1", worker)
        await store._store.redis.aclose()  # type: ignore[attr-defined]

    asyncio.run(fill())
    return client


READING = [
    ["queues", "list"],
    ["queues", "show", "mail"],
    ["overview"],
    ["doctor"],
    ["doctor", "mail"],
    ["jobs", "list", "mail"],
    ["metrics", "show", "--no-record"],
]
CHANGING = [
    ["queues", "pause", "mail"],
    ["queues", "resume", "mail"],
    ["jobs", "retry", "mail", "f"],
    ["jobs", "retry", "mail", "--all", "--yes"],
    ["jobs", "remove", "mail", "w", "--yes"],
    ["jobs", "remove", "mail", "--state", "completed", "--all", "--yes"],
    ["jobs", "cancel", "mail", "d", "--yes"],
    ["dlq", "retry", "mail", "--all", "--yes"],
    ["doctor", "mail", "--repair", "--yes"],
    ["doctor", "--repair", "--yes"],
    ["repeatables", "add", "mail", "--task", "app.x", "--every", "60s"],
    ["repeatables", "pause", "ticks", "--task", "app.tick"],
    ["tasks", "list", "mail"],
    ["jobs", "follow", "mail", "w"],
    ["wait", "mail"],
    ["queues", "drain", "mail", "--yes"],
    ["queues", "clean", "mail", "--state", "completed", "--older-than", "0", "--yes"],
    ["queues", "obliterate", "mail", "--yes"],
    ["queues", "forget", "mail"],
    ["jobs", "add", "mail", "--task", "app.x", "--yes"],
    ["jobs", "edit", "mail", "w", "--set", "args[0]=7", "--yes"],
    ["jobs", "requeue", "mail", "w", "--force", "--yes"],
    ["jobs", "run-now", "mail", "d", "--yes"],
    ["jobs", "rerun", "mail", "c", "--yes"],
    ["workers", "forget", "w1", "--queue", "mail", "--force", "--yes"],
]


@pytest.mark.extended(first=14)
@pytest.mark.parametrize("args", [*READING, *CHANGING], ids=" ".join)
def test_a_change_of_rabbitmq_data_is_refused(args: list[str], rabbit: redis.Redis, cli: Run) -> None:
    before = library.dump(rabbit)
    result = cli(*args)
    assert result.code in (1, 4), result
    assert "bug in asyncmq-cli" not in result.stderr
    if args[0] != "repeatables" or "add" in args:
        assert "of AsyncMQ's RabbitMQ backend" in result.stderr + result.stdout, result
    after = {key: value for key, value in library.dump(rabbit).items() if not key.startswith(b"asyncmq-cli:")}
    assert after == before
    scale.record("Another kind of server", rabbit, commands=1)


def test_the_code_says_it(rabbit: redis.Redis, cli: Run) -> None:
    error = json.loads(cli("queues", "list", "--json").stderr)["error"]
    assert (error["code"], error["details"]) == ("rabbitmq_queue", {"queues": ["mail", "ticks"]})


def test_check_does_not_say_that_all_is_well(rabbit: redis.Redis, cli: Run) -> None:
    for args in ((), ("--queue", "mail")):
        result = cli("check", *args)
        assert (result.code, "UNKNOWN" in result.stdout) == (3, True), result


def test_a_single_job_is_read_truly(rabbit: redis.Redis, cli: Run) -> None:
    job = cli("jobs", "show", "mail", "c", "--json").json
    assert (job["id"], job["status"], job["task_id"]) == ("c", "completed", library.job("c")["task"])
    waiting = cli("jobs", "show", "mail", "w", "--json")
    assert waiting.json["status"] == "waiting"
    assert "metadata of AsyncMQ's RabbitMQ backend: the job itself is in RabbitMQ" in waiting.stderr


def test_the_redis_backends_queues_beside_it_are_read_and_changed(
    rabbit: redis.Redis, cli: Run, server: PrivateRedis
) -> None:
    library.with_backend(
        server.url, lambda opened: library.fill(opened, "own", [("waiting", library.job("a"))])
    )
    result = cli("queues", "list", "--fields", "name,waiting")
    assert (result.code, result.stdout) == (0, "own\t1\n"), result
    assert "left out: queues 'mail', 'ticks' are of AsyncMQ's RabbitMQ backend" in result.stderr
    assert cli("queues", "pause", "own").code == 0
    assert cli("queues", "pause", "mail").code == 1


def test_a_queue_of_ended_jobs_alone_is_not_taken_for_one(client: redis.Redis, cli: Run) -> None:
    client.sadd("jobs:done:ids", "a", "b")
    client.set("jobs:done:a", json.dumps({**library.job("a"), "status": "completed", "payload": {"x": 1}}))
    client.sadd("jobs:torn:ids", "a")
    client.set("jobs:torn:a", "{")
    assert cli("queues", "list", "--fields", "name").lines == ["done", "torn"]
