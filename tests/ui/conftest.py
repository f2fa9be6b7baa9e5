from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import furnish


@pytest.fixture(scope="module")
def production(server: PrivateRedis) -> Iterator[redis.Redis]:
    """The data of `furnish`, for all stories of a module."""
    connection = redis.Redis.from_url(server.url)
    furnish(connection, server.url)
    yield connection
    connection.flushall()
    connection.close()


@pytest.fixture
def town(server: PrivateRedis) -> Iterator[redis.Redis]:
    """The data of `furnish`, for one story."""
    with redis.Redis.from_url(server.url) as connection:
        furnish(connection, server.url)
        yield connection
