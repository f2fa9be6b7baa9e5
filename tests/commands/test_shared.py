"""A long list or selection is shared between processes: what it prints and selects stays the same."""

from __future__ import annotations

import json

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.system import parallel
from tests.benchmarks import keyspace
from tests.conftest import Run

QUEUE = "mail"
DEAD = 11_000
"""More than one process reads alone."""


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    """Some jobs are split, so that their arguments have keys of their own; a member is no job; and the record
    of a job is no JSON."""
    counts = {"failed": DEAD - 100, "expired": 100, "completed": 100}
    keyspace.write(str(server.socket), QUEUE, keyspace.jobs(QUEUE, counts, seed=1, split_every=900))
    client.zadd(f"queue:{QUEUE}:dlq", {"no job": 1.7e9})
    client.set(b"jobs:mail:" + client.srandmember(f"jobs:{QUEUE}:ids"), b"{")


def test_a_long_list_and_a_selection_are_the_same_as_in_one_process(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "processors", lambda *, beside_redis: 3)
    args = ("jobs", "list", QUEUE, "--state", "all", "--ndjson")
    # With --sort, one process reads the list.
    shared, alone = cli(*args), cli(*args, "--sort", "oldest")
    assert shared.code == alone.code == 0
    assert sorted(shared.lines) == sorted(alone.lines)
    assert len(shared.lines) > DEAD
    assert sorted(shared.stderr.splitlines()) == sorted(alone.stderr.splitlines())

    wanted = ("--q", "77@example.org")
    listed = cli("dlq", "list", QUEUE, *wanted, "--ndjson")
    changed = cli("dlq", "retry", QUEUE, *wanted, "--dry-run", "--json")
    ids = {json.loads(line)["id"] for line in listed.lines}
    assert len(ids) > 100
    assert {result["job_id"] for result in json.loads(changed.stdout)["results"]} == ids
