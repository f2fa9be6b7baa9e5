"""Huge values and long names are cut on a terminal, with a note; with --full, in a pipe and in JSON they are
whole."""

from __future__ import annotations

import json
import time

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.output.text.cutting import value_lines
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

QUEUE = "company-wide-mailing.tenant-0123456789.transactional-messages.priority-high"
HUGE = "x" * 2_000_000


@pytest.fixture(autouse=True)
def huge(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        big = library.job("big", args=[HUGE, list(range(25_000))], created_at=time.time())
        await opened.enqueue(QUEUE, big)

    library.with_backend(server.url, fill)


def test_a_huge_argument_is_cut_to_a_screen_with_a_note(server: PrivateRedis) -> None:
    screen = on_terminal("jobs", "show", QUEUE, "big", url=server.url)
    text = "".join(screen.lines)
    assert screen.code == 0 and len(screen.lines) < 150
    assert "1,999,000 more characters, --full shows them" in text.replace("\n", "")
    assert "24,950 more elements, --full shows them" in text


def test_deeply_nested_values_are_cut_to_a_screen() -> None:
    value: list[object] = ["innermost", "too"]
    for _ in range(900):
        value = [value]
    shown = list(value_lines(value, full=False))
    assert len(shown) < 40 and max(map(len, shown)) < 80
    assert shown[len(shown) // 2].strip() == "[… 1 more element, --full shows them]"
    shallow = value
    while len(shallow) == 1:
        shallow = shallow[0]  # type: ignore[assignment]
    assert "more element" not in "".join(value_lines([[[shallow]]], full=False))


def test_with_full_and_in_a_pipe_nothing_is_cut(server: PrivateRedis, cli: Run) -> None:
    whole = cli("jobs", "show", QUEUE, "big", "--full", "--color", "always")
    assert HUGE in whole.stdout and "24999" in whole.stdout and "--full" not in whole.stdout
    piped = cli("jobs", "show", QUEUE, "big")
    assert HUGE in piped.stdout and "--full" not in piped.stdout
    assert cli("jobs", "show", QUEUE, "big", "--json").json["payload"]["args"][0] == HUGE


def test_the_arguments_of_a_definition_are_cut_too(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    long = "y" * 5000
    definition = f'{{"task_id": "app.tick", "every": 60, "args": ["{long}"]}}'
    client.zadd(f"queue:{QUEUE}:repeatables", {definition: time.time() + 840})
    args = ("repeatables", "show", QUEUE, "--task", "app.tick")
    screen = on_terminal(*args, url=server.url)
    assert "more characters, --full shows them" in screen.text and len(screen.raw) < 3000
    assert long in cli(*args, "--full", "--color", "always").stdout and long in cli(*args).stdout
    (_, *runs, _, _) = on_terminal("repeatables", "next", "5", url=server.url).lines
    assert len(runs) == 5 and all("…" not in run.split("  ")[1] for run in runs), runs


def test_the_long_id_of_a_worker_hides_no_count(server: PrivateRedis, client: redis.Redis) -> None:
    beat = json.dumps({"heartbeat": time.time(), "concurrency": 1})
    client.hset(f"queue:{QUEUE}:worker_heartbeats", "worker-" + "z" * 60, beat)
    lines = on_terminal("workers", "list", url=server.url).lines
    assert lines[0].split() == ["ID", "QUEUE", "CONCURRENCY", "AGE", "HEALTH"], lines
    assert max(map(len, lines[:2])) <= 80


def test_a_long_name_hides_no_count(server: PrivateRedis, cli: Run) -> None:
    lines = on_terminal("queues", "list", url=server.url).lines
    assert lines[0].split()[:5] == ["NAME", "STATE", "WAITING", "ACTIVE", "DELAYED"]
    assert "…" in lines[1].split()[0] and max(map(len, lines)) <= 80
    wide = cli("queues", "list", "--full", "--color", "always").stdout
    assert QUEUE in wide
    assert cli("queues", "list").stdout.split("\t")[0] == QUEUE
