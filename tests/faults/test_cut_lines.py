"""The connection to Redis is cut, or stalls, after any number of bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result
from tests.faults.fakes import Proxy
from tests.faults.scale import scaled
from tests.faults.support import (
    CHANGES,
    QUEUE,
    READERS,
    Args,
    Keyspace,
    Tool,
    assert_done,
    assert_refused,
    in_json,
)

CUTS = scaled(6, 96)
SLACK = 16
"""The server's time and its scores take a few bytes more or fewer from one run to the next; a line
that is cut beyond the end of the answer is not cut."""
STALLS = scaled(1, 12)


@dataclass(frozen=True)
class Conversation:
    """A command on an intact connection: its result, how many bytes Redis sent, and how many changes were
    recorded. The number of bytes varies slightly, because replies contain the time."""

    result: Result
    length: int
    events: int


def conversation(server: PrivateRedis, keyspace: Keyspace, tool: Tool, args: Args) -> Conversation:
    with Proxy(server.socket) as proxy:
        result = tool(proxy.url, *args)
    assert_done(args, result)
    events = len(keyspace.new_events)
    keyspace.restore()
    return Conversation(result, proxy.passed, events)


def points(length: int, count: int) -> list[int]:
    """Byte positions spread over the conversation, from before its first byte to within its last reply."""
    return sorted({0, 1, 2, *range(0, length - 5, max(1, length // count)), length - 6, length - 5})


@pytest.mark.extended(first=6)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("args", READERS.values(), ids=list(READERS))
def test_a_reader_whose_connection_is_cut_never_prints_a_part_as_the_whole(
    args: Args, as_json: bool, server: PrivateRedis, keyspace: Keyspace, tool: Tool
) -> None:
    args = in_json(args) if as_json else args
    sound = conversation(server, keyspace, tool, args)
    for limit in points(sound.length - SLACK, CUTS):
        with Proxy(server.socket, limit=limit) as proxy:
            result = tool(proxy.url, *args)
        if not proxy.cut:
            continue
        tells_monitors = args[0] == "check" or args[:2] == ("metrics", "prometheus")
        rest = result if tells_monitors else without_first_rows(result, sound.result)
        assert_refused(args, rest, "redis_unreachable", "cannot reach Redis")


def without_first_rows(result: Result, sound: Result) -> Result:
    """The result without its rows. Asserts that these are the first rows of the intact result, each one
    whole."""
    rows = sound.lines[: len(result.lines)]
    assert [row.split("\t")[:9] for row in result.lines] == [row.split("\t")[:9] for row in rows]
    assert result.stdout == "" or (result.stdout.endswith("\n") and len(rows) < len(sound.lines))
    return Result(result.code, "", result.stderr)


# A queue is obliterated in several transactions.
IN_ONE_STEP = {name: args for name, args in CHANGES.items() if name != "obliterate"}


@pytest.mark.extended(first=6)
@pytest.mark.parametrize("args", IN_ONE_STEP.values(), ids=list(IN_ONE_STEP))
def test_a_change_whose_connection_is_cut_is_made_whole_or_not_at_all(
    args: Args, server: PrivateRedis, keyspace: Keyspace, tool: Tool
) -> None:
    sound = conversation(server, keyspace, tool, args)
    made = []
    for number, limit in enumerate(points(sound.length, CUTS)):
        reported = (*args, "--json") if number % 2 else args
        with Proxy(server.socket, limit=limit) as proxy:
            result = tool(proxy.url, *reported)
        if not proxy.cut:
            continue
        assert_refused(reported, result, "redis_unreachable", "cannot reach Redis")
        made.append(assert_whole(keyspace, sound.events))
        keyspace.restore()
    assert made[0] is False, "nothing was heard from Redis, so nothing was asked of it"
    assert any(made), "all but the last bytes of its answer were heard"


@pytest.mark.extended(first=11)
@pytest.mark.parametrize("args", [*READERS.values(), *IN_ONE_STEP.values()], ids=[*READERS, *IN_ONE_STEP])
def test_a_stalled_connection_is_given_up_after_the_timeout(
    args: Args, server: PrivateRedis, keyspace: Keyspace, tool: Tool
) -> None:
    args = in_json(args)
    sound = conversation(server, keyspace, tool, args)
    for limit in points(sound.length, STALLS)[3:]:
        with Proxy(server.socket, limit=limit, stall=True) as proxy:
            result = tool(proxy.url, "--timeout", "0.05", *args)
        if proxy.cut:
            assert_refused(args, result, "redis_timeout", "did not answer within 0.05 s")
        assert_whole(keyspace, sound.events)
        keyspace.restore()


@pytest.mark.extended
def test_an_obliteration_can_be_continued_after_its_connection_was_cut(
    server: PrivateRedis, keyspace: Keyspace, tool: Tool
) -> None:
    args = CHANGES["obliterate"]
    sound = conversation(server, keyspace, tool, args)
    for limit in points(sound.length, CUTS):
        with Proxy(server.socket, limit=limit) as proxy:
            result = tool(proxy.url, *args)
        if not proxy.cut:
            continue
        assert result.code == 3 and "error: cannot reach Redis" in result.stderr, result
        at_first = keyspace.new_events
        again = tool(server.url, *args)
        assert again.code in (0, 4), "there is nothing more to remove, or no such queue"
        assert not keyspace.of_queue(QUEUE)
        events = keyspace.new_events
        assert {event["status"] for event in (events if again.code == 0 else at_first)} == {"success"}
        jobs = Counter(
            event["job_id"] for event in events if event["job_id"] and event["status"] == "success"
        )
        assert set(jobs.values()) == {1}
        keyspace.restore()


def assert_whole(keyspace: Keyspace, events: int) -> bool:
    """Whether the changes were made. Fails unless all were made with their events, or none."""
    changed = keyspace.changed
    assert [event["status"] for event in keyspace.new_events] == ["success"] * events * changed
    return changed
