"""A change by filter affects exactly the jobs that the list shows for the same filter, each once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from asyncmq.tasks import task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmq_cli.demo.server import PrivateRedis
from tests.conformance.test_worker import work_until
from tests.conftest import Run, environment, ids
from tests.support import forked, library

QUEUE = "mail"
RUNS: list[int] = []
FAILING = False


@task(queue=QUEUE)
async def deliver(number: int) -> int:
    RUNS.append(number)
    if FAILING:
        raise RuntimeError(f"order {number} failed again")
    return number


def dead(number: int, **fields: Any) -> dict[str, Any]:
    text = (
        f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nOSError: order {number}\n'
    )
    record = library.job(
        f"job-{number:05}", args=[number], kwargs={}, max_retries=0, created_at=1.6e9 + number
    )
    failure = {"last_error": text, "error_traceback": text, "status": "failed", "retries": 1}
    return {**record, "task": deliver.task_id, **failure, **fields}


def bury(client: redis.Redis, records: list[dict[str, Any]]) -> None:
    """Bury dead jobs, the first of which died first, an hour ago."""
    library.bury(client, QUEUE, records, time.time() - 3600)


def test_bury_stores_a_dead_job_as_the_library_does(server: PrivateRedis, client: redis.Redis) -> None:
    records = [dead(n) for n in range(3)]

    async def move(opened: RedisBackend) -> None:
        for record in records:
            await opened.move_to_dlq(QUEUE, record)

    library.with_backend(server.url, move)
    theirs = library.dump(client)
    client.flushall()
    bury(client, records)
    ours = library.dump(client)
    dlq = f"queue:{QUEUE}:dlq".encode()
    assert [member for member, _ in ours.pop(dlq)[1]] == [member for member, _ in theirs.pop(dlq)[1]]
    assert ours == theirs


filters = st.fixed_dictionaries(
    {},
    optional={
        "--q": st.sampled_from(["order 1", "OSError", "nothing"]),
        "--task": st.sampled_from(["DELIVER", "other"]),
        "--job-id": st.sampled_from(["job-0000", "job-00007", "9"]),
        "--older-than": st.sampled_from(["0s", "30m", "2h"]),
        "--newer-than": st.sampled_from(["30m", "2d"]),
    },
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=filters, verb=st.sampled_from(["retry", "remove"]), noun=st.sampled_from(["jobs", "dlq"]))
def test_a_change_by_filter_hits_what_the_list_shows(
    chosen: dict[str, str], verb: str, noun: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.flushall()
    client.incr(f"queue:{QUEUE}:waiting:seq")
    expired = [dead(n, status="expired", task="app.other") for n in range(9, 12)]
    bury(client, [*(dead(n) for n in range(9)), *expired])
    options = [word for pair in chosen.items() for word in pair] or ["--all"]
    state = ["--state", "failed"] if noun == "jobs" else []
    shown = cli(noun, "list", QUEUE, *state, *[o for o in options if o != "--all"], "--json")
    hit = cli(noun, verb, QUEUE, *state, *options, "--yes", "--json")
    assert {job["job_id"] for job in hit.json["results"]} == set(ids(shown))
    assert hit.json["matched"] == hit.json["succeeded"] == shown.json["total"]
    left = cli("dlq", "list", QUEUE, "--json", "--size", "100").json["total"]
    assert left == 12 - shown.json["total"]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (["--limit", "3"], range(3)),
        (["--limit", "99"], range(20)),
        (["--percent", "10"], range(2)),
        (["--percent", "11"], range(3)),
        (["--percent", "0"], range(0)),
        ([], range(20)),
    ],
)
def test_a_share_takes_the_oldest_first(
    share: list[str], expected: range, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    # Their ids and creation are in another order than their deaths.
    order = [dead((n * 7) % 20) for n in range(20)]
    bury(client, order)
    chosen = [order[n]["id"] for n in expected]
    result = cli("dlq", "retry", QUEUE, "--all", *share, "--yes", "--json").json
    assert [job["job_id"] for job in result["results"]] == chosen
    assert (result["matched"], result["succeeded"]) == (20, len(expected))
    waiting = [name.decode() for name in client.zrange(f"queue:{QUEUE}:waiting", 0, -1)]
    assert waiting == chosen


def test_a_group_is_a_filter_for_lists_and_changes(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    other = "Traceback (most recent call last):\n  File \"b.py\", line 2, in h\n    i()\nKeyError: 'a'\n"
    bury(client, [*(dead(n) for n in range(5)), dead(7, last_error=other, error_traceback=other)])
    orders, keys = cli("dlq", "groups", QUEUE, "--json").json["groups"]
    assert (orders["count"], orders["type"], orders["message"]) == (5, "OSError", "order <*>")
    assert (keys["count"], keys["type"], keys["message"]) == (1, "KeyError", "<value>")
    assert keys["sample_job_id"] == "job-00007"
    for args in (["dlq", "list", QUEUE], ["jobs", "list", QUEUE, "--state", "failed"]):
        assert len(ids(cli(*args, "--group", orders["id"], "--json"))) == 5
        assert ids(cli(*args, "--group", keys["id"][:6], "--json")) == ["job-00007"]
    assert cli("dlq", "remove", QUEUE, "--group", keys["id"], "--yes", "--json").json["succeeded"] == 1
    assert cli("dlq", "retry", QUEUE, "--group", orders["id"], "--yes", "--json").json["succeeded"] == 5


def test_jobs_that_moved_are_reported_and_the_others_changed(
    server: PrivateRedis, client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the scan and the change another operator retries one of the jobs."""
    from asyncmq_cli.services.changes import selection

    bury(client, [dead(n) for n in range(5)])
    real = selection.select_shared

    def select_then_lose(*args: Any) -> Any:
        chosen = real(*args)
        library.with_backend(server.url, lambda opened: opened.retry_job(QUEUE, "job-00002"))
        return chosen

    monkeypatch.setattr(selection, "select_shared", select_then_lose)
    result = cli("dlq", "retry", QUEUE, "--all", "--yes", "--json")
    assert result.code == 1
    assert (result.json["matched"], result.json["succeeded"], result.json["failed"]) == (5, 4, 1)
    (failed,) = [job for job in result.json["results"] if job["status"] == "failed"]
    assert failed["job_id"] == "job-00002"
    assert "is waiting" in failed["error"]


