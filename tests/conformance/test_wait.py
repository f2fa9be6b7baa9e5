"""`wait` with real workers: each exit status in its situation."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, Run, environment, run_tool
from tests.demo.processes import eventually
from tests.support import library
from tests.support.forked import Forked
from tests.support.terminal import on_terminal
from tests.support.workers import QUEUE, failing, holding, napping, working

MANY = [napping(f"job-{number}", 0.02) for number in range(60)]


def enqueue(url: str, *jobs: dict[str, object]) -> None:
    async def story(opened: library.RedisBackend) -> None:
        for job in jobs:
            await opened.enqueue(QUEUE, job)

    library.with_backend(url, story)


class Waiting:
    """`wait` in its own process, so that the test can go on meanwhile."""

    def __init__(self, process: Forked) -> None:
        self._process = process

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def result(self) -> Result:
        out, err = self._process.communicate(timeout=60)
        return Result(self._process.returncode, out, err)


Start = Callable[..., Waiting]


@pytest.fixture
def start(server: PrivateRedis, client: redis.Redis) -> Iterator[Start]:
    """Start `wait`, and return after its first read of the queue."""
    started: list[Forked] = []

    def call(*args: str, before: tuple[str, ...] = (), ttl: int = 30) -> Waiting:
        client.config_resetstat()
        process = Forked(
            ["-m", "asyncmq_cli", *before, "wait", QUEUE, "--interval", "0.1", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(server.url), "ASYNCMQ_HEARTBEAT_TTL": str(ttl)},
        )
        started.append(process)
        assert eventually(lambda: "cmdstat_time" in client.info("commandstats") or process.poll() is not None)
        return Waiting(process)

    yield call
    for process in started:
        process.kill()
        process.communicate()


@contextmanager
def stopped(server: PrivateRedis) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_wait_returns_when_the_queue_is_drained(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    enqueue(server.url, *MANY)
    later = napping("tomorrow")
    due = napping("due")

    async def delay(opened: library.RedisBackend) -> None:
        await opened.enqueue_delayed(QUEUE, later, time.time() + 86400)
        await opened.enqueue_delayed(QUEUE, due, time.time() - 1)

    library.with_backend(server.url, delay)
    with working(server.url):
        result = cli("wait", QUEUE, "--interval", "0.1", "--json")
        row = cli("queues", "show", QUEUE, "--json").json
    assert (result.code, result.stderr) == (0, "")
    document = result.json
    assert list(document) == [
        *("queue", "for", "outcome", "waited_seconds", "left", "total"),
        *("waiting", "delayed_due", "active", "jobs"),
    ]
    assert (document["queue"], document["for"], document["outcome"]) == (QUEUE, "drained", "done")
    assert [document[name] for name in ("left", "waiting", "delayed_due", "active")] == [0, 0, 0, 0]
    assert [row[name] for name in ("waiting", "active", "completed", "delayed")] == [0, 0, 61, 1]


def test_a_family_of_jobs_is_waited_for_to_the_last_child(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """A child is only enqueued after its parent has ended."""
    names = [f"job-{number}" for number in range(6)]

    async def chain(opened: library.RedisBackend) -> None:
        # Parents whose record does not say that they have children never release them.
        for parent, child in itertools.pairwise(names):
            await opened.enqueue(QUEUE, napping(child, 0.1, depends_on=[parent], has_dependents=True))
        await opened.enqueue(QUEUE, napping(names[0], 0.1, has_dependents=True))

    library.with_backend(server.url, chain)
    with working(server.url):
        assert cli("wait", QUEUE, "--interval", "0.1").code == 0
    assert set(client.hvals(f"jobs:{QUEUE}:states")) == {b"completed"}
    assert client.hlen(f"jobs:{QUEUE}:states") == len(names)


def test_active_empty_waits_only_for_running_jobs(
    server: PrivateRedis, client: redis.Redis, start: Start, cli: Run, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    enqueue(server.url, holding("a", end), holding("b", end))
    with working(server.url):
        assert eventually(lambda: client.hlen(f"queue:{QUEUE}:active") == 2)
        assert cli("queues", "pause", QUEUE).code == 0
        waiting = start("--for", "active-empty")
        enqueue(server.url, *MANY)
        end.touch()
        assert waiting.result() == Result(0, f"{QUEUE}\tdone\tactive-empty\n", "")
        row = cli("queues", "show", QUEUE, "--json").json
    assert row["active"] == 0
    assert row["waiting"] >= len(MANY) - 2, "a worker that was full takes one more after the pause"


def test_jobs_by_name(server: PrivateRedis, client: redis.Redis, cli: Run, run: Run) -> None:
    enqueue(server.url, napping("good", 0.3), failing("bad"), napping("other"), napping("withdrawn"))
    expiring = napping("old", ttl=1, created_at=time.time() - 60)
    enqueue(server.url, expiring)
    assert cli("jobs", "cancel", QUEUE, "withdrawn", "--yes").code == 0
    with working(server.url):
        fine = cli("wait", QUEUE, "--for", "job", "good", "other", "--interval", "0.1")
        assert (fine.code, fine.stdout, fine.stderr) == (0, "good\tcompleted\nother\tcompleted\n", "")
        piped = run("wait", QUEUE, "-", "--json", stdin="good\nother\ngood\n")
        assert piped.json["jobs"] == [{"id": name, "state": "completed"} for name in ("good", "other")]
        assert (piped.code, piped.json["total"]) == (0, 2)
        names = ("good", "bad", "old", "withdrawn")
        result = cli("wait", QUEUE, "--for", "job", *names, "--interval", "0.1", "--keep-waiting")
    assert result.code == 1
    assert result.lines == ["good\tcompleted", "bad\tfailed", "old\texpired", "withdrawn\tcancelled"]
    named = "bad (failed), old (expired), withdrawn (cancelled)"
    assert result.stderr.startswith(f"error: 3 of 4 jobs in '{QUEUE}' did not complete: {named}\n")


def test_a_failed_job_ends_the_wait_while_another_runs(
    server: PrivateRedis, client: redis.Redis, start: Start, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    enqueue(server.url, holding("long", end), failing("bad"))
    waiting = start("long", "bad")
    with working(server.url, concurrency=2):
        result = waiting.result()
        assert (result.code, result.lines) == (1, ["long\tactive", "bad\tfailed"])
        assert result.stderr.startswith(f"error: 1 of 2 jobs in '{QUEUE}' did not complete: bad (failed)\n")


def test_a_job_removed_during_the_wait_has_vanished(
    server: PrivateRedis, client: redis.Redis, cli: Run, start: Start
) -> None:
    enqueue(server.url, napping("a"), napping("b"))
    with working(server.url):
        assert cli("wait", QUEUE, "a", "b").code == 0
    enqueue(server.url, napping("c"))
    waiting = start("c", "--json")
    assert cli("jobs", "remove", QUEUE, "c", "--yes").code == 0
    result = waiting.result()
    assert (result.code, result.json["jobs"]) == (1, [{"id": "c", "state": "vanished"}])
    assert "audit list --queue mail" in result.stderr


def test_the_time_is_over(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    enqueue(server.url, napping("long", 600), napping("next"))
    with working(server.url, concurrency=1):
        result = cli("wait", QUEUE, "--timeout", "0.5s", "--interval", "0.1", "--json")
        assert (result.code, result.json["outcome"], result.json["left"]) == (124, "timeout", 2)
        assert f"2 jobs left in '{QUEUE}' after 0.5 s" in result.stderr
        result = cli("wait", QUEUE, "--for", "active-empty", "--timeout", "0")
        assert (result.code, result.stderr) == (124, f"error: 1 job still active in '{QUEUE}' after 0 s\n")
        result = cli("wait", QUEUE, "--for", "job", "long", "--timeout", "0")
        assert (result.code, result.stderr) == (124, f"error: 1 job yet to end in '{QUEUE}' after 0 s\n")
        assert result.stdout == "long\tactive\n"


def test_a_pause_ends_a_wait_for_waiting_jobs(
    server: PrivateRedis, client: redis.Redis, cli: Run, start: Start, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    enqueue(server.url, holding("now", end), *(holding(f"next-{number}", end) for number in range(3)))
    with working(server.url, concurrency=1):
        assert eventually(lambda: client.hlen(f"queue:{QUEUE}:active") == 1)
        drained, two = start(), start("next-1", "next-2")
        assert cli("queues", "pause", QUEUE).code == 0
        for waiting in (drained, two):
            result = waiting.result()
            assert (result.code, result.stderr.splitlines()[0]) == (
                1,
                f"error: queue '{QUEUE}' is paused, so no worker takes jobs from it",
            )
        running, last = start("now"), start("next-2")
        end.touch()
        assert running.result().code == 0, "workers finish what they run"
        assert last.result().code == 1, "the worker has taken one more, and it was another"
        patient = start("--keep-waiting")
        assert cli("queues", "resume", QUEUE).code == 0
        assert patient.result() == Result(0, f"{QUEUE}\tdone\tdrained\n", "")


def test_no_live_worker_ends_it_after_the_ttl(
    server: PrivateRedis, client: redis.Redis, start: Start
) -> None:
    enqueue(server.url, napping("a"))
    for args in ((), ("--for", "job", "a")):
        result = start(*args, "--json", ttl=1).result()
        assert (result.code, result.json["outcome"]) == (1, "no_live_worker")
        assert result.json["waited_seconds"] >= 1
        assert "has had no live worker for 1 s" in result.stderr
    assert start("--keep-waiting", "--timeout", "2s", ttl=1).result().code == 124
    waiting = start()
    with working(server.url):
        assert waiting.result().code == 0, "one that comes in time is good enough"


def test_a_worker_that_is_killed_ends_it(server: PrivateRedis, client: redis.Redis, start: Start) -> None:
    enqueue(server.url, napping("long", 600))
    with working(server.url, ttl=2) as worker:
        assert eventually(lambda: client.hlen(f"queue:{QUEUE}:active") == 1)
        waiting = start("--for", "active-empty", ttl=2)
        worker.kill()
        result = waiting.result()
    assert (result.code, "no live worker" in result.stderr) == (1, True)


def test_redis_going_away_ends_it(server: PrivateRedis, client: redis.Redis, start: Start) -> None:
    enqueue(server.url, napping("a"))
    waiting = start(before=("--timeout", "0.2"))
    with stopped(server):
        result = waiting.result()
    assert (result.code, result.stdout) == (3, "")
    assert "did not answer within 0.2 s" in result.stderr


def test_redis_coming_back_is_waited_for_by_who_keeps_waiting(
    server: PrivateRedis, client: redis.Redis, start: Start
) -> None:
    enqueue(server.url, napping("a"))
    waiting = start("--keep-waiting", before=("--timeout", "0.2"))
    with stopped(server):
        time.sleep(1)
    with working(server.url):
        result = waiting.result()
    assert (result.code, result.stdout) == (0, f"{QUEUE}\tdone\tdrained\n")
    (reported,) = result.stderr.splitlines()
    assert reported.startswith("warning: Redis at ") and reported.endswith(
        "did not answer within 0.2 s; trying again"
    )

    enqueue(server.url, napping("b"))
    late = start("--keep-waiting", "--timeout", "1s", before=("--timeout", "0.2"))
    with stopped(server):
        result = late.result()
    assert (result.code, result.stdout) == (124, "")
    assert (
        "timed out after 1 s without an answer from Redis: the state of 'mail' is not known" in result.stderr
    )


@pytest.mark.parametrize("words", [(), ("--for", "active-empty"), ("--keep-waiting",)], ids=" ".join)
def test_a_queue_that_vanishes_is_not_drained(
    words: tuple[str, ...], server: PrivateRedis, client: redis.Redis, start: Start
) -> None:
    async def busy(opened: library.RedisBackend) -> None:
        await library.fill(opened, QUEUE, [("active", library.job("a")), ("waiting", library.job("b"))])
        await opened.register_worker("worker-1", QUEUE, 2, 4e9)

    library.with_backend(server.url, busy)
    waiting = start(*words, "--json")
    client.flushall()
    # A worker that lives through it soon sends a heartbeat again, and so there is a queue of that name.
    library.with_backend(server.url, lambda opened: opened.register_worker("worker-1", QUEUE, 2, 4e9))
    result = waiting.result()
    assert (result.code, result.json["outcome"]) == (1, "queue_vanished")
    assert "disappeared during the wait" in result.stderr


def test_a_recreated_queue_does_not_end_the_wait_as_drained(
    server: PrivateRedis, client: redis.Redis, start: Start
) -> None:
    enqueue(server.url, napping("a"), napping("b"))
    waiting = start("--keep-waiting")
    pipe = client.pipeline(transaction=True)
    pipe.flushall()
    pipe.set(f"queue:{QUEUE}:waiting:seq", 1)
    pipe.sadd(f"jobs:{QUEUE}:ids", "c")
    pipe.execute()
    assert waiting.result().code == 1


def test_a_queue_whose_last_job_is_removed_is_empty_and_not_lost(
    server: PrivateRedis, client: redis.Redis, start: Start, cli: Run
) -> None:
    enqueue(server.url, napping("a"))
    waiting = start("--keep-waiting")
    assert cli("jobs", "remove", QUEUE, "a", "--yes").code == 0
    assert waiting.result() == Result(0, f"{QUEUE}\tdone\tdrained\n", "")


@pytest.mark.parametrize(("words", "status"), [((), 3), (("--keep-waiting",), 124)], ids=str)
def test_redis_has_no_longer_to_answer_than_is_left(
    words: tuple[str, ...], status: int, server: PrivateRedis, client: redis.Redis, start: Start
) -> None:
    """Normally a read would have a minute."""
    enqueue(server.url, napping("a"))
    waiting = start("--timeout", "1.5s", *words, before=("--timeout", "60"))
    began = time.monotonic()
    with stopped(server):
        result = waiting.result()
    assert (result.code, result.stdout) == (status, "")
    assert time.monotonic() - began < 30
    assert "raise --timeout" not in result.stderr


def test_redis_that_hangs_from_the_start(server: PrivateRedis, client: redis.Redis) -> None:
    enqueue(server.url, napping("a"))
    with stopped(server):
        command = ("--redis-url", server.url, "wait", QUEUE, "--timeout", "1s", "--keep-waiting")
        assert run_tool("--timeout", "60", *command).code == 124
        short = run_tool("--timeout", "0.2", "wait", QUEUE, url=server.url)
    assert short.code == 3
    assert "hint: asyncmq --timeout N wait … gives it longer" in short.stderr


def test_ctrl_c(server: PrivateRedis, client: redis.Redis, start: Start) -> None:
    enqueue(server.url, napping("a"))
    waiting = start()
    waiting.interrupt()
    assert waiting.result() == Result(130, "", "error: interrupted\n")


def test_a_wait_on_a_terminal_shows_its_progress(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    naps = [napping(f"nap-{number}") for number in range(10)]
    enqueue(server.url, holding("first", first), *naps, holding("last", last))

    def looked(times: int) -> bool:
        before = looks(client)
        return eventually(lambda: looks(client) >= before + times)

    def let_go() -> None:
        assert looked(3)
        first.touch()
        assert eventually(lambda: len(completed(client)) == 11)
        assert looked(10)
        last.touch()

    with working(server.url, concurrency=1), ThreadPoolExecutor() as beside:
        assert eventually(lambda: client.hlen(f"queue:{QUEUE}:active") == 1)
        client.config_resetstat()
        done = beside.submit(let_go)
        screen = on_terminal("wait", QUEUE, "--interval", "0.1", url=server.url)
        done.result()
    assert screen.code == 0
    assert "0/12" in screen.text
    assert re.search(r"mail [━╸╺]+ 11/12 \d[.\d]*/s, \d+s left", screen.text), screen.text
    assert f"Queue {QUEUE} is drained, after " in screen.lines[-1]


def looks(client: redis.Redis) -> int:
    """The number of reads of the queue. Each read asks twice for the jobs that are due."""
    reported = client.info("commandstats").get("cmdstat_zcount")
    return reported["calls"] // 2 if reported else 0


def completed(client: redis.Redis) -> list[bytes]:
    return [state for state in client.hvals(f"jobs:{QUEUE}:states") if state == b"completed"]
