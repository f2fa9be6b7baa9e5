"""Which workers are on a page, and when silent ones are only counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.workers import Worker
from asyncmq_cli.services.monitoring.workers import WorkerScan, WorkerService
from asyncmq_cli.storage.store import Store

NOW, TTL = 1_700_000_000.0, 60.0


def worker(name: str, age: float, concurrency: int = 1) -> Worker:
    return Worker(name, "mail", concurrency, NOW - age, age, TTL)


LIVE, AGING, SILENT, GONE = worker("d", 5, 2), worker("a", 50), worker("b", 100, 9), worker("c", 900)
ALL = [LIVE, AGING, SILENT, GONE]


class Given(WorkerScan):
    """A reader that returns these workers."""

    def __init__(self, store: Store, workers: list[Worker]) -> None:
        super().__init__(store, None, None)
        self._given = workers

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._given)


@pytest.fixture
def store(server: PrivateRedis, client: redis.Redis) -> Iterator[Store]:
    opened = Store(config.resolve({"redis_url": server.url}, {}), warn=lambda message: None)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("queue", "adbc"), ("id", "abcd"), ("heartbeat", "cbad"), ("concurrency", "bdac")],
    ids=["the live ones first", "by id", "the longest silent first", "the largest first"],
)
def test_workers_are_sorted(store: Store, sort: str, expected: str) -> None:
    found = WorkerService(store).in_order(Given(store, ALL), sort)
    assert "".join(one.id for one in found) == expected


@pytest.mark.parametrize(
    ("workers", "fold", "shown", "folded"),
    [
        (ALL, False, "adbc", 0),
        (ALL, True, "ad", 2),
        ([LIVE, SILENT], True, "db", 0),
        ([SILENT, GONE], True, "bc", 0),
    ],
    ids=["all", "several silent ones are counted", "a single one is shown", "no live one to stand beside"],
)
def test_silent_workers_are_counted_beside_live_ones(
    store: Store, workers: list[Worker], fold: bool, shown: str, folded: int
) -> None:
    page = WorkerService(store).page(Given(store, workers), sort="queue", page=1, size=10, fold=fold)
    assert ("".join(one.id for one in page.workers), page.folded) == (shown, folded)


@pytest.mark.parametrize(
    ("health", "expected"), [("healthy", "d"), ("aging", "a"), ("stale", "bc"), (None, "adbc")]
)
def test_a_page_has_the_workers_of_a_health(store: Store, health: str | None, expected: str) -> None:
    page = WorkerService(store).page(Given(store, ALL), sort="queue", page=1, size=10, health=health)
    assert "".join(one.id for one in page.workers) == expected
