"""What a person, a pipe and a program are shown, the exit status, and the question."""

from __future__ import annotations

import json

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.doctor_codes import BY_CODE
from tests import library
from tests.conftest import Run
from tests.doctor.support import QUEUE, job, put
from tests.terminal import on_terminal

WAITING = f"queue:{QUEUE}:waiting"
LONG_IDS = [f"96064b8e-d5c5-4c78-8146-20f48d390d{number:02x}" for number in range(7)]


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
    told = cli("doctor", "--json")
    assert (told.code, list(told.json)) == (1, ["checked", "findings"])
    assert told.json["checked"] == ["held", QUEUE]
    expected = ["code", "severity", "queue", "count", "sample_ids", "message", "repair", "repairable"]
    assert [list(one) for one in told.json["findings"]] == [expected] * 3
    lines = cli("doctor", "--ndjson")
    assert (lines.code, [json.loads(line)["code"] for line in lines.lines]) == (
        1,
        [one["code"] for one in told.json["findings"]],
    )
    report = cli("doctor", "--repair", "--yes", "--json")
    assert list(report.json) == [
        *("action", "queue", "dry_run", "matched", "succeeded", "failed", "results", "checked", "findings")
    ]
    assert (report.code, report.json["succeeded"]) == (1, 8)
    assert [one["code"] for one in report.json["findings"]] == ["paused_backlog"]


@pytest.mark.usefixtures("damaged")
def test_a_pipe_gets_rows_and_what_is_left_as_warnings(cli: Run) -> None:
    told = cli("doctor")
    rows = [line.split("\t") for line in told.lines]
    assert [row[:4] for row in rows] == [
        ["warning", "paused_backlog", "held", "1"],
        ["error", "waiting_unlisted", QUEUE, "7"],
        ["warning", "cancel_mark_stale", QUEUE, "1"],
    ]
    assert rows[2][4] == "gone" and {len(row) for row in rows} == {7}
    report = cli("doctor", "--repair", "--yes")
    assert [line.split("\t")[0] for line in report.lines] == ["success"] * 8
    assert report.stderr == (
        "warning: queue 'held': 1 × paused_backlog left; 'asyncmq queues resume' lets workers take them\n"
    )
    assert (cli("doctor", QUEUE).stdout, cli("doctor", QUEUE).code) == ("", 0)


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_table_and_what_each_code_means(columns: int, server: PrivateRedis) -> None:
    screen = on_terminal("doctor", url=server.url, columns=columns)
    assert screen.code == 1
    assert max(map(len, screen.lines)) <= columns, screen.text
    head, *rows = screen.lines[:4]
    assert head.split() == ["SEVERITY", "CODE", "QUEUE", "COUNT", "FIRST", "IDS"]
    assert [row.split()[:4] for row in rows] == [
        ["warning", "paused_backlog", "held", "1"],
        ["error", "waiting_unlisted", QUEUE, "7"],
        ["warning", "cancel_mark_stale", QUEUE, "1"],
    ]
    text = " ".join(screen.text.split())
    for code in ("paused_backlog", "waiting_unlisted", "cancel_mark_stale"):
        word = "Advice" if BY_CODE[code].way == "advice" else "Repair"
        assert f"{code}: {BY_CODE[code].message}. {word}: {BY_CODE[code].repair}." in text
    assert "3 findings in 2 queues: 1 error, 2 warnings" in text


@pytest.mark.usefixtures("damaged")
def test_a_repair_is_asked_about_on_a_terminal(server: PrivateRedis, client: redis.Redis) -> None:
    before = library.dump(client)
    no = on_terminal("doctor", "--repair", url=server.url, answer="n\n")
    assert (no.code, library.dump(client)) == (5, before)
    assert f"  waiting_unlisted in {QUEUE}: 7 (" in no.text and "Repair 8 damages? [y/N]" in no.text
    yes = on_terminal("doctor", "--repair", "--reason", "tidying", url=server.url, answer="y\n")
    assert yes.code == 1
    assert "Repaired 8 of 8" in yes.text and "Left as it is:" in yes.text and "paused_backlog" in yes.text
    assert client.zcard(WAITING) == 7
    assert {event["details"]["reason"] for event in library.events(client)} == {"tidying"}


def test_a_clean_terminal_says_so(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "x"))
    screen = on_terminal("doctor", url=server.url)
    assert (screen.code, screen.text) == (0, "No damage in 1 queue\n")


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize(
    ("code", "args", "says"),
    [
        (4, ("Mial",), "no queue named 'Mial'"),
        (4, (QUEUE, "nope"), "no queue named 'nope'"),
        (2, ("--code", "waiting_unlistd"), "did you mean waiting_unlisted?"),
        (2, ("--code", "zzz"), "it knows waiting_unlisted"),
        (2, ("--yes",), "go with --repair"),
        (2, ("--dry-run",), "go with --repair"),
        (2, ("--reason", "x"), "go with --repair"),
        (2, ("--repair", "--ndjson"), "--json"),
        (5, ("--repair",), "this would repair 8 damages, and nobody is there to ask"),
        (1, ("--repair", "--dry-run"), "paused_backlog left"),
        (0, (QUEUE, "--repair", "--dry-run"), ""),
        (0, (QUEUE, "--repair", "--yes", "--code", "waiting_unlisted"), ""),
    ],
)
def test_exit_status(code: int, args: tuple[str, ...], says: str, cli: Run) -> None:
    told = cli("doctor", *args)
    assert told.code == code, told
    assert says in told.stderr


def test_no_control_character_of_an_id_and_no_secret_is_shown(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e\n"
    library.with_backend(server.url, lambda opened: opened.cancel_job(QUEUE, evil))
    client.zadd(f"queue:{QUEUE}:delayed", {"password=hunter2 " + evil: 9e12})
    for args in ((), ("--color", "always"), ("--json",), ("--repair", "--dry-run"), ("--repair", "--yes")):
        told = cli("doctor", *args)
        shown = told.stdout + told.stderr
        for own in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"):
            shown = shown.replace(own, "")
        assert not set(shown) & set("\x1b\x07\x9b\u202e"), args
        assert "hunter2" not in shown, args


def test_an_empty_redis_is_clean(cli: Run) -> None:
    assert (cli("doctor", "--json").json, cli("doctor").code) == ({"checked": [], "findings": []}, 0)
