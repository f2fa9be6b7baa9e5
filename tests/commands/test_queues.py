"""Queues: their names, pause and resume, and warnings about them."""

from __future__ import annotations

import json
import re
import time

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.demo.processes import eventually
from tests.support import library
from tests.support.terminal import on_terminal
from tests.support.workers import napping, working

NOTE = "have seen the pause notice its end up to 60 s later"


def test_a_resume_says_when_workers_see_it_and_only_where_there_was_a_pause(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("x")))
    assert NOTE not in cli("queues", "resume", "mail").stderr
    assert NOTE not in cli("queues", "pause", "mail").stderr
    assert NOTE not in cli("queues", "resume", "mail", "--dry-run").stderr
    resumed = cli("queues", "resume", "mail")
    assert (resumed.code, NOTE in resumed.stderr, NOTE in resumed.stdout) == (0, True, False)
    assert cli("queues", "pause", "mail").code == 0
    assert cli("queues", "resume", "mail", "--json").stderr == ""
    assert cli("queues", "pause", "mail").code == 0
    assert NOTE in " ".join(on_terminal("queues", "resume", "mail", url=server.url).text.split())


def test_a_paused_queue_says_who_paused_it_and_why(server: PrivateRedis, cli: Run) -> None:
    library.with_backend(server.url, lambda opened: library.put(opened, "mail", "waiting", library.job("a")))
    assert "Paused by" not in on_terminal("queues", "show", "mail", url=server.url).text
    cli("queues", "pause", "mail", "--reason", "the host\x1b[31m is down")
    last = on_terminal("queues", "show", "mail", url=server.url).lines[-1]
    assert last.startswith("Paused by:           tester, ")
    assert last.endswith(': "the host\\x1b[31m is down"')
    # A pause that is not the tool's.
    cli("queues", "resume", "mail")
    library.with_backend(server.url, lambda opened: opened.pause_queue("mail"))
    last = on_terminal("queues", "show", "mail", url=server.url).lines[-1]
    assert last == "Paused by:           unknown: not in the newest events of the audit trail"


def test_a_dash_behind_queue_names_the_queue_called_so(server: PrivateRedis, cli: Run) -> None:
    """Standard input is not read there."""

    async def fill(opened: library.RedisBackend) -> None:
        await opened.enqueue("-", library.job("x"))
        await opened.enqueue("mail", library.job("y"))
        await library.enlist(opened, "w", "-", 1)
        await library.enlist(opened, "v", "mail", 1)

    library.with_backend(server.url, fill)
    assert cli("queues", "pause", "./-").code == 0
    probes = cli("check", "--queue", "-", "--json").json["probes"]
    assert {probe["queue"] for probe in probes} <= {"-", None} and any(one["queue"] for one in probes)
    assert [one["id"] for one in cli("workers", "list", "--queue", "-", "--json").json["workers"]] == ["w"]
    assert [one["queue"] for one in cli("audit", "--queue", "-", "--json").json["events"]] == ["-"]
    forgotten = cli("workers", "forget", "w", "--queue", "-", "--force", "--yes", "--json").json
    assert [(one["queue"], one["status"]) for one in forgotten["results"]] == [("-", "success")]


def test_jobs_of_a_silent_worker_are_one_problem_in_every_format(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def fill(opened: library.RedisBackend) -> None:
        await library.put(opened, "mail", "active", library.job("x"))
        await library.enlist(opened, "gone", "mail", 1)
        await library.enlist(opened, "here", "mail", 1)

    library.with_backend(server.url, fill)
    now = time.time()
    client.hset("queue:mail:active", "x", str(now - 700))
    client.hset(
        "queue:mail:worker_heartbeats", "gone", json.dumps({"heartbeat": now - 600, "concurrency": 1})
    )
    client.hset("queue:mail:worker_heartbeats", "here", json.dumps({"heartbeat": now, "concurrency": 1}))
    client.expire("queue:mail:worker_heartbeats", 30)
    shown = cli("overview")
    assert (
        shown.lines[0] == "problem\tmail\t1 claimed before a worker went silent\twarning\tasyncmq doctor mail"
    )
    assert (shown.stdout + shown.stderr).count("silent") == 1
    reported = cli("overview", "--json")
    assert reported.stderr == ""
    assert reported.json["problems"] == [
        {
            "problem": "silent",
            "severity": "warning",
            "queue": "mail",
            "value": 1,
            "message": "1 claimed before a worker went silent",
            "look": "asyncmq doctor mail",
        }
    ]
    assert list(reported.json) == [
        *("overview", "jobdist", "metrics", "queues", "workers", "latest_jobs", "latest_queues"),
        *("latest_jobs_partial", "problems", "causes", "causes_latest", "causes_queues_left_out"),
    ]


def test_a_pause_for_a_time_ends_by_itself_and_a_real_worker_goes_on(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(server.url, lambda opened: library.put(opened, "mail", "waiting", napping("a")))
    assert cli("queues", "pause", "mail", "--for", "soon").code == 2
    assert cli("queues", "pause", "mail", "--for", "0").code == 2
    paused = cli("queues", "pause", "mail", "--for", "1h")
    assert paused.code == 0 and "ends automatically in 1h" in paused.stderr and NOTE in paused.stderr
    assert 3_000_000 < client.pttl("queue:mail:paused") <= 3_600_000
    assert library.events(client)[-1]["details"]["for_seconds"] == 3600
    assert "was paused already" in cli("queues", "pause", "mail", "--for", "1s").stdout
    left = cli("queues", "show", "mail", "--json").json["pause_seconds_left"]
    assert 3500 < left <= 3600
    assert re.search(r"paused (59m|1h)\b", cli("queues", "list", "-o", "table").stdout)
    shown = cli("queues", "show", "mail", "-o", "table").stdout
    assert re.search(r"Paused until: .*\(in (59m|1h)", shown)
    assert client.pttl("queue:mail:paused") > 3_000_000
    assert cli("queues", "resume", "mail").code == 0
    assert cli("queues", "pause", "mail", "--for", "1s").code == 0
    with working(server.url):
        assert eventually(lambda: client.hget("jobs:mail:states", "a") == b"completed")
    assert not client.exists("queue:mail:paused")
