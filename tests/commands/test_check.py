"""`check`, as a monitor and as a person meet it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, Run, run_tool
from tests.support import library
from tests.support.terminal import on_terminal

DOCUMENT = ["state", "exit_status", "summary", "timestamp", "time", "queues", "probes"]
PROBE = ["probe", "queue", "value", "warning", "critical", "state", "message"]
ALWAYS = ["unattended", "paused", "overdue", "lost", "silent"]
LINE = re.compile(r"ASYNCMQ (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| (?P<perfdata>.*))?\n")
PERFDATA = re.compile(r"[a-z-]+=(U|[0-9.]+s?);([0-9.]+:?)?;([0-9.]+:?)?;0")
MINUTE = 60.0

FIVE_WAIT = [("waiting", library.job(f"w{number}")) for number in range(5)]
THREE_DIED = [("failed", library.job("f1")), ("failed", library.job("f2")), ("expired", library.job("e1"))]


def fill(url: str, queue: str, jobs: list[tuple[str, dict[str, Any]]], workers: int = 0) -> None:
    async def story(opened: RedisBackend) -> None:
        await library.fill(opened, queue, jobs)
        for number in range(workers):
            # Its clock is far ahead, so that it stays alive.
            await library.enlist(opened, f"{queue}-{number}", queue, 4)

    library.with_backend(url, story)


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    """A queue without problems, except for those that thresholds define."""
    fill(server.url, "mail", [*THREE_DIED, *FIVE_WAIT], workers=2)


def probes(result: Result, name: str) -> dict[str, tuple[Any, str]]:
    """By queue: the value of a probe, and its state."""
    return {
        one["queue"]: (one["value"], one["state"]) for one in result.json["probes"] if one["probe"] == name
    }


def test_all_is_well(cli: Run) -> None:
    result = cli("check")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == (
        "ASYNCMQ OK - 1 queue is well | unattended=0;;0;0 paused=0;0;;0 overdue=0;0;;0 lost=0;;0;0 "
        "silent=0;0;;0\n"
    )
    assert cli("check", "--quiet") == Result(0, "", "")
    assert cli("check", "--quiet", "--json") == Result(0, "", "")


def test_the_document(cli: Run) -> None:
    document = cli("check", "--max-waiting", "10:20", "--json").json
    assert list(document) == DOCUMENT
    assert [list(probe) for probe in document["probes"]] == [PROBE] * 7
    assert [probe["probe"] for probe in document["probes"]] == ["redis", *ALWAYS, "waiting"]
    assert (document["state"], document["exit_status"], document["queues"]) == ("ok", 0, ["mail"])
    assert document["time"].endswith("+00:00")
    assert document["probes"][0]["value"] > 0
    assert document["probes"][-1] == {
        "probe": "waiting",
        "queue": "mail",
        "value": 5,
        "warning": 10,
        "critical": 20,
        "state": "ok",
        "message": None,
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-waiting", 5),
        ("--max-failed", 2),
        ("--max-dlq", 3),
        ("--max-delayed-due", 1),
        ("--max-overdue", 1),
        ("--max-lost", 2),
    ],
)
def test_below_at_and_above_each_bound(
    option: str, value: int, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    now = time.time()
    late = [
        ("delayed-overdue", library.job("late")),
        ("active", library.job("a1")),
        ("active", library.job("a2")),
    ]
    fill(server.url, "mail", late)
    # Their heartbeats have stopped.
    client.hset("queue:mail:active", mapping=dict.fromkeys(("a1", "a2"), now - 9000))
    client.hset("queue:mail:heartbeats", mapping=dict.fromkeys(("a1", "a2"), now - 8000))
    client.zadd("queue:mail:repeatables", {json.dumps({"task_id": "tick", "every": 60}): now - 2 * MINUTE})
    tolerant = {"--max-overdue": "9", "--max-lost": "9"}

    def code(threshold: str) -> int:
        others = [word for pair in tolerant.items() if pair[0] != option for word in pair]
        return cli("check", option, threshold, *others).code

    above, at, below = str(value + 1), str(value), str(value - 1)
    assert [code(above), code(at), code(below)] == [0, 0, 1]
    assert [code(f":{at}"), code(f":{below}")] == [0, 2]
    assert [code(f"{at}:{above}"), code(f"{below}:{at}"), code(f"{below}:{below}")] == [0, 1, 2]


def test_too_few_workers(cli: Run) -> None:
    codes = [cli("check", "--min-workers", text).code for text in ("1", "2", "3", "3:2", "4:3", ":3", "2:1")]
    assert codes == [0, 0, 1, 1, 2, 2, 0]
    line = cli("check", "--min-workers", "9:3").stdout
    assert line.startswith("ASYNCMQ CRITICAL - mail: 2 live workers (at least 3) | ")
    assert line.endswith(" workers=2;9:;3:;0\n")


def test_how_long_jobs_wait_and_run(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    now = time.time()
    fill(
        server.url,
        "mail",
        [("active", library.job("runs")), ("waiting", library.job("old", created_at=now - 3600, priority=9))],
    )
    client.hset("queue:mail:active", "runs", repr(now - 3600))
    for option, words in (
        ("--max-oldest", "the oldest has waited 1h"),
        ("--max-running", "one has been active for 1h"),
    ):
        assert [cli("check", option, text).code for text in ("2h", "30m", "30m:2h", "10m:30m")] == [
            0,
            1,
            1,
            2,
        ]
        assert cli("check", option, "10m:30m").stdout.startswith(
            f"ASYNCMQ CRITICAL - mail: {words} (at most 30m) | "
        )
    client.delete("queue:mail:waiting", "queue:mail:active")
    document = cli("check", "--max-oldest", "0s", "--max-running", "0s", "--json")
    assert document.code == 0
    assert probes(document, "oldest") == probes(document, "running") == {"mail": (None, "ok")}
    assert cli("check", "--max-oldest", "0s").stdout.endswith(" oldest=0s;0;;0\n")


def test_a_backlog_without_a_worker_is_critical(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    fill(server.url, "alone", [*FIVE_WAIT[:2], ("delayed-overdue", library.job("late"))])
    result = cli("check")
    assert result.code == 2
    assert result.stdout.startswith(
        "ASYNCMQ CRITICAL - alone: a backlog of 3 and no live worker | unattended=3;;0;0 "
    )
    assert probes(cli("check", "--json"), "unattended") == {"alone": (3, "critical"), "mail": (0, "ok")}
    assert cli("check", "--queue", "mail").code == 0

    assert cli("queues", "pause", "alone").code == 0
    result = cli("check")
    assert result.code == 1
    assert result.stdout.startswith("ASYNCMQ WARNING - alone: paused with a backlog of 3 | ")
    assert probes(cli("check", "--json"), "unattended")["alone"] == (0, "ok")
    client.delete("queue:alone:waiting", "queue:alone:delayed")
    assert cli("check").code == 0, "a paused queue in which there is nothing to do is well"


def test_delayed_jobs_that_are_not_due_are_no_backlog(server: PrivateRedis, cli: Run) -> None:
    fill(server.url, "later", [("delayed", library.job("soon"))])
    assert cli("check", "--max-delayed-due", "0").code == 0


def test_the_worst_queue_is_named_first_and_the_others_are_counted(server: PrivateRedis, cli: Run) -> None:
    for queue, waiting in (("a", 4), ("b", 1), ("c", 3), ("d", 2), ("e", 0)):
        fill(server.url, queue, FIVE_WAIT[:waiting], workers=1)
    fill(server.url, "held", FIVE_WAIT[:1])
    result = cli("check", "--max-waiting", "0:3")
    assert result.stdout.startswith(
        "ASYNCMQ CRITICAL - held: a backlog of 1 and no live worker; mail: 5 waiting (at most 3); "
        "a: 4 waiting (at most 3); and 4 more (--json has all) | "
    )
    assert cli("check", "--max-waiting", "0:3", "--json").json["summary"].endswith("; and 4 more")
    assert " waiting=5;0;3;0\n" in result.stdout, "the numbers are those of the worst queue"


def test_a_person_sees_every_finding_below_the_line(server: PrivateRedis) -> None:
    for queue, waiting in (("a", 4), ("b", 4), ("c", 4)):
        fill(server.url, queue, FIVE_WAIT[:waiting], workers=1)
    screen = on_terminal("check", "--max-waiting", "0:3", url=server.url, columns=400)
    assert screen.lines[0].count("; and 1 more (below) | ") == 1
    assert screen.lines[1:] == [
        *(f"  critical  {queue}: {count} waiting (at most 3)" for queue, count in (("mail", 5), ("a", 4))),
        *(f"  critical  {queue}: 4 waiting (at most 3)" for queue in ("b", "c")),
    ]
    screen = on_terminal("check", "--queue", "mail", "--max-waiting", "0:3", url=server.url, columns=400)
    assert len(screen.lines) == 1


def test_on_a_terminal_redis_that_is_away_is_said_once(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/r.sock"
    screen = on_terminal("check", url=url, columns=300)
    assert screen.code == 3
    assert screen.lines == [
        f"ASYNCMQ UNKNOWN - cannot reach Redis at {url}: No such file or directory",
        "hint: is Redis running there? set --redis-url or ASYNCMQ_REDIS_URL",
    ]


def test_the_values_of_check_are_those_of_queues_list(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    jobs = [(state, library.job(state)) for state in library.STATES if state != "waiting-children"]
    fill(server.url, "tenant:a", sorted(jobs, key=lambda job: job[0].startswith("waiting")), workers=1)
    fill(server.url, "empty", [], workers=1)
    # Members that are not what their place says: a job that has ended, one that waits for a parent,
    # and values that are not jobs.
    fill(server.url, "odd", [("completed", library.job("done")), ("waiting", library.job("w"))])
    client.zadd("queue:odd:waiting", {"done": 1, "child": 2})
    client.set("jobs:odd:child", json.dumps(library.job("child", depends_on=["w"])))
    client.zadd("queue:odd:dlq", {"no job": 1.0})
    client.set("queue:spoilt:waiting", "text")
    client.set("queue:spoilt:dlq", "text")
    client.set("queue:spoilt:heartbeats", "text")

    asked = ["--max-waiting", "0", "--max-failed", "0", "--max-dlq", "0", "--min-workers", "0"]
    rows = cli("queues", "list", "--json").json["queues"]
    result = cli("check", *asked, "--max-oldest", "0s", "--json")
    later = cli("queues", "list", "--json").json["queues"]
    for name in ("waiting", "failed", "dlq", "workers"):
        values = {queue: value for queue, (value, _) in probes(result, name).items()}
        assert values == {row["name"]: row[name] for row in rows}, name
    ages = {queue: value for queue, (value, _) in probes(result, "oldest").items()}
    for row, after in zip(rows, later, strict=True):
        before = row["oldest_waiting_seconds"]
        if before is None:
            assert ages[row["name"]] is None
        else:
            assert before <= ages[row["name"]] <= after["oldest_waiting_seconds"]
    unread = {(one["probe"], one["queue"]) for one in result.json["probes"] if one["state"] == "unknown"}
    names = ("unattended", "lost", "waiting", "oldest", "failed", "dlq", "workers")
    assert unread == {(name, "spoilt") for name in names} - {("lost", "spoilt")}


def test_what_cannot_be_read_is_unknown_and_never_well(client: redis.Redis, cli: Run) -> None:
    client.delete("queue:mail:waiting")
    client.set("queue:mail:waiting", "text")
    result = cli("check", "--max-waiting", "0:9")
    reason = "the key 'queue:mail:waiting' is not of the type that AsyncMQ uses"
    assert result.code == 3
    assert result.stdout.startswith(f"ASYNCMQ UNKNOWN - mail: {reason} | ")
    assert result.stdout.endswith(" waiting=U;0;9;0\n")
    assert result.stderr == f"warning: queue 'mail': {reason}\n"
    # What is known to be critical stays so.
    assert cli("check", "--max-waiting", "0", "--max-dlq", ":0").code == 2
    assert cli("check", "--max-waiting", "0", "--max-dlq", "0").code == 3


def test_waiting_jobs_that_do_not_tell_their_age(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    client.delete("queue:mail:waiting")
    fill(server.url, "mail", [("waiting", library.job("ageless", created_at=None))])
    assert cli("check").code == 0
    result = cli("check", "--max-oldest", "1h")
    assert (
        result.code,
        "no job at the head of its priority has a creation time" in result.stdout,
    ) == (3, True)


def test_a_queue_that_is_not_there_is_unknown_with_the_nearest_names(cli: Run) -> None:
    result = cli("check", "--queue", "mial", "--queue", "mail")
    assert (result.code, result.stderr) == (3, "")
    assert result.stdout.startswith("ASYNCMQ UNKNOWN - no queue named 'mial' (did you mean mail?) | ")
    document = cli("check", "--queue", "mial", "--json")
    assert (document.code, document.json["queues"]) == (3, [])
    assert probes(document, "exists") == {"mial": (None, "unknown")}
    assert cli("check", "--queue", "mial", "--queue", "mail", "--max-dlq", ":0").code == 2


def test_a_name_cannot_break_the_line(server: PrivateRedis, cli: Run) -> None:
    for name in ("a|b=1;2", "two\nlines", "\x1b[31mred", "sec\u202eret"):
        fill(server.url, name, FIVE_WAIT[:1])
    result = cli("check", "--max-waiting", "0")
    assert result.stdout[:-1].isprintable()
    found = LINE.fullmatch(result.stdout)
    assert found is not None
    assert all(PERFDATA.fullmatch(one) for one in found["perfdata"].split(" "))
    for name, shown in (("a|b=1;2", "a\\x7cb=1;2"), ("two\nlines", "two\\nlines")):
        assert f"- {shown}: a backlog of 1" in cli("check", "--queue", name).stdout


def test_a_name_of_any_length_leaves_room_for_the_numbers(server: PrivateRedis, cli: Run) -> None:
    name = "x" * 10_000
    fill(server.url, name, FIVE_WAIT[:1])
    line = cli("check").stdout
    assert len(line) < 500
    assert "… | unattended=1;;0;0 " in line
    (probe,) = [one for one in cli("check", "--json").json["probes"] if one["state"] == "critical"]
    assert probe["message"] == f"{name}: a backlog of 1 and no live worker"


def test_an_unreadable_key_is_reported_once(client: redis.Redis, cli: Run) -> None:
    client.delete("queue:mail:worker_heartbeats")
    client.set("queue:mail:worker_heartbeats", "text")
    result = cli("check", "--min-workers", "1")
    assert (result.code, result.stdout.count("worker_heartbeats"), result.stderr.count("warning")) == (
        3,
        1,
        1,
    )


def test_jobs_claimed_in_the_future_are_a_backlog_once_no_worker_lives(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.flushall()
    fill(server.url, "fast", [("active", library.job("a"))], workers=1)
    client.hset("queue:fast:active", "a", time.time() + 120 * MINUTE)
    assert probes(cli("check", "--queue", "fast", "--json"), "unattended")["fast"] == (0, "ok")
    client.delete("queue:fast:worker_heartbeats")
    result = cli("check", "--queue", "fast")
    assert (result.code, "fast: a backlog of 1 and no live worker" in result.stdout) == (2, True)
    assert "claimed in the future" in result.stderr
    assert probes(cli("check", "--queue", "fast", "--json"), "lost")["fast"] == (0, "ok")
    assert cli("doctor", "fast").code == 0


def test_check_without_any_queue_is_ok(client: redis.Redis, cli: Run) -> None:
    client.flushall()
    assert cli("check").stdout.startswith("ASYNCMQ OK - no queues\n")


@pytest.mark.parametrize(
    ("asked", "code", "state", "bounds"),
    [
        ("1", 1, "WARNING", "1:;"),
        ("2:1", 2, "CRITICAL", "2:;1:"),
        (":1", 2, "CRITICAL", ";1:"),
        ("0", 0, "OK", "0:;"),
    ],
)
def test_where_there_is_no_queue_there_are_no_workers_either(
    asked: str, code: int, state: str, bounds: str, client: redis.Redis, cli: Run
) -> None:
    client.flushall()
    result = cli("check", "--min-workers", asked)
    least = {1: "at least 1", 2: "at least 1", 0: ""}[code]
    text = f"no queues: 0 live workers ({least})" if code else "no queues"
    assert (result.code, result.stdout) == (code, f"ASYNCMQ {state} - {text} | workers=0;{bounds};0\n")
    document = cli("check", "--min-workers", asked, "--json").json
    assert (document["exit_status"], document["queues"]) == (code, [])
    assert probes(cli("check", "--min-workers", asked, "--json"), "workers") == {None: (0, state.lower())}


def test_check_on_an_unreachable_redis(cli: Run, tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/redis.sock"
    args = ("check", "--max-waiting", "5", "--redis-url", url)
    result = cli(*args)
    reason = f"cannot reach Redis at {url}: No such file or directory"
    assert result.code == 3
    assert result.stdout == f"ASYNCMQ UNKNOWN - {reason}\n"
    assert result.stderr.startswith(f"error: {reason}\nhint: ")
    assert cli(*args, "--quiet").stdout == result.stdout
    document = cli(*args, "--json")
    assert (document.code, list(document.json)) == (3, DOCUMENT)
    assert (document.json["timestamp"], document.json["state"]) == (None, "unknown")
    assert [(one["probe"], one["state"]) for one in document.json["probes"]] == [("redis", "unknown")]
    assert json.loads(document.stderr)["error"]["code"] == "redis_unreachable"


def test_redis_has_stopped() -> None:
    with PrivateRedis() as own:
        os.kill(own.pid, signal.SIGSTOP)
        try:
            result = run_tool("check", "--timeout", "0.1", url=own.url)
        finally:
            os.kill(own.pid, signal.SIGCONT)
        assert (result.code, "did not answer within 0.1 s" in result.stdout) == (3, True)
        assert run_tool("check", url=own.url).code == 0


@pytest.mark.parametrize(
    "args",
    [
        ["--max-waiting", "many"],
        ["--max-waiting", "-1"],
        ["--max-waiting", "5:4"],
        ["--max-waiting", "5:"],
        ["--max-oldest", "soon"],
        ["--max-oldest", "1h:10m"],
        ["--min-workers", "1:2"],
        ["--max-waiting"],
        ["--max-everything", "1"],
        ["mail"],
    ],
)
def test_wrong_usage_prints_nothing_that_a_monitor_would_take_for_an_answer(
    args: list[str], cli: Run
) -> None:
    result = cli("check", *args)
    assert (result.code, result.stdout) == (3, "")
    assert result.stderr.startswith("error: ")


def test_a_person_sees_the_same_line(server: PrivateRedis, cli: Run) -> None:
    assert on_terminal("check", url=server.url).text == cli("check").stdout


def test_check_reads_only_requested_sizes(client: redis.Redis, cli: Run) -> None:
    """On a healthy queue no job is read, however many there are."""

    def used(*args: str) -> set[str]:
        client.config_resetstat()
        assert cli("check", *args).code == 0
        return {name.removeprefix("cmdstat_") for name in client.info("commandstats")}

    sizes = {"time", "scan", "exists", "zcard", "zcount", "hlen", "hscan", "pttl", "scard", "mget"}
    ours = {"config|resetstat", "config", "info", "type", "hello"}
    assert used() - ours <= sizes
    assert used("--queue", "mail", "--max-dlq", "9", "--max-delayed-due", "9") - ours <= sizes
    assert used("--max-waiting", "9") - ours <= sizes
    assert "zrange" in used("--max-oldest", "9h")


@pytest.mark.parametrize(
    "words",
    [
        ["--nonsense"],
        ["-w", "x"],
        ["-w", "nonsense=1"],
        ["-c", "20:10"],
        ["-w", "5", "-w", "6"],
        ["-w", "5", "--max-waiting", "5"],
        ["--max-waiting", "10:"],
        ["--max-waiting"],
        ["surplus"],
        ["-t", "soon"],
    ],
)
def test_wrong_usage_pages_nobody(words: list[str], cli: Run) -> None:
    for line in (["check", *words], ["--color", "never", "check", *words]):
        result = cli(*line)
        assert (result.code, result.stdout) == (3, ""), line
        assert result.stderr.startswith("error: ")


def test_what_only_names_check_is_not_check(cli: Run) -> None:
    assert cli("jobs", "list", "check", "--nonsense").code == 2
    # Its short options must come after the command; before it they are a usage error.
    assert [cli(option, "5", "check").code for option in ("-t", "-w", "-c")] == [3, 3, 3]
    assert cli("--actor", "check", "jobs", "--nonsense").code == 2


def test_as_monitors_call_it(cli: Run) -> None:
    """Five jobs wait, and two workers are alive."""
    result = cli("check", "-w", "4", "-c", "10", "-t", "10")
    assert result.code == 1
    assert "mail: 5 waiting (at most 4) |" in result.stdout
    assert " waiting=5;4;10;0" in result.stdout
    assert cli("check", "-w", "5", "-c", "10").code == 0
    assert cli("check", "-w", "1", "-c", "4").code == 2
    assert cli("check", "-w", "workers=3:", "-c", "workers=1:").code == 1
    assert " workers=2;3:;1:;0" in cli("check", "-w", "workers=3:", "-c", "workers=1:").stdout
    version = cli("check", "-V")
    assert (version.code, version.stdout) == (0, cli("--version").stdout)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("6:", 2, "5 waiting (to be within 6:)"),
        ("5:", 0, None),
        ("6:10", 2, "5 waiting (to be within 6:10)"),
        ("@4:6", 2, "5 waiting (to be not within 4:6)"),
        ("@6:8", 0, None),
        ("~:4", 2, "5 waiting (at most 4)"),
        (":4.5", 2, "5 waiting (at most 4.5)"),
    ],
)
def test_ranges(text: str, code: int, said: str | None, cli: Run) -> None:
    result = cli("check", "--critical", text)
    assert result.code == code
    if said:
        assert f"- mail: {said} |" in result.stdout
    line = LINE.fullmatch(result.stdout)
    assert line is not None
    assert f" waiting=5;;{text.removeprefix('~').removeprefix(':')};0" in f" {line['perfdata']}"
    document = json.loads(cli("check", "--critical", text, "--json").stdout)
    (bound,) = [one["critical"] for one in document["probes"] if one["probe"] == "waiting"]
    assert str(bound).removesuffix(".0") == text.removeprefix("~").removeprefix(":")
