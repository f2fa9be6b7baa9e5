"""The recipes for cron, CI and monitors in docs and README run unchanged."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import redis
import yaml

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result
from tests.docs.recipes import ROOT, as_cron, block, blocks, crontab, programs, run_shell
from tests.support import library
from tests.support.workers import failing, napping, working
from tools.pages import DOCS

PAGE, METRICS, README = DOCS / "monitoring.md", DOCS / "metrics.md", ROOT / "README.md"
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


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_the_crontab(page: Path, server: PrivateRedis, client: redis.Redis, path: Path) -> None:
    table = crontab(block(page, "crontab"))
    assert table.given["ASYNCMQ_REDIS_URL"] == THEIR_REDIS

    def run() -> Result:
        return as_cron(table.commands[0], path, {**table.given, "ASYNCMQ_REDIS_URL": server.url})

    with working(server.url, QUEUE):
        assert run() == Result(0, "", ""), "nothing that would be mailed"
        client.set(f"queue:{QUEUE}:paused", 1)
        enqueue(server, napping("old", created_at=time.time() - 7200))
        result = run()
    assert (result.code, result.stderr) == (2, "")
    assert result.stdout.startswith(f"ASYNCMQ CRITICAL - {QUEUE}: the oldest has waited 2h (at most 1h); ")


@pytest.mark.parametrize("page", [METRICS, README], ids=lambda page: page.name)
def test_the_textfile_by_cron(
    page: Path, server: PrivateRedis, client: redis.Redis, path: Path, tmp_path: Path
) -> None:
    table = crontab(blocks(page, "crontab")[-1])
    assert table.given == {"ASYNCMQ_REDIS_URL": THEIR_REDIS, "TEXTFILES": "/var/lib/prometheus/node-exporter"}
    folder = tmp_path / "text files"
    folder.mkdir()
    enqueue(server, napping("waiting"))
    ours = {"ASYNCMQ_REDIS_URL": server.url, "TEXTFILES": str(folder)}
    assert as_cron(table.commands[-1], path, ours) == Result(0, "", ""), "nothing that would be mailed"
    (made,) = folder.iterdir()
    assert made.name == "asyncmq.prom"
    assert f'asyncmq_queue_jobs{{queue="{QUEUE}",state="waiting"}} 1.0\n' in made.read_text()


def test_the_history_by_cron(server: PrivateRedis, client: redis.Redis, path: Path) -> None:
    table = crontab(blocks(METRICS, "crontab")[0])
    assert table.given == {"ASYNCMQ_REDIS_URL": THEIR_REDIS}
    (command,) = table.commands
    assert as_cron(command, path, {"ASYNCMQ_REDIS_URL": server.url}) == Result(0, "", "")
    assert client.xlen("asyncmq-cli:metrics") == 1


def nagios(page: Path) -> tuple[str, str]:
    """The command line of the Nagios service, and the value of $ARG2$ beside it."""
    text = block(page, "nagios")
    (command_line,) = re.findall(r"command_line +(.*)", text)
    for check_command in re.findall(r"check_command +(.*)", text):
        (name,) = re.findall(r"command_name +(.*)", text)
        called, url, options = check_command.split("!")
        assert (called, url) == (name, THEIR_REDIS)
        return command_line, options
    return command_line, ""


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_the_nagios_command(page: Path, server: PrivateRedis, client: redis.Redis, path: Path) -> None:
    command_line, options = nagios(page)

    def run(url: str = server.url) -> Result:
        macros = {"$USER1$": str(path), "$ARG1$": url, "$ARG2$": options}
        line = re.sub(r"\$\w+\$", lambda macro: macros[macro[0]], command_line)
        return run_shell(["/bin/sh", "-c"], line, path, {})

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


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_the_step_of_github_actions(
    page: Path, server: PrivateRedis, client: redis.Redis, path: Path
) -> None:
    (step,) = yaml.safe_load(block(page, "yaml"))
    assert step["env"] == {"ASYNCMQ_REDIS_URL": "${{ secrets.ASYNCMQ_REDIS_URL }}"}

    def run() -> Result:
        # By the shell that a runner takes where a step names none.
        return run_shell(["bash", "-e", "-c"], step["run"], path, {"ASYNCMQ_REDIS_URL": server.url})

    enqueue(server, *(napping(f"job-{number}", 0.05) for number in range(20)))
    with working(server.url, QUEUE):
        result = run()
        assert (result.code, result.stderr) == (0, "")
        waited, checked = result.lines
        assert waited == f"{QUEUE}\tdone\tdrained"
        assert checked.startswith("ASYNCMQ OK - 1 queue is well | ")
        enqueue(server, failing("bad"))
        assert run().code == 1
        client.set(f"queue:{QUEUE}:paused", 1)
        enqueue(server, *(napping(f"more-{number}") for number in range(5)))
        result = run()
    assert (result.code, "is paused" in result.stderr) == (1, True)
