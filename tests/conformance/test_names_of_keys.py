"""If two jobs share a key because of their ids, no change overwrites the other job's data."""

from __future__ import annotations

import json

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library

QUEUE = "mail"


def bury(client: redis.Redis, job_id: str) -> None:
    client.zadd(f"queue:{QUEUE}:dlq", {json.dumps(library.job(job_id, status="failed")): 1.7e9})


@pytest.mark.parametrize("name", ["ids", "states", "results"])
@pytest.mark.parametrize("is_there", [False, True], ids=["gone", "there"])
def test_a_job_called_like_a_key_is_only_removed(
    name: str, is_there: bool, client: redis.Redis, server: PrivateRedis, cli: Run
) -> None:
    bury(client, name)
    bury(client, "other")
    if is_there:
        library.with_backend(
            server.url, lambda opened: library.fill(opened, QUEUE, [("completed", library.job("x"))])
        )
    before = library.dump(client)
    result = cli("dlq", "retry", QUEUE, name, "--yes")
    assert (result.code, library.dump(client)) == (1, before)
    assert "all jobs of the queue share" in result.stderr
    assert cli("jobs", "remove", QUEUE, name, "--yes").code == 0
    _, members = library.value_of(client, f"queue:{QUEUE}:dlq".encode())
    assert [json.loads(member)["id"] for member, _ in members] == ["other"]
    del before[f"queue:{QUEUE}:dlq".encode()]
    assert {key: value for key, value in library.dump(client).items() if not key.endswith(b":dlq")} == before
    assert cli("jobs", "retry", QUEUE, "other").code == 0


@pytest.mark.parametrize(
    ("mine", "others"),
    [("a", "a:payload"), ("a:payload", "a"), ("parent:a", "a:pending"), ("a:pending", "parent:a")],
)
def test_two_jobs_with_a_key_in_common_are_left_alone(
    mine: str, others: str, client: redis.Redis, server: PrivateRedis, cli: Run
) -> None:
    jobs = [("failed", library.job(mine)), ("waiting", library.job(others))]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))
    before = library.dump(client)
    for verb in ("retry", "remove"):
        result = cli("dlq", verb, QUEUE, mine, "--yes", "--json")
        assert (result.code, result.json["succeeded"]) == (1, 0), result
        assert library.dump(client) == before
    assert cli("jobs", "cancel", QUEUE, others, "--yes").code == 1
    assert library.dump(client) == before
