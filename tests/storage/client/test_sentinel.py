"""Connections to the primary through Sentinels."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli.config import resolve
from asyncmq_cli.storage.client.connection import connect
from tests.conftest import Result, run_tool
from tests.support import library
from tests.support.sentinels import Watched, free_ports

PASSWORD = "of-the-sentinels"


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Watched(password=PASSWORD) as running:
        url = f"redis://127.0.0.1:{running.ports[0]}/0"
        library.with_backend(
            url, lambda opened: library.fill(opened, "mail", [("failed", library.job("one"))])
        )
        yield running


def test_a_list_and_a_change_go_to_the_primary(watched: Watched) -> None:
    url = f"{watched.url}?sentinel_password={PASSWORD}"
    listed = run_tool("queues", "list", "--fields", "name", url=url)
    assert (listed.code, listed.lines, listed.stderr) == (0, ["mail"], "")
    assert run_tool("jobs", "retry", "mail", "one", url=url).code == 0
    with redis.Redis(port=watched.ports[0]) as primary:
        assert primary.zrange("queue:mail:waiting", 0, -1) == [b"one"]
        assert primary.client_list()


def refused(url: str, *args: str) -> Result:
    result = run_tool(*(args or ("queues", "list")), "--timeout", "2s", url=url)
    assert (result.code, result.stdout) == (3, ""), result
    assert PASSWORD not in result.stderr
    return result


def test_what_keeps_it_from_the_primary_is_named(watched: Watched) -> None:
    with_password = f"?sentinel_password={PASSWORD}"
    unknown = refused(watched.url.replace("/main/", "/other/") + with_password)
    assert "the Sentinels name no primary 'other' that is up" in unknown.stderr
    nobody = ",".join(f"127.0.0.1:{port}" for port in free_ports(2))
    assert "none of the 2 Sentinels answers" in refused(f"redis-sentinel://{nobody}/main").stderr
    no_password = refused(watched.url)
    assert "a Sentinel refuses the user or password" in no_password.stderr, no_password
    wrong = refused(f"{watched.url}?sentinel_password=wrong")
    reported = r"error: cannot reach Redis at redis-sentinel://127\.0\.0\.1:\d+,.*/main/0: a Sentinel refuses"
    assert re.search(reported, wrong.stderr), wrong


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_no_argument_of_redis_py_is_deprecated() -> None:
    connect(resolve({"redis_url": "redis-sentinel://127.0.0.1:1/main"}, {"XDG_CONFIG_HOME": "/nowhere"}))


def test_one_sentinel_that_answers_is_enough(watched: Watched) -> None:
    (nobody,) = free_ports(1)
    url = f"redis-sentinel://127.0.0.1:{nobody},127.0.0.1:{watched.ports[3]}/main"
    assert run_tool("queues", "list", url=f"{url}?sentinel_password={PASSWORD}").code == 0
