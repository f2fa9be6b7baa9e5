"""`wait` without workers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.monitoring.goals import GoalReading, Progress
from tests.conftest import Run
from tests.support import library

ENDED = [
    ("completed", library.job("done")),
    ("failed", library.job("bad")),
    ("delayed", library.job("later")),
]


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", ENDED))


def test_a_goal_that_is_already_reached_ends_at_once(cli: Run) -> None:
    assert cli("wait", "mail").stdout == "mail\tdone\tdrained\n"
    assert cli("wait", "mail", "--for", "active-empty").stdout == "mail\tdone\tactive-empty\n"
    assert cli("wait", "mail", "done").stdout == "done\tcompleted\n"


def test_the_document(cli: Run) -> None:
    document = cli("wait", "mail", "--json").json
    assert {**document, "waited_seconds": 0} == {
        "queue": "mail",
        "for": "drained",
        "outcome": "done",
        "waited_seconds": 0,
        "left": 0,
        "total": 0,
        "waiting": 0,
        "delayed_due": 0,
        "active": 0,
        "jobs": [],
    }
    failed = cli("wait", "mail", "--for", "job", "bad", "done", "--json")
    assert {**failed.json, "waited_seconds": 0} == {
        "queue": "mail",
        "for": "job",
        "outcome": "jobs_failed",
        "waited_seconds": 0,
        "left": 0,
        "total": 2,
        "waiting": None,
        "delayed_due": None,
        "active": None,
        "jobs": [{"id": "bad", "state": "failed"}, {"id": "done", "state": "completed"}],
    }
    error = json.loads(failed.stderr)["error"]
    assert (error["code"], error["details"]) == ("jobs_failed", {"queue": "mail", "jobs": {"bad": "failed"}})


def test_unknown_names(cli: Run) -> None:
    wrong = cli("wait", "mial")
    assert (wrong.code, wrong.stdout) == (4, "")
    assert wrong.stderr == "error: no queue named 'mial'\nhint: did you mean mail?\n"
    assert cli("wait", "mial", "done").code == 4
    gone = cli("wait", "mail", "ghost")
    assert (gone.code, gone.stdout) == (4, "")
    assert gone.stderr.startswith("error: no job 'ghost' in queue 'mail'\nhint: ")
    assert cli("wait", "mail", "ghost", "ghost").code == 4


def test_an_unknown_job_among_others_is_reported_with_them(cli: Run) -> None:
    result = cli("wait", "mail", "done", "ghost", "--json")
    assert (result.code, result.json["outcome"]) == (1, "jobs_failed")
    assert result.json["jobs"] == [{"id": "done", "state": "completed"}, {"id": "ghost", "state": "unknown"}]
    assert json.loads(result.stderr)["error"]["message"].endswith("did not complete: ghost (unknown)")


@pytest.mark.parametrize("lost", ["bad", "ghost"])
def test_a_wait_ends_as_soon_as_it_cannot_succeed(lost: str, cli: Run) -> None:
    """Otherwise it would wait for `later` until tomorrow."""
    state = {"bad": "failed", "ghost": "unknown"}[lost]
    result = cli("wait", "mail", "later", lost, "--timeout", "1m")
    assert (result.code, result.lines) == (1, ["later\tdelayed", f"{lost}\t{state}"])
    assert result.stderr.startswith(f"error: 1 of 2 jobs in 'mail' did not complete: {lost} ({state})\n")
    patient = cli("wait", "mail", "later", lost, "--timeout", "0.3s", "--interval", "0.1", "--keep-waiting")
    assert (patient.code, patient.lines) == (124, ["later\tdelayed", f"{lost}\t{state}"])
    assert patient.stderr == "error: 1 job yet to end in 'mail' after 0.3 s\n"


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["mail", "--for", "lunch"],
        ["mail", "--for", "job"],
        ["mail", "done", "--for", "drained"],
        ["mail", "--timeout", "soon"],
        ["mail", "--timeout", "-1"],
        ["mail", "--interval", "0"],
        ["mail", "--interval", "0.05"],
        ["mail", "--interval", "often"],
        ["mail", "--interval", "9" * 400],
    ],
)
def test_wrong_usage(args: list[str], cli: Run) -> None:
    assert cli("wait", *args).code == 2


def test_no_id_on_standard_input_is_nothing_to_wait_for(run: Run) -> None:
    result = run("wait", "mail", "-", stdin="\n")
    assert (result.code, result.stdout, result.stderr) == (0, "", "note: standard input has no names\n")


def test_the_timeout_of_wait_is_not_that_of_redis(cli: Run) -> None:
    own, shared = cli("wait", "--help", "--all").stdout.split("Global options:")
    assert ("--timeout DURATION" in own, "--timeout" in shared) == (True, False)
    assert cli("--timeout", "0", "wait", "mail").code == 2, "that of Redis must be above 0"
    assert cli("wait", "mail", "--timeout", "0").code == 0


def test_jobs_in_a_place_are_waited_for_in_every_state(client: redis.Redis, cli: Run) -> None:
    """A job in a place counts as in the lists: a worker would run it, or is running it."""
    client.zadd("queue:mail:waiting", {"done": 1.0})
    client.hset("queue:mail:active", "done", repr(time.time()))
    row = cli("queues", "show", "mail", "--json").json
    assert (row["waiting"], row["active"]) == (1, 1)
    assert cli("wait", "mail", "--timeout", "0", "--json").json["left"] == 2


def test_jobs_that_the_states_hash_does_not_know(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    client.hdel("jobs:mail:states", "done")
    client.set("jobs:mail:done", json.dumps({**library.job("done"), "status": "completed"}))
    # A job that is nowhere else, as old versions of the library left it.
    client.zadd("queue:mail:waiting", {json.dumps(library.job("old")): 5.0})
    child = library.job("child", depends_on=["later"])
    library.with_backend(server.url, lambda opened: opened.job_store.save("mail", "child", child))
    result = cli("wait", "mail", "done", "old", "child", "--timeout", "0")
    assert result.code == 124
    assert result.lines == ["done\tcompleted", "old\twaiting", "child\twaiting-children"]


def test_a_read_takes_a_small_piece_of_a_large_queue(client: redis.Redis, cli: Run) -> None:
    names = [f"job-{number}" for number in range(30_000)]
    records = {f"jobs:mail:{name}": json.dumps(library.job(name)) for name in names}
    client.mset(records)
    client.zadd("queue:mail:waiting", {name: number for number, name in enumerate(names)})
    client.zadd("queue:mail:delayed", dict.fromkeys(records.values(), 9e9))
    client.hset("jobs:mail:states", mapping=dict.fromkeys(names, "waiting"))
    client.config_resetstat()
    result = cli("wait", "mail", "--timeout", "0", "--json")
    used: dict[str, Any] = client.info("commandstats")
    assert (result.code, result.json["waiting"]) == (124, 30_000)
    assert sum(one["calls"] for one in used.values()) < 40
    assert client.info("stats")["total_net_output_bytes"] < 1_000_000


def test_the_rate_and_the_time_left() -> None:
    progress = Progress()

    def reported(left: int, moment: float) -> tuple[int, float | None, float | None]:
        standing = progress.standing(GoalReading(left, 0), moment)
        return standing.total, standing.rate, standing.seconds_left

    assert reported(100, 0.0) == (100, None, None)
    assert reported(80, 2.0) == (100, 10.0, 8.0)
    assert reported(120, 4.0) == (120, None, None), "more came than went"
    assert reported(70, 10.0) == (120, 3.0, 70 / 3)
    assert reported(70, 33.0) == (120, 50 / 29, 70 / (50 / 29)), (
        "what is older than half a minute is forgotten"
    )
    assert reported(0, 64.0) == (120, None, None), "and so is everything after a long silence"


def test_damage_causes_one_warning_and_not_one_per_read(client: redis.Redis, cli: Run) -> None:
    client.zadd("queue:mail:delayed", {json.dumps(library.job("due")): 1.0})
    client.hset("queue:mail:worker_heartbeats", "w", "damaged")
    result = cli("wait", "mail", "--timeout", "0.5s", "--interval", "0.1")
    assert (result.code, result.stderr.count("a heartbeat cannot be read")) == (124, 1)
