"""Data that is missing, damaged or of a wrong type is shown as such; it never ends a command."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.values import LISTED_STATES
from tests.conftest import Run
from tests.faults.scale import scaled
from tests.support import library

pytestmark = pytest.mark.faults

QUEUE = "mail"
STATES = (
    "waiting",
    "active",
    "completed",
    "failed",
    "delayed",
    "expired",
    "cancelled",
    "waiting-children",
    "all",
)


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    jobs = [(state, library.job(state)) for state in library.STATES if state != "waiting-children"]
    jobs.append(("waiting-children", library.job("waiting-children", depends_on=["x"])))

    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, QUEUE, sorted(jobs, key=lambda item: item[0].startswith("waiting")))
        await opened.upsert_repeatable(QUEUE, {"task_id": "app.tick", "every": 60})
        await library.enlist(opened, "w", QUEUE, 1)

    library.with_backend(server.url, fill)


DAMAGES: dict[str, bytes] = {
    "empty": b"",
    "not json": b"hello",
    "cut off": b'{"id": "waiting", "task": "app.s',
    "no object": b"[1, 2]",
    "not utf-8": b'{"id": "\xff\xfe"}',
    "too deep": b"[" * 100_000,
    "a huge number": b'{"id": "x", "created_at": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_record_is_listed_counted_and_warned_of(
    damage: bytes, client: redis.Redis, cli: Run
) -> None:
    client.set(f"jobs:{QUEUE}:waiting", damage)
    page = cli("jobs", "list", QUEUE, "--json")
    (job,) = page.json["jobs"]
    assert (page.code, job["id"], job["status"], job["payload"]) == (0, "waiting", "waiting", None)
    assert "damaged" in job["problem"]
    assert json.loads(page.stderr)["warning"]["message"] == f"job 'waiting' in 'mail': {job['problem']}"
    assert cli("queues", "show", QUEUE, "--json").json["waiting"] == 1

    shown = cli("jobs", "show", QUEUE, "waiting")
    assert shown.code == 0
    assert f"problem\t{job['problem']}\n" in shown.stdout
    assert shown.stderr == f"warning: job 'waiting' in 'mail': {job['problem']}\n"


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("created_at", 1795943883137, "1795943883137"),
        ("created_at", 1795943883137.191, "1795943883137.191"),
        ("delay_until", 1795943883137, "1795943883137"),
        ("created_at", 1795943883, None),
        ("created_at", "1795943883137", "1795943883137"),
    ],
)
def test_a_time_in_milliseconds_is_a_problem_and_no_hindrance(
    field: str, value: object, shown: str | None, client: redis.Redis, cli: Run
) -> None:
    client.set("jobs:mail:waiting", json.dumps({**library.job("waiting"), field: value}))
    (job,) = cli("jobs", "list", QUEUE, "--json").json["jobs"]
    problem = f"its {field} is after the year 9999: {shown} (milliseconds instead of seconds?)"
    assert job["problem"] == (problem if shown else None)
    assert job["payload"][field] == value
    table = cli("jobs", "list", QUEUE, "-o", "table").stdout
    assert ("after 9999" in table) == (shown is not None and field == "created_at")
    assert cli("jobs", "cancel", QUEUE, "waiting", "--yes").code == 0


def test_a_missing_record_is_listed_counted_and_warned_of(client: redis.Redis, cli: Run) -> None:
    for state in ("waiting", "completed", "active"):
        client.delete(f"jobs:{QUEUE}:{state}")
        page = cli("jobs", "list", QUEUE, "--state", state, "--json")
        (job,) = page.json["jobs"]
        assert (job["id"], job["problem"]) == (state, "the job has no record")
        assert cli("queues", "show", QUEUE, "--json").json[state] == 1


def test_a_dead_letter_that_is_no_json_is_listed_and_counted(client: redis.Redis, cli: Run) -> None:
    client.zadd(f"queue:{QUEUE}:dlq", {b"\xff\x00 no json": 1.0})
    page = cli("jobs", "list", QUEUE, "--state", "failed", "--json")
    assert page.json["total"] == cli("queues", "show", QUEUE, "--json").json["failed"] == 3
    (odd,) = [job for job in page.json["jobs"] if job["id"] is None]
    assert "not a JSON object" in odd["problem"]


@pytest.mark.parametrize(
    "damage", [b"asyncmq:zlib-json:v1:!!!", b"[]", b"nothing", b"asyncmq:zlib-json:v1:eJw="]
)
def test_a_damaged_payload_part_is_a_problem_of_its_job(
    damage: bytes, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    big = library.job("big", args=["z" * 70_000])
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, big))
    client.set(f"jobs:{QUEUE}:big:payload", damage)
    shown = cli("jobs", "show", QUEUE, "big", "--json").json
    assert shown["problem"].startswith("the job is damaged")
    assert shown["payload"]["task"] == "app.send"


ENOUGH = {"ASYNCMQ_MAX_PAYLOAD": "1MB"}
BOMBS = {
    "brackets": b'{"args": [' + b"[]," * 400_000 + b'1], "kwargs": {}}',
    "a long text": b'{"args": ["' + b"x" * 1_100_000 + b'"], "kwargs": {}}',
    "deep": b'{"args": ' + b"[" * 500_000 + b"]" * 500_000 + b', "kwargs": {}}',
}


@pytest.mark.parametrize("kind", BOMBS)
def test_arguments_beyond_the_bound_are_a_problem_and_no_damage(
    kind: str, server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    big = library.job("big", args=["z" * 70_000])
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, big))
    packed = b"asyncmq:zlib-json:v1:" + base64.b64encode(zlib.compress(BOMBS[kind]))
    client.set(f"jobs:{QUEUE}:big:payload", packed)
    shown = run("jobs", "show", QUEUE, "big", "--json", env=ENOUGH).json
    assert shown["problem"].startswith("the job's arguments are too large to be shown")
    assert run("jobs", "list", QUEUE, "--q", "nowhere", env=ENOUGH).code == 0
    assert run("doctor", env=ENOUGH).code == 0
    refused = run("jobs", "cancel", QUEUE, "big", "--yes", env=ENOUGH)
    assert (refused.code, "ASYNCMQ_MAX_PAYLOAD, such as 512MB" in refused.stderr) == (1, True)
    assert run("jobs", "cancel", QUEUE, "big", "--yes", env={"ASYNCMQ_MAX_PAYLOAD": "64MB"}).code == (
        1 if kind == "deep" else 0
    )


def commands_sent(client: redis.Redis, name: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0))


def test_only_what_shows_arguments_reads_them(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    async def fill(opened: RedisBackend) -> None:
        for number in range(5):
            await opened.enqueue(QUEUE, library.job(f"big-{number}", args=["z" * 70_000, number]))

    library.with_backend(server.url, fill)
    client.config_resetstat()
    for line in (
        ("jobs", "list", QUEUE),
        ("jobs", "list", QUEUE, "-o", "name"),
        ("jobs", "list", QUEUE, "--task", "send"),
        ("dlq", "groups", QUEUE),
        ("overview", "--json"),
        ("jobs", "remove", QUEUE, "--task", "nothing", "--dry-run"),
    ):
        assert cli(*line).code == 0
    # Their sizes are asked for before they are read.
    assert commands_sent(client, "strlen") == 0
    shown = cli("jobs", "list", QUEUE, "--json").json["jobs"]
    arguments = {job["id"]: job["payload"]["args"] for job in shown if job["id"].startswith("big")}
    assert arguments == {f"big-{number}": ["z" * 70_000, number] for number in range(5)}
    lines = map(json.loads, cli("jobs", "list", QUEUE, "--ndjson").lines)
    assert {job["id"]: job["payload"]["args"] for job in lines if job["id"] in arguments} == arguments
    assert cli("jobs", "list", QUEUE, "--q", "zzz, 3]", "-o", "name").lines == []
    assert cli("jobs", "list", QUEUE, "--q", 'zzz", 3]', "-o", "name").lines == ["big-3"]


def test_the_arguments_of_a_page_are_bounded_together(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    async def fill(opened: RedisBackend) -> None:
        for number in range(6):
            await opened.enqueue("large", library.job(f"big-{number}", args=["z" * 800_000]))

    library.with_backend(server.url, fill)
    page = run("jobs", "list", "large", "--json", env=ENOUGH).json["jobs"]
    whole = [job for job in page if job["problem"] is None]
    cut = [job for job in page if job["problem"] is not None]
    assert [len(whole), len(cut)] == [3, 3]
    assert all(len(job["payload"]["args"][0]) == 800_000 for job in whole)
    assert all(job["payload"]["args"] == "[not shown: too large]" for job in cut)
    assert all("too large for one page" in job["problem"] for job in cut)
    alone = run("jobs", "show", "large", cut[0]["id"], "--json", env=ENOUGH).json
    assert (alone["problem"], len(alone["payload"]["args"][0])) == (None, 800_000)
    lines = run("jobs", "list", "large", "--ndjson", env=ENOUGH).lines
    assert all(json.loads(line)["problem"] is None for line in lines) and len(lines) == 6


@pytest.mark.parametrize(
    "line",
    [
        ["jobs", "list", "large", "--state", "failed", "--json"],
        ["jobs", "list", "large", "--state", "failed", "--json", "--sort", "queue", "--q", "boom"],
        ["jobs", "list", "large", "--state", "failed", "--json", "--sort", "oldest", "--size", "6"],
        ["dlq", "list", "large", "--json"],
    ],
    ids=" ".join,
)
def test_the_bodies_of_a_page_are_bounded_together(client: redis.Redis, run: Run, line: list[str]) -> None:
    client.delete("queue:large:dlq")
    letters = [library.job(f"big-{number}", args=["z" * 800_000], status="failed") for number in range(6)]
    library.bury(client, "large", [{**letter, "last_error": "boom"} for letter in letters], 1.6e9)
    page = run(*line, env=ENOUGH).json["jobs"]
    assert len(page) == 6
    whole = [job for job in page if job["problem"] is None]
    assert len(whole) == 3
    assert all(len(job["payload"]["args"][0]) == 800_000 for job in whole)
    for job in page[3:]:
        assert (job["payload"]["args"], job["last_error"]) == ("[not shown: too large]", "boom")
        assert "too large for one page" in job["problem"]


def test_a_dead_letter_beyond_the_bound_keeps_its_id(client: redis.Redis, run: Run) -> None:
    members = client.zrange(f"queue:{QUEUE}:dlq", 0, -1)
    letter = next(job for job in map(json.loads, members) if job["status"] == "failed")
    letter["kwargs"] = {"a": ["x" * 1_100_000]}
    text = json.dumps(letter)
    client.delete(f"queue:{QUEUE}:dlq")
    client.zadd(f"queue:{QUEUE}:dlq", {text: 1.6e9})
    client.set(f"jobs:{QUEUE}:{letter['id']}", text)
    page = run("jobs", "list", QUEUE, "--state", "failed", "--json", env=ENOUGH).json
    assert [job["id"] for job in page["jobs"]] == [letter["id"]]
    assert "too large to be shown" in page["jobs"][0]["problem"]
    refused = run("dlq", "retry", QUEUE, letter["id"], env=ENOUGH)
    assert (refused.code, "is too large to be shown" in refused.stderr) == (1, True)
    before = run("doctor", "--json", env={"ASYNCMQ_MAX_PAYLOAD": "64MB"})
    assert run("doctor", "--json", env=ENOUGH).stdout == before.stdout
    assert run("dlq", "retry", QUEUE, letter["id"]).code == 0


def test_a_damaged_job_cannot_be_cancelled_but_removed(client: redis.Redis, cli: Run) -> None:
    client.set(f"jobs:{QUEUE}:waiting", b"hello")
    refused = cli("jobs", "cancel", QUEUE, "waiting", "--yes")
    assert (refused.code, "cannot be read" in refused.stderr) == (1, True)
    assert cli("jobs", "remove", QUEUE, "waiting", "--yes").code == 0
    assert client.exists(f"jobs:{QUEUE}:waiting") == 0


@pytest.mark.parametrize("sequence", ["ten", "-1", "007", " 7"])
def test_a_retry_is_refused_where_the_sequence_cannot_be_counted_on(
    sequence: str, client: redis.Redis, cli: Run
) -> None:
    client.set(f"queue:{QUEUE}:waiting:seq", sequence)
    before = library.dump(client)
    refused = cli("dlq", "retry", QUEUE, "failed", "--json")
    assert (refused.code, refused.json["failed"]) == (1, 1)
    assert [event["status"] for event in library.events(client)] == ["failed"]
    client.delete("asyncmq-cli:audit")
    assert library.dump(client) == before


def test_a_dead_letter_without_an_id_is_not_that_of_a_job_called_none(client: redis.Redis, cli: Run) -> None:
    client.zadd(f"queue:{QUEUE}:dlq", {'{"task": "app.nameless"}': 1.6e9})
    before = client.zrange(f"queue:{QUEUE}:dlq", 0, -1)
    # For an id that JSON can write in several ways, every member is read.
    report = cli("dlq", "remove", QUEUE, "None", "an id", "--yes", "--json")
    assert (report.code, report.json["failed"]) == (1, 2)
    assert client.zrange(f"queue:{QUEUE}:dlq", 0, -1) == before


KEYS = [
    *(f"queue:{QUEUE}:{name}" for name in ("waiting", "delayed", "dlq", "active", "heartbeats", "cancelled")),
    *(f"queue:{QUEUE}:{name}" for name in ("paused", "repeatables", "worker_heartbeats", "waiting:seq")),
    *(f"jobs:{QUEUE}:{name}" for name in ("ids", "states", "results", "waiting", "failed")),
    f"deps:{QUEUE}:parent:x",
    f"deps:{QUEUE}:waiting-children:pending",
    "asyncmq-cli:audit",
]
WRONG: dict[str, Callable[[redis.Redis, str], object]] = {
    "string": lambda client, key: client.set(key, "text"),
    "list": lambda client, key: client.rpush(key, "a", "b"),
    "hash": lambda client, key: client.hset(key, "a", "b"),
}


CASES = [pytest.param(key, spoil, id=f"{key}-{kind}") for key in KEYS for kind, spoil in WRONG.items()]


@pytest.mark.extended(first=9)
@pytest.mark.parametrize(("key", "spoil"), scaled(CASES[::2], CASES))
def test_a_key_of_a_wrong_type_is_never_a_traceback_nor_a_false_zero(
    key: str, spoil: Callable[[redis.Redis, str], object], client: redis.Redis, cli: Run
) -> None:
    true_row = cli("queues", "show", QUEUE, "--json").json
    # No job has a heartbeat yet; where there are some, they are in a hash.
    kind = client.type(key) if client.exists(key) else b"hash"
    client.delete(key)
    spoil(client, key)
    row = cli("queues", "show", QUEUE, "--json")
    assert row.code == 0
    counts = {name: value for name, value in row.json.items() if isinstance(true_row[name], int)}
    if client.type(key) != kind and key.startswith("queue:"):
        # What could not be read is null, and a warning says so; all else is as it was.
        unread = {name for name, value in counts.items() if value is None}
        read = counts.keys() - unread - {"paused"}
        assert {name: counts[name] for name in read} == {name: true_row[name] for name in read}
        assert bool(unread) is ('"warning"' in row.stderr)
        read_for_counts = ("waiting", "delayed", "dlq", "active", "repeatables")
        read_for_counts += ("worker_heartbeats", "heartbeats")
        assert bool(unread) is (key.removeprefix(f"queue:{QUEUE}:") in read_for_counts)
    commands = [
        ["queues", "list"],
        ["audit"],
        *(["jobs", "show", QUEUE, state] for state in ("waiting", "failed")),
    ]
    commands += [["jobs", "list", QUEUE, "--state", state] for state in LISTED_STATES]
    for command in commands:
        result = cli(*command)
        assert result.code in (0, 1), (command, result)
        assert "Traceback" not in result.stderr
        assert "bug in asyncmq-cli" not in result.stderr, (command, result.stderr)


@pytest.mark.extended(first=6)
@pytest.mark.parametrize("key", KEYS)
def test_a_change_that_meets_a_wrong_type_changes_nothing(key: str, client: redis.Redis, cli: Run) -> None:
    client.delete(key)
    client.rpush(key, "a", "b")
    for verb, job_id in (("retry", "failed"), ("cancel", "waiting"), ("remove", "completed")):
        before = library.dump(client)
        result = cli("jobs", verb, QUEUE, job_id, *([] if verb == "retry" else ["--yes"]), "--json")
        assert "bug in asyncmq-cli" not in result.stderr, result.stderr
        if result.code:
            assert library.dump(client) == before, (verb, result)


def test_a_job_with_only_its_record_left_can_be_shown_and_removed(client: redis.Redis, run: Run) -> None:
    client.set("jobs:ghost:left", json.dumps(library.job("left", status="completed")))
    assert run("jobs", "show", "ghost", "left", "--json").json["id"] == "left"
    unknown = run("jobs", "remove", "ghost", "other", "--yes")
    assert (unknown.code, "no queue named 'ghost'" in unknown.stderr) == (4, True)
    both = run("jobs", "remove", "ghost", "left", "other", "--yes", "--json")
    assert (both.code, both.json["succeeded"], both.json["failed"]) == (1, 1, 1)
    assert not client.exists("jobs:ghost:left")
    assert run("jobs", "show", "ghost", "left").code == 4


def test_deaths_at_no_time_are_grouped(client: redis.Redis, run: Run) -> None:
    for number, died in enumerate(("-inf", "+inf", "-1.7e308", "1.7e308", "1600000000")):
        letter = {**library.job(f"dead-{number}", status="failed"), "last_error": f"ValueError: {died}"}
        client.zadd("queue:odd:dlq", {json.dumps(letter): died})
    for form in ([], ["--json"], ["--color", "always"], ["--by", "task", "--color", "always"]):
        found = run("dlq", "groups", "odd", *form)
        assert (found.code, found.stderr) == (0, ""), form
