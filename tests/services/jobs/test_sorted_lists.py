"""Lists that are sorted by their keys, and then read again."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.jobs import QueueScope
from asyncmq_cli.services.jobs.lists import Page, every_unfiltered, unfiltered
from asyncmq_cli.storage.store import Store
from tests.support.library import fill, job, with_backend


@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_each_job_of_a_sorted_list_comes_once(server: PrivateRedis, client: redis.Redis, sort: str) -> None:
    """Records are read in smaller pieces than requested."""
    names = [f"job-{n:03}" for n in range(100)]
    created = time.time() - 1000

    async def go(backend: Any) -> None:
        jobs = [job(name, created_at=created + n) for n, name in enumerate(names)]
        await fill(backend, "mail", [("waiting", one) for one in jobs])

    with_backend(server.url, go)
    store = Store(config.resolve({"redis_url": server.url}, {}), print)
    try:
        scope = QueueScope.of("mail")
        page, *_ = unfiltered(store, scope, "waiting", Page(sort, 1, 100))
        every = list(every_unfiltered(store, scope, "waiting", sort=sort))
    finally:
        store.close()
    expected = names if sort == "oldest" else names[::-1]
    assert [one.id for one in page] == [one.id for one in every] == expected
