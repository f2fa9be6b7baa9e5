"""A command that a real Redis refuses is reported as one line of error, and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result
from tests.faults.scale import record, scaled
from tests.faults.support import (
    CHANGES,
    FREEING,
    READERS,
    Args,
    Keyspace,
    Tool,
    assert_refused,
    binary_id,
    in_json,
    redis_binaries,
    seed,
)
from tests.faults.troubles import TROUBLES, Trouble

CASES = [
    pytest.param(binary, trouble, id=f"{trouble.provoke.__name__}-{binary_id(binary)}")
    for binary in redis_binaries()
    for trouble in TROUBLES
    if int(binary_id(binary).split(".")[0]) >= trouble.from_redis
]


def steady(result: Result) -> Result:
    """The result without values that change while the test runs, such as ages."""
    result = undoubted(result)
    text = re.sub(r"\bin (?:\d+[dhms] ?)+", "in", result.stdout)
    return replace(result, stdout=re.sub(r"\(.*\)|[\d:T-]*\.\d+| ?\d+[smh](?= \d|\n)", "", text))


def undoubted(result: Result) -> Result:
    """The output without the warning about a replica that has lost its primary, which every command
    prints."""
    lines = result.stderr.splitlines(keepends=True)
    kept = "".join(
        line for line in lines if "this Redis is a replica, and it has lost its primary" not in line
    )
    return replace(result, stderr=kept)


@pytest.mark.extended(first=4)
@pytest.mark.parametrize(("binary", "trouble"), CASES)
def test_a_refusal_is_one_line_and_leaves_everything_as_it_was(
    binary: Path, trouble: Trouble, tool: Tool
) -> None:
    with PrivateRedis(binary, extra=trouble.extra) as server:
        seed(server.url)
        with redis.Redis.from_url(server.url, single_connection_client=True) as admin:
            before = Keyspace(admin)
            healthy = {args: steady(tool(server.url, *args)) for args in READERS.values()}
            with trouble.provoke(server, admin) as url:
                if trouble.for_readers:
                    assert_all_refused(READERS, trouble, tool, url)
                else:
                    answers = {args: steady(tool(url, *args)) for args in READERS.values()}
                    doubted = {args: answers[args].code for args in answers if args[0] in trouble.doubted}
                    assert set(doubted.values()) <= {3}, "old data is no reason to say that all is well"
                    assert {**answers, **{args: healthy[args] for args in doubted}} == healthy
                    assert_can_be_tried(tool, url)
                refused = {name: args for name, args in CHANGES.items() if name not in trouble.takes}
                assert_all_refused(refused, trouble, tool, url)
            before.assert_untouched()


def assert_all_refused(commands: Mapping[str, Args], trouble: Trouble, tool: Tool, url: str) -> None:
    for number, args in enumerate(commands.values()):
        forms = (args, in_json(args))
        for reported in scaled((forms[number % 2],), forms):
            assert_refused(reported, undoubted(tool(url, *reported)), trouble.code, trouble.says)


def assert_can_be_tried(tool: Tool, url: str) -> None:
    """Assert that --dry-run works on a server that refuses writes."""
    for args in CHANGES.values():
        result = tool(url, *args, "--dry-run", "--json")
        assert (result.code, result.json["failed"]) == (0, 0), result
        assert result.json["succeeded"] > 0


@pytest.mark.extended(first=4)
@pytest.mark.parametrize("name", FREEING)
def test_a_full_redis_can_be_emptied(name: str, binary: Path, tool: Tool) -> None:
    """Its queues can also be paused, and each change has its event."""
    with PrivateRedis(binary) as server, redis.Redis.from_url(server.url) as admin:
        seed(server.url)
        before = Keyspace(admin)
        for known in (False, True):
            if known:
                # The second time, Redis has the script.
                assert tool(server.url, *CHANGES[name]).code == 0
                before.restore(forget_scripts=False)
            admin.config_set("maxmemory", 1)
            result = tool(server.url, *CHANGES[name], "--json")
            admin.config_set("maxmemory", 0)
            assert (result.code, result.stderr, result.json["failed"]) == (0, "", 0), result
            assert before.changed
            # For a whole queue, each of its other parts has an event, too.
            parts = [event for event in before.new_events if "part" in event["details"]]
            statuses = [event["status"] for event in before.new_events]
            assert statuses == ["success"] * (result.json["succeeded"] + max(0, len(parts) - 1))
            record("A full Redis", admin, runs=1, changes=result.json["succeeded"])
            before.restore()
