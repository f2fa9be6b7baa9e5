"""A job that waits for many others is removed and restored completely, without blocking Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.write import job_changes
from tests.conftest import Run
from tests.support import library

QUEUE = "mail"
MANY = job_changes.AT_ONCE * 2 + 1
HELD_UP = 30_000
"""Microseconds. Taking a job out of 100,000 sets in one script takes ten times as long."""


def enqueue(server: PrivateRedis, count: int) -> None:
    parents = [f"parent-{number:04}" for number in range(count)]

    async def fill(opened: library.RedisBackend) -> None:
        await opened.enqueue(QUEUE, library.job("sibling", depends_on=parents[:1]))
        await opened.enqueue(QUEUE, library.job("x", depends_on=parents))

    library.with_backend(server.url, fill)


def memberships(client: redis.Redis, job_id: str) -> int:
    return sum(client.sismember(key, job_id) for key in client.scan_iter(f"deps:{QUEUE}:parent:*"))


def test_a_job_is_removed_from_all_sets_with_one_event(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(
        server.url,
        lambda opened: opened.enqueue(QUEUE, library.job("sibling", depends_on=["parent-0000"])),
    )
    before = library.dump(client)
    library.with_backend(
        server.url,
        lambda opened: opened.enqueue(
            QUEUE, library.job("x", depends_on=[f"parent-{number:04}" for number in range(MANY)])
        ),
    )
    # One that was added later, and is not in the record.
    client.sadd(f"deps:{QUEUE}:x:pending", "late")
    client.sadd(f"deps:{QUEUE}:parent:late", "x")
    assert memberships(client, "x") == MANY + 1
    assert cli("jobs", "remove", QUEUE, "x", "--yes").code == 0
    after = library.dump(client)
    assert {key: value for key, value in after.items() if b"audit" not in key} == before
    (event,) = library.events(client)
    assert (event["action"], event["job_id"], event["status"]) == ("job.remove", "x", "success")


def test_a_restore_of_the_backup_restores_everything(
    server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    enqueue(server, MANY)
    before = library.dump(client)
    backup = str(tmp_path / "backup")
    assert cli("jobs", "remove", QUEUE, "x", "--yes", "--backup", backup).code == 0
    assert memberships(client, "x") == 0 and not client.exists(f"deps:{QUEUE}:x:pending")
    assert cli("jobs", "restore", backup, "--yes").code == 0
    after = library.dump(client)
    assert {key: value for key, value in after.items() if b"asyncmq-cli" not in key} == before


def test_a_repair_releases_it_and_clears_all_sets(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    enqueue(server, MANY)
    parents = [f"parent-{number:04}" for number in range(MANY)]
    client.mset(
        {f"jobs:{QUEUE}:{name}": json.dumps(library.job(name, status="completed")) for name in parents}
    )
    client.hset(f"jobs:{QUEUE}:states", mapping=dict.fromkeys(parents, "completed"))
    client.sadd(f"jobs:{QUEUE}:ids", *parents)
    repaired = cli("doctor", QUEUE, "--repair", "--yes", "--code", "parents_done", "--json").json
    assert [(one["job_id"], one["status"]) for one in repaired["results"]] == [
        ("sibling", "success"),
        ("x", "success"),
    ]
    assert client.zrange(f"queue:{QUEUE}:waiting", 0, -1) == [b"sibling", b"x"]
    assert not list(client.scan_iter(f"deps:{QUEUE}:*"))
    assert json.loads(client.get(f"jobs:{QUEUE}:x"))["status"] == "waiting"


@pytest.mark.parametrize("done", [0, 700])
def test_what_a_killed_run_leaves_is_found_by_the_doctor(
    done: int, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    enqueue(server, MANY)
    # As the script leaves it, and `done` sets later.
    for key, kind in ((f"jobs:{QUEUE}:ids", "set"), (f"jobs:{QUEUE}:states", "hash")):
        (client.srem if kind == "set" else client.hdel)(key, "x")
    client.delete(f"jobs:{QUEUE}:x")
    client.mset({f"jobs:{QUEUE}:parent-{number:04}": "{}" for number in range(MANY)})
    for number in range(done):
        client.srem(f"deps:{QUEUE}:parent:parent-{number:04}", "x")
        client.srem(f"deps:{QUEUE}:x:pending", f"parent-{number:04}")
    found = cli("doctor", QUEUE, "--json", "--code", "dependencies_left").json["findings"]
    assert [(one["code"], one["sample_ids"]) for one in found] == [("dependencies_left", ["x"])]
    # Harmless: a parent that completes starts nothing, and takes its set with it.
    library.with_backend(server.url, lambda opened: opened.resolve_dependency(QUEUE, "parent-0900"))
    assert client.zcard(f"queue:{QUEUE}:waiting") == 0
    assert not client.exists(f"deps:{QUEUE}:parent:parent-0900")


@pytest.mark.extended
def test_no_command_holds_redis_up_where_there_are_a_hundred_thousand(client: redis.Redis, cli: Run) -> None:
    parents = [f"parent-{number:06}" for number in range(100_000)]
    record = library.job("x", depends_on=parents, status="waiting")
    pipe = client.pipeline(transaction=False)
    pipe.set(f"jobs:{QUEUE}:x", json.dumps(record))
    pipe.sadd(f"jobs:{QUEUE}:ids", "x")
    pipe.hset(f"jobs:{QUEUE}:states", "x", "waiting")
    pipe.sadd(f"deps:{QUEUE}:x:pending", *parents)
    for parent in parents:
        pipe.sadd(f"deps:{QUEUE}:parent:{parent}", "x")
    pipe.execute()
    client.config_resetstat()
    assert cli("jobs", "remove", QUEUE, "x", "--yes").code == 0
    stats = client.info("commandstats")
    slowest = max(
        (one["usec_per_call"], name) for name, one in stats.items() if "|" not in name and "exec" not in name
    )
    assert slowest[0] < HELD_UP, slowest
    assert not list(client.scan_iter(f"deps:{QUEUE}:*"))
