"""Each recipe of docs/monitoring.md, run as it is written."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import redis
import yaml

from asyncmq_cli.demo.server import PrivateRedis
from tests import library
from tests.conftest import Result
from tests.docs.recipes import block, programs, run_shell
from tests.workers import failing, napping, working

PAGE = "monitoring.md"
QUEUE = "emails"
THEIR_REDIS = "redis://redis.internal:6379/0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return programs(tmp_path)


def enqueue(server: PrivateRedis, *jobs: dict[str, object]) -> None:
    async def story(opened: library.RedisBackend) -> None:
        for job in jobs:
            await opened.enqueue(QUEUE, job)

    library.with_backend(server.url, story)


def test_the_crontab(server: PrivateRedis, client: redis.Redis, path: Path) -> None:
    lines = block(PAGE, "crontab").splitlines()
    given = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    (job,) = [line for line in lines if line.startswith("*")]
    command = job.split(None, 5)[5]
    assert given.pop("ASYNCMQ_REDIS_URL") == THEIR_REDIS
    assert "%" not in command, "which cron takes for the end of the line"

    def run() -> Result:
        # As cron does: by /bin/sh, with hardly anything in the environment.
        return run_shell(["/bin/sh", "-c"], command, path, {**given, "ASYNCMQ_REDIS_URL": server.url})

    with working(server.url, QUEUE):
        assert run() == Result(0, "", ""), "nothing that would be mailed"
        client.set(f"queue:{QUEUE}:paused", 1)
        enqueue(server, napping("old", created_at=time.time() - 7200))
        result = run()
    assert (result.code, result.stderr) == (2, "")
    assert result.stdout.startswith(f"ASYNCMQ CRITICAL - {QUEUE}: the oldest has waited 2h (at most 1h); ")


def test_the_nagios_command(server: PrivateRedis, client: redis.Redis, path: Path) -> None:
    text = block(PAGE, "nagios")
    (command_line,) = re.findall(r"command_line +(.*)", text)
    (check_command,) = re.findall(r"check_command +(.*)", text)
    (name,) = re.findall(r"command_name +(.*)", text)
    called, url, options = check_command.split("!")
    assert (called, url) == (name, THEIR_REDIS)

    def run(url: str = server.url) -> Result:
        macros = {"$USER1$": str(path), "$ARG1$": url, "$ARG2$": options}
        command = re.sub(r"\$\w+\$", lambda macro: macros[macro[0]], command_line)
        return run_shell(["/bin/sh", "-c"], command, path, {})

    assert run().code == 3, "the queue is not there yet"
    with working(server.url, QUEUE):
        result = run()
        assert result.code == 1
        assert re.fullmatch(
            rf"ASYNCMQ WARNING - {QUEUE}: 1 live worker \(at least 2\) \| (\S+=\d+s?;\S*;\S*;0 ?)+\n",
            result.stdout,
        )
        with working(server.url, QUEUE):
            assert run().code == 0
    client.delete(f"queue:{QUEUE}:worker_heartbeats")
    enqueue(server, napping("a"))
    assert run().code == 2, "no worker is left"
    assert run("unix:///nowhere/redis.sock").code == 3


def test_the_step_of_github_actions(server: PrivateRedis, client: redis.Redis, path: Path) -> None:
    (step,) = yaml.safe_load(block(PAGE, "yaml"))
    assert step["env"] == {"ASYNCMQ_REDIS_URL": "${{ secrets.ASYNCMQ_REDIS_URL }}"}

    def run() -> Result:
        # By the shell that a runner takes where a step names none.
        return run_shell(["bash", "-e", "-c"], step["run"], path, {"ASYNCMQ_REDIS_URL": server.url})

    enqueue(server, *(napping(f"job-{number}", 0.05) for number in range(20)))
    with working(server.url, QUEUE):
        result = run()
        assert (result.code, result.stderr) == (0, "")
        waited, checked = result.lines
        assert waited == f"{QUEUE}\tdrained\tdone"
        assert checked.startswith("ASYNCMQ OK - 1 queue is well | ")
        enqueue(server, failing("bad"))
        assert run().code == 1
        client.set(f"queue:{QUEUE}:paused", 1)
        enqueue(server, *(napping(f"more-{number}") for number in range(5)))
        result = run()
    assert (result.code, "is paused" in result.stderr) == (1, True)
