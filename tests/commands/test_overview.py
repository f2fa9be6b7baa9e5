"""`overview` begins with the problems and their causes."""

from __future__ import annotations

import time

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.monitoring.trouble import LATEST
from tests.conftest import Run
from tests.support import library


@pytest.fixture
def broken(server: PrivateRedis, client: redis.Redis) -> float:
    """Two queues whose jobs die from the same cause, and a paused one with a backlog."""
    now = time.time()
    text = library.TRACEBACK
    for queue, count, died in (("mail", LATEST + 20, now - 900), ("hooks", 2, now - 86_400)):
        jobs = [
            library.job(f"{queue}-{n}", status="failed", last_error=text, error_traceback=text)
            for n in range(count)
        ]
        library.bury(client, queue, jobs, died)

    async def fill(opened: library.RedisBackend) -> None:
        await library.fill(opened, "held", [("waiting", library.job(f"w{n}")) for n in range(3)])
        await opened.pause_queue("held")
        await library.fill(opened, "alone", [("delayed-overdue", library.job("due"))])

    library.with_backend(server.url, fill)
    return now


def test_problems_and_causes_of_all_queues(broken: float, cli: Run) -> None:
    shown = cli("overview", "--json").json
    assert [(one["problem"], one["severity"], one["queue"], one["value"]) for one in shown["problems"]] == [
        ("unattended", "critical", "alone", 1),
        ("growing", "warning", "mail", LATEST + 20),
        ("paused", "warning", "held", 3),
    ]
    assert [one["look"] for one in shown["problems"]] == [
        *("asyncmq workers list", "asyncmq dlq groups mail", "asyncmq queues show held")
    ]
    (cause,) = shown["causes"]
    assert (cause["type"], cause["count"]) == ("ConnectionRefusedError", LATEST + 2)
    assert (cause["queues"], cause["trend"]) == (["hooks", "mail"], None)
    assert (shown["causes_latest"], shown["causes_queues_left_out"]) == (LATEST, 0)
    states = {row["name"]: (row["state"], row["due"]) for row in shown["queues"]}
    assert states["held"] == ("paused", 0) and states["alone"] == ("no worker", 1)
    (whole,) = cli("dlq", "groups", "--json").json["groups"]
    assert (whole["id"], whole["count"]) == (cause["id"], LATEST + 22)


def test_each_suggested_read_command_runs_and_changes_nothing(
    broken: float, client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    for problem in cli("overview", "--json").json["problems"]:
        program, *words = problem["look"].split()
        assert (program, cli(*words).code) == ("asyncmq", 0)
    assert library.dump(client) == before


def test_a_pipe_has_the_same_words_with_problems_first(broken: float, cli: Run) -> None:
    lines = cli("overview").lines
    assert [line.split("\t")[:2] for line in lines[:4]] == [
        *(["problem", "alone"], ["problem", "mail"], ["problem", "held"]),
        ["cause", cli("dlq", "groups", "--json").json["groups"][0]["id"]],
    ]
    assert "queue\talone\tno worker\t0" in "\n".join(lines)
