"""`audit tail` and `audit export`: every event once, oldest first, continuing after the last one."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run

STREAM = "asyncmq-cli:audit"


@pytest.fixture
def ids(client: redis.Redis, cli: Run) -> list[str]:
    """Six events: pauses and resumes of a queue."""
    client.sadd("jobs:mail:ids", "x")
    client.set("queue:mail:waiting:seq", 1)
    for verb in ("pause", "resume") * 3:
        assert cli("queues", verb, "mail", "--reason", "tab\tand \x1b").code == 0
    return [entry_id.decode() for entry_id, _ in client.xrange(STREAM)]


def exported(cli: Run, *args: str) -> list[str]:
    result = cli("audit", "export", *args)
    assert result.code == 0, result
    return [json.loads(line)["id"] for line in result.lines]


def test_an_export_continues_after_the_last_event(cli: Run, ids: list[str]) -> None:
    assert exported(cli) == ids
    assert exported(cli, "--after", ids[2]) == ids[3:]
    assert exported(cli, "--after", ids[5]) == []
    assert exported(cli, "--since", "1h", "--after", ids[4]) == ids[5:]
    assert exported(cli, "--since", "0s") == []
    newest = cli("audit", "--limit", "1", "--json").json["events"][0]
    assert json.loads(cli("audit", "export").lines[-1]) == newest
    assert cli("audit", "export", "--after", "yesterday").code == 2
    # The first of the trail has nothing in front.
    assert cli("audit", "export", "--after", "0-1").stderr == ""


def test_an_export_says_where_events_are_missing(cli: Run, client: redis.Redis, ids: list[str]) -> None:
    client.xtrim(STREAM, maxlen=2, approximate=False)
    result = cli("audit", "export", "--after", ids[1])
    assert [json.loads(line)["id"] for line in result.lines] == ids[4:]
    assert f"events between {ids[1]} and {ids[4]} are gone" in result.stderr
    assert cli("audit", "export", "--after", ids[3]).stderr == ""


def test_csv_holds_every_field(cli: Run, ids: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("audit", "export", "-o", "csv").stdout)))
    assert [row["id"] for row in rows] == ids
    assert rows[0].keys() == {
        *("id", "time", "action", "source", "status", "queue", "job", "actor", "details", "error", "chain")
    }
    assert rows[0]["chain"] == "1 100000 0-0 -"


def test_tail_prints_the_last_events_as_they_came(cli: Run, ids: list[str]) -> None:
    def shown(*args: str) -> list[str]:
        return [json.loads(line)["id"] for line in cli("audit", "tail", "-o", "jsonl", *args).lines]

    assert shown() == ids
    assert shown("--lines", "2") == ids[4:]
    assert shown("--lines", "0") == []
    assert shown("--after", ids[4]) == ids[5:]
    assert cli("audit", "tail", "--after", ids[4], "--lines", "2").code == 2
    (row,) = cli("audit", "tail", "--lines", "1").lines
    assert row.split("\t")[1:4] == ["queue.resume", "success", "mail"]
    (line,) = cli("audit", "tail", "--lines", "1", "-o", "table").lines
    assert "queue.resume success  mail  " in line and r"\x1b" in line


def test_an_entry_that_is_no_event_stops_nothing(cli: Run, client: redis.Redis, ids: list[str]) -> None:
    client.xadd(STREAM, {"timestamp": "1.5", "event": "{"})
    assert exported(cli) == ids
    result = cli("audit", "tail", "-o", "jsonl", "--lines", "3")
    assert (result.code, len(result.lines)) == (0, 3)


def test_each_new_event_is_followed_once(
    cli: Run, client: redis.Redis, server: PrivateRedis, ids: list[str]
) -> None:
    words = ("audit", "tail", "-f", "--lines", "1", "--interval", "0.1s", "-o", "jsonl")
    follower = subprocess.Popen(
        [sys.executable, "-m", "asyncmq_cli", *words],
        stdout=subprocess.PIPE,
        env={**os.environ, "ASYNCMQ_REDIS_URL": server.url},
    )
    try:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["id"] == ids[5]
        for verb in ("pause", "resume"):
            assert cli("queues", verb, "mail").code == 0
            found = json.loads(follower.stdout.readline())
            assert (found["action"], found["id"]) == (
                f"queue.{verb}",
                client.xrevrange(STREAM, count=1)[0][0].decode(),
            )
    finally:
        follower.terminate()
        follower.communicate(timeout=30)
    assert follower.returncode == 143
