"""`audit`: which part of the trail is printed, and the notes about the rest."""

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
    """600 events, one per second, the last of them now."""
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


def test_a_note_says_that_there_are_more_events(cli: Run) -> None:
    result = cli("audit", "--json")
    assert shown(result) == 200
    assert json.loads(result.stderr) == {"note": {"message": NOTE.format(200)}}
    result = cli("audit")
    assert (len(result.lines), result.stderr) == (200, f"note: {NOTE.format(200)}\n")
    assert cli("audit", "--queue", "mail").stderr == f"note: {NOTE.format(200)}\n"
    assert cli("audit", "--ndjson").stderr == ""


def test_no_note_is_printed_if_all_events_are_shown(client: redis.Redis, cli: Run) -> None:
    client.xtrim(STREAM, maxlen=200, approximate=False)
    result = cli("audit")
    assert (len(result.lines), result.stderr) == (200, "")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"foo": "bar"}, "it has no 'event'"),
        ({"event": "{}"}, "it has no 'timestamp'"),
        ({"event": '{"source": "x"}', "timestamp": "1"}, "it has no 'action'"),
        ({"event": "[]", "timestamp": "1"}, "its fields hold something else"),
        ({"event": "x", "timestamp": "1"}, "not JSON"),
    ],
)
def test_an_entry_of_another_program_is_named(
    fields: dict[str, str], why: str, client: redis.Redis, cli: Run
) -> None:
    client.xadd(STREAM, fields)
    listed = cli("audit", "--limit", "5")
    assert listed.code == 0 and f" is not an event: {why}" in listed.stderr


def test_a_limit_is_brought_within_its_bounds(cli: Run) -> None:
    for asked, got in (("3", 3), ("0", 1), ("-5", 1), ("500", 500), ("9999", 500)):
        result = cli("audit", "--limit", asked)
        reported = "" if int(asked) == got else f"note: {NOTE.format(got)}\n"
        assert (len(result.lines), result.stderr) == (got, reported), "what was asked for is no news"
    help_text = " ".join(cli("audit", "list", "--help").stdout.split())
    assert "At most N events, 1 to 500. [default: 200; with --since or --ndjson: all]" in help_text


def test_on_a_terminal_the_note_is_below_the_table(server: PrivateRedis) -> None:
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


def test_a_queue_goes_behind_its_option(cli: Run, client: redis.Redis) -> None:
    client.sadd("jobs:billing:ids", "x")
    assert cli("audit", "billing").stderr == (
        "error: no such command 'billing'\nhint: did you mean 'asyncmq audit --queue billing'?\n"
    )


def test_options_alone_are_those_of_the_list(cli: Run) -> None:
    alone = cli("audit", "--limit", "2", "--json")
    assert alone.json == cli("audit", "list", "--limit", "2", "--json").json
    assert cli("audit", "--json", "--limit", "2", "list").json == alone.json
    assert alone.json["events"][0]["id"].split("-")[0].isdigit()
    assert alone.json["events"][0]["chain"] is None


def test_a_trail_of_before_the_chain_is_no_break(cli: Run, client: redis.Redis) -> None:
    result = cli("audit", "verify", "--json")
    assert result.code == 0
    assert (result.json["intact"], result.json["unchained"], result.json["head"]) == (True, 600, None)
    client.sadd("jobs:mail:ids", "x")
    client.set("queue:mail:waiting:seq", 1)
    assert cli("queues", "pause", "mail").code == 0
    assert cli("queues", "pause", "nosuch").code == 4
    newer = cli("audit", "verify", "--json").json
    assert (newer["intact"], newer["unchained"], newer["chained"]) == (True, 600, 2)
    assert newer["head"]["number"] == 2, "a refusal has its place too"
    event = cli("audit", "--limit", "1", "--json").json["events"][0]
    assert event["chain"].startswith(f"2 100000 {newer['oldest']['id']} {newer['oldest']['hash']}")
    # As a cron line reads it.
    assert "intact\ttrue" in cli("audit", "verify").lines


