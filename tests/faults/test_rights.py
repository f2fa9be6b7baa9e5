"""The documented rights are exactly those that the tool needs. If one is missing, no change is half done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.schema.keys import METRICS_STREAM
from tests.faults.support import (
    CHANGES,
    NEW_BACKUP,
    PASSWORD,
    QUEUE,
    READERS,
    Args,
    Keyspace,
    Tool,
    assert_refused,
    seed,
)
from tests.support import library
from tools import commandtree

KEYS = "~queue:* ~jobs:* ~deps:* ~asyncmq:* ~asyncmq-cli:*"
READER_RULES = (
    "~queue:* ~jobs:* ~deps:* ~asyncmq-cli:* -@all"
    " +select +time +scan +exists +pttl +type +mget +hmget +hlen +hscan"
    " +scard +smismember +sscan +strlen +zcard +zcount +zmscore +zrange +zrangebyscore +zrevrange +zscan"
    " +xrange +xrevrange"
)
OPERATOR_RULES = (
    "~queue:* ~jobs:* ~deps:* ~asyncmq:* ~asyncmq-cli:* -@all"
    " +select +time +scan +exists +pttl +type +get +mget +hget +hmget +hexists +hlen +hscan"
    " +scard +sismember +smismember +sscan +strlen +zcard +zcount +zmscore +zrange +zrangebyscore +zrevrange"
    " +zscan +zscore"
    " +xrange +xrevrange +multi +exec +discard +eval +evalsha"
    " +set +del +unlink +incr +hset +hdel +sadd +srem +zadd +zrem +xadd"
)


def _without_notes(stderr: str) -> str:
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith("note: "))


FREE = {"auth", "hello"}
"""No user needs a right to these."""
BACKED_UP = ("jobs", "remove", QUEUE, "--yes", "--backup", str(NEW_BACKUP))
# Without the first workers are judged by their own clocks, with a warning; the second spares Redis a pause
# where a set is large.
DISPENSABLE = {"pttl", "unlink"}
LISTENING_RULES = "&asyncmq:events +subscribe"
# In addition to a reader's rights, to store snapshots of the metrics.
RECORDING_RULES = "+eval +evalsha +xadd"

READING: dict[str, Args] = {
    **READERS,
    **{f"jobs list {state}": ("jobs", "list", QUEUE, "--state", state) for state in ("all", "repeatable")},
    "jobs show old": ("jobs", "show", QUEUE, "old"),
    **{f"{name} --dry-run": (*args, "--dry-run") for name, args in CHANGES.items()},
    "jobs show large": ("jobs", "show", QUEUE, "large"),
    "jobs show running": ("jobs", "show", QUEUE, "running"),
}
IN_A_ROW: Args = ("events", "tail", "--count", "3", "--interval", "0.1", "--no-record")
RECORDING: dict[str, Args] = {
    "metrics record": ("metrics", "record"),
    "metrics show": ("metrics", "show"),
    "events tail": ("events", "tail", "--once"),
}
CHANGING: dict[str, Args] = {
    **CHANGES,
    "retry both": ("jobs", "retry", QUEUE, "dead", "large"),
    "retry large": ("jobs", "retry", QUEUE, "large"),
    "remove both": ("jobs", "remove", QUEUE, "late", "done", "--yes"),
    "remove child": ("jobs", "remove", QUEUE, "child", "--yes"),
    "remove active": ("jobs", "remove", QUEUE, "running", "--force", "--yes"),
    "remove child with a backup": (*BACKED_UP, "child"),
    "remove parent with a backup": (*BACKED_UP, "parent"),
    "cancel both": ("jobs", "cancel", QUEUE, "late", "child", "--yes"),
    "cancel late": ("jobs", "cancel", QUEUE, "late", "--yes"),
    "cancel active": ("jobs", "cancel", QUEUE, "running", "--yes"),
}


TRIED = {**READING, **RECORDING, **CHANGING}
WITHOUT_REDIS = {"context list", "context show", "context use", "context prompt", "demo", "help", "schema"}
WITH_OTHER_TESTS = {"ui", "metrics serve"}


def test_every_command_is_tried() -> None:
    names = {command.name for command in commandtree.commands()}
    tried = {name for args in TRIED.values() for name in (args[0], " ".join(args[:2]))}
    # `audit` is `audit list`.
    missing = names - tried - WITHOUT_REDIS - WITH_OTHER_TESTS - {"audit list"}
    assert not missing, f"to READERS or CHANGES of tests/faults/support.py: {missing}"


def kind_of(args: Args) -> Args:
    """The kind of a change. All changes of repeatables except `run` are one kind: they replace or remove a
    definition."""
    return args[:1] if args[0] == "repeatables" and args[1] != "run" else args[:2]


def of_kind(kind: Args) -> list[Args]:
    return [args for args in CHANGING.values() if kind_of(args) == kind]


# By kind of change. This right is needed to pause a queue on a Redis that is out of memory.
OPTIONAL: dict[Args, set[str]] = {("queues", "pause"): {"del"}}

# By kind: the rights that the preflight asks for but these jobs do not need, such as to write a record again.
ASKED_BESIDE: dict[Args, set[str]] = {
    ("jobs", "requeue"): {"evalsha", "get", "set", "sadd"},
    **{("jobs", verb): {"evalsha"} for verb in ("add", "run-now", "rerun")},
    ("repeatables", "run"): {"evalsha"},
    ("queues", "clean"): {"evalsha"},
    ("jobs", "edit"): {"evalsha"},
}

KINDS = sorted({kind_of(args) for args in CHANGING.values()})


class Guarded:
    """A server with data, a user whose rights each test sets, and an administrator.

    The data is in a database other than 0, so the tool must select it.
    """

    def __init__(self, server: PrivateRedis) -> None:
        elsewhere = server.url.replace("db=0", "db=3")
        seed(elsewhere)
        self.url = elsewhere.replace("unix://", f"unix://user:{quote(PASSWORD)}@")
        self.admin = redis.Redis.from_url(elsewhere)
        self.keyspace = Keyspace(self.admin)
        self._used: dict[Args, set[str]] = {}

    def grant(self, *rules: str) -> None:
        words = " ".join(rules).split()
        self.admin.execute_command("ACL", "SETUSER", "user", "reset", "on", f">{PASSWORD}", *words)

    def used_by(self, tool: Tool, *commands: Args) -> set[str]:
        """The Redis commands that these command lines use, within scripts too."""
        return set().union(*(self._used_by(tool, args) for args in commands))

    def _used_by(self, tool: Tool, args: Args) -> set[str]:
        if args not in self._used:
            self.keyspace.restore()
            self.grant("~* +@all")
            self.admin.config_resetstat()
            assert tool(self.url, *args).code == 0
            counted = {name.removeprefix("cmdstat_") for name in self.admin.info("commandstats")}
            self._used[args] = counted - {"config|resetstat", "config", "info", *FREE}
        return self._used[args]


@pytest.fixture(scope="module")
def guarded(binary: Path) -> Iterator[Guarded]:
    with PrivateRedis(binary) as server:
        yield Guarded(server)


@pytest.mark.extended(first=40)
@pytest.mark.parametrize("args", READING.values(), ids=list(READING))
def test_a_reader_needs_no_more_than_its_rules(args: Args, guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    guarded.grant(READER_RULES)
    result = tool(guarded.url, *args)
    assert (result.code, _without_notes(result.stderr)) == (0, ""), result.stderr
    guarded.keyspace.assert_untouched()


def test_without_the_right_to_ask_for_a_ttl_workers_are_judged_by_their_clocks(
    guarded: Guarded, tool: Tool
) -> None:
    guarded.keyspace.restore()
    guarded.grant(READER_RULES.replace(" +pttl", ""))
    result = tool(guarded.url, "workers", "list")
    assert result.code == 0 and result.stdout.startswith("worker-1\t")
    assert "may not run PTTL" in result.stderr and result.stderr.count("warning") == 1


@pytest.mark.parametrize("args", CHANGING.values(), ids=list(CHANGING))
def test_an_operator_needs_no_more_than_its_rules(args: Args, guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    guarded.grant(OPERATOR_RULES)
    assert tool(guarded.url, *args).code == 0
    assert guarded.keyspace.changed
    assert {event["status"] for event in guarded.keyspace.new_events} == {"success"}


def test_no_command_is_granted_for_nothing(guarded: Guarded, tool: Tool) -> None:
    reading = guarded.used_by(tool, *READING.values())
    changing = guarded.used_by(tool, *CHANGING.values())
    for used, rules in ((reading, READER_RULES), (reading | changing, OPERATOR_RULES)):
        granted = {rule.removeprefix("+") for rule in rules.split() if rule.startswith("+")}
        missing, unused = sorted(used - granted), sorted(granted - used)
        assert (missing, unused) == ([], []), f"not granted: {missing}; granted and not used: {unused}"


@pytest.mark.parametrize(
    ("rules", "commands"), [(READER_RULES, READING), (OPERATOR_RULES, CHANGING)], ids=["reader", "operator"]
)
def test_no_key_is_granted_for_nothing(
    rules: str, commands: dict[str, Args], guarded: Guarded, tool: Tool
) -> None:
    for pattern in [rule for rule in rules.split() if rule.startswith("~")]:
        guarded.keyspace.restore()
        guarded.grant(*(rule for rule in rules.split() if rule != pattern))
        assert any(tool(guarded.url, *args).code == 3 for args in commands.values()), pattern


@pytest.mark.parametrize("args", CHANGING.values(), ids=list(CHANGING))
def test_a_change_needs_no_right_of_another_kind_of_change(args: Args, guarded: Guarded, tool: Tool) -> None:
    # A script skips deletions without effect, but the preflight asks for their rights.
    needed = guarded.used_by(tool, *of_kind(kind_of(args))) | {"del", "hdel", "srem", "zrem"}
    needed |= ASKED_BESIDE.get(kind_of(args), set())
    guarded.keyspace.restore()
    guarded.grant(KEYS, "-@all", *(f"+{command}" for command in needed))
    result = tool(guarded.url, *args)
    assert (result.code, _without_notes(result.stderr)) == (0, ""), result.stderr


@pytest.mark.extended(first=6)
@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_a_change_without_one_right_is_not_begun(kind: Args, guarded: Guarded, tool: Tool) -> None:
    """Redis does not roll back a script when a later command in it is refused."""
    for missing in sorted(guarded.used_by(tool, *of_kind(kind)) - DISPENSABLE - OPTIONAL.get(kind, set())):
        args = next(args for args in of_kind(kind) if missing in guarded.used_by(tool, args))
        guarded.keyspace.restore()
        guarded.grant("~* +@all", f"-{missing}")
        result = tool(guarded.url, *args, "--json")
        assert_refused((*args, "--json"), result, "redis_permission", missing)
        assert guarded.keyspace.new_events == [], (missing, result)
        guarded.keyspace.assert_untouched()


@pytest.mark.extended(first=20)
@pytest.mark.parametrize("args", CHANGES.values(), ids=list(CHANGES))
def test_a_change_to_keys_that_the_user_may_not_touch_is_not_begun(
    args: Args, guarded: Guarded, tool: Tool
) -> None:
    for forbidden in KEYS.split():
        guarded.keyspace.restore()
        guarded.grant("+@all", *(pattern for pattern in KEYS.split() if pattern != forbidden))
        result = tool(guarded.url, *args)
        if result.code == 0:
            assert forbidden not in ("~queue:*", "~asyncmq-cli:*"), "every change is to a queue, and audited"
            assert {event["status"] for event in guarded.keyspace.new_events} == {"success"}
        else:
            assert_refused(args, result, "redis_permission", "key")
            guarded.keyspace.assert_untouched()


def test_an_unrecordable_attempt_names_the_missing_right(guarded: Guarded, tool: Tool) -> None:
    """No preflight precedes the script that records a refused attempt."""
    guarded.keyspace.restore()
    guarded.grant("~* +@all -xadd")
    args = ("jobs", "retry", QUEUE, "no-such-job")
    result = tool(guarded.url, *args)
    assert (result.code, result.lines[0].split("\t")[:3]) == (3, ["failed", QUEUE, "no-such-job"])
    assert result.stderr.startswith("error: the Redis user may not do this: ")
    assert library.dump(guarded.admin) == guarded.keyspace.values


@pytest.mark.parametrize(
    "rules", [f"{READER_RULES} {RECORDING_RULES}", OPERATOR_RULES], ids=["reader", "operator"]
)
@pytest.mark.parametrize("args", RECORDING.values(), ids=list(RECORDING))
def test_a_snapshot_is_kept_with_the_rights_that_it_takes(
    args: Args, rules: str, guarded: Guarded, tool: Tool
) -> None:
    guarded.keyspace.restore()
    guarded.grant(rules)
    result = tool(guarded.url, *args)
    assert (result.code, _without_notes(result.stderr)) == (0, ""), result.stderr
    assert guarded.admin.xlen(METRICS_STREAM) == 1


@pytest.mark.parametrize("missing", ["evalsha", "eval", "time", "type", "xrevrange", "xadd"])
def test_a_snapshot_that_may_not_be_kept_is_not(missing: str, guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    guarded.grant("~* +@all", f"-{missing}")
    args = ("metrics", "record", "--json")
    # Redis does not always name the command that it refused in a script.
    says = "script" if missing in ("xrevrange", "xadd") else missing
    assert_refused(args, tool(guarded.url, *args), "redis_permission", says)
    assert guarded.admin.exists(METRICS_STREAM) == 0


def test_a_reader_is_warned_once_that_its_snapshots_are_not_kept(guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    guarded.grant(READER_RULES)
    for args in (("metrics", "show"), ("events", "tail", "--count", "3", "--interval", "0.1")):
        result = tool(guarded.url, *args)
        assert (result.code, result.stderr.count("\n")) == (0, 1)
        assert result.stderr.startswith("warning: the metrics history cannot be written: the Redis user ")


def test_reads_in_a_row_need_no_more_than_a_readers_rules(guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    guarded.grant(READER_RULES)
    result = tool(guarded.url, *IN_A_ROW)
    assert (result.code, result.stderr, len(result.lines)) == (0, "", 21)


def test_a_listener_needs_the_channel(guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(0.05):
            guarded.admin.publish("asyncmq:events", '{"event": "job:stalled", "data": {}, "ts": 1}')

    publisher = threading.Thread(target=publish)
    publisher.start()
    args = ("events", "tail", "--event", "runtime", "--once")
    try:
        guarded.grant("resetchannels", READER_RULES, LISTENING_RULES)
        result = tool(guarded.url, *args)
        assert (result.code, result.stderr, len(result.lines)) == (0, "", 1)
        guarded.grant("resetchannels", READER_RULES, "+subscribe")
        assert_refused(args, tool(guarded.url, *args), "redis_permission", "channel")
        guarded.grant("resetchannels", READER_RULES, "&asyncmq:events")
        assert_refused(args, tool(guarded.url, *args), "redis_permission", "subscribe")
    finally:
        stop.set()
        publisher.join()


def test_the_documented_rules_are_those_that_are_tested() -> None:
    text = " ".join((Path(__file__).parents[2] / "docs" / "connecting.md").read_text().split())
    for rules in (READER_RULES, OPERATOR_RULES, RECORDING_RULES, LISTENING_RULES):
        assert rules in text
