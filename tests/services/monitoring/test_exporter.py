"""The reads of the exporter: its counters, a restart, and several exporters on one history."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.monitoring.snapshots import DeathLabels
from asyncmq_cli.services.monitoring.exporter import DeathCounter, Exporter
from asyncmq_cli.services.monitoring.metrics import MetricsService
from asyncmq_cli.storage.store import Store
from tests.support import library

STREAM = "asyncmq-cli:metrics"
Make = Callable[..., Exporter]


@pytest.fixture
def store(server: PrivateRedis, client: redis.Redis) -> Iterator[Store]:
    opened = Store(config.resolve({"redis_url": server.url}, {}), warn=lambda message: None)
    yield opened
    opened.close()


@pytest.fixture
def exporter(store: Store) -> Make:
    def make(interval: float = 2.0, *, record: bool = True) -> Exporter:
        return Exporter(store, MetricsService(store), interval, record=record)

    return make


def fill(server: PrivateRedis, *jobs: tuple[str, str], **fields: Any) -> None:
    """Write jobs of `mail`, given as pairs of state and id."""
    made = [(state, library.job(job_id, **fields)) for state, job_id in jobs]
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", made))


def age_history(client: redis.Redis, seconds: float = 60.0) -> None:
    """Make all stored snapshots older by this time."""
    kept = client.xrange(STREAM)
    client.delete(STREAM)
    for _, fields in kept:
        client.xadd(STREAM, {**fields, b"timestamp": f"{float(fields[b'timestamp']) - seconds:.6f}"})


def counted(exporter: Exporter) -> tuple[int | None, int | None]:
    """The counters after the next read of the states, which are read less often on a busy machine."""
    exporter.read()
    while exporter.state.snapshot is not None and exporter.state.snapshot.states_age:
        time.sleep(0.02)
        exporter.read()
    return exporter.state.completed, exporter.state.failed


def test_counters_go_on_after_a_restart_and_never_back(
    server: PrivateRedis, client: redis.Redis, exporter: Make
) -> None:
    fill(server, ("completed", "a"), ("failed", "b"))
    first = exporter()
    assert counted(first) == (0, 0), "what was there before is no event"
    fill(server, ("completed", "c"), ("completed", "d"), ("failed", "e"))
    age_history(client)
    assert counted(first) == (2, 1)
    client.hdel("jobs:mail:states", "a", "c", "d")
    client.delete("queue:mail:dlq")
    age_history(client)
    assert counted(first) == (2, 1), "a removal takes nothing off"
    fill(server, ("completed", "f"))
    age_history(client)
    assert counted(exporter()) == (3, 1), "another process goes on where the first ended"


def test_the_expired_are_counted_on_behind_a_version_that_did_not(
    server: PrivateRedis, client: redis.Redis, exporter: Make
) -> None:
    fill(server, ("expired", "a"))
    first = exporter()
    assert counted(first) == (0, 0) and first.state.expired == 0
    fill(server, ("expired", "b"), ("failed", "c"))
    age_history(client)
    assert counted(first) == (0, 1) and first.state.expired == 1
    age_history(client)
    counters = {"completed_total": "0", "failed_total": "1"}
    old = {"timestamp": f"{time.time() - 30:.6f}", "snapshot": '{"completed": 0, "failed": 1}', **counters}
    client.xadd(STREAM, old)
    fill(server, ("expired", "d"))
    assert counted(exporter()) == (0, 1)
    assert exporter().state.expired is None
    last = exporter()
    assert counted(last) == (0, 1) and last.state.expired == 2


def test_snapshots_of_others_count_too(
    server: PrivateRedis, client: redis.Redis, exporter: Make, store: Store
) -> None:
    fill(server, ("completed", "a"))
    assert counted(exporter()) == (0, 0)
    fill(server, ("completed", "b"))
    age_history(client)
    metrics = MetricsService(store)
    assert metrics.record(metrics.now()).completed == 1
    age_history(client)
    # As a version of the tool that counts nothing writes it.
    client.xadd(STREAM, {"timestamp": f"{time.time() - 30:.6f}", "snapshot": '{"completed": 9, "failed": 0}'})
    fill(server, ("completed", "c"))
    assert counted(exporter()) == (2, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"completed_total": "x", "failed_total": "1"},
        {"completed_total": "-5", "failed_total": "1"},
        {"completed_total": "1e300", "failed_total": "nan"},
        {"snapshot": "no JSON", "completed_total": "5", "failed_total": "1"},
        {"snapshot": '{"completed": "many"}', "completed_total": "5", "failed_total": "1"},
    ],
)
def test_damaged_entries_do_not_stop_it(
    fields: dict[str, str], server: PrivateRedis, client: redis.Redis, exporter: Make
) -> None:
    fill(server, ("completed", "a"))
    client.xadd(STREAM, {"timestamp": "1.5", **fields})
    assert counted(exporter()) == ((5, 1) if fields["completed_total"] == "5" else (0, 0))


def test_two_exporters_store_as_many_snapshots_as_one(
    server: PrivateRedis, client: redis.Redis, exporter: Make
) -> None:
    fill(server, ("completed", "a"))
    first, second = exporter(30.0), exporter(30.0)
    for number in range(4):
        fill(server, ("completed", f"c{number}"))
        assert counted(first) == counted(second)
        assert client.xlen(STREAM) == number + 1
        age_history(client, 29.0)


def test_without_the_history_it_counts_from_its_start(
    server: PrivateRedis, client: redis.Redis, exporter: Make
) -> None:
    fill(server, ("completed", "a"))
    looking = exporter(record=False)
    assert counted(looking) == (0, 0)
    fill(server, ("completed", "b"), ("failed", "c"), ("expired", "d"))
    assert counted(looking) == (1, 1) and looking.state.expired == 1
    client.delete("jobs:mail:states", "queue:mail:dlq")
    assert counted(looking) == (1, 1)
    assert client.exists(STREAM) == 0


def test_a_failed_read_is_part_of_the_state(server: PrivateRedis, client: redis.Redis) -> None:
    store = Store(
        config.resolve({"redis_url": "unix:///nonexistent/redis.sock"}, {}), warn=lambda message: None
    )
    looking = Exporter(store, MetricsService(store), 5.0, record=True)
    assert [looking.read(), looking.read(), looking.read()] == [1, 2, 4]
    state = looking.state
    assert (state.snapshot, state.reads, state.failures, state.completed) == (None, 3, 3, None)
    assert state.error is not None and state.error.code == "redis_unreachable"


# --- deaths by task and cause


def read(counter: DeathCounter, client: redis.Redis, now: float | None = None) -> dict[DeathLabels, int]:
    counter.read({"mail": client.zcard("queue:mail:dlq")}, time.time() if now is None else now)
    return dict(counter.counts)


def bury(
    client: redis.Redis, names: list[str], died: float, error: str = "KeyError: 'x'", **fields: Any
) -> None:
    records = [
        library.job(name, status="failed", last_error=error, error_traceback=error, **fields)
        for name in names
    ]
    library.bury(client, "mail", records, died)


def test_deaths_are_counted_by_task_and_cause(client: redis.Redis, store: Store) -> None:
    now = time.time()
    counter = DeathCounter(store)
    bury(client, ["old"], now - 1)
    assert read(counter, client, now) == {}
    bury(client, ["a", "b"], now + 1)
    bury(client, ["c"], now + 2, "smtplib.SMTPError: no", task="app.other", task_id="app.other")
    # A worker whose clock is behind.
    bury(client, ["late"], now - 20)
    expected = {
        DeathLabels("mail", "app.send", "KeyError"): 3,
        DeathLabels("mail", "app.other", "smtplib.SMTPError"): 1,
    }
    assert read(counter, client, now + 5) == expected
    assert read(counter, client, now + 10) == expected, "none is counted twice"
    client.delete("queue:mail:dlq")
    assert read(counter, client, now + 15) == expected, "a removal takes nothing off"
    bury(client, ["a"], now + 16)
    expected[DeathLabels("mail", "app.send", "KeyError")] += 1
    assert read(counter, client, now + 20) == expected, "a job that died again counts again"


def test_deaths_while_no_exporter_ran_are_counted(
    server: PrivateRedis, client: redis.Redis, exporter: Make
) -> None:
    fill(server, ("waiting", "w"))
    bury(client, ["before"], time.time() - 60)
    first = exporter()
    first.read()
    assert first.state.deaths == {}
    age_history(client, 5)
    bury(client, ["meanwhile"], time.time() - 1)
    again = exporter()
    again.read()
    assert again.state.deaths == {DeathLabels("mail", "app.send", "KeyError"): 1}
    again.read()
    assert sum(again.state.deaths.values()) == 1
    unrecorded = exporter(record=False)
    unrecorded.read()
    assert unrecorded.state.deaths == {}


def test_deaths_beyond_the_limit_after_a_restart_are_counted_as_other(
    client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Exporter.__module__}.MOST_READ", 5)
    now = time.time()
    bury(client, [f"j{number}" for number in range(12)], now + 1)
    bury(client, ["old"], now - 5)
    found = read(DeathCounter(store, now), client, now + 5)
    assert (sum(found.values()), found[DeathLabels("other", "other", "other")]) == (12, 7)


def test_labels_are_bounded(client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{Exporter.__module__}.MOST_SERIES", 3)
    now = time.time()
    counter = DeathCounter(store)
    read(counter, client, now)
    for number in range(10):
        bury(client, [f"j{number}"], now + 1 + number, task=f"t{number}" * 100, task_id=f"t{number}" * 100)
    found = read(counter, client, now + 20)
    assert len(found) == 4
    assert found[DeathLabels("other", "other", "other")] == 7
    assert max(len(labels.task) for labels in found) == 100


def test_deaths_beyond_the_read_limit_are_counted(
    client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Exporter.__module__}.MOST_READ", 5)
    now = time.time()
    counter = DeathCounter(store)
    read(counter, client, now)
    bury(client, [f"j{number}" for number in range(12)], now + 1)
    found = read(counter, client, now + 5)
    assert (sum(found.values()), found[DeathLabels("other", "other", "other")]) == (12, 7)
