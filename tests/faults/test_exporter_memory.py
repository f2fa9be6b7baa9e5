"""The memory of the exporter does not grow with the number of reads, because it runs for months."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator

import pytest
import redis
from prometheus_client import generate_latest

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.output.text.prometheus import exporter_text
from asyncmq_cli.services.monitoring import exporter as exporters
from asyncmq_cli.services.monitoring.exporter import Exporter
from asyncmq_cli.services.monitoring.metrics import MetricsService
from asyncmq_cli.storage.store import Store
from tests.support import library

LOOKS = int(os.environ.get("EXPORTER_LOOKS") or 3000)
"""A day has 2,880 reads, half a minute apart."""
PARTS = 3
KINDS = 500
"""So many tasks and causes die in turn: more than have a series of their own."""
SLACK = 0.1
"""Blocks of the interpreter a look. A list that grows by one entry a look takes at least one."""


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
def test_memory_is_flat_over_many_reads(
    client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The reads of the test are less than half a minute apart.
    monkeypatch.setattr(exporters, "GRACE", 0.5)
    exporter = Exporter(store, MetricsService(store), 1.0, record=True)

    def look(number: int) -> None:
        name, error = f"t{number % KINDS}", f"Error{number % KINDS}: x"
        dead = library.job(f"j{number}", task=name, task_id=name, last_error=error, status="failed")
        library.bury(client, "mail", [dead], time.time())
        if number % 20 == 0:
            # Keep the queue: a new one is only noticed when names are searched again.
            records = [f"jobs:mail:j{number - back}" for back in range(20)]
            client.delete("queue:mail:dlq", "jobs:mail:ids", "jobs:mail:states", *records)
        exporter.read()
        assert b"".join(exporter_text(exporter.state, generate_latest))

    held = []
    for part in range(PARTS):
        for number in range(LOOKS // PARTS):
            look(part * (LOOKS // PARTS) + number)
        # Deaths that are only counted after the grace time are not growth.
        time.sleep(0.6)
        exporter.read()
        gc.collect()
        held.append(sys.getallocatedblocks())
    assert exporter.state.failures == 0
    assert sum(exporter.state.deaths.values()) > LOOKS * 0.8
    assert (held[-1] - held[-2]) / (LOOKS // PARTS) < SLACK, held