@pytest.fixture
def chained(client: redis.Redis, cli: Run) -> list[bytes]:
    """The ids of four events in a chain, behind none of before."""
    client.delete(STREAM)
    client.sadd("jobs:mail:ids", "x")
    client.set("queue:mail:waiting:seq", 1)
    for verb in ("pause", "resume") * 2:
        assert cli("queues", verb, "mail").code == 0
    return [entry_id for entry_id, _ in client.xrange(STREAM)]


def test_a_break_of_the_chain_is_reported_with_its_place(
    cli: Run, client: redis.Redis, chained: list[bytes]
) -> None:
    client.xdel(STREAM, chained[1])
    result = cli("audit", "verify", "--json")
    assert (result.code, result.stderr) == (1, "")
    (broken,) = result.json["breaks"]
    assert (broken["kind"], broken["id"], broken["count"]) == ("removed", chained[1].decode(), 1)
    screen = cli("audit", "verify", "-o", "table", "--utc")
    assert screen.code == 1
    assert screen.lines[0].startswith(f"removed    {chained[1].decode()}  20")
    assert screen.lines[1] == "the chain of 3 events is broken in 1 place"


def test_an_edit_by_hand_is_found(cli: Run, client: redis.Redis, chained: list[bytes]) -> None:
    entries = client.xrange(STREAM)
    client.delete(STREAM)
    for entry_id, fields in entries:
        if entry_id == chained[2]:
            fields[b"event"] = fields[b"event"].replace(b"pause", b"resume")
        client.xadd(STREAM, fields, id=entry_id)
    found = cli("audit", "verify", "--json").json["breaks"]
    assert [(one["kind"], one["id"]) for one in found] == [("edited", chained[2].decode())]


def test_the_newest_cannot_be_taken_away_unnoticed(
    cli: Run, client: redis.Redis, chained: list[bytes]
) -> None:
    client.xdel(STREAM, chained[3])
    for _ in range(2):
        found = cli("audit", "verify", "--json").json["breaks"]
        assert [(one["kind"], one["id"]) for one in found] == [("removed", chained[3].decode())]
        # Nor does a later event hide it.
        assert cli("queues", "pause", "mail").code == 0
    client.delete(STREAM)
    assert cli("queues", "resume", "mail").code == 0
    (broken,) = cli("audit", "verify", "--json").json["breaks"]
    assert (broken["kind"], broken["count"]) == ("removed", 5)


def test_a_head_that_is_lost_or_damaged_is_a_break(
    cli: Run, client: redis.Redis, chained: list[bytes]
) -> None:
    for damage in (lambda: client.delete(f"{STREAM}:head"), lambda: client.sadd(f"{STREAM}:head", "x")):
        damage()
        assert [one["kind"] for one in cli("audit", "verify", "--json").json["breaks"]] == ["no_head"]
    # The next event begins a new chain, and puts the key right.
    assert cli("queues", "pause", "mail").code == 0
    assert [one["kind"] for one in cli("audit", "verify", "--json").json["breaks"]] == ["restarted"]


def test_trimming_is_no_break(
    cli: Run, client: redis.Redis, chained: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCMQ_AUDIT_MAXLEN", "2")
    client.config_set("stream-node-max-entries", 2)
    try:
        client.delete(STREAM, f"{STREAM}:head")
        for verb in ("pause", "resume") * 3:
            assert cli("queues", verb, "mail").code == 0
        report = cli("audit", "verify", "--json").json
        assert (report["intact"], report["trimmed"] > 0, report["head"]["number"]) == (True, True, 6)
        assert report["trimmed"] + report["chained"] == 6
    finally:
        client.config_set("stream-node-max-entries", 100)


def test_a_noted_head_must_still_be_there(cli: Run, client: redis.Redis, chained: list[bytes]) -> None:
    head = cli("audit", "verify", "--json").json["head"]
    noted = f"{head['id']}:{head['hash']}"
    assert cli("queues", "pause", "mail").code == 0
    assert cli("audit", "verify", "--head", noted, "--json").json["noted"] == "found"
    client.delete(STREAM, f"{STREAM}:head")
    assert cli("queues", "resume", "mail").code == 0
    assert cli("audit", "verify").code == 0, "a chain of its own"
    result = cli("audit", "verify", "--head", noted, "--json")
    assert (result.code, [one["kind"] for one in result.json["breaks"]]) == (1, ["removed"])
    assert cli("audit", "verify", "--head", "yesterday").code == 2
