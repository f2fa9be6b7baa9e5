"""A truncated id is never used for a change; the error names the job that begins with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services import candidates
from tests.conftest import Run
from tests.support import library

ALONE, FIRST, SECOND = "7f3a9c52-0b1e", "81d6-0000-a", "81d6-0000-b"
USUAL = "finds a job by part of its id"


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine must not change the result.
    monkeypatch.setattr(candidates, "PATIENCE", 20.0)
    jobs = [("failed", library.job(job_id)) for job_id in (ALONE, FIRST, SECOND)]
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", jobs))


def reported(cli: Run, job_id: str) -> Any:
    return json.loads(cli("jobs", "show", "mail", job_id, "--json").stderr)["error"]


COMMANDS = (
    ("jobs", "show"),
    ("jobs", "retry"),
    ("jobs", "remove"),
    ("jobs", "cancel"),
    ("dlq", "retry"),
    ("dlq", "remove"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_only_job_that_begins_with_it_is_named_and_left_alone(
    command: tuple[str, str], client: redis.Redis, cli: Run
) -> None:
    refused = cli(*command, "mail", ALONE[:6], *([] if "show" in command else ["--yes"]))
    assert (refused.code, refused.stdout if "show" in command else "") == (4, "")
    assert refused.stderr.splitlines() == [
        f"error: no job {ALONE[:6]!r} in queue 'mail'",
        f"hint: did you mean {ALONE}?",
    ]
    assert client.zcard("queue:mail:dlq") == 3
    assert [event["status"] for event in library.events(client)] == ["failed"] * ("show" not in command)


def test_several_ids_with_one_beginning_are_listed_and_counted(client: redis.Redis, cli: Run) -> None:
    error = reported(cli, "81d6-0")
    assert error["hint"] == f"2 ids begin with it: {FIRST}, {SECOND}"
    assert error["details"] == {"queue": "mail", "job_id": "81d6-0", "nearest": [FIRST, SECOND]}
    client.sadd("jobs:mail:ids", *(f"81d6-1{number}" for number in range(4)))
    assert reported(cli, "81d6-1")["hint"] == "4 ids begin with it: 81d6-10, 81d6-11, 81d6-12, …"


def test_short_or_frequent_beginnings_list_no_ids(client: redis.Redis, cli: Run) -> None:
    client.sadd("jobs:mail:ids", *(f"many-{number:04}" for number in range(150)))
    for part in (ALONE[:5], "7f3*9c", "[7]f3a9c", "many-0", "ghost-1", f"{ALONE}-longer"):
        shown = reported(cli, part)
        assert (USUAL in shown["hint"], shown["details"]["nearest"]) == (True, []), part


def test_several_ids_are_not_searched(client: redis.Redis, cli: Run) -> None:
    client.config_resetstat()
    assert cli("jobs", "retry", "mail", ALONE[:6], FIRST[:6]).code == 1
    assert "cmdstat_sscan" not in client.info("commandstats")


def test_a_user_who_may_not_search_gets_the_usual_hint(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">pw", "~*", "+@all", "-sscan")
    try:
        url = server.url.replace("unix://", "unix://reader:pw@")
        refused = cli("jobs", "show", "mail", ALONE[:6], "--redis-url", url)
        assert refused.code == 4 and USUAL in refused.stderr
    finally:
        client.execute_command("ACL", "DELUSER", "reader")
