"""A right is withdrawn between the preflight and the script: the change is made completely, with its event,
or not at all.

Each command and each key pattern of a change is withdrawn separately, on every server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.write.scripts import Scripts
from tests.conftest import Result, run_tool
from tests.faults.scale import WHOLE, record
from tests.faults.support import LOST, NEW_BACKUP, QUEUE, Args, Tool, error_of
from tests.faults.test_rights import CHANGING, KEYS, OPTIONAL, Guarded
from tests.support import library

HURT = "hurt"
"""A queue in which each of the doctor's scripts has something to repair."""
LEFT = "left"
"""A queue of which there is nothing but its counter."""
REPAIR = ("doctor", HURT, "--repair", "--yes", "--code")

EDITED = str(NEW_BACKUP.with_name("edited.ndjson"))
"""The backup of a job that was edited and retried, and waits."""

ALL_CHANGES: dict[str, Args] = {
    # One of two different jobs may need a right that the other does not.
    # A queue is obliterated in several transactions.
    **{
        name: args
        for name, args in CHANGING.items()
        if name not in ("restore", "obliterate") and not name.endswith(" both")
    },
    "pause for": ("queues", "pause", QUEUE, "--for", "1h"),
    "forget": ("queues", "forget", LEFT),
    "cancel child": ("jobs", "cancel", QUEUE, "child", "--yes"),
    "restore": ("jobs", "restore", LOST, "lost", "--yes"),
    "restore edited": ("jobs", "restore", EDITED, "--yes"),
    "restore waiting": ("jobs", "restore", LOST, "gone", "--yes"),
    "remove parent": ("jobs", "remove", QUEUE, "parent", "--yes"),
    "retry many": ("dlq", "retry", "many", "--all", "--yes"),
    "repair enqueue": (*REPAIR, "waiting_unlisted"),
    "repair release": (*REPAIR, "parents_done"),
    "repair put back": (*REPAIR, "failed_unlisted"),
    "repair index": (*REPAIR, "record_unindexed"),
    "repair state": (*REPAIR, "dead_state_wrong"),
    "repair forget": (*REPAIR, "id_without_record"),
    "repair drop": (*REPAIR, "dead_letter_stale"),
}
# At least one for each script.
OF_EACH_SCRIPT = (
    *("edit", "restore edited"),
    *("retry", "retry large", "remove child", "remove with a backup", "cancel late", "restore", "pause"),
    *("add", "run now", "requeue", "resume", "repeatables pause", "repeatables remove", "retry many"),
    *(name for name in ALL_CHANGES if name.startswith("repair ")),
)
# `drain` makes two runs: the first may succeed before the second is refused.
TRIED = [name for name in ALL_CHANGES if name != "drain"] if WHOLE else OF_EACH_SCRIPT
_PASSING = re.compile(r"\b1[0-9]{9}\.[0-9]+\b|\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b")
BY_KEYS = TRIED if WHOLE else ("retry", "remove child", "restore", "pause")
WRITES = {"set", "del", "unlink", "incr", "hset", "hdel", "sadd", "srem", "zadd", "zrem", "xadd"}


def hurt(url: str, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        made = [
            *(
                (state, library.job(f"{state}-{what}"))
                for state in ("waiting", "failed")
                for what in ("off", "no")
            ),
            ("completed", library.job("parent")),
            ("waiting", library.job("twice")),
        ]
        await library.fill(opened, HURT, made)
        await library.fill(opened, "edited", [("failed", library.job("edited"))])
        await library.fill(opened, "many", [("failed", library.job(f"m-{number}")) for number in range(6)])

    library.with_backend(url, fill)
    client.set(f"queue:{LEFT}:waiting:seq", 3)
    Path(EDITED).unlink(missing_ok=True)
    edit = ("jobs", "retry", "edited", "edited", "--set", "args[0]=7", "--backup", EDITED)
    assert run_tool(*edit, url=url).code == 0
    client.zrem(f"queue:{HURT}:waiting", "waiting-off")
    client.srem(f"jobs:{HURT}:ids", "waiting-no")
    for member in client.zrange(f"queue:{HURT}:dlq", 0, -1):
        if json.loads(member)["id"] == "failed-off":
            client.zrem(f"queue:{HURT}:dlq", member)
    client.hset(f"jobs:{HURT}:states", "failed-no", "waiting")
    client.zadd(f"queue:{HURT}:dlq", {json.dumps(library.job("twice", status="failed")): 1.7e9})
    client.sadd(f"jobs:{HURT}:ids", "nothing")
    child = library.job("child", depends_on=["parent"])
    client.set(f"jobs:{HURT}:child", json.dumps(child))
    client.sadd(f"jobs:{HURT}:ids", "child")
    client.sadd(f"deps:{HURT}:child:pending", "parent")
    client.sadd(f"deps:{HURT}:parent:parent", "child")


class UserLosingRights(Guarded):
    """A server whose user loses rights just before the next script."""

    def __init__(self, server: PrivateRedis) -> None:
        elsewhere = server.url.replace("db=0", "db=3")
        with redis.Redis.from_url(elsewhere) as client:
            hurt(elsewhere, client)
        super().__init__(server)
        self.rules: tuple[str, ...] = ()
        self._whole: dict[Args, Any] = {}

    def withdraw(self) -> None:
        rules, self.rules = self.rules, ()
        if rules:
            self.admin.execute_command("ACL", "SETUSER", "user", *rules)

    def run(self, tool: Tool, args: Args, *rules: str) -> Result:
        self.keyspace.restore()
        self.grant("~* +@all")
        self.rules = rules
        result = tool(self.url, *args, "--json")
        self.rules = ()
        return result

    def whole(self, tool: Tool, args: Args) -> Any:
        """The keys after the complete change."""
        if args not in self._whole:
            assert self.run(tool, args).code == 0
            assert self.keyspace.changed
            self._whole[args] = self.outcome()
        return self._whole[args]

    def outcome(self) -> tuple[Any, list[tuple[str, str, str]]]:
        """All keys, without times and random ids, and the new events."""
        found = library.dump(self.admin)
        values = sorted(
            (
                _lasting(key),
                _lasting([member for member, _ in value] if kind == "zset" else value),
            )
            for key, (kind, value) in found.items()
        )
        return values, [
            (event["action"], _lasting(event["job_id"]), event["status"])
            for event in self.keyspace.new_events
        ]


def _lasting(value: Any) -> str:
    """A value as text, without the current time and random ids."""
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, set | list):
        return str(sorted(_lasting(part) for part in value))
    return _PASSING.sub("~", repr(value))


