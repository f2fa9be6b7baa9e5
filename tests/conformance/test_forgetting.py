"""A queue can be removed from the lists only if it is empty."""

from __future__ import annotations

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

QUEUE = "mail"
SEQUENCE = f"queue:{QUEUE}:waiting:seq"


@pytest.fixture(autouse=True)
def emptied(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, library.job("j")))
    assert cli("jobs", "remove", QUEUE, "j", "--yes").code == 0
    assert [key for key in client.scan_iter() if b"audit" not in key] == [SEQUENCE.encode()]


def test_an_emptied_queue_is_called_empty_wherever_queues_are_listed(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("busy", library.job("k")))
    rows = cli("queues", "list", "--json").json["queues"]
    assert {row["name"]: row["empty"] for row in rows} == {"busy": False, QUEUE: True}
    overview = cli("overview", "--json").json["queues"]
    assert [row["empty"] for row in overview] == [row["empty"] for row in rows]
    assert cli("queues", "show", QUEUE, "--json").json["empty"] is True
    assert cli("queues", "list", "--fields", "name,state").stdout == f"busy\tno worker\n{QUEUE}\tempty\n"
    assert f"queue\t{QUEUE}\tempty\t0" in cli("overview").stdout
    screen = on_terminal("queues", "list", url=server.url, columns=100)
    assert screen.lines[-1] == f"1 queue is empty: 'asyncmq queues forget {QUEUE}'"
    assert cli("queues", "pause", QUEUE).code == 0
    assert cli("queues", "list", "--fields", "name,state").stdout.endswith(f"{QUEUE}\tpaused\n")


def test_an_emptied_queue_is_forgotten_and_that_is_audited(client: redis.Redis, cli: Run) -> None:
    assert cli("queues", "forget", QUEUE, "--dry-run").code == 0 and client.exists(SEQUENCE)
    done = cli("queues", "forget", QUEUE, "--reason", "moved", "--yes", "--json").json
    assert (done["action"], done["succeeded"], client.exists(SEQUENCE)) == ("queue.forget", 1, 0)
    assert cli("queues", "list", "--json").json["queues"] == []
    event = library.events(client)[-1]
    assert (event["action"], event["source"], event["status"]) == ("queue.forget", "queues.detail", "success")
    assert event["details"] == {"reason": "moved"}
    assert cli("queues", "forget", QUEUE).code == 4


@pytest.mark.parametrize("command", ["waiting job", "paused", "completed job", "repeatable"])
def test_one_in_which_anything_is_left_is_refused(
    command: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def leave(opened: library.RedisBackend) -> None:
        if command == "paused":
            await opened.pause_queue(QUEUE)
        elif command == "repeatable":
            await opened.upsert_repeatable(QUEUE, {"task_id": "t", "every": 60})
        else:
            await library.put(opened, QUEUE, command.split()[0], library.job("k"))

    library.with_backend(server.url, leave)
    before = library.dump(client)
    for args in ([], ["--dry-run"]):
        refused = cli("queues", "forget", QUEUE, *args)
        assert (refused.code, "is not empty" in refused.stderr) == (1, True)
    kept = {key: value for key, value in library.dump(client).items() if b"audit" not in key}
    assert kept == {key: value for key, value in before.items() if b"audit" not in key}
