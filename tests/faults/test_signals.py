"""Signals during changes and reads: the changes that were made stay, and are reported."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import environment
from tests.demo.processes import eventually
from tests.faults import scale
from tests.support import library
from tests.support.forked import Forked

QUEUE = "mail"
JOBS = 60
IDS = [f"job-{number}" for number in range(JOBS)]
SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung_up",
    signal.SIGQUIT: "quit",
}
_PACE = ("--rate", "40/s", "--yes")

# By name: the state of the jobs, and the command.
CHANGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "retry": ("failed", ("dlq", "retry", QUEUE, "--all", *_PACE)),
    "remove": ("failed", ("jobs", "remove", QUEUE, "--state", "failed", "--all", *_PACE)),
    "cancel": ("waiting", ("jobs", "cancel", QUEUE, "--all", *_PACE)),
    "requeue": ("active", ("jobs", "requeue", QUEUE, "--all", "--force", *_PACE)),
    "run-now": ("delayed", ("jobs", "run-now", QUEUE, "--all", *_PACE)),
    "drain": ("waiting", ("queues", "drain", QUEUE, *_PACE)),
    "clean": ("completed", ("queues", "clean", QUEUE, "--state", "completed", "--older-than", "0", *_PACE)),
    "obliterate": ("waiting", ("queues", "obliterate", QUEUE, *_PACE)),
    # These cannot be slowed down, and may end before the signal arrives.
    "edit": ("waiting", ("jobs", "edit", QUEUE, *IDS, "--set", "args[0]=7", "--yes")),
    "rerun": ("completed", ("jobs", "rerun", QUEUE, *IDS, "--yes")),
}
LOOKS: dict[str, tuple[str, ...]] = {
    "follow": ("jobs", "follow", QUEUE, "job-0"),
    "wait": ("wait", QUEUE),
    "audit tail": ("audit", "tail", "--follow"),
    "events tail": ("events", "tail"),
    "check --watch": ("check", "--watch", "1s"),
    "metrics serve": ("metrics", "serve", "--listen", "127.0.0.1:0"),
    "tasks top": ("tasks", "top", "--for", "1h"),
}


def start(url: str, words: tuple[str, ...]) -> Forked:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return Forked(("-m", "asyncmq_cli", *words), env=environment(url), **pipes)


@pytest.mark.extended(first=1)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_ended_by_a_signal_reports_what_it_did(
    name: str, number: signal.Signals, server: PrivateRedis, client: redis.Redis
) -> None:
    state, words = CHANGES[name]
    chosen = scale.seeded(f"{name} {number.name}")
    for _ in range(scale.scaled(1, 5)):
        client.flushall()
        jobs = [(state, library.job(job_id)) for job_id in IDS]
        library.with_backend(server.url, lambda opened, jobs=jobs: library.fill(opened, QUEUE, jobs))
        process = start(server.url, (*words, "--json"))
        some = chosen.randrange(1, JOBS // 2)
        assert eventually(lambda some=some: client.xlen("asyncmq-cli:audit") >= some)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert out, (process.wait(), err, len(library.events(client)))
        report, made = json.loads(out), library.events(client)
        assert [event["status"] for event in made] == ["success"] * report["succeeded"], (report, err)
        reported = {result["job_id"] for result in report["results"] if result["status"] == "success"}
        assert reported == {event["job_id"] for event in made}
        status = process.wait()
        if status == -number:
            # The signal arrived while the interpreter ended, after everything was reported.
            assert (report["succeeded"], err) == (JOBS, b"")
        elif report["succeeded"] < JOBS or status:
            assert status == 128 + number, err
            (line,) = err.decode().splitlines()
            assert json.loads(line)["error"]["code"] == SIGNALS[number]
        scale.record("Signals", runs=1, changes=report["succeeded"])


@pytest.fixture(scope="module")
def busy() -> Iterator[str]:
    with PrivateRedis() as own:
        jobs = [("waiting", library.job(job_id)) for job_id in IDS]
        library.with_backend(own.url, lambda opened: library.fill(opened, QUEUE, jobs))
        yield own.url


@pytest.mark.extended(first=1)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", LOOKS)
def test_a_read_ended_by_a_signal_prints_one_line(
    name: str, number: signal.Signals, busy: str, tmp_path: Path
) -> None:
    chosen = scale.seeded(f"{name} {number.name}")
    for _ in range(scale.scaled(1, 5)):
        process = start(busy, LOOKS[name])
        with redis.Redis.from_url(busy) as client:
            assert eventually(lambda client=client: _connections(client) > 0)
        try:
            process.wait(timeout=chosen.random() * 0.5)
            pytest.fail(f"{name} ended by itself: {process.communicate()}")
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.wait() == 128 + number, err
        assert b"Traceback" not in err and b"bug in" not in err, err
        assert sum(line.startswith(b"error: ") for line in err.splitlines()) <= 1, err
        scale.record("Signals", runs=1)


def _connections(client: redis.Redis) -> int:
    """The number of open connections of the tool."""
    return sum(one["name"].startswith("asyncmq-cli/") for one in client.client_list())
