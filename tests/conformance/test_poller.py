"""A series of reads: each equals a fresh read, except for expensive data that is read less often."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import RedisProblem
from asyncmq_cli.models.monitoring.snapshots import Snapshot
from asyncmq_cli.services.monitoring import poller
from asyncmq_cli.services.monitoring.poller import SnapshotReader
from asyncmq_cli.storage.store import Store
from tests.faults.scale import scaled
from tests.support import library

# More examples in `make faults`.
pytestmark = pytest.mark.faults

QUEUES = ("mail", "reports")


class Watcher:
    """A store with a poller, and its warnings."""

    def __init__(self, url: str) -> None:
        self.warned: list[str] = []
        self.store = Store(config.resolve({"redis_url": url}), warn=self.warned.append)
        self.poller = SnapshotReader(self.store, workers=True, latest=True, again=True)

    def read(self) -> Snapshot:
        with self.store.errors():
            return self.poller.read()

    def fresh(self) -> Snapshot:
        with self.store.errors():
            return SnapshotReader(self.store, workers=True, latest=True).read()

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def watcher(server: PrivateRedis, client: redis.Redis) -> Iterator[Watcher]:
    made = Watcher(server.url)
    yield made
    made.close()


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read everything in each round, however long it takes."""
    monkeypatch.setattr(poller.Timer, "is_over", True)


def ageless(picture: Snapshot) -> dict[str, Any]:
    """The snapshot without values that change with time; the oldest job's age becomes its creation time."""

    def created(seconds: float | None) -> int | None:
        return None if seconds is None else round(picture.now - seconds)

    return {
        "stats": [
            replace(row, oldest_waiting_seconds=created(row.oldest_waiting_seconds))
            for row in picture.stats or ()
        ],
        "workers": [replace(worker, age_seconds=0.0, read_at=0.0) for worker in picture.workers or ()],
        "latest_jobs": picture.latest_jobs,
        "latest_queues": picture.latest_queues,
    }


# --- the same as a fresh look

Step = tuple[str, str, int]
STEPS = (
    *("enqueue", "delay", "due", "claim", "complete", "fail", "retry", "cancel", "remove", "expire"),
    *("pause", "resume", "repeatable", "worker", "gone worker", "beat", "child", "progress", "dependency"),
    *("delete queue", "flush"),
)
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(QUEUES), st.integers(0, 5)), max_size=8)


async def take(opened: RedisBackend, client: redis.Redis, step: Step, number: int) -> None:
    """Make one call of the library for a queue and one of its jobs."""
    name, queue, which = step
    job_id = f"job-{which}"
    record = library.job(job_id, created_at=1.6e9 + 1000 * number + which)
    claimed = None
    if name in ("complete", "fail", "expire", "claim"):
        claimed = await opened.dequeue(queue)
        if claimed is None:
            return
    calls: dict[str, Callable[[], Any]] = {
        "enqueue": lambda: opened.enqueue(queue, record),
        "delay": lambda: opened.enqueue_delayed(queue, record, 4e9),
        "due": lambda: opened.enqueue_delayed(queue, record, 1.6e9),
        "complete": lambda: opened.complete_active_job(queue, claimed, 1),
        "fail": lambda: opened.fail_active_job(queue, {**claimed, "last_error": "boom"}),
        "expire": lambda: opened.expire_active_job(queue, claimed),
        "retry": lambda: opened.retry_job(queue, job_id),
        "cancel": lambda: opened.cancel_job(queue, job_id),
        "remove": lambda: opened.remove_job(queue, job_id),
        "pause": lambda: opened.pause_queue(queue),
        "resume": lambda: opened.resume_queue(queue),
        "repeatable": lambda: opened.upsert_repeatable(queue, {"task_id": job_id, "every": 60}),
        "worker": lambda: opened.register_worker(job_id, queue, 2, time.time()),
        "gone worker": lambda: opened.deregister_worker(job_id),
        "beat": lambda: opened.save_heartbeat(queue, job_id, time.time()),
        "child": lambda: opened.enqueue(queue, {**record, "depends_on": ["job-0"]}),
        "dependency": lambda: opened.resolve_dependency(queue, job_id),
        "progress": lambda: opened.save_job_progress(queue, job_id, 0.5),
    }
    if name == "delete queue":
        found = [*client.scan_iter(f"*:{queue}:*")]
        client.delete(*found, "nothing")
    elif name == "flush":
        client.flushdb()
    elif name != "claim":
        await calls[name]()