@pytest.fixture(scope="module")
def sufferer(binary: Path) -> Iterator[UserLosingRights]:
    with PrivateRedis(binary) as server:
        yield UserLosingRights(server)


@pytest.fixture(autouse=True)
def withdrawing(sufferer: UserLosingRights, monkeypatch: pytest.MonkeyPatch) -> None:
    def hook(name: str) -> None:
        original = getattr(Scripts, name)

        def hooked(scripts: Scripts, *args: Any) -> Any:
            sufferer.withdraw()
            return original(scripts, *args)

        monkeypatch.setattr(Scripts, name, hooked)

    hook("send_together")
    hook("run")


@pytest.mark.extended(first=14)
@pytest.mark.parametrize("name", TRIED)
def test_a_command_that_is_withdrawn_leaves_nothing_half_done(
    name: str, sufferer: UserLosingRights, tool: Tool
) -> None:
    args = ALL_CHANGES[name]
    used = sufferer.used_by(tool, args)
    optional = OPTIONAL.get(args[:2], set()) | {"unlink"}
    for command in sorted(used if WHOLE else used & WRITES):
        whole = sufferer.whole(tool, args)
        result = sufferer.run(tool, args, f"-{command}")
        assert_all_or_nothing(sufferer, result, whole, f"{name} without {command}")
        if command in WRITES - optional:
            error = error_of(result)
            assert (result.code, error["code"]) == (3, "redis_permission"), result
            assert command in error["message"], result


@pytest.mark.parametrize("name", BY_KEYS)
def test_keys_that_are_withdrawn_leave_nothing_half_done(
    name: str, sufferer: UserLosingRights, tool: Tool
) -> None:
    args = ALL_CHANGES[name]
    whole = sufferer.whole(tool, args)
    patterns = KEYS.split()
    reported = sufferer.admin.info("server")
    by_direction = not reported["redis_version"].startswith("6.")
    for pattern in patterns:
        others = [other for other in patterns if other != pattern]
        readable = [[*others, f"%R{pattern}"]] if by_direction else []
        for left in (others, *readable):
            result = sufferer.run(tool, args, "resetkeys", *left)
            assert_all_or_nothing(sufferer, result, whole, f"{name} with {left}")


@pytest.mark.extended
@pytest.mark.parametrize("command", sorted(WRITES - {"xadd"}))
def test_an_obliteration_that_is_refused_leaves_each_job_whole_or_gone(
    command: str, sufferer: UserLosingRights, tool: Tool
) -> None:
    result = sufferer.run(tool, CHANGING["obliterate"], f"-{command}")
    record("Rights withdrawn", sufferer.admin, runs=1)
    assert result.code == 0 or (result.code, error_of(result)["code"]) == (3, "redis_permission"), result
    before, after = sufferer.keyspace.values, library.dump(sufferer.admin)
    events = [event for event in sufferer.keyspace.new_events if event["status"] == "success"]
    gone = {event["job_id"] for event in events}
    for key, (kind, _) in before.items():
        name = key.decode()
        if name.startswith(f"jobs:{QUEUE}:") and kind == "string":
            assert (key not in after) == (name.split(":")[2] in gone), (name, events)


def assert_all_or_nothing(sufferer: UserLosingRights, result: Result, whole: Any, reported: str) -> None:
    record("Rights withdrawn", sufferer.admin, runs=1)
    if result.code == 0:
        assert sufferer.outcome() == whole, reported
        return
    assert (result.code, error_of(result)["code"]) == (3, "redis_permission"), f"{reported}: {result}"
    sufferer.keyspace.assert_untouched()
