"""The cost of the doctor in Redis and its memory grow linearly with the queue."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.conftest import Run
from tests.services.doctor.support import QUEUE, due_in, job

WAITING, DELAYED, DLQ = (f"queue:{QUEUE}:{name}" for name in ("waiting", "delayed", "dlq"))
IDS, STATES = (f"jobs:{QUEUE}:{name}" for name in ("ids", "states"))


def calls(client: redis.Redis, run: Callable[[], Any], *commands: str) -> int:
    client.config_resetstat()
    run()
    reported = client.info("commandstats")
    return sum(reported.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in commands)


def dead_ends(client: redis.Redis, count: int) -> None:
    """Create this many stale dead letters whose jobs wait."""
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        name = f"job-{number}"
        pipe.set(f"jobs:{QUEUE}:{name}", json.dumps(job(name, status="waiting")))
        pipe.sadd(IDS, name)
        pipe.hset(STATES, name, "waiting")
        pipe.zadd(WAITING, {name: number})
        pipe.zadd(DLQ, {json.dumps(job(name, args=["old"], status="failed")): number})
    pipe.execute()


@pytest.mark.extended
def test_the_reads_of_a_sorted_set_do_not_grow_with_the_candidates(client: redis.Redis, cli: Run) -> None:
    counts = []
    for candidates in (1500, 3000):
        client.flushall()
        dead_ends(client, candidates)
        counts.append(calls(client, lambda: cli("doctor", "--json"), "zscan"))
        assert cli("doctor", "--json").json["findings"][0]["count"] == candidates
    assert counts[1] < 2.5 * counts[0]


@pytest.mark.extended
def test_many_repairs_read_each_sorted_set_a_few_times_more(client: redis.Redis, cli: Run) -> None:
    dead_ends(client, 1500)
    reads = calls(client, lambda: cli("doctor"), "zscan")
    repairs = calls(client, lambda: cli("doctor", "--repair", "--yes"), "zscan")
    assert client.zcard(DLQ) == 0 and client.zcard(WAITING) == 1500
    assert repairs < 3 * reads


def large(client: redis.Redis, count: int, *, damaged: bool) -> None:
    for number in range(count):
        name = f"job-{number}"
        record = json.dumps(job(name, args=["z" * 1_000_000], status="failed"))
        client.set(f"jobs:{QUEUE}:{name}", record)
        client.sadd(IDS, name)
        client.hset(STATES, name, "failed")
        if not damaged:
            client.zadd(DLQ, {record: due_in(0)})


@pytest.mark.extended
@pytest.mark.parametrize("damaged", [False, True], ids=["healthy", "damaged"])
def test_of_large_jobs_a_piece_is_held_at_a_time(damaged: bool, client: redis.Redis, cli: Run) -> None:
    large(client, 90, damaged=damaged)
    tracemalloc.start()
    try:
        reported = cli("doctor", "--repair", "--yes", "--json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reported.code, reported.json["matched"]) == (0, 90 if damaged else 0)
    assert client.zcard(DLQ) == 90
    assert peak < 80_000_000
