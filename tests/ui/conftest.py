from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import furnish


@pytest.fixture(scope="module")
def production(server: PrivateRedis) -> Iterator[redis.Redis]:
    """The data of `furnish`, shared by all tests of a module."""
    connection = redis.Redis.from_url(server.url)
    furnish(connection, server.url)
    yield connection
    connection.flushall()
    connection.close()


@pytest.fixture
def town(server: PrivateRedis) -> Iterator[redis.Redis]:
    """The data of `furnish`, for one test."""
    with redis.Redis.from_url(server.url) as connection:
        furnish(connection, server.url)
        yield connection
