"""Real workers whose clocks differ from the server's, or whose heartbeat TTL is not the default."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.demo.processes import eventually
from tests.faults import scale
from tests.support import library
from tests.support.workers import QUEUE, holding, working

JOBS = ("a", "b")
HOUR = 3600.0


@pytest.fixture
def held(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> None:
    """Jobs that run until the end of the test."""
    library.with_backend(
        server.url,
        lambda opened: library.fill(
            opened, QUEUE, [("waiting", holding(name, tmp_path / "never")) for name in JOBS]
        ),
    )


def taken(client: redis.Redis) -> bool:
    return bool(client.hlen(f"queue:{QUEUE}:active") == len(JOBS))


SKEWS = {-45.0: "45 s behind", HOUR * 2: "2 h ahead of", -HOUR * 2: "2 h behind"}


def any_skew(which: int) -> float:
    """A clock skew in seconds: from forty seconds to eleven days, ahead or behind."""
    chosen = scale.seeded(f"clock {which}")
    return float(round(chosen.choice((-1, 1)) * 10 ** chosen.uniform(1.6, 6), 1))


@pytest.mark.extended(first=2)
@pytest.mark.parametrize("which", range(33))
def test_a_worker_whose_clock_differs_is_healthy_and_its_jobs_are_not_lost(
    which: int, held: None, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    skew = next(islice(SKEWS, which, None), None) or any_skew(which)
    with working(server.url, skew=skew):
        assert eventually(lambda: taken(client))
        listed = cli("workers", "list", "--json")
        (worker,) = listed.json["workers"]
        assert (worker["health"], worker["ttl_seconds"]) == ("healthy", 30)
        assert worker["age_seconds"] < 30
        assert worker["clock_offset_seconds"] == pytest.approx(skew, abs=10)
        assert f"the clock of worker '{worker['id']}' is {SKEWS.get(skew, '')}" in listed.stderr
        assert cli("check").code == 0
        claims = client.hgetall(f"queue:{QUEUE}:active")
        for args in ([], ["--repair", "--code", "active_lost", "--yes"]):
            reported = cli("doctor", QUEUE, *args, "--json")
            assert (reported.code, reported.json["findings"]) == (0, [])
            assert "no active job of the queue counts as lost" in reported.stderr
        assert client.hgetall(f"queue:{QUEUE}:active") == claims
    scale.record("Clocks", client, workers=1, jobs=len(JOBS))


def test_a_long_heartbeat_ttl_is_found_out(
    held: None, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    with working(server.url, ttl=120):
        assert eventually(lambda: taken(client))
        listed = cli("workers", "list", "--json")
        (worker,) = listed.json["workers"]
        assert (worker["health"], worker["ttl_seconds"], listed.stderr) == ("healthy", 120, "")


def test_a_heartbeat_of_a_long_ttl_may_be_older_than_the_default(
    client: redis.Redis, server: PrivateRedis, cli: Run
) -> None:
    key = f"queue:{QUEUE}:worker_heartbeats"
    client.hset(key, "w", json.dumps({"heartbeat": time.time() - 40, "concurrency": 1}))
    client.expire(key, 80)
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, library.job("j")))
    checked = cli("check")
    assert (checked.code, checked.stderr) == (0, "")


def test_a_definition_that_is_due_by_the_server_alone_is_not_overdue(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    definition = {"task_id": "tick", "every": 3600}
    library.with_backend(server.url, lambda opened: opened.upsert_repeatable(QUEUE, definition))
    (member,) = client.zrange(f"queue:{QUEUE}:repeatables", 0, -1)
    client.zadd(f"queue:{QUEUE}:repeatables", {member: time.time() - 90})
    assert "1 overdue repeatable" in cli("check").stdout
    with working(server.url, skew=-HOUR):
        assert cli("check").code == 0
        assert cli("doctor", QUEUE, "--json").json["findings"] == []
        (row,) = cli("repeatables", "list", "--json").json["repeatables"]
        assert row["overdue"] is False


# The rules have fast tests of their own; here it is seen with real workers.
@pytest.mark.extended
def test_the_jobs_of_a_worker_killed_beside_a_living_one_are_named(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path, cli: Run
) -> None:
    """It is not known which of the jobs it ran, so none is called lost."""

    def enqueue(*names: str) -> None:
        jobs = [("waiting", holding(name, tmp_path / "never")) for name in names]
        library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))

    enqueue(*JOBS)
    with working(server.url, ttl=3) as killed:
        assert eventually(lambda: taken(client))
        # It is killed before its second heartbeat: its claims are younger than its first.
        with working(server.url, ttl=3):
            enqueue("later")
            assert eventually(lambda: client.hexists(f"queue:{QUEUE}:active", "later"))
            killed.kill()
            killed.wait()
            # Twice its TTL: how late a write was, on a busy machine, makes no difference then.
            died = time.time()
            assert eventually(lambda: time.time() > died + 6)
            checked = cli("check", "--json")
            assert checked.code == 1
            assert checked.json["summary"] == f"{QUEUE}: 2 claimed before a worker went silent"
            assert cli("check", "--max-silent", "2").code == 0
            assert f"problem\t{QUEUE}\t2 claimed before a worker went silent\t" in cli("overview").stdout
            (finding,) = cli("doctor", "--code", "active_silent", "--json").json["findings"]
            assert (finding["count"], finding["sample_ids"]) == (2, list(JOBS))
            assert cli("doctor", "--code", "active_lost", "--json").json["findings"] == []
