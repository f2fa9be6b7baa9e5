"""`audit`: which part of the trail is printed, and that nothing is left out in silence."""

from __future__ import annotations

import json
import time

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, Run
from tests.support.terminal import on_terminal

STREAM = "asyncmq-cli:audit"
NOTE = "the newest {}; --limit shows up to 500, --ndjson all"


@pytest.fixture(autouse=True)
def trail(client: redis.Redis) -> None:
    """600 events, one a second, the last of them now."""
    now = time.time()
    pipe = client.pipeline()
    for number in range(600):
        event = {
            "action": "job.retry",
            "source": "jobs.single",
            "status": "success",
            "queue": "mail" if number % 2 else "reports",
            "job_id": f"job-{number}",
            "actor": "ana@ops",
            "details": {},
            "error": None,
        }
        pipe.xadd(STREAM, {"timestamp": f"{now - 600 + number:.6f}", "event": json.dumps(event)})
    pipe.execute()


def shown(result: Result) -> int:
    assert result.code == 0
    return len(result.json["events"])


def test_with_an_age_all_of_that_time_is_printed(cli: Run) -> None:
    result = cli("audit", "--since", "1h", "--json")
    assert (shown(result), result.stderr) == (600, "")
    assert result.json["events"][0]["job_id"] == "job-599"
    result = cli("audit", "--since", "1h")
    assert (len(result.lines), result.stderr) == (600, "")
    # Fewer, where the machine is slow.
    assert 100 < shown(cli("audit", "--since", "250s", "--queue", "mail", "--json")) <= 125
    assert shown(cli("audit", "--since", "1h", "--limit", "3", "--json")) == 3


def test_where_there_are_more_a_note_says_so(cli: Run) -> None:
    result = cli("audit", "--json")
    assert shown(result) == 200
    assert json.loads(result.stderr) == {"note": {"message": NOTE.format(200)}}
    result = cli("audit")
    assert (len(result.lines), result.stderr) == (200, f"note: {NOTE.format(200)}\n")
    assert cli("audit", "--queue", "mail").stderr == f"note: {NOTE.format(200)}\n"
    assert cli("audit", "--ndjson").stderr == ""


def test_where_there_are_no_more_nothing_is_said(client: redis.Redis, cli: Run) -> None:
    client.xtrim(STREAM, maxlen=200, approximate=False)
    result = cli("audit")
    assert (len(result.lines), result.stderr) == (200, "")


def test_a_limit_is_brought_within_its_bounds(cli: Run) -> None:
    for asked, got in (("3", 3), ("0", 1), ("-5", 1), ("500", 500), ("9999", 500)):
        result = cli("audit", "--limit", asked)
        told = "" if int(asked) == got else f"note: {NOTE.format(got)}\n"
        assert (len(result.lines), result.stderr) == (got, told), "what was asked for is no news"
    help_text = " ".join(cli("audit", "--help").stdout.split())
    assert "At most N events, 1 to 500. [default: 200; with --since or --ndjson: all]" in help_text


def test_a_person_reads_it_under_the_table(server: PrivateRedis) -> None:
    screen = on_terminal("audit", "--all", url=server.url)
    assert screen.lines[-1] == NOTE.format(200)
    assert on_terminal("audit", "--all", "--limit", "5", url=server.url).lines[-1] == NOTE.format(5)
    assert len(on_terminal("audit", "--all", "--since", "1h", url=server.url).lines) == 601


def test_a_person_reads_a_run_of_events_in_one_row(server: PrivateRedis, cli: Run) -> None:
    screen = on_terminal("audit", url=server.url, columns=200)
    assert screen.lines[-1] == "600 events; --all has a row for each"
    assert [line for line in screen.lines if "job.retry ×" in line] == screen.lines[1:3]
    assert [word in line for line in screen.lines[1:3] for word in ("mail", "×300")] == [
        *(True, True),
        *(False, True),
    ]
    newest = on_terminal("audit", "--limit", "5", url=server.url)
    assert newest.lines[-2:] == ["5 events; --all has a row for each", NOTE.format(5)]
    # A pipe and a program have every event.
    assert len(cli("audit", "--since", "1h").lines) == 600


def test_an_action_that_there_is_not_is_wrong_usage(cli: Run) -> None:
    result = cli("audit", "--action", "job.retri")
    assert (result.code, result.stdout) == (2, "")
    assert "'job.retri' is not one of queue.pause," in result.stderr
    assert result.stderr.endswith("hint: did you mean job.retry?\n")
    assert cli("audit", "--action", "anything").code == 2
    for action in ("doctor.repair", "job.restore", "dlq.remove", "repeatable.create"):
        result = cli("audit", "--action", action)
        assert (result.code, result.stdout, result.stderr) == (0, "", "")


def test_a_queue_may_be_gone_while_its_trail_is_not(cli: Run) -> None:
    unknown = cli("audit", "--queue", "nope")
    assert (unknown.code, unknown.stdout) == (4, "")
    assert unknown.stderr.startswith("error: no queue named 'nope'\nhint: ")
    assert shown(cli("audit", "--queue", "mail", "--json")) == 200
    assert cli("audit", "--queue", "mail", "--action", "job.remove").code == 0


def test_a_queue_without_a_trail_has_an_empty_list(client: redis.Redis, cli: Run) -> None:
    client.sadd("jobs:quiet:ids", "x")
    client.set("queue:quiet:waiting:seq", 1)
    result = cli("audit", "--queue", "quiet")
    assert (result.code, result.stdout, result.stderr) == (0, "", "")
    assert cli("audit", "--queue", "quite").stderr.endswith("hint: did you mean quiet?\n")


def test_a_queue_goes_behind_its_option(cli: Run) -> None:
    assert cli("audit", "mail").stderr == (
        "error: asyncmq audit takes no further argument 'mail'\n"
        "hint: did you mean 'asyncmq audit --queue mail'?\n"
    )
