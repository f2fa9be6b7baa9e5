"""`tasks top`: shares and durations from reads of the active hash."""

from __future__ import annotations

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.task_top import Observations
from tests.conftest import Run
from tests.support import library, workers

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
