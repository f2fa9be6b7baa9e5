"""Redis fails while the tool changes a list of jobs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import run_tool
from tests.faults.fakes import Proxy
from tests.faults.support import QUEUE, Tool, error_of
from tests.support import library

JOBS = [f"job-{number}" for number in range(120)]


@contextmanager
def lasting_redis(directory: Path) -> Iterator[PrivateRedis]:
    """A Redis with persistence in `directory`. It keeps all data when it is killed, because the kernel still
    writes what it has written to its file."""
    extra = ["--dir", str(directory), "--appendonly", "yes", "--appendfsync", "no"]
    with PrivateRedis(extra=extra) as server:
        yield server


class BeforeScript:
    """Calls a function when the tool sends a script for the `nth` time."""

    def __init__(self, nth: int, act: Callable[[], object]) -> None:
        self._left = nth
        self._act = act

    def __call__(self, command: list[bytes]) -> None:
        # Without a key it is the preflight, which asks whether the script may be run.
        if command[0] in (b"EVAL", b"EVALSHA") and command[2] != b"0":
            self._left -= 1
            if not self._left:
                self._act()


async def fill(opened: RedisBackend) -> None:
    await library.fill(opened, QUEUE, [("failed", library.job(name)) for name in JOBS])


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_changes_before_a_kill_are_reported_and_stay(as_json: bool, tmp_path: Path) -> None:
    with lasting_redis(tmp_path) as server:
        library.with_backend(server.url, fill)
        kill = BeforeScript(80, lambda: os.kill(server.pid, signal.SIGKILL))
        with Proxy(server.socket, before=kill) as proxy:
            flags = ["--json"] if as_json else []
            result = run_tool("jobs", "retry", QUEUE, "-", *flags, url=proxy.url, stdin="\n".join(JOBS))
    assert result.code == 3
    if as_json:
        reported = [(row["job_id"], row["status"]) for row in result.json["results"]]
        assert (result.json["succeeded"], result.json["failed"]) == (len(reported), 0)
        assert error_of(result)["code"] == "redis_unreachable"
    else:
        reported = [(row.split("\t")[2], row.split("\t")[0]) for row in result.lines]
        assert result.stderr.startswith("error: cannot reach Redis at ")
    with lasting_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert_first_jobs_done(client, reported)


TROUBLES: dict[str, tuple[Callable[[redis.Redis], object], str]] = {
    "out of memory": (lambda admin: admin.config_set("maxmemory", 1), "redis_out_of_memory"),
    "a replica": (lambda admin: admin.replicaof("127.0.0.1", "1"), "redis_readonly"),
    "short of replicas": (lambda admin: admin.config_set("min-replicas-to-write", 1), "redis_no_replicas"),
}


@pytest.mark.extended(first=2)
@pytest.mark.parametrize("name", TROUBLES)
def test_changes_before_a_refusal_are_reported_and_the_rest_is_unchanged(
    name: str, binary: Path, tool: Tool
) -> None:
    provoke, code = TROUBLES[name]
    with PrivateRedis(binary) as server, redis.Redis.from_url(server.url) as admin:
        library.with_backend(server.url, fill)
        with Proxy(server.socket, before=BeforeScript(80, lambda: provoke(admin))) as proxy:
            result = tool(proxy.url, "jobs", "retry", QUEUE, *JOBS, "--json")
        assert (result.code, error_of(result)["code"]) == (3, code)
        admin.replicaof("NO", "ONE")
        assert_first_jobs_done(admin, [(row["job_id"], row["status"]) for row in result.json["results"]])


def assert_first_jobs_done(client: redis.Redis, reported: list[tuple[str, str]]) -> None:
    """Assert that the first jobs were retried, each with its event, and that the others are unchanged."""
    done = len(reported)
    assert 0 < done < 80
    assert reported == [(name, "success") for name in JOBS[:done]]
    assert client.zrange(f"queue:{QUEUE}:waiting", 0, -1) == [name.encode() for name in JOBS[:done]]
    dead = [json.loads(member)["id"] for member in client.zrange(f"queue:{QUEUE}:dlq", 0, -1)]
    assert sorted(dead) == sorted(JOBS[done:])
    assert [(event["job_id"], event["status"]) for event in library.events(client)] == reported


def test_withdrawn_rights_end_the_run_before_its_next_transaction(binary: Path, tool: Tool) -> None:
    """Redis does not roll back a script when a later command in it is refused."""
    asked = 0

    def withdraw(command: list[bytes]) -> None:
        nonlocal asked
        # Without a key it is the preflight, which asks whether a script may be run.
        asked += command[0] == b"EVALSHA" and command[2] == b"0"
        if asked == 2:
            admin.execute_command("ACL", "SETUSER", "default", "-zrem")

    with PrivateRedis(binary) as server, redis.Redis.from_url(server.url) as admin:
        library.with_backend(server.url, fill)
        with Proxy(server.socket, before=withdraw) as proxy:
            result = tool(proxy.url, "jobs", "retry", QUEUE, *JOBS, "--json")
        assert (result.code, error_of(result)["code"]) == (3, "redis_permission")
        assert "zrem" in result.stderr
        assert_first_jobs_done(admin, [(row["job_id"], row["status"]) for row in result.json["results"]])