@pytest.mark.extended
def test_many_processes_by_filter_retry_each_of_1000_jobs_once(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    RUNS.clear()
    forked.client(tmp_path / "asyncmq", "-m", "asyncmq_cli")
    count = 1000
    bury(client, [dead(n) for n in range(count)])

    async def race(opened: RedisBackend) -> None:
        command = [tmp_path / "asyncmq", "dlq", "retry", QUEUE, "--all", "--yes"]
        racers = [
            await asyncio.create_subprocess_exec(
                *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(server.url)
            )
            for _ in range(6)
        ]
        ends = asyncio.gather(*(racer.wait() for racer in racers))
        await work_until(opened, lambda: ends.done() and len(RUNS) >= count)

    library.with_backend(server.url, race)
    assert Counter(RUNS) == dict.fromkeys(range(count), 1)
    trail = library.events(client)
    done = Counter(event["job_id"] for event in trail if event["status"] == "success")
    assert done == {f"job-{n:05}": 1 for n in range(count)}


@pytest.mark.parametrize(("count", "rate"), [(60, "10/s"), (5, "50/s")], ids=["stopped", "over by then"])
def test_a_run_in_which_too_many_fail_again_is_an_error(
    count: int, rate: str, server: PrivateRedis, client: redis.Redis
) -> None:
    global FAILING
    RUNS.clear()
    FAILING = True
    bury(client, [dead(n) for n in range(count)])

    async def go(opened: RedisBackend) -> tuple[int, bytes, bytes]:
        command = [sys.executable, "-m", "asyncmq_cli", "dlq", "retry", QUEUE, "--all", "--yes", "--json"]
        racer = await asyncio.create_subprocess_exec(
            *command, "--rate", rate, "--abort-above", "20%",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(server.url),
        )  # fmt: skip
        end = asyncio.ensure_future(racer.communicate())
        await work_until(opened, end.done)
        out, err = end.result()
        return racer.returncode or 0, out, err

    try:
        code, out, err = library.with_backend(server.url, go)
    finally:
        FAILING = False
    report = json.loads(out)
    assert (code, json.loads(err)["error"]["code"]) == (1, "aborted")
    assert 0 < report["succeeded"] < 60
    assert report["matched"] == count
    assert len(library.events(client)) == report["succeeded"]


@pytest.mark.extended(first=1)
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "terminated"),
        (signal.SIGHUP, "hung_up"),
        (signal.SIGQUIT, "quit"),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_a_signal_stops_between_jobs_and_changes_are_reported(
    number: signal.Signals, code: str, server: PrivateRedis, client: redis.Redis
) -> None:
    bury(client, [dead(n) for n in range(200)])
    command = [sys.executable, "-m", "asyncmq_cli", "dlq", "retry", QUEUE, "--all", "--yes", "--json"]
    process = subprocess.Popen(
        [*command, "--rate", "20/s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(server.url),
    )
    deadline = time.monotonic() + 60
    while client.xlen("asyncmq-cli:audit") < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=30)
    report = json.loads(out)
    assert (process.returncode, json.loads(err)["error"]["code"]) == (128 + number, code)
    assert 5 <= report["succeeded"] < 200
    assert client.zcard(f"queue:{QUEUE}:waiting") == report["succeeded"] == client.xlen("asyncmq-cli:audit")


def test_a_large_run_sends_small_transactions(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    bury(client, [dead(n) for n in range(400)])
    before = client.info("commandstats")
    assert cli("dlq", "retry", QUEUE, "--all", "--yes", "--json").json["succeeded"] == 400
    after = client.info("commandstats")

    def calls(name: str) -> int:
        return after[f"cmdstat_{name}"]["calls"] - before.get(f"cmdstat_{name}", {"calls": 0})["calls"]

    assert calls("evalsha") + calls("eval") == 400
    assert 8 <= calls("exec") <= 12
