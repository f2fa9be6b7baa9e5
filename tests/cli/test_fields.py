"""Choosing columns, printing only ids, and times as dates."""

from __future__ import annotations

import time

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.cli.options import fields_of
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.durations import age
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.values import LISTED_STATES
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal
from tools import commandtree

QUEUE = "mail"
LISTS: dict[str, tuple[str, ...]] = {
    "queues list": ("queues", "list"),
    "jobs list": ("jobs", "list", QUEUE, "--state", "failed"),
    "dlq list": ("dlq", "list", QUEUE),
    "dlq groups": ("dlq", "groups", QUEUE),
    "repeatables list": ("repeatables", "list"),
    "workers list": ("workers", "list"),
    "audit list": ("audit", "list"),
    "metrics history": ("metrics", "history"),
}


@pytest.fixture
def filled(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, QUEUE, [("failed", library.job(f"dead-{n}")) for n in range(25)])
        await opened.upsert_repeatable(QUEUE, {"task_id": "app.tick", "every": 60})
        await opened.register_worker("worker-1", QUEUE, 2, time.time())

    library.with_backend(server.url, fill)


def test_every_command_that_takes_fields_can_list_them() -> None:
    names = [command.name for command in commandtree.commands() if "--fields" in command.takes]
    missing = [name for name in names if not fields_of(name.split(), None)]
    assert not missing, f"no row in fields_of of cli/options.py: {missing}"


@pytest.mark.parametrize("args", LISTS.values(), ids=list(LISTS))
def test_each_field_that_is_listed_can_be_asked_for(args: tuple[str, ...], filled: None, cli: Run) -> None:
    cli("queues", "pause", QUEUE)
    cli("metrics", "record")
    listed = cli(*args, "--fields")
    assert (listed.code, listed.stderr) == (0, "")
    fields = listed.lines
    assert fields and len(set(fields)) == len(fields)
    backwards = cli(*args, "--fields", ",".join(reversed(fields)))
    forwards = cli(*args, "--fields", ",".join(fields))
    assert forwards.code == backwards.code == 0
    assert forwards.lines
    # Ages go on between two calls.
    still = [fields.index(name) for name in fields if name not in ("age", "oldest")]
    for line, other in zip(forwards.lines, backwards.lines, strict=True):
        cells, mirrored = line.split("\t"), other.split("\t")[::-1]
        assert [cells[place] for place in still] == [mirrored[place] for place in still]


def test_fields_are_listed_without_redis(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCMQ_REDIS_URL", "redis://localhost:1/0")
    assert cli("jobs", "list", "nowhere", "--fields").lines[:3] == ["id", "queue", "task"]


@pytest.mark.parametrize("args", LISTS.values(), ids=list(LISTS))
def test_the_fields_of_each_list_are_listed_without_a_queue(
    args: tuple[str, ...], cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCMQ_REDIS_URL", "redis://localhost:1/0")
    command = tuple(word for word in args[:2] if word != "-")
    state = args[args.index("--state") + 1] if "--state" in args else None
    listed = cli(*command, *(("--state", state) if state else ()), "--fields")
    assert (listed.code, listed.stderr) == (0, "")
    # TAB offers the same.
    assert listed.lines == fields_of(command, state)


@pytest.mark.parametrize("state", LISTED_STATES)
def test_fields_fit_the_state_before_and_behind(state: str, cli: Run) -> None:
    listed = cli("jobs", "list", "--fields", "--state", state)
    assert (listed.code, listed.lines) == (0, fields_of(("jobs", "list"), state))


def test_fields_may_be_called_as_the_headers_are(filled: None, cli: Run) -> None:
    args = ("repeatables", "list")
    plain = cli(*args, "--fields", "id,next_run,task")
    assert plain.code == 0
    for spelt in ("ID,NEXT RUN,TASK", "Id, next run ,tAsK", "ID,NEXT_RUN,task"):
        assert cli(*args, "--fields", spelt).stdout == plain.stdout


def test_a_field_that_there_is_not_is_wrong_usage(filled: None, run: Run) -> None:
    refused = run("jobs", "list", QUEUE, "--fields", "id,taks")
    assert (refused.code, refused.stdout) == (2, "")
    assert "hint: did you mean task?" in refused.stderr


def test_a_field_asked_for_is_shown_however_narrow_the_terminal(filled: None, server: PrivateRedis) -> None:
    screen = on_terminal("dlq", "list", QUEUE, "--fields", "tries,prio,id", url=server.url, columns=24)
    assert screen.lines[0].split() == ["FAILURES", "PRIO", "ID"]


def test_ids_go_from_one_command_into_the_next(filled: None, client: redis.Redis, run: Run) -> None:
    names = run("jobs", "list", QUEUE, "--state", "failed", "-o", "name")
    assert sorted(names.lines) == sorted(f"dead-{n}" for n in range(25))
    assert run("jobs", "retry", QUEUE, "-", stdin=names.stdout).code == 0
    assert client.zcard(f"queue:{QUEUE}:waiting") == 25


def test_names_are_printed_as_they_are(client: redis.Redis, run: Run) -> None:
    client.sadd("jobs:q:ids", "a b", "täter", b"\xff\xfe", "two\nlines")
    client.hset("jobs:q:states", mapping={"a b": "completed", "täter": "completed", b"\xff\xfe": "completed"})
    client.hset("jobs:q:states", "two\nlines", "completed")
    listed = run("jobs", "list", "q", "--state", "completed", "-o", "name")
    assert sorted(listed.lines) == sorted(["a b", "täter", "\udcff\udcfe"])
    assert "left out an id that contains a line break: 'two\\nlines'" in listed.stderr


def test_names_on_a_terminal_are_escaped(client: redis.Redis, server: PrivateRedis) -> None:
    client.sadd("jobs:evil\x1b[31m:ids", "x")
    assert "evil\\x1b[31m" in on_terminal("queues", "list", "-o", "name", url=server.url).raw


def test_formats_exclude_each_other(run: Run) -> None:
    for args in (("--json", "-o", "name"), ("--fields", "name", "--ndjson"), ("--json", "--ndjson")):
        refused = run("queues", "list", *args)
        assert refused.code == 2 and "exclude each other" in refused.stderr


def test_utc_shows_dates(filled: None, server: PrivateRedis) -> None:
    shown = on_terminal("--utc", "jobs", "list", QUEUE, "--state", "failed", "--size", "1", url=server.url)
    assert time.strftime("%Y-%m-%d %H:", time.gmtime())[:10] in shown.text
    assert "ago" not in shown.text


def test_an_age_may_be_a_date(server: PrivateRedis, client: redis.Redis, run: Run) -> None:
    async def fill(opened: RedisBackend) -> None:
        await library.fill(
            opened,
            QUEUE,
            [
                ("completed", library.job("old", created_at=1_700_000_000.0)),
                ("completed", library.job("new", created_at=1_750_000_000.0)),
            ],
        )

    library.with_backend(server.url, fill)
    completed = ("jobs", "list", QUEUE, "--state", "completed", "-o", "name")
    assert run(*completed, "--older-than", "2023-11-15").lines == ["old"]
    assert run(*completed, "--newer-than", "2023-11-15T00:00:00Z").lines == ["new"]
    assert run("jobs", "list", QUEUE, "--older-than", "2999-01-01").code == 2
    assert sorted(run(*completed, "--older-than", "yesterday").lines) == ["new", "old"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90.0), ("1970-01-01T00:00:00Z", 1000.0), ("1970-01-01T00:00:00+00:00", 1000.0), ("0", 0.0)],
)
def test_ages(text: str, expected: float) -> None:
    assert age(text, lambda: 1000.0) == expected


