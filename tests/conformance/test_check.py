"""`check` with real workers: each exit status in its situation."""

from __future__ import annotations

import json
import time

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, Run
from tests.demo.processes import eventually
from tests.support import library
from tests.support.workers import QUEUE, failing, nap, napping, working


def enqueue(server: PrivateRedis, *jobs: dict[str, object]) -> None:
    async def story(opened: library.RedisBackend) -> None:
        for job in jobs:
            await opened.enqueue(QUEUE, job)

    library.with_backend(server.url, story)


def states(client: redis.Redis) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = client.hgetall(f"jobs:{QUEUE}:states")
    return found


def value(result: Result, probe: str) -> object:
    (found,) = [one["value"] for one in result.json["probes"] if one["probe"] == probe]
    return found


def test_check_follows_a_real_worker_that_ends_the_backlog(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    enqueue(server, napping("a"), failing("b"), failing("c"))
    assert cli("check").code == 2, "nobody has taken them yet"
    with working(server.url):
        ended = {b"a": b"completed", b"b": b"failed", b"c": b"failed"}
        assert eventually(lambda: states(client) == ended)
        assert cli("check", "--min-workers", "1", "--max-failed", "2", "--max-waiting", "0").code == 0
        assert cli("check", "--min-workers", "2").code == 1
        assert cli("check", "--max-failed", "1").code == 1
        assert cli("check", "--max-failed", "0:1").code == 2
        row = cli("queues", "show", QUEUE, "--json").json
        result = cli("check", "--max-failed", "9", "--min-workers", "0", "--max-waiting", "9", "--json")
        assert {name: value(result, name) for name in ("failed", "workers", "waiting")} == {
            name: row[name] for name in ("failed", "workers", "waiting")
        }


def test_a_pause_is_a_warning_while_there_is_something_to_do(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    with working(server.url):
        assert cli("queues", "pause", QUEUE).code == 0
        assert cli("check").code == 0
        enqueue(server, napping("a"))
        result = cli("check")
        assert (result.code, result.stdout.split(" | ")[0]) == (
            1,
            f"ASYNCMQ WARNING - {QUEUE}: paused with a backlog of 1",
        )
        assert cli("queues", "resume", QUEUE).code == 0
        assert eventually(lambda: states(client) == {b"a": b"completed"})
        assert cli("check").code == 0


def test_the_jobs_of_a_killed_worker_are_lost_once_it_has_been_silent_for_the_ttl(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    def active(count: int) -> bool:
        # A worker writes the state of a job, and its claim after it.
        return eventually(
            lambda: (
                list(states(client).values()).count(b"active") == count
                and client.hlen(f"queue:{QUEUE}:active") == count
            )
        )

    def an_hour_passes() -> None:
        names = client.hkeys(f"queue:{QUEUE}:active")
        client.hset(f"queue:{QUEUE}:active", mapping=dict.fromkeys(names, repr(time.time() - 3600)))

    enqueue(server, napping("long", 600), napping("longer", 600))
    with working(server.url) as worker:
        assert active(2)
        an_hour_passes()
        assert cli("check").code == 0, "they are being run"
        worker.kill()
        assert cli("check").code == 0, "its last heartbeat is not yet older than the TTL"
        client.expire(f"queue:{QUEUE}:worker_heartbeats", 1)
        # A new worker would give the key a new TTL, and the killed one would look live again.
        assert eventually(lambda: not client.exists(f"queue:{QUEUE}:worker_heartbeats"))
        assert cli("check").code == 2
        result = cli("check", "--json")
        assert (value(result, "lost"), result.json["summary"]) == (2, f"{QUEUE}: 2 active without a worker")
        assert [cli("check", "--max-lost", text).code for text in ("2", "1", "0:1")] == [0, 1, 2]
    with working(server.url):
        assert cli("check").code == 0, "beside a live worker nobody can tell"
        assert cli("check", "--max-running", "30m").code == 1, "but by their age"
        enqueue(server, napping("third", 600), napping("fourth", 600))
        assert active(4)
        assert cli("check").code == 0, "the new claims may be from just after other jobs ended"
        an_hour_passes()
        assert cli("check").code == 2, "it runs no more than two at once"
        assert value(cli("check", "--json"), "lost") == 2


def test_a_repeatable_that_nobody_schedules_is_overdue_until_a_worker_does(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    definition = json.dumps({"task_id": nap.task_id, "args": [0], "every": 3600})
    client.zadd(f"queue:{QUEUE}:repeatables", {definition: time.time() - 120})
    result = cli("check")
    assert (result.code, result.stdout.split(" | ")[0]) == (
        1,
        f"ASYNCMQ WARNING - {QUEUE}: 1 overdue repeatable",
    )
    assert [cli("check", "--max-overdue", text).code for text in ("1", "0:0", ":1")] == [0, 2, 0]
    with working(server.url):
        assert eventually(lambda: cli("check").code == 0)
        assert eventually(lambda: list(states(client).values()) == [b"completed"])
