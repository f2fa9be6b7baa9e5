"""The tool or its Redis is killed, or the line between them cut, anywhere in a change of many jobs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import environment, run_tool
from tests.faults import ledger
from tests.faults.fakes import Proxy
from tests.faults.scale import record, scaled, seeded
from tests.faults.support import QUEUE, Tool

VERBS = ("retry", "remove", "cancel")
JOBS = [f"job-{number:05}" for number in range(scaled(400, 10_000))]
FEW = JOBS[:60]
KILLS = scaled(2, 34)
"""Of each of the three changes: a hundred of them in all."""
SERVER_KILLS = scaled(1, 10)
CUTS = scaled(4, 60)


def command(verb: str, *more: str) -> tuple[str, ...]:
    if verb == "cancel":
        return ("jobs", "cancel", QUEUE, "--all", "--yes", *more)
    return ("dlq", verb, QUEUE, "--all", "--yes", *more)


def start(url: str, *args: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "asyncmq_cli", *args]
    return subprocess.Popen(line, env=environment(url), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def strike(
    rng: random.Random,
    client: redis.Redis,
    done: int,
    process: subprocess.Popen[bytes],
    act: Callable[[], object],
) -> bool:
    """Act at a random moment of the run, most often while jobs are being changed. False if the run
    was over before."""
    moment = done + rng.randrange(max(1, min(1500, len(JOBS) - done)))
    deadline = time.monotonic() + (rng.uniform(0, 2) if rng.random() < 0.2 else 60)
    while client.xlen("asyncmq-cli:audit") <= moment and time.monotonic() < deadline:
        if process.poll() is not None:
            return False
    time.sleep(rng.uniform(0, 0.02))
    act()
    return True


@pytest.mark.parametrize("verb", VERBS)
def test_a_killed_run_leaves_each_job_in_one_place_and_the_next_goes_on(
    verb: str, server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    rng = seeded(f"killed {verb}")
    kills = jobs = 0
    backups: list[Path] = []
    while kills < KILLS:
        ledger.fill(client, QUEUE, JOBS, ledger.STATE[verb])
        jobs += len(JOBS)
        done: set[str] = set()
        while len(done) < len(JOBS) and kills < KILLS:
            backup = tmp_path / str(kills)
            process = start(
                server.url, *command(verb, *(["--backup", str(backup)] if verb == "remove" else []))
            )
            if strike(rng, client, len(done), process, process.kill):
                kills += 1
            process.communicate()
            backups.append(backup)
            now = ledger.changed(client, QUEUE, verb, JOBS)
            assert done <= now, "what was changed stays changed"
            done = now
        if verb == "remove":
            assert_backed_up([path for path in backups if path.exists()], done)
        backups = []
    result = run_tool(*command(verb, "--json"), url=server.url)
    assert (result.code, result.json["failed"]) == (0, 0)
    assert ledger.changed(client, QUEUE, verb, JOBS) == set(JOBS)
    record("The tool killed", client, runs=kills, faults=kills, jobs=jobs, losses=0)


def assert_backed_up(backups: list[Path], removed: set[str]) -> None:
    """All that left Redis is in a whole line of a backup."""
    kept = set()
    for path in backups:
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                kept.add(json.loads(line).get("id"))
    assert removed <= kept


@contextlib.contextmanager
def durable_redis(directory: Path) -> Iterator[PrivateRedis]:
    """It has on disk whatever it has answered."""
    extra = ["--dir", str(directory), "--appendonly", "yes", "--appendfsync", "always"]
    with PrivateRedis(extra=extra) as server:
        yield server


@pytest.mark.parametrize("verb", VERBS)
def test_a_killed_redis_has_lost_nothing_that_was_told_when_it_is_back(verb: str, tmp_path: Path) -> None:
    rng = seeded(f"killed Redis {verb}")
    with durable_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        ledger.fill(client, QUEUE, JOBS, ledger.STATE[verb])
    done: set[str] = set()
    kills = 0
    while kills < SERVER_KILLS:
        with durable_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            if len(done) == len(JOBS):
                ledger.fill(client, QUEUE, JOBS, ledger.STATE[verb])
                done = set()
            process = start(server.url, *command(verb, "--json"))
            struck = True
            with contextlib.suppress(RedisError):
                struck = strike(rng, client, len(done), process, lambda: os.kill(server.pid, signal.SIGKILL))
            kills += struck
            told, _ = process.communicate()
        with durable_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            now = ledger.changed(client, QUEUE, verb, JOBS)
            assert done | successful(told) <= now
            done = now
    with durable_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert run_tool(*command(verb), url=server.url).code == 0
        assert ledger.changed(client, QUEUE, verb, JOBS) == set(JOBS)
        record("Redis killed", client, runs=kills, faults=kills, jobs=len(JOBS), losses=0)


def successful(told: bytes) -> set[str]:
    results = json.loads(told)["results"] if told else []
    return {row["job_id"] for row in results if row["status"] == "success"}


@pytest.mark.parametrize("direction", ["to the tool", "to Redis"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_line_cut_after_any_byte_leaves_each_job_in_one_place(
    verb: str, direction: str, server: PrivateRedis, client: redis.Redis, tool: Tool
) -> None:
    """What is told as done is done, and what was done and not heard of is not told as failed."""
    rng = seeded(f"cut {verb} {direction}")
    ledger.fill(client, QUEUE, FEW, ledger.STATE[verb])
    with Proxy(server.socket) as proxy:
        assert tool(proxy.url, *command(verb)).code == 0
    length = proxy.passed if direction == "to the tool" else proxy.asked
    lost = cuts = 0
    for number in range(CUTS):
        limit = rng.randrange(length * number // CUTS, length * (number + 1) // CUTS)
        ledger.fill(client, QUEUE, FEW, ledger.STATE[verb])
        limits = {"limit": limit} if direction == "to the tool" else {"limit_asked": limit}
        with Proxy(server.socket, **limits, once=True) as proxy:
            result = tool(proxy.url, *command(verb, "--json"))
            proxy.wait()
        done = ledger.changed(client, QUEUE, verb, FEW)
        told = {row["job_id"]: row["status"] for row in result.json["results"]} if result.stdout else {}
        assert set(told.values()) <= {"success"}, result
        assert told.keys() <= done
        lost += len(done) - len(told)
        cuts += proxy.cut
        if proxy.cut:
            assert result.code == 3, result
        assert tool(server.url, *command(verb)).code == 0
        assert ledger.changed(client, QUEUE, verb, FEW) == set(FEW)
    assert not lost, "the line was there again, so it could be looked up what was done"
    record("The line cut", client, runs=CUTS, faults=cuts, jobs=CUTS * len(FEW), losses=lost)