def test_a_moment_as_redis_holds_it_is_a_date() -> None:
    now = 1_764_000_100.0
    assert age("1764000000", lambda: now) == 100.0
    assert age("1764000000.5", lambda: now) == 99.5
    assert age("86400", lambda: now) == 86400.0
    with pytest.raises(UsageProblem, match=r"is in the future$"):
        age("1764000200", lambda: now)
    with pytest.raises(UsageProblem, match="is neither a duration nor a date"):
        age("1764000000000", lambda: now)


def test_the_error_for_a_future_date_names_the_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        with pytest.raises(UsageProblem) as local:
            age("2999-01-01T00:00", lambda: 1000.0)
        assert local.value.message == "'2999-01-01T00:00' is in the future in local time (UTC+05:30)"
        with pytest.raises(UsageProblem) as abroad:
            age("2999-01-01T00:00Z", lambda: 1000.0)
        assert abroad.value.message == "'2999-01-01T00:00Z' is in the future"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "now", "1970-01-01T01:00:00Z", "2026-13-01"])
def test_invalid_ages_are_refused(text: str) -> None:
    with pytest.raises(UsageProblem):
        age(text, lambda: 1000.0)


def test_the_audit_trail_by_job_actor_and_time(filled: None, run: Run) -> None:
    run("jobs", "retry", QUEUE, "dead-1", "dead-2")
    run("--actor", "ann", "jobs", "retry", QUEUE, "dead-3")

    def jobs(*args: str) -> list[str]:
        return [event["job_id"] for event in run("audit", "--json", *args).json["events"]]

    assert jobs("--by", "ann") == ["dead-3"]
    assert jobs("--job-id", "dead-2") == ["dead-2"]
    assert jobs("--since", "1h") == ["dead-3", "dead-2", "dead-1"]
    assert jobs("--since", "0s") == []


def test_a_terminal_of_the_c_locale_gets_ascii(filled: None, server: PrivateRedis) -> None:
    plain = {"LC_ALL": "C"}
    for args in (("overview",), ("queues", "list"), ("dlq", "list", QUEUE)):
        assert on_terminal(*args, url=server.url, env=plain, columns=60).raw.isascii()


def test_names_of_queues_go_into_a_change_of_queues(filled: None, client: redis.Redis, run: Run) -> None:
    names = run("queues", "list", "-o", "name")
    assert run("queues", "pause", "-", stdin=names.stdout).code == 0
    assert client.exists(f"queue:{QUEUE}:paused")
    assert run("queues", "resume", "-", stdin=f"{QUEUE}\nghost\n").code == 1
    assert not client.exists(f"queue:{QUEUE}:paused")
    nothing = run("queues", "pause", "-", stdin="")
    assert (nothing.code, nothing.stdout, nothing.stderr) == (0, "", "note: standard input has no names\n")


def test_a_field_that_is_asked_for_twice_is_shown_twice(filled: None, cli: Run, server: PrivateRedis) -> None:
    args = ("queues", "list", "--fields", "name,failed,name")
    assert cli(*args).lines == [f"{QUEUE}\t25\t{QUEUE}"]
    screen = on_terminal(*args, url=server.url).text.splitlines()
    assert [line.split() for line in screen] == [["NAME", "FAILED", "NAME"], [QUEUE, "25", QUEUE]]
