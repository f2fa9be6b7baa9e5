"""A row of looks: each is what a fresh one would see, and costs little where little has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import RedisProblem
from asyncmq_cli.models.pictures import Picture
from asyncmq_cli.services import observer as observing
from asyncmq_cli.services.observer import Observer
from asyncmq_cli.storage.store import Store
from tests import library

PARTS: tuple[observing.Part, ...] = ("stats", "workers", "latest")
QUEUES = ("mail", "reports")


class Watcher:
    """A store with an observer on it, and all that it was warned of."""

    def __init__(self, url: str) -> None:
        self.warned: list[str] = []
        self.store = Store(config.resolve({"redis_url": url}), warn=self.warned.append)
        self.observer = Observer(self.store, PARTS, again=True)

    def look(self) -> Picture:
        with self.store.errors():
            return self.observer.look()

    def fresh(self) -> Picture:
        with self.store.errors():
            return Observer(self.store, PARTS, again=False).look()

    def close(self) -> None:
        self.observer.close()
        self.store.close()


@pytest.fixture
def watcher(server: PrivateRedis, client: redis.Redis) -> Iterator[Watcher]:
    made = Watcher(server.url)
    yield made
    made.close()


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put off for having taken long."""
    monkeypatch.setattr(observing._Rest, "is_over", True)


def ageless(picture: Picture) -> dict[str, Any]:
    """All but what is another value a moment later: of the oldest job, when it was created."""

    def created(seconds: float | None) -> int | None:
        return None if seconds is None else round(picture.now - seconds)

    return {
        "stats": [
            replace(row, oldest_waiting_seconds=created(row.oldest_waiting_seconds))
            for row in picture.stats or ()
        ],
        "workers": [replace(worker, age_seconds=0.0) for worker in picture.workers or ()],
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
    """One call of the library, on a queue and one of its jobs."""
    name, queue, which = step
    job_id = f"job-{which}"
    record = library.job(job_id, created_at=1.6e9 + 1000 * number + which)
    claimed = None
    if name == "child" and client.exists(f"jobs:{queue}:{job_id}"):
        # That would change no more than its record, of which Redis is not asked at each look.
        return
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(rows=[[("pause", "mail", 0)], [("resume", "mail", 0), ("pause", "reports", 0)]])
@example(rows=[[("worker", "mail", 0)], [("gone worker", "mail", 0), ("pause", "reports", 0)]])
@given(rows=st.lists(steps, min_size=1, max_size=4))
def test_each_picture_of_a_row_is_that_of_a_fresh_look(
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
            assert ageless(watcher.look()) == ageless(watcher.fresh()), row

    try:
        library.with_backend(server.url, play)
    finally:
        watcher.close()


def test_what_changes_a_record_alone_is_seen_a_minute_later(
    server: PrivateRedis, watcher: Watcher, no_rest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enqueue(**fields: Any) -> None:
        library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("x", **fields)))

    enqueue()
    watcher.look()
    enqueue(depends_on=["parent"])
    monkeypatch.setattr(observing, "_ANEW_EVERY", 0.0)
    assert [row.waiting_children for row in watcher.look().stats or ()] == [1]
    assert [job.state for job in watcher.look().latest_jobs or ()] == ["waiting-children"]


def test_ages_go_on_where_nothing_is_read_again(
    server: PrivateRedis, client: redis.Redis, watcher: Watcher
) -> None:
    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue("mail", library.job("old", created_at=time.time() - 100))
        await opened.enqueue("reports", library.job("of the future", created_at=time.time() + 100))
        await opened.register_worker("worker", "mail", 2, time.time() - 10)

    library.with_backend(server.url, fill)
    first = watcher.look()
    moment = max((row.oldest_waiting_seconds or 0.0) for row in first.stats or ())
    then = watcher.look()
    passed = then.now - first.now
    by_name = {row.name: row for row in then.stats or ()}
    assert by_name["mail"].oldest_waiting_seconds == pytest.approx(moment + passed)
    assert by_name["reports"].oldest_waiting_seconds == 0
    assert (then.workers or ())[0].age_seconds == pytest.approx(then.now - (first.workers or ())[0].heartbeat)


def test_a_worker_that_falls_silent_is_not_live_for_ever(server: PrivateRedis, client: redis.Redis) -> None:
    watcher = Watcher(server.url)
    library.with_backend(
        server.url, lambda opened: opened.register_worker("worker", "mail", 2, time.time() - 29.5)
    )
    client.pexpire("queue:mail:worker_heartbeats", 500)
    deadline = time.monotonic() + 10
    while watcher.look().workers:
        assert time.monotonic() < deadline
    picture = watcher.look()
    assert (picture.total_workers, [row.workers for row in picture.stats or ()]) == (0, [0])
    watcher.close()


# --- what it costs


def commands(client: redis.Redis) -> dict[str, int]:
    found = client.info("commandstats")
    ours = ("cmdstat_info", "cmdstat_config")
    return {
        name.removeprefix("cmdstat_"): stats["calls"]
        for name, stats in found.items()
        if not name.startswith(ours)
    }


def count(client: redis.Redis, look: Callable[[], object]) -> dict[str, int]:
    client.config_resetstat()
    look()
    return commands(client)


@pytest.fixture
def fifty(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for number in range(50):
            await opened.enqueue(f"queue-{number}", library.job(f"job-{number}"))

    library.with_backend(server.url, fill)


def test_a_quiet_look_is_a_handful_of_commands(fifty: None, client: redis.Redis, watcher: Watcher) -> None:
    first = count(client, watcher.look)
    quiet = count(client, watcher.look)
    assert quiet == {"time": 1, "ping": 1, "dbsize": 1}
    assert sum(first.values()) > 10 * sum(quiet.values())


def test_where_one_queue_has_changed_only_that_is_read(
    fifty: None, server: PrivateRedis, client: redis.Redis, watcher: Watcher
) -> None:
    first = count(client, watcher.look)
    watcher.look()
    library.with_backend(server.url, lambda opened: opened.pause_queue("queue-7"))
    one = count(client, watcher.look)
    assert sum(one.values()) < sum(first.values()) / 10
    assert {row.name for row in watcher.look().stats or () if row.paused} == {"queue-7"}


def test_what_took_long_is_not_done_again_at_once(
    server: PrivateRedis, client: redis.Redis, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest jobs need each job's record; until they are due again, they are told with their age."""
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("one")))
    first = watcher.look()
    monkeypatch.setattr(observing._Rest, "is_over", False)
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("two")))
    second = watcher.look()
    assert [row.waiting for row in second.stats or ()] == [2]
    assert [job.id for job in second.latest_jobs or ()] == ["one"]
    assert second.latest_at == first.now < second.now
    library.with_backend(server.url, lambda opened: opened.dequeue("mail"))
    assert [(job.id, job.state) for job in watcher.look().latest_jobs or ()] == [("one", "active")]
    monkeypatch.setattr(observing._Rest, "is_over", True)
    last = watcher.look()
    assert [job.id for job in last.latest_jobs or ()] == ["two", "one"]
    assert last.latest_at == last.now