@settings(
    max_examples=scaled(20, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(rows=[[("pause", "mail", 0)], [("resume", "mail", 0), ("pause", "reports", 0)]])
@example(rows=[[("worker", "mail", 0)], [("gone worker", "mail", 0), ("pause", "reports", 0)]])
@given(rows=st.lists(steps, min_size=1, max_size=4))
def test_each_redraw_of_a_row_equals_a_fresh_read(
    rows: list[list[Step]], server: PrivateRedis, client: redis.Redis, no_rest: None
) -> None:
    client.flushall()
    watcher = Watcher(server.url)

    async def play(opened: RedisBackend) -> None:
        number = 0
        for row in rows:
            for step in row:
                number += 1
                await take(opened, client, step, number)
            assert ageless(watcher.read()) == ageless(watcher.fresh()), row

    try:
        library.with_backend(server.url, play)
    finally:
        watcher.close()


def test_ages_go_on_where_nothing_is_read_again(
    server: PrivateRedis, client: redis.Redis, watcher: Watcher
) -> None:
    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue("mail", library.job("old", created_at=time.time() - 100))
        await opened.enqueue("reports", library.job("of the future", created_at=time.time() + 100))
        await opened.register_worker("worker", "mail", 2, time.time() - 10)

    library.with_backend(server.url, fill)
    first = watcher.read()
    moment = max((row.oldest_waiting_seconds or 0.0) for row in first.stats or ())
    then = watcher.read()
    passed = then.now - first.now
    by_name = {row.name: row for row in then.stats or ()}
    assert by_name["mail"].oldest_waiting_seconds == pytest.approx(moment + passed)
    assert by_name["reports"].oldest_waiting_seconds == 0
    # Workers are read a moment after the time.
    assert (then.workers or ())[0].age_seconds >= then.now - ((first.workers or ())[0].heartbeat or 0.0)


def test_a_worker_that_falls_silent_is_not_live_for_ever(server: PrivateRedis, client: redis.Redis) -> None:
    watcher = Watcher(server.url)

    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue("mail", library.job("one"))
        await opened.register_worker("worker", "mail", 2, time.time() - 29.5)

    library.with_backend(server.url, fill)
    client.pexpire("queue:mail:worker_heartbeats", 500)
    deadline = time.monotonic() + 10
    while watcher.read().workers:
        assert time.monotonic() < deadline
    picture = watcher.read()
    assert (picture.total_workers, [row.workers for row in picture.stats or ()]) == (0, [0])
    watcher.close()


# --- what it costs


def commands(client: redis.Redis) -> set[str]:
    found = client.info("commandstats")
    return {name.removeprefix("cmdstat_") for name in found} - {"info", "config|resetstat", "config"}


def used(client: redis.Redis, read: Callable[[], object]) -> set[str]:
    client.config_resetstat()
    read()
    return commands(client)


@pytest.fixture
def fifty(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for number in range(50):
            await opened.enqueue(f"queue-{number}", library.job(f"job-{number}"))

    library.with_backend(server.url, fill)


def test_what_costs_much_is_read_rarely_and_its_age_is_said(
    server: PrivateRedis, client: redis.Redis, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("one")))
    first = watcher.read()
    monkeypatch.setattr(poller.Timer, "is_over", False)

    async def more(opened: RedisBackend) -> None:
        await library.put(opened, "mail", "completed", library.job("two"))
        await library.put(opened, "mail", "failed", library.job("three"))
        await opened.enqueue("new", library.job("four"))

    library.with_backend(server.url, more)
    second = watcher.read()
    (row,) = second.stats or ()
    # Sizes are always of now.
    assert (row.waiting, row.dlq, row.failed) == (1, 1, 1)
    assert row.completed == 0
    assert row.states_age_seconds == second.states_age == pytest.approx(second.now - first.now)
    assert [job.id for job in second.latest_jobs or ()] == ["one"]
    assert second.latest_at == first.now < second.now
    assert not used(client, watcher.read) & {"scan", "sscan", "hmget"}
    monkeypatch.setattr(poller.Timer, "is_over", True)
    last = watcher.read()
    assert [row.completed for row in last.stats or ()] == [1, 0]
    assert last.states_age == 0
    assert {job.id for job in last.latest_jobs or ()} == {"one", "two", "three", "four"}


def test_many_states_are_read_more_rarely_than_few(
    server: PrivateRedis, client: redis.Redis, watcher: Watcher
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("one")))
    watcher.read()
    few = watcher.poller._states_timer.until - time.monotonic()
    client.hset("jobs:mail:states", mapping=dict.fromkeys(map(str, range(100_000)), "completed"))
    watcher.poller.reset()
    watcher.read()
    many = watcher.poller._states_timer.until - time.monotonic()
    assert few < 1 and 5 < many < 31


@pytest.mark.parametrize("bound", ["FEW_JOBS", "FEW_QUEUES"])
def test_of_many_jobs_the_latest_are_found_by_the_orders_that_redis_keeps(
    bound: str,
    server: PrivateRedis,
    client: redis.Redis,
    watcher: Watcher,
    monkeypatch: pytest.MonkeyPatch,
    no_rest: None,
) -> None:
    created = {}

    async def fill(opened: RedisBackend) -> None:
        number = 0
        for queue in QUEUES:
            for state in ("completed", "failed", "expired", "delayed", "active", "waiting", "waiting"):
                for priority in (1, 5):
                    number += 1
                    name = f"{queue}-{state}-{number}"
                    created[name] = state
                    record = library.job(name, created_at=1.7e9 + number, priority=priority)
                    await library.put(opened, queue, state, record)

    library.with_backend(server.url, fill)
    whole = watcher.read()
    assert whole.latest_partial is False
    monkeypatch.setattr(poller, bound, 1)
    partial = watcher.read()
    assert partial.latest_partial is True
    expected = [name for name, state in reversed(created.items()) if state != "completed"][:10]
    assert [job.id for job in partial.latest_jobs or ()] == expected
    assert [job.state for job in partial.latest_jobs or ()] == [created[name] for name in expected]
    assert partial.latest_queues == whole.latest_queues
    assert poller.LATEST_JOBS == 10
    assert not used(client, watcher.read) & {"sscan", "zscan"}


# --- what may come in between


@pytest.mark.parametrize("flush", ["flushall", "flushdb"])
def test_after_a_flush_there_is_nothing(
    flush: str, fifty: None, client: redis.Redis, watcher: Watcher, no_rest: None
) -> None:
    watcher.read()
    getattr(client, flush)()
    assert (watcher.read().stats, watcher.read().latest_jobs) == ([], [])


def test_a_deleted_queue_disappears_and_a_new_one_appears(
    fifty: None, server: PrivateRedis, client: redis.Redis, watcher: Watcher, no_rest: None
) -> None:
    watcher.read()
    client.delete(*client.scan_iter("*queue-7:*"))
    assert "queue-7" not in {row.name for row in watcher.read().stats or ()}
    library.with_backend(server.url, lambda opened: opened.enqueue("new", library.job("x")))
    picture = watcher.read()
    assert {row.name for row in picture.stats or ()} == {
        "new",
        *(f"queue-{number}" for number in range(50) if number != 7),
    }
    assert (picture.latest_queues or ())[0].name == "new"


def test_a_refused_read_is_raised_and_the_next_read_starts_again(
    fifty: None, watcher: Watcher, client: redis.Redis
) -> None:
    watcher.read()
    client.config_set("requirepass", "secret")
    client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(RedisProblem):
        watcher.read()
    client.config_set("requirepass", "")
    watcher.poller.reset()
    assert len(watcher.read().stats or ()) == 50


def test_an_unreadable_key_is_reported_at_each_read_until_repaired(
    server: PrivateRedis, client: redis.Redis, watcher: Watcher, no_rest: None
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("x")))
    client.set("queue:mail:dlq", "text")
    client.set("queue:mail:worker_heartbeats", "text")
    for _ in range(3):
        watcher.warned.clear()
        picture = watcher.read()
        (row,) = picture.stats or ()
        assert (row.failed, row.dlq, row.workers, row.waiting) == (None, None, None, 1)
        assert picture.total_workers is None
        assert {warning.split("'")[3] for warning in watcher.warned} == {
            "queue:mail:dlq",
            "queue:mail:worker_heartbeats",
        }
    client.delete("queue:mail:dlq", "queue:mail:worker_heartbeats")
    watcher.warned.clear()
    assert (watcher.read().total_workers, watcher.warned) == (0, [])


@pytest.mark.parametrize("key", ["jobs:mail:states", "jobs:mail:ids", "queue:mail:waiting"])
def test_a_damaged_queue_does_not_hide_the_others(
    key: str, server: PrivateRedis, client: redis.Redis, watcher: Watcher
) -> None:
    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue("mail", library.job("x"))
        await opened.enqueue("reports", library.job("y"))

    library.with_backend(server.url, fill)
    client.delete(key)
    client.set(key, "text")
    picture = watcher.read()
    assert [row.name for row in picture.stats or ()] == ["mail", "reports"]
    assert "y" in [job.id for job in picture.latest_jobs or ()]
    assert any(key in warning for warning in watcher.warned)
