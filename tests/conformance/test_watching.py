"""For any data in Redis, the counts of all queues agree with each other and with the library's dashboard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
import redis
from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker
from asyncmq.tasks import task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.demo.processes import eventually
from tests.faults.scale import scaled
from tests.support import dashboard, library, workers

# More examples in `make faults`.
pytestmark = pytest.mark.faults

QUEUES = ("mail", "reports", "thumbs")
STATES = ("waiting", "active", "delayed", "completed", "failed")
LEFT_OUT = ("expired", "cancelled", "waiting_children")
Keyspaces = dict[str, list[tuple[str, dict[str, Any]]]]

slow = settings(
    max_examples=scaled(6, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def keyspaces(draw: st.DrawFn, states: tuple[str, ...] = library.STATES) -> Keyspaces:
    """Jobs in all states in several queues, no two created at the same time."""
    found: Keyspaces = {}
    created = iter(draw(st.permutations(range(60))))
    for queue in draw(st.lists(st.sampled_from(QUEUES), unique=True)):
        jobs = []
        for number, state in enumerate(draw(st.lists(st.sampled_from(states), min_size=1, max_size=9))):
            extra = {"depends_on": ["gone"]} if state == "waiting-children" else {}
            record = library.job(f"{queue}-{number}", created_at=1.7e9 + next(created), **extra)
            jobs.append((state, record))
        # A claim takes the first of the waiting set, which must be the job it is meant for.
        found[queue] = sorted(jobs, key=lambda item: item[0] in ("waiting", "delayed-overdue"))
    return found


def fill(url: str, client: redis.Redis, keyspace: Keyspaces) -> None:
    client.flushall()

    async def put(opened: RedisBackend) -> None:
        for queue, jobs in keyspace.items():
            # Its worker has a heartbeat, without which the library would not find every queue.
            await opened.register_worker(f"worker of {queue}", queue, 2, time.time())
            await library.fill(opened, queue, jobs)

    library.with_backend(url, put)


def overdue(keyspace: Keyspaces) -> int:
    return sum(state == "delayed-overdue" for jobs in keyspace.values() for state, _ in jobs)


@slow
@given(keyspace=keyspaces())
def test_the_totals_are_the_dashboards_but_for_what_it_leaves_out(
    keyspace: Keyspaces, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    fill(server.url, client, keyspace)
    ours = cli("overview", "--json").json
    theirs = dashboard.events(server.url)
    counts = ours["jobdist"]

    assert theirs["jobdist"] == dashboard.totals(server.url, list(keyspace))
    assert theirs["jobdist"] == {
        "waiting": counts["waiting"],
        "active": counts["active"],
        # It does not count the delayed jobs that are due, and calls expired jobs failed.
        "delayed": counts["delayed"] - overdue(keyspace),
        "completed": counts["completed"],
        "failed": counts["failed"] + counts["expired"],
    }
    assert ours["overview"]["total_queues"] == theirs["overview"]["total_queues"] == len(keyspace)
    assert ours["overview"]["total_workers"] == theirs["overview"]["total_workers"] == len(keyspace)
    # Nor does it count jobs that were cancelled, or that wait for others.
    left_out = overdue(keyspace) + counts["cancelled"] + counts["waiting_children"]
    assert ours["overview"]["total_jobs"] == theirs["overview"]["total_jobs"] + left_out
    assert ours["overview"]["total_jobs"] == sum(map(len, keyspace.values()))
    assert ours["metrics"] == {
        **theirs["metrics"],
        "retries": theirs["metrics"]["retries"] - counts["expired"],
        "failures": theirs["metrics"]["failures"] - counts["expired"],
    }
    assert [row["name"] for row in ours["queues"]] == sorted(keyspace)


@slow
@given(
    keyspace=keyspaces(("waiting", "active", "delayed", "delayed-overdue", "completed", "failed", "retried"))
)
def test_the_latest_jobs_and_queues_are_the_dashboards(
    keyspace: Keyspaces, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    fill(server.url, client, keyspace)
    ours = cli("overview", "--json").json
    theirs = dashboard.events(server.url)

    def reported(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
        return [(job["id"], job["queue"], job["state"]) for job in rows]

    assert reported(ours["latest_jobs"]) == reported(theirs["latest_jobs"])
    assert [row["name"] for row in ours["latest_queues"]] == [row["name"] for row in theirs["latest_queues"]]
    for row, their_row in zip(ours["latest_jobs"], theirs["latest_jobs"], strict=True):
        # The dashboard gives the time of its own machine, and no second's part.
        assert row["time"][:19] == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(row["timestamp"]))
        assert their_row["time"] == time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["timestamp"]))


@slow
@given(keyspace=keyspaces())
def test_every_command_gives_the_same_numbers(
    keyspace: Keyspaces, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    fill(server.url, client, keyspace)
    assert_all_agree(cli, client)


def assert_all_agree(cli: Run, client: redis.Redis) -> dict[str, Any]:
    # A snapshot that was stored a moment ago would prevent the next one.
    client.delete("asyncmq-cli:metrics")
    whole: dict[str, Any] = cli("overview", "--json").json
    rows = cli("queues", "list", "--json").json["queues"]
    now = cli("metrics", "show", "--json").json
    (kept, *_) = cli("metrics", "history", "--json").json["history"]
    reported = [orjson.loads(line) for line in cli("events", "tail", "--once").lines]
    events = {event["event"]: event["data"] for event in reported}
    samples = samples_of(cli("metrics", "prometheus").stdout)

    assert whole.pop("latest_jobs_partial") is False
    for name in ("problems", "causes", "causes_latest", "causes_queues_left_out"):
        del whole[name]
    assert list(events) == list(whole)
    assert without_ages(events) == without_ages(whole)
    assert without_ages({"queues": rows})["queues"] == without_ages(whole)["queues"]
    for state, count in whole["jobdist"].items():
        assert count == sum(row[state] for row in rows), state
    assert whole["overview"]["total_jobs"] == sum(whole["jobdist"].values())
    assert whole["overview"]["total_workers"] == sum(row["workers"] for row in rows) == len(whole["workers"])
    assert now["metrics"] == whole["metrics"]
    assert now["counts"] == {state: whole["jobdist"][state] for state in STATES}
    for name in ("total_queues", "total_workers"):
        assert now[name] == kept[name] == whole["overview"][name]
    assert {state: kept[state] for state in STATES} == now["counts"]
    assert {name: kept[name] for name in whole["metrics"]} == whole["metrics"]
    assert samples["asyncmq_queue_total"] == whole["overview"]["total_queues"]
    assert samples["asyncmq_worker_total"] == whole["overview"]["total_workers"]
    for row in rows:
        for state in (*STATES, *LEFT_OUT):
            name = ("asyncmq_queue_jobs", row["name"], state.replace("_", "-"))
            assert samples[name] == row[state]
        assert samples["asyncmq_queue_paused", row["name"]] == row["paused"]
        assert samples["asyncmq_queue_workers", row["name"]] == row["workers"]
    return whole


def samples_of(text: str) -> dict[Any, float]:
    return {
        (sample.name, *sample.labels.values()) if sample.labels else sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def without_ages(document: Any) -> Any:
    """The snapshot without values that change with time."""
    if isinstance(document, list):
        return [without_ages(item) for item in document]
    if isinstance(document, dict):
        ages = ("oldest_waiting_seconds", "age_seconds", "heartbeat", "health")
        kept = {name: without_ages(value) for name, value in document.items() if name not in ages}
        return {name: value for name, value in kept.items() if name != "time" or "concurrency" not in kept}
    return document


@task(queue="mail")
async def obey(what: str) -> str:
    if what == "fail":
        raise RuntimeError(what)
    return what


def test_the_numbers_agree_while_a_real_worker_runs(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    orders = ["work"] * 30 + ["fail"] * 7

    async def work(opened: RedisBackend) -> tuple[dict[str, Any], dict[str, Any]]:
        monkay.settings.backend = opened
        for number, order in enumerate(orders):
            record = library.job(f"job-{number}", args=[order], kwargs={}, created_at=1.7e9 + number)
            await opened.enqueue("mail", {**record, "task": obey.task_id, "max_retries": 0})
        before = await anyio.to_thread.run_sync(assert_all_agree, cli, client)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: run_worker("mail", opened, concurrency=4, scan_interval=0.05))
                while client.hlen("jobs:mail:states") < len(orders) or client.zcard("queue:mail:waiting"):
                    await anyio.sleep(0.02)
                while set(client.hvals("jobs:mail:states")) != {b"completed", b"failed"}:
                    await anyio.sleep(0.02)
                after = await anyio.to_thread.run_sync(assert_all_agree, cli, client)
                tasks.cancel_scope.cancel()
        return before, after

    before, after = library.with_backend(server.url, work)
    assert (before["jobdist"]["waiting"], before["overview"]["total_workers"]) == (37, 0)
    assert after["jobdist"] == {**dict.fromkeys(before["jobdist"], 0), "completed": 30, "failed": 7}
    assert after["overview"] == {
        "total_queues": 1,
        "total_jobs": 37,
        "total_workers": 1,
        "states_age_seconds": 0.0,
    }
    assert [job["id"] for job in after["latest_jobs"]] == [f"job-{number}" for number in range(36, 26, -1)]
    theirs = dashboard.events(server.url)
    assert theirs["jobdist"] == {state: after["jobdist"][state] for state in theirs["jobdist"]}
    assert [job["id"] for job in theirs["latest_jobs"]] == [job["id"] for job in after["latest_jobs"]]


def test_the_exposition_has_the_dashboards_names_labels_and_values(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    jobs = [("failed", library.job("a")), ("active", library.job("b")), ("waiting", library.job("c"))]
    fill(server.url, client, {"mail": jobs, 'a "quoted\\" queue': [("waiting", library.job("d"))]})
    ours, theirs = (
        samples_of(cli("metrics", "prometheus").stdout),
        samples_of(dashboard.exposition(server.url)),
    )
    assert {name: ours[name] for name in theirs} == theirs
    assert ("asyncmq_queue_jobs", 'a "quoted\\" queue', "waiting") in theirs


def test_the_history_has_the_dashboards_keys(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    fill(server.url, client, {"mail": [("completed", library.job("a")), ("failed", library.job("b"))]})
    dashboard.events(server.url)
    assert cli("metrics", "record").code == 0
    (ours,), theirs = cli("metrics", "history", "--json").json["history"], dashboard.history(server.url)[0]
    assert set(ours) == set(theirs)
    assert {**ours, "timestamp": 0, "time": ""} == {**theirs, "timestamp": 0, "time": ""}


def test_the_numbers_agree_while_a_job_is_active(
    server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    jobs = [workers.holding("running", end), *(workers.napping(f"next-{number}") for number in range(3))]

    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue(workers.QUEUE, workers.napping("early"))

    async def more(opened: RedisBackend) -> None:
        for job in jobs:
            await opened.enqueue(workers.QUEUE, job)

    library.with_backend(server.url, fill)
    with workers.working(server.url, concurrency=1):
        assert cli("wait", workers.QUEUE, "early").code == 0
        library.with_backend(server.url, more)
        assert eventually(lambda: client.hlen(f"queue:{workers.QUEUE}:active") == 1)
        expected = {"waiting": 3, "active": 1, "delayed": 0, "completed": 1, "failed": 0}
        reported = {
            "queues show": cli("queues", "show", workers.QUEUE, "--json").json,
            "overview": cli("overview", "--json").json["jobdist"],
            "events tail": orjson.loads(cli("events", "tail", "--once", "--event", "jobdist").stdout)["data"],
            "metrics show": cli("metrics", "show", "--json").json["counts"],
            "metrics history": cli("metrics", "history", "--json").json["history"][0],
            "jobs list": {
                state: cli("jobs", "list", workers.QUEUE, "--state", state, "--json").json["total"]
                for state in expected
            },
            "prometheus": {
                sample.labels["state"]: sample.value
                for family in text_string_to_metric_families(cli("metrics", "prometheus").stdout)
                for sample in family.samples
                if sample.name == "asyncmq_queue_jobs"
            },
        }
        for command, counts in reported.items():
            assert {state: counts[state] for state in expected} == expected, command
        left = cli("wait", workers.QUEUE, "--timeout", "0", "--json").json
        assert (left["left"], left["waiting"], left["active"]) == (4, 3, 1)
        checked = cli("check", "--max-waiting", "9", "--json").json
        assert {p["probe"]: p["value"] for p in checked["probes"]}["waiting"] == 3
        end.touch()
        assert cli("wait", workers.QUEUE).code == 0
    assert cli("queues", "show", workers.QUEUE, "--json").json["completed"] == 5
