"""`tasks list` and `tasks show`: exact where places are small, else within the margin that they name.
`tasks top`: shares and durations from reads of the active hash.
"""

from __future__ import annotations

import json
import random

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.tasks import Observations
from tests.conftest import Run
from tests.support import library, workers

DIED = 1.7e9


@pytest.fixture
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for queue in ("mail", "bills"):
            jobs = [
                *(("waiting", library.job(f"w{n}", task="app.send", created_at=1.6e9 + n)) for n in range(3)),
                ("active", library.job("a", task="app.send")),
                ("delayed", library.job("d", task="app.later")),
                *(("completed", library.job(f"c{n}", task="app.send")) for n in range(6)),
            ]
            await library.fill(opened, queue, jobs)

    library.with_backend(server.url, fill)
    dead = [
        library.job(f"x{n}", task="app.send", status="failed", last_attempt=DIED + n - (n + 1))
        for n in range(2)
    ]
    for n, record in enumerate(dead):
        library.bury(client, "mail", [record], DIED + n)


def test_a_task_is_counted_by_state(mail: None, cli: Run) -> None:
    document = cli("tasks", "list", "mail", "--json").json
    assert (document["queue"], document["sampled"]) == ("mail", {})
    first, second = document["tasks"]
    assert first["oldest_waiting_seconds"] > 1e7
    assert {**first, "oldest_waiting_seconds": 0, "time": ""} == {
        "task": "app.send",
        "waiting": 3,
        "active": 1,
        "delayed": 0,
        "dead": 2,
        "completed": 6,
        "failing_share": 0.25,
        "oldest_waiting_seconds": 0,
        "last_death": DIED + 1,
        "time": "",
        "durations": {"jobs": 2, "p50": 2.0, "p95": 2.0, "max": 2.0},
    }
    assert (second["task"], second["delayed"], second["failing_share"]) == ("app.later", 1, None)


def test_all_queues_and_filters(mail: None, cli: Run) -> None:
    tasks = {row["task"]: row for row in cli("tasks", "list", "--json").json["tasks"]}
    assert (tasks["app.send"]["waiting"], tasks["app.later"]["delayed"]) == (6, 2)
    some = cli(
        "tasks", "list", "--queue", "bill*", "--where", "created > 2020-09-13T12:26:41Z", "--json"
    ).json
    assert some["queue"] is None
    assert {row["task"]: row["waiting"] for row in some["tasks"]}["app.send"] < 3
    assert cli("tasks", "list", "mail").lines[0].split("\t")[:3] == ["app.send", "3", "1"]


def test_one_task(mail: None, cli: Run) -> None:
    assert cli("tasks", "show", "app.send", "--json").json["dead"] == 2
    assert "durations.max\t2.0" in cli("tasks", "show", "app.send", "--queue", "mail").lines
    wrong = cli("tasks", "show", "app.sent")
    assert wrong.code == 4
    assert wrong.stderr == "error: no job of task 'app.sent' in any queue\nhint: did you mean app.send?\n"
    assert cli("tasks", "show", "send").stderr.endswith("\nhint: did you mean app.send?\n")


def test_a_large_place_is_sampled_within_its_margin(client: redis.Redis, cli: Run) -> None:
    """The tolerance is five standard errors of a sample, which is exceeded by chance once in a million
    runs."""
    random.seed(7)
    pipe = client.pipeline(transaction=False)
    shares = {"app.often": 0.7, "app.seldom": 0.3}
    total = 8000
    for n in range(total):
        task = "app.often" if n < total * 0.7 else "app.seldom"
        record = json.dumps(library.job(f"j{n}", task=task))
        pipe.set(f"jobs:big:j{n}", record)
        pipe.sadd("jobs:big:ids", f"j{n}")
        pipe.hset("jobs:big:states", f"j{n}", "completed" if n % 2 else "waiting")
        if not n % 2:
            pipe.zadd("queue:big:waiting", {f"j{n}": n})
    pipe.execute()
    client.config_resetstat()
    document = cli("tasks", "list", "big", "--json").json
    assert set(document["sampled"]) == {"waiting", "completed"}
    assert document["sampled"]["waiting"]["size"] == total / 2
    assert document["sampled"]["waiting"]["margin"] == pytest.approx(0.02, abs=0.001)
    for row in document["tasks"]:
        for state in ("waiting", "completed"):
            assert row[state] / (total / 2) == pytest.approx(shares[row["task"]], abs=0.1)
    result = cli("tasks", "list", "big")
    assert "from random samples (±2 % of the state): waiting 2,401 of 4,000" in result.stderr


def test_a_damaged_queue_is_named(mail: None, client: redis.Redis, cli: Run) -> None:
    client.set("queue:broken:dlq", "x")
    client.zadd("queue:broken:waiting", {"w": 1})
    result = cli("tasks", "list")
    assert result.code == 0
    assert "queue 'broken': the key 'queue:broken:dlq' is not of the type" in result.stderr
    assert cli("tasks", "list", "broken").code == 1


LONG, SHORT = 0.6, 0.2


def test_shares_and_durations_follow_from_the_reads() -> None:
    """One job of `a` runs for three reads, two of `b` for one each."""
    seen = Observations(100.0)
    tasks: dict[str, str | None] = {"1": "a", "2": "b", "3": "b"}
    for second, active in enumerate(("", "1", "12", "13", "")):
        claims = {("q", job_id, b"since") for job_id in active}
        seen.add(claims, {claim: tasks[claim[1]] for claim in seen.new(claims)}, 100.0 + second)
    report = seen.report(None, 0.0)
    assert (report.reads, report.seconds) == (5, 4.0)
    a, b = report.tasks
    assert (a.task, a.busy_share, a.durations, a.below) == ("a", 0.6, [3.0], 0)
    assert (b.task, b.busy_share, b.durations, b.below) == ("b", 0.4, [1.0, 1.0], 2)
    assert (a.duration(0.5), b.duration(0.5), b.is_below(0.95)) == (3.0, None, True)
    assert a.concurrency == 0.75


@pytest.mark.extended
def test_shares_are_those_of_a_real_worker(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    async def fill(opened: RedisBackend) -> None:
        for n in range(60):
            await opened.enqueue(workers.QUEUE, workers.napping(f"long-{n}", LONG))
            await opened.enqueue(workers.QUEUE, workers.dozing(f"short-{n}", SHORT))

    library.with_backend(server.url, fill)
    with workers.working(server.url, concurrency=4):
        report = cli("tasks", "top", workers.QUEUE, "--for", "8s", "--json").json
    tasks = {row["task"]: row for row in report["tasks"]}
    nap, doze = tasks[workers.nap.task_id], tasks[workers.doze.task_id]
    assert nap["busy_share"] == pytest.approx(LONG / (LONG + SHORT), abs=0.02)
    assert nap["busy_share"] + doze["busy_share"] == pytest.approx(1.0)
    assert nap["p50"] == pytest.approx(LONG, abs=0.15)
    assert doze["p50"] == pytest.approx(SHORT, abs=0.15)


def test_without_active_jobs_there_is_no_task(client: redis.Redis, cli: Run) -> None:
    client.zadd("queue:mail:waiting", {"w": 1})
    report = cli("tasks", "top", "mail", "--for", "0.1", "--json").json
    assert (report["tasks"], report["queue"]) == ([], "mail")
    assert report["looks"] >= 2
    assert cli("tasks", "top", "nowhere", "--for", "0.1").code == 4
