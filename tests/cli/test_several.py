"""One command on several contexts: one more column, one document, and the time of the slowest context."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.operator import Operator, dead_jobs

AWAY = "unix:///nowhere/redis.sock"


@pytest.fixture
def operator(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> Operator:
    operator = Operator(server, tmp_path)
    operator.write(f'[context.away]\nredis_url = "{AWAY}"')
    dead_jobs(operator.url(1), "one")
    dead_jobs(operator.url(2), "two", "three")
    return operator


def test_a_list_has_a_column_more(operator: Operator) -> None:
    found = operator("queues", "list", "--context", "prod,dev", "--fields", "name,failed")
    assert (found.code, found.lines, found.stderr) == (0, ["prod\tmail\t2", "dev\tmail\t1"], "")
    jobs = operator("jobs", "list", "mail", "--state", "failed", "--fields", "id", "--context", "dev,prod")
    assert sorted(jobs.lines) == ["dev\tone", "prod\tthree", "prod\ttwo"]
    screen = operator.on_terminal("queues", "list", "--context", "dev,prod")
    assert screen.lines[0].split()[:2] == ["CONTEXT", "NAME"]
    assert [line.split()[:2] for line in screen.lines[1:3]] == [["dev", "mail"], ["prod", "mail"]]


def test_a_redis_that_is_away_is_a_row_and_not_the_end(operator: Operator) -> None:
    found = operator("queues", "list", "--all-contexts", "--fields", "name,failed")
    assert found.code == 3
    assert found.lines[:2] == ["dev\tmail\t1", "prod\tmail\t2"]
    assert found.lines[2].startswith("away\terror: cannot reach Redis at unix:///nowhere/redis.sock")


def test_a_document_has_the_context_in_each_row(operator: Operator) -> None:
    found = operator("queues", "list", "--all-contexts", "--json")
    assert [(row["context"], row["name"], row["failed"]) for row in found.json["queues"]] == [
        ("dev", "mail", 1),
        ("prod", "mail", 2),
    ]
    assert [(one["context"], (one["error"] or {}).get("code")) for one in found.json["contexts"]] == [
        ("dev", None),
        ("prod", None),
        ("away", "redis_unreachable"),
    ]
    lines = operator("queues", "list", "--all-contexts", "--ndjson").lines
    assert [(row["context"], row.get("name")) for row in map(json.loads, lines)] == [
        ("dev", "mail"),
        ("prod", "mail"),
        ("away", None),
    ]
    overview = operator("overview", "--context", "dev,prod", "--json").json["contexts"]
    assert [(one["context"], one["jobdist"]["failed"]) for one in overview] == [("dev", 1), ("prod", 2)]


def test_output_that_is_no_list_is_printed_below_its_context(operator: Operator) -> None:
    screen = operator.on_terminal("overview", "--context", "dev,prod")
    assert "== dev ==" in screen.lines and "== prod ==" in screen.lines, screen
    found = operator("queues", "show", "mail", "--context", "dev,prod")
    assert {line.split("\t")[0] for line in found.lines} == {"dev", "prod"}
    assert "prod\tfailed\t2" in found.lines


def test_check_is_one_line_and_the_worst_state(operator: Operator) -> None:
    args = ("check", "--max-failed", "1:9")
    found = operator(*args, "--context", "dev,prod")
    assert (found.code, len(found.lines)) == (1, 1), found
    assert found.lines[0].startswith("ASYNCMQ WARNING - prod: mail: 2 failed")
    assert "; dev: 1 queue is well | " in found.lines[0]
    assert "'prod failed'=2;1;9;0" in found.lines[0], found
    unknown = operator(*args, "--all-contexts")
    assert (unknown.code, len(unknown.lines)) == (3, 1), unknown
    assert unknown.lines[0].startswith("ASYNCMQ UNKNOWN - away: ")
    critical = operator("check", "--max-failed", ":1", "--all-contexts")
    assert critical.code in (2, 3)
    assert operator("check", "--context", "dev,prod", "--quiet").lines == []


def test_doctor_reads_each_context(operator: Operator) -> None:
    with operator.client(2) as opened:
        opened.hset("jobs:mail:results", "gone", "1")
    found = operator("doctor", "--context", "dev,prod", "--json")
    assert found.code == 1
    found_there = [(one["context"], one["code"]) for one in found.json["findings"]]
    assert found_there == [("prod", "result_without_job")]


@pytest.mark.parametrize(
    "args",
    [
        ("queues", "pause", "mail"),
        ("jobs", "retry", "mail", "--all", "--dry-run"),
        ("doctor", "--repair", "--yes"),
        ("metrics", "record"),
        ("events", "tail"),
        ("wait", "mail"),
    ],
    ids=" ".join,
)
def test_changes_and_commands_that_do_not_end_take_one_context(
    args: tuple[str, ...], operator: Operator
) -> None:
    for several in (("--context", "dev,prod"), ("--all-contexts",)):
        found = operator(*args, *several)
        assert (found.code, found.stdout) == (2, ""), found
        assert "takes one context" in found.stderr


def test_a_wrong_name_among_them_is_wrong_usage(operator: Operator) -> None:
    found = operator("queues", "list", "--context", "dev,prdo")
    assert found.code == 2 and "did you mean prod?" in found.stderr
    for empty in ("dev,", ",prod", "dev, ,prod"):
        unset = operator("queues", "list", "--context", empty)
        assert (unset.code, "--context has an empty name" in unset.stderr) == (2, True)
    both = operator("queues", "list", "--all-contexts", "--context", "dev")
    assert both.code == 2


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_contexts_are_read_concurrently(operator: Operator, silent: int) -> None:
    slow = "\n".join(
        f'[context.slow{n}]\nredis_url = "redis://127.0.0.1:{silent}"\ntimeout = 2' for n in range(5)
    )
    operator.write(slow)
    began = time.monotonic()
    found = operator("queues", "list", "--all-contexts")
    # One after the other they would take 10 seconds.
    assert time.monotonic() - began < 8
    assert found.code == 3 and len(found.lines) == 7
