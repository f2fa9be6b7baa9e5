"""The exporter looks for months: its memory does not grow with the looks."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.output.text.prometheus import exporter_registry
from asyncmq_cli.services.monitoring.exporter import Exporter
from asyncmq_cli.services.monitoring.metrics import MetricsService
from asyncmq_cli.storage.store import Store
from tests.support import library

LOOKS = int(os.environ.get("EXPORTER_LOOKS") or 3000)
"""A day has 2,880 looks, half a minute apart."""
SLACK = 256 * 1024
"""Bytes that the allocators of the interpreter and of caches may take."""


@pytest.fixture
def store(server: PrivateRedis, client: redis.Redis) -> Iterator[Store]:
    async def fill(opened: object) -> None:
        await library.fill(
            opened, "mail", [(state, library.job(state)) for state in ("waiting", "completed")]
        )  # type: ignore[arg-type]

    library.with_backend(server.url, fill)
    opened = Store(config.resolve({"redis_url": server.url}, {}), warn=lambda message: None)
    yield opened
    opened.close()


@pytest.mark.extended
def test_memory_is_flat_over_many_looks(client: redis.Redis, store: Store) -> None:
    exporter = Exporter(store, MetricsService(store), 1.0, record=True)
    registry = exporter_registry(lambda: exporter.state)

    def look(number: int) -> None:
        # Each look has a death of another task, of another cause, and its scrape.
        error = f"Error{number}: x"
        dead = library.job(
            f"j{number}", task=f"t{number}", task_id=f"t{number}", last_error=error, status="failed"
        )
        library.bury(client, "mail", [dead], time.time())
        if number % 50 == 0:
            client.delete("queue:mail:dlq", "jobs:mail:ids", "jobs:mail:states")
            client.delete(*client.keys("jobs:mail:j*"))
        exporter.look()
        for family in registry.collect():
            assert family.name

    rounds = [0] * 3
    tracemalloc.start()
    try:
        number = 0
        for part in range(len(rounds)):
            for _ in range(LOOKS // len(rounds)):
                number += 1
                look(number)
            gc.collect()
            rounds[part] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert exporter.state.looks == number and exporter.state.failures == 0
    assert rounds[-1] - rounds[-2] < SLACK, rounds
    assert client.xlen("asyncmq-cli:metrics") <= 2000
