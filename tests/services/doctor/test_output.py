"""The output for a terminal, a pipe and a program, the exit status, and the confirmation."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.doctor import repair
from asyncmq_cli.services.doctor.catalogue import BY_CODE
from tests.conftest import Run
from tests.services.doctor.support import AT_ONCE, QUEUE, due_in, job, note_down, put
from tests.support import library
from tests.support.terminal import Screen
from tests.support.terminal import on_terminal as on_any_terminal

WAITING = f"queue:{QUEUE}:waiting"
LONG_IDS = [f"96064b8ed5c54c78814620f48d390d{number:02x}" for number in range(7)]


def on_terminal(*args: str, **kwargs: Any) -> Screen:
    return on_any_terminal(*args, program=AT_ONCE, **kwargs)


@pytest.fixture
def damaged(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for job_id in LONG_IDS:
            await opened.enqueue(QUEUE, job(job_id))
        await opened.redis.delete(WAITING)
        await opened.enqueue("held", job("y"))
        await opened.pause_queue("held")
        await opened.cancel_job(QUEUE, "gone")

    library.with_backend(server.url, fill)


@pytest.mark.usefixtures("damaged")
def test_the_documents(cli: Run) -> None:
    reported = cli("doctor", "--json")
    assert (reported.code, list(reported.json)) == (1, ["checked", "findings"])
    assert reported.json["checked"] == ["held", QUEUE]
    expected = ["code", "severity", "queue", "count", "sample_ids", "message", "repair", "repairable"]
    expected.append("sample_tasks")
    assert [list(one) for one in reported.json["findings"]] == [expected] * 3
    lines = cli("doctor", "--ndjson")
    assert (lines.code, [json.loads(line)["code"] for line in lines.lines]) == (
        1,
        [one["code"] for one in reported.json["findings"]],
    )
    report = cli("doctor", "--repair", "--yes", "--json")
    assert list(report.json) == [
        *("action", "queue", "dry_run", "matched", "succeeded", "failed", "outcome", "results"),
        *("checked", "findings"),
    ]
    assert (report.code, report.json["succeeded"]) == (1, 8)
    assert [one["code"] for one in report.json["findings"]] == ["paused_backlog"]


@pytest.mark.usefixtures("damaged")
def test_a_pipe_gets_rows_and_remaining_findings_as_warnings(cli: Run) -> None:
    reported = cli("doctor")
    rows = [line.split("\t") for line in reported.lines]
    assert [row[:4] for row in rows] == [
        ["warning", "paused_backlog", "held", "1"],
        ["error", "waiting_unlisted", QUEUE, "7"],
        ["warning", "cancel_mark_stale", QUEUE, "1"],
    ]
    assert rows[2][4] == "gone" and {len(row) for row in rows} == {7}
    report = cli("doctor", "--repair", "--yes")
    assert [line.split("\t")[0] for line in report.lines] == ["success"] * 8
    assert report.stderr == (
        "warning: queue 'held': 1 × paused_backlog left; "
        "'asyncmq queues resume held' lets workers take them\n"
    )
    assert (cli("doctor", QUEUE).stdout, cli("doctor", QUEUE).code) == ("", 0)


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_table_and_what_each_code_means(columns: int, server: PrivateRedis) -> None:
    screen = on_terminal("doctor", url=server.url, columns=columns)
    assert screen.code == 1
    assert max(map(len, screen.lines)) <= columns, screen.text
    head, *rows = screen.lines[:4]
    assert head.split() == ["SEVERITY", "CODE", "QUEUE", "COUNT"]
    assert [row.split()[:4] for row in rows] == [
        ["warning", "paused_backlog", "held", "1"],
        ["error", "waiting_unlisted", QUEUE, "7"],
        ["warning", "cancel_mark_stale", QUEUE, "1"],
    ]
    text = " ".join(screen.text.split())
    for code in ("paused_backlog", "waiting_unlisted", "cancel_mark_stale"):
        word = "Advice" if BY_CODE[code].way == "advice" else "Repair"
        repair = BY_CODE[code].repair.replace("QUEUE", "held")
        assert f"{code}: {BY_CODE[code].message}. {word}: {repair}." in text
    first = screen.lines.index(f"  In {QUEUE}:")
    shown = [line.split() for line in screen.lines[first + 1 : first + 6]]
    assert len({job_id for job_id, _ in shown} & set(LONG_IDS)) == 5
    assert {task for _, task in shown} == {note_down.task_id}
    assert screen.lines[first + 6] == "    … and 2 more"
    assert "3 findings in 2 queues: 1 error, 2 warnings" in text


@pytest.mark.usefixtures("damaged")
def test_a_repair_is_asked_about_on_a_terminal(server: PrivateRedis, client: redis.Redis) -> None:
    before = library.dump(client)
    no = on_terminal("doctor", "--repair", url=server.url, answer="n\n")
    assert (no.code, library.dump(client)) == (5, before)
    assert f"  waiting_unlisted in {QUEUE}: 7\n    {LONG_IDS[0][:34]}" in no.text
    assert f"\nMake 8 repairs on {server.url}? [y/N]" in no.text
    yes = on_terminal("doctor", "--repair", "--reason", "tidying", url=server.url, answer="y\n")
    assert yes.code == 1
    assert "Repaired 8 of 8" in yes.text and "Left as it is:" in yes.text and "paused_backlog" in yes.text
    assert client.zcard(WAITING) == 7
    assert {event["details"]["reason"] for event in library.events(client)} == {"tidying"}


def test_advice_can_be_pasted_with_any_queue_name(server: PrivateRedis, cli: Run) -> None:
    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue("my queue", job("y"))
        await opened.pause_queue("my queue")

    library.with_backend(server.url, fill)
    (finding,) = cli("doctor", "--json").json["findings"]
    assert finding["repair"] == "`asyncmq queues resume 'my queue'` lets workers take them"


def test_a_clean_terminal_says_so(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("delayed", "x"))
    screen = on_terminal("doctor", url=server.url)
    assert (screen.code, screen.text) == (0, "No damage in 1 queue\n")


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize(
    ("code", "args", "says"),
    [
        (4, ("Mial",), "no queue named 'Mial'"),
        (4, (QUEUE, "nope"), "no queue named 'nope'"),
        (2, ("--code", "waiting_unlistd"), "did you mean waiting_unlisted?"),
        (2, ("--code", "zzz"), "choose from waiting_unlisted"),
        (2, ("--yes",), "need --repair"),
        (2, ("--dry-run",), "need --repair"),
        (2, ("--reason", "x"), "need --repair"),
        (2, ("--repair", "--ndjson"), "--json"),
        (5, ("--repair",), "this would make 8 repairs on unix://"),
        (1, ("--repair", "--dry-run"), "paused_backlog left"),
        (0, (QUEUE, "--repair", "--dry-run"), ""),
        (0, (QUEUE, "--repair", "--yes", "--code", "waiting_unlisted"), ""),
    ],
)
def test_exit_status(code: int, args: tuple[str, ...], says: str, cli: Run) -> None:
    reported = cli("doctor", *args)
    assert reported.code == code, reported
    assert says in reported.stderr


@pytest.fixture
def lost(server: PrivateRedis, client: redis.Redis) -> None:
    """A job that a worker claimed an hour ago, without any sign of life since."""
    put(server.url, ("active", "x"))
    client.hset(f"queue:{QUEUE}:active", "x", str(due_in(-3600)))


@pytest.mark.usefixtures("lost")
def test_the_command_that_repairs_a_lost_job_is_printed_as_it_is_typed(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    command = "'asyncmq doctor --repair --code active_lost'"
    for args in (("doctor",), ("doctor", "--repair", "--yes"), ("doctor", "--repair", "--dry-run")):
        screen = on_terminal(*args, url=server.url, columns=120)
        assert (screen.code, command in screen.text) == (1, True), screen.text
        assert "--dry-run'" not in screen.text and "No job matches" not in screen.text
    named = on_terminal("doctor", QUEUE, url=server.url, columns=120).text
    assert f"'asyncmq doctor {QUEUE} --repair --code active_lost'" in named
    piped = cli("doctor", "--repair", "--yes").stderr.splitlines()
    assert piped[1].startswith(f"hint: {command} ")
    assert cli("doctor", "--repair", "--code", "active_lost", "--yes").code == 0
    assert client.zcard(WAITING) == 1


@pytest.mark.usefixtures("lost")
def test_damage_found_by_its_code_is_repaired_by_the_suggested_command(server: PrivateRedis) -> None:
    reported = on_terminal("doctor", "--code", "active_lost", url=server.url, columns=120).text
    assert "'asyncmq doctor --repair --code active_lost --dry-run' shows what would be repaired" in reported
    dry = on_terminal("doctor", "--repair", "--code", "active_lost", "--dry-run", url=server.url, columns=120)
    assert (dry.code, "active_lost: would wait again" in dry.text) == (0, True)


def test_a_repair_without_damage_says_so(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "x"))
    for more in (["--dry-run"], ["--yes"], []):
        screen = on_terminal("doctor", "--repair", *more, url=server.url)
        assert (screen.code, screen.text) == (0, "No damage in 1 queue\n")


@pytest.mark.usefixtures("damaged")
def test_a_code_may_stand_where_a_queue_does(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    found = cli("doctor", "waiting_unlisted", QUEUE, "--json").json
    assert (found["checked"], [one["code"] for one in found["findings"]]) == ([QUEUE], ["waiting_unlisted"])
    assert cli("doctor", "--repair", "waiting_unlisted", "--yes").code == 0
    assert (client.zcard(WAITING), client.sismember(f"queue:{QUEUE}:cancelled", "gone")) == (7, True)
    library.with_backend(server.url, lambda opened: opened.enqueue("waiting_unlisted", job("z")))
    clean = {"checked": ["waiting_unlisted"], "findings": []}
    assert cli("doctor", "waiting_unlisted", "--json").json == clean


@pytest.mark.usefixtures("damaged")
def test_names_of_queues_come_from_a_pipe_too(run: Run) -> None:
    found = run("doctor", "-", "--json", stdin=f"held\n\n{QUEUE}\r\n").json
    assert found["checked"] == ["held", QUEUE] and len(found["findings"]) == 3
    assert run("doctor", QUEUE, "-", "--json", stdin="held\n").json["checked"] == [QUEUE, "held"]
    narrowed = run("doctor", "waiting_unlisted", "-", "--json", stdin="held\n").json
    assert narrowed == {"checked": ["held"], "findings": []}, "a code beside it is one still"
    unknown = run("doctor", "-", stdin="waiting_unlisted\n")
    assert unknown.code == 4 and "no queue named 'waiting_unlisted'" in unknown.stderr
    for args in ((), ("--repair", "--yes")):
        none = run("doctor", "-", *args, stdin="\n")
        assert (none.code, none.stdout) == (2, ""), "none is not all"
        assert none.stderr.startswith("error: standard input has no names of queues\nhint: ")


def test_a_dry_run_says_what_would_be_repaired() -> None:
    for one in repair.REPAIRS.values():
        assert "would" in one.planned and "would" not in one.done


def test_repeatables_are_shown_by_task_and_audited_with_their_definition(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    for args in ([1], [2]):
        for number in range(2):
            definition = {"task_id": "app.digest", "every": 60, "args": args, "kwargs": {}}
            text = json.dumps(definition, indent=number or None)
            client.zadd(f"queue:{QUEUE}:repeatables", {text: time.time() + 600 + number})
    found = cli("doctor", "--json", "--code", "repeatable_duplicate").json["findings"]
    assert [(one["count"], one["sample_tasks"]) for one in found] == [(2, ["app.digest"] * 2)]
    screen = on_terminal("doctor", "--code", "repeatable_duplicate", url=server.url, columns=100)
    assert sum(line.endswith("  app.digest") for line in screen.lines) == 2
    dry = cli("doctor", "--repair", "--dry-run")
    assert dry.stdout.count("repeatable_duplicate: it is stored 2 times; one would be kept") == 2
    assert cli("doctor", "--repair", "--yes").code == 0
    reported = [event["details"]["job_def"]["args"] for event in library.events(client)]
    assert sorted(reported) == [[1], [2]]


def test_what_a_repair_takes_away_is_in_its_event_where_it_is_small(client: redis.Redis, cli: Run) -> None:
    client.hset(f"jobs:{QUEUE}:results", mapping={"r": '{"password": "hunter2"}', "big": "x" * 5000})
    client.hset(f"jobs:{QUEUE}:states", "w", "waiting")
    client.zadd(f"queue:{QUEUE}:waiting", {"w": 1})
    assert cli("doctor", "--repair", "--yes").code == 0
    details = {event["job_id"]: event["details"] for event in library.events(client)}
    assert details["r"]["removed"] == {"result": '{"password": "hunter2"}'}
    assert (details["big"].get("removed"), details["big"]["removed_bytes"] > 5000) == (None, True)
    assert details["w"]["removed"] == {"state": "waiting"}
    for form in ((), ("--json",), ("--color", "always")):
        assert "hunter2" not in cli("audit", *form).stdout


def test_a_stale_dead_letter_that_is_taken_away_is_in_its_event(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("failed", "x"))
    member = client.zrange(f"queue:{QUEUE}:dlq", 0, -1)[0].decode()
    client.hset(f"jobs:{QUEUE}:states", "x", "completed")
    client.set(f"jobs:{QUEUE}:x", json.dumps({**json.loads(member), "status": "completed"}))
    assert cli("doctor", "--repair", "--yes").code == 0
    (event,) = library.events(client)
    assert event["details"] == {"code": "dead_letter_stale", "removed": {"dlq": [member]}}


def test_no_control_character_of_an_id_and_no_secret_is_shown(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e\n"
    library.with_backend(server.url, lambda opened: opened.cancel_job(QUEUE, evil))
    client.zadd(f"queue:{QUEUE}:delayed", {"password=hunter2 " + evil: 9e12})
    for args in ((), ("--color", "always"), ("--json",), ("--repair", "--dry-run"), ("--repair", "--yes")):
        reported = cli("doctor", *args)
        shown = reported.stdout + reported.stderr
        for own in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"):
            shown = shown.replace(own, "")
        assert not set(shown) & set("\x1b\x07\x9b\u202e"), args
        assert "hunter2" not in shown, args


def test_an_empty_redis_is_clean(cli: Run) -> None:
    assert (cli("doctor", "--json").json, cli("doctor").code) == ({"checked": [], "findings": []}, 0)


def test_where_nothing_is_damaged_a_person_is_pointed_to_check(
    server: PrivateRedis, client: redis.Redis
) -> None:
    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("x"))

    library.with_backend(server.url, fill)
    assert on_terminal("doctor", url=server.url, columns=200).lines == [
        "No damage in 1 queue",
        f"but 'asyncmq check' is critical: {QUEUE}: a backlog of 1 and no live worker",
    ]


def test_a_repair_that_repairs_nothing_says_what_it_leaves(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("x"))
        await opened.pause_queue(QUEUE)

    library.with_backend(server.url, fill)
    for words, said in ((["--dry-run"], "would be"), (["--yes"], "was")):
        screen = on_terminal("doctor", "--repair", *words, url=server.url, columns=200)
        assert screen.lines[0] == f"Nothing {said} repaired: 1 finding left as it is"
        assert "paused_backlog" in screen.text


@pytest.mark.usefixtures("damaged")
def test_repairs_that_fill_the_audit_trail_cause_a_warning_first(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = "push out every earlier one"
    monkeypatch.setenv("ASYNCMQ_AUDIT_MAXLEN", "7")
    assert reported in cli("doctor", "--repair").stderr
    assert reported not in cli("doctor", "--repair", "--yes", "--dry-run").stderr
    done = cli("doctor", "--repair", "--yes").stderr
    assert (done.count(reported), done.startswith("warning: the audit trail keeps about 7")) == (1, True)


@pytest.mark.usefixtures("damaged")
def test_repairs_that_fit_the_audit_trail_need_no_warning(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCMQ_AUDIT_MAXLEN", "8")
    assert "push out" not in cli("doctor", "--repair", "--yes").stderr