# --- what may come in between


def test_it_works_without_the_right_to_track(
    fifty: None, server: PrivateRedis, client: redis.Redis, no_rest: None
) -> None:
    client.execute_command("ACL", "SETUSER", "plain", "reset", "on", ">pw", "~*", "+@all", "-client")
    watcher = Watcher(server.url.replace("unix://", "unix://plain:pw@"))
    try:
        assert len(watcher.look().stats or ()) == 50
        library.with_backend(server.url, lambda opened: opened.enqueue("another", library.job("x")))
        again = watcher.look()
        assert ageless(again) == ageless(watcher.fresh())
        assert len(again.stats or ()) == 51
        assert watcher.warned == []
    finally:
        watcher.close()
        client.execute_command("ACL", "DELUSER", "plain")


@pytest.mark.parametrize("flush", ["flushall", "flushdb"])
def test_after_a_flush_there_is_nothing(
    flush: str, fifty: None, client: redis.Redis, watcher: Watcher
) -> None:
    watcher.look()
    getattr(client, flush)()
    assert (watcher.look().stats, watcher.look().latest_jobs) == ([], [])


def test_a_queue_that_is_deleted_goes_and_a_new_one_comes(
    fifty: None, server: PrivateRedis, client: redis.Redis, watcher: Watcher, no_rest: None
) -> None:
    watcher.look()
    client.delete(*client.scan_iter("*queue-7:*"))
    assert "queue-7" not in {row.name for row in watcher.look().stats or ()}
    library.with_backend(server.url, lambda opened: opened.enqueue("new", library.job("x")))
    picture = watcher.look()
    assert {row.name for row in picture.stats or ()} == {
        "new",
        *(f"queue-{number}" for number in range(50) if number != 7),
    }
    assert (picture.latest_queues or ())[0].name == "new"


def test_a_connection_that_is_killed_is_opened_again(
    fifty: None, server: PrivateRedis, client: redis.Redis, watcher: Watcher, no_rest: None
) -> None:
    watcher.look()
    client.client_kill_filter(_type="normal", skipme=True)
    library.with_backend(server.url, lambda opened: opened.pause_queue("queue-7"))
    assert [row.name for row in watcher.look().stats or () if row.paused] == ["queue-7"]
    library.with_backend(server.url, lambda opened: opened.pause_queue("queue-8"))
    assert [row.name for row in watcher.look().stats or () if row.paused] == ["queue-7", "queue-8"]
    assert sum(count(client, watcher.look).values()) == 3, "it is tracked again"


def test_a_refused_look_is_told_and_the_next_one_begins_anew(
    fifty: None, watcher: Watcher, client: redis.Redis
) -> None:
    watcher.look()
    client.config_set("requirepass", "secret")
    client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(RedisProblem):
        watcher.look()
    client.config_set("requirepass", "")
    watcher.observer.close()
    assert len(watcher.look().stats or ()) == 50


def test_what_cannot_be_read_is_told_at_each_look_until_it_is_mended(
    server: PrivateRedis, client: redis.Redis, watcher: Watcher, no_rest: None
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("x")))
    client.set("queue:mail:dlq", "text")
    client.set("queue:mail:worker_heartbeats", "text")
    for _ in range(3):
        watcher.warned.clear()
        picture = watcher.look()
        (row,) = picture.stats or ()
        assert (row.failed, row.dlq, row.workers, row.waiting) == (None, None, None, 1)
        assert picture.total_workers is None
        assert {warning.split("'")[3] for warning in watcher.warned} == {
            "queue:mail:dlq",
            "queue:mail:worker_heartbeats",
        }
    client.delete("queue:mail:dlq", "queue:mail:worker_heartbeats")
    watcher.warned.clear()
    assert (watcher.look().total_workers, watcher.warned) == (0, [])


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
    picture = watcher.look()
    assert [row.name for row in picture.stats or ()] == ["mail", "reports"]
    assert "y" in [job.id for job in picture.latest_jobs or ()]
    assert any(key in warning for warning in watcher.warned)
