"""The documents and exit statuses that other programs rely on: these keys, in this order."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library

ROW = [
    *("name", "paused", "waiting", "active", "delayed", "failed", "completed", "expired", "cancelled"),
    *("waiting_children", "dlq", "repeatables", "workers", "oldest_waiting_seconds", "problem"),
    *("states_age_seconds", "empty", "due", "pause_seconds_left", "state"),
]
JOB = [
    *("id", "task_id", "status", "created_at", "run_at", "delay_until", "time", "priority", "retries"),
    *("max_retries", "last_error", "payload", "problem", "queue"),
]
FAMILY = ["waits_for", "waits_for_total", "awaited_by", "awaited_by_total"]
PAGE = ["queue", "state", "page", "size", "total", "total_pages", "sort", "filters", "jobs"]
ERROR = ["type", "message", "root_cause", "chain", "frames", "traceback"]
EVENT = ["timestamp", "time", "action", "source", "status", "queue", "job_id", "actor", "details", "error"]
EVENT += ["id", "chain"]
CHANGE = ["action", "queue", "dry_run", "matched", "succeeded", "failed", "outcome", "results"]
RESULT = ["queue", "job_id", "status", "error", "note", "dry_run"]


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    jobs = [
        ("failed", "bad"),
        ("failed", "worse"),
        ("completed", "done"),
        ("active", "busy"),
        ("waiting", "next"),
    ]

    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, "mail", [(state, library.job(name)) for state, name in jobs])
        await library.enlist(opened, "worker-1", "mail", 3)

    library.with_backend(server.url, fill)


def keys(document: Any) -> list[str]:
    return list(document)


def test_queues(cli: Run) -> None:
    listed = cli("queues", "list", "--json")
    assert keys(listed.json) == ["queues"]
    assert keys(listed.json["queues"][0]) == ROW
    shown = cli("queues", "show", "mail", "--json").json
    assert keys(shown) == ROW
    assert (shown["workers"], shown["paused"]) == (1, False)
    assert shown["oldest_waiting_seconds"] > 0
    assert keys(json.loads(cli("queues", "list", "--ndjson").stdout)) == ROW


@pytest.mark.parametrize("words", [["queues", "show", "mail"], ["jobs", "show", "mail", "bad"]], ids=" ".join)
def test_in_a_pipe_a_detail_is_one_line_per_key(words: list[str], cli: Run) -> None:
    document = cli(*words, "--json").json
    expected = [
        f"{key}.{part}" if key == "error" else key
        for key, value in document.items()
        for part in (value if key == "error" else [""])
    ]
    lines = [line.split("\t") for line in cli(*words).lines]
    assert [name for name, _ in lines] == expected
    reported = dict(lines)
    if "payload" in reported:
        assert json.loads(reported["payload"]) == document["payload"]
        assert reported["error.type"] == document["error"]["type"]
        assert reported["created_at"].endswith("+00:00")
    else:
        assert (reported["waiting"], reported["paused"]) == ("1", "false")


def test_jobs(cli: Run) -> None:
    page = cli("jobs", "list", "mail", "--state", "failed", "--json").json
    assert keys(page) == PAGE
    nothing = {
        "q": "",
        "task": "",
        "job_id": "",
        "group": "",
        "where": "",
        "older_than": None,
        "newer_than": None,
    }
    assert page["filters"] == nothing
    assert keys(page["jobs"][0]) == JOB
    assert page["jobs"][0]["time"].endswith("+00:00")
    (line, _) = cli("jobs", "list", "mail", "--state", "failed", "--ndjson").lines
    assert keys(json.loads(line)) == JOB


def test_dead_letters(cli: Run) -> None:
    page = cli("dlq", "list", "mail", "--json").json
    assert keys(page) == [name for name in PAGE if name != "state"]
    assert [keys(job) for job in page["jobs"]] == [[*JOB, "failed_at"]] * 2
    assert page["jobs"][0]["failed_at"] >= page["jobs"][1]["failed_at"] > 1.7e9
    (line, _) = cli("dlq", "list", "mail", "--ndjson").lines
    assert keys(json.loads(line)) == [*JOB, "failed_at"]

    found = cli("dlq", "groups", "mail", "--json").json
    assert keys(found) == [*("queue", "scanned", "groups", "left_out", "by", "queues", "timestamp", "time")]
    (group,) = found["groups"]
    assert keys(group) == [
        *(
            "id",
            "type",
            "message",
            "count",
            "first_seen",
            "last_seen",
            "tasks",
            "sample_job_id",
            "sample_message",
            "sample_queue",
            "queues",
            "trend",
            "last_hour",
            "hour_before",
            "deaths",
            "deaths_span_seconds",
            "value",
            "causes",
        )
    ]
    assert (found["scanned"], group["count"], group["type"]) == (2, 2, "ConnectionRefusedError")


def test_a_shown_job_and_why_it_failed(cli: Run) -> None:
    shown = cli("jobs", "show", "mail", "bad", "--json").json
    assert keys(shown) == [*JOB, "result", "error", *FAMILY, "changes"]
    error = shown["error"]
    assert keys(error) == ERROR
    assert error["type"] == "app.errors.DeliveryError"
    assert error["message"] == "no mail server"
    assert error["root_cause"] == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert error["chain"] == [error["root_cause"], "app.errors.DeliveryError: no mail server"]
    assert error["frames"] == [
        {"path": "/app/mail.py", "line": 12, "function": "connect", "source": "sock.connect(address)"},
        {
            "path": "/app/tasks.py",
            "line": 30,
            "function": "send",
            "source": 'raise DeliveryError("no mail server") from exc',
        },
    ]
    assert error["traceback"] == library.TRACEBACK
    assert cli("jobs", "show", "mail", "done", "--json").json["error"] is None


def test_changes(cli: Run) -> None:
    done = cli("jobs", "retry", "mail", "bad", "ghost", "--json")
    assert keys(done.json) == CHANGE
    assert [keys(result) for result in done.json["results"]] == [RESULT, RESULT]
    assert {name: done.json[name] for name in CHANGE[:6]} == {
        "action": "job.retry",
        "queue": "mail",
        "dry_run": False,
        "matched": 2,
        "succeeded": 1,
        "failed": 1,
    }
    paused = cli("queues", "pause", "mail", "--json").json
    assert (paused["action"], paused["queue"], paused["succeeded"]) == ("queue.pause", "mail", 1)


def test_audit(cli: Run) -> None:
    cli("queues", "pause", "mail", "--reason", "lunch")
    cli("queues", "resume", "mail")
    document = cli("audit", "--json").json
    assert keys(document) == ["events"]
    assert [keys(event) for event in document["events"]] == [EVENT, EVENT]
    assert [event["action"] for event in document["events"]] == ["queue.resume", "queue.pause"]
    assert document["events"][1]["details"] == {"reason": "lunch"}
    assert cli("audit", "list", "--json").json == document


def test_each_json_answer_is_one_line_and_nothing_else(cli: Run) -> None:
    for args in (["queues", "list"], ["jobs", "list", "mail"], ["audit"], ["queues", "pause", "mail"]):
        result = cli(*args, "--json")
        assert result.stdout.count("\n") == 1
        assert result.stdout.endswith("}\n")
        assert result.stderr == ""
        assert cli("--json", *args).stdout[:10] == result.stdout[:10], "before the noun as well"


# The sources and actions are the dashboard's.
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["queues", "pause", "mail"], [("queue.pause", "queues.detail", None)]),
        (["queues", "resume", "mail"], []),
        (["jobs", "retry", "mail", "bad"], [("job.retry", "jobs.single", "bad")]),
        (["jobs", "retry", "mail", "bad", "bad"], [("job.retry", "jobs.single", "bad")]),
        (
            ["jobs", "retry", "mail", "bad", "worse"],
            [("job.retry", "jobs.bulk", "bad"), ("job.retry", "jobs.bulk", "worse")],
        ),
        (["jobs", "remove", "mail", "bad", "--yes"], [("job.remove", "jobs.single", "bad")]),
        (["jobs", "cancel", "mail", "next", "--yes"], [("job.cancel", "jobs.single", "next")]),
        (["dlq", "retry", "mail", "bad"], [("dlq.retry", "dlq.bulk", "bad")]),
        (["dlq", "remove", "mail", "bad", "--yes"], [("dlq.remove", "dlq.bulk", "bad")]),
        (["jobs", "cancel", "mail", "--all", "--yes"], [("job.cancel", "jobs.single", "next")]),
        (
            ["dlq", "retry", "mail", "--all", "--yes"],
            [("dlq.retry", "dlq.bulk", "bad"), ("dlq.retry", "dlq.bulk", "worse")],
        ),
    ],
)
def test_each_change_has_one_event(
    args: list[str], expected: list[tuple[str, str, str | None]], client: redis.Redis, cli: Run
) -> None:
    assert cli(*args).code == 0
    trail = library.events(client)
    assert [(e["action"], e["source"], e["job_id"]) for e in trail] == expected
    assert all(
        (e["status"], e["queue"], e["actor"], e["error"]) == ("success", "mail", "tester", None)
        for e in trail
    )


@pytest.mark.parametrize(
    ("code", "args"),
    [
        (0, ["queues", "list"]),
        (0, ["jobs", "list", "mail", "--state", "cancelled"]),
        (0, ["queues", "pause", "mail", "--dry-run"]),
        (1, ["jobs", "retry", "mail", "next"]),
        (1, ["jobs", "retry", "mail", "bad", "ghost"]),
        (1, ["jobs", "cancel", "mail", "done", "--yes"]),
        (1, ["jobs", "remove", "mail", "busy", "--yes"]),
        (1, ["queues", "pause", "mail", "ghost"]),
        (2, ["jobs", "list", "mail", "--state", "odd"]),
        (2, ["jobs", "list", "mail", "--size", "1001"]),
        (2, ["jobs", "list", "mail", "--size", "0"]),
        (2, ["jobs", "list", "mail", "--page", "0"]),
        (2, ["jobs", "list", "mail", "--sort", "sideways"]),
        (2, ["jobs", "list", "mail", "--json", "--ndjson"]),
        (0, ["jobs", "list"]),
        (2, ["jobs", "retry", "mail"]),
        (2, ["dlq", "remove", "mail", "--yes"]),
        (2, ["jobs", "retry", "mail", "bad", "--all"]),
        (2, ["jobs", "retry", "mail", "bad", "--limit", "1"]),
        (2, ["jobs", "retry", "mail", "--limit", "1"]),
        (2, ["dlq", "retry", "mail", "--all", "--limit", "1", "--percent", "5"]),
        (2, ["dlq", "retry", "mail", "--all", "--rate", "fast"]),
        (2, ["dlq", "retry", "mail", "--all", "--rate", "0/s"]),
        (2, ["dlq", "retry", "mail", "--all", "--rate", "50"]),
        (2, ["dlq", "retry", "mail", "--all", "--percent", "most"]),
        (2, ["dlq", "retry", "mail", "--all", "--abort-above", "20%"]),
        (2, ["dlq", "retry", "mail", "--all", "--rate", "1/s", "--abort-above", "120%"]),
        (2, ["dlq", "list", "mail", "--older-than", "a while"]),
        (2, ["jobs", "retry", "mail", "--state", "waiting", "--yes"]),
        (2, ["jobs", "unknown"]),
        (2, ["unknown"]),
        (2, ["jobs"]),
        (2, ["queues", "list", "--redis-url", "http://example.org"]),
        (2, ["queues", "list", "--timeout", "0"]),
        (2, ["queues", "list", "--color", "blue"]),
        (2, ["audit", "--status", "maybe"]),
        (2, ["audit", "show"]),
        (3, ["queues", "list", "--redis-url", "unix:///nowhere/redis.sock"]),
        (4, ["queues", "show", "ghost"]),
        (4, ["jobs", "list", "ghost"]),
        (4, ["jobs", "show", "mail", "ghost"]),
        (4, ["jobs", "retry", "mail", "ghost"]),
        (4, ["jobs", "retry", "ghost", "1", "2"]),
        (4, ["jobs", "remove", "mail", "ghost", "--yes"]),
        (4, ["queues", "pause", "ghost"]),
        (5, ["jobs", "remove", "mail", "bad"]),
        (5, ["jobs", "cancel", "mail", "next"]),
        (5, ["jobs", "retry", "mail", "--all"]),
        (5, ["dlq", "remove", "mail", "--all"]),
        (4, ["dlq", "list", "mail", "--group", "ffff"]),
        (0, ["dlq", "retry", "mail", "--q", "nothing like it", "--yes"]),
        (1, ["dlq", "remove", "mail", "next", "--yes"]),
        (4, ["dlq", "groups", "ghost"]),
        (4, ["dlq", "retry", "ghost", "--all", "--yes"]),
        (4, ["dlq", "retry", "mail", "ghost"]),
    ],
)
def test_exit_status(code: int, args: list[str], cli: Run) -> None:
    result = cli(*args)
    assert result.code == code, result
    if code == 0:
        assert result.stderr == "" or result.stderr.startswith("note: "), result
        return
    if "--json" not in args:
        assert result.stderr.startswith("error: ")
        assert [line.split(":")[0] for line in result.stderr.splitlines()] in (["error"], ["error", "hint"])
        result = cli(*args, "--json")
    assert keys(json.loads(result.stderr)) == ["error"]
    assert keys(json.loads(result.stderr)["error"]) == ["code", "message", "hint", "details"]


def test_a_wrong_queue_name_is_answered_with_the_nearest(cli: Run) -> None:
    result = cli("jobs", "list", "Mial")
    assert result.stderr == "error: no queue named 'Mial'\nhint: did you mean mail?\n"
    failed = cli("jobs", "retry", "mial", "a", "b", "--json")
    assert json.loads(failed.stderr)["error"]["details"]["nearest"] == ["mail"]
    assert [result["status"] for result in failed.json["results"]] == ["failed", "failed"]


def test_the_singular_works_too(cli: Run) -> None:
    assert cli("job", "list", "mail", "--json").stdout == cli("jobs", "list", "mail", "--json").stdout
    assert cli("queue", "show", "mail", "--json").json["name"] == "mail"


def test_ids_come_from_standard_input_too(run: Run, client: redis.Redis) -> None:
    result = run("jobs", "retry", "mail", "-", "--json", stdin="bad\n\nworse\r\n")
    assert [job["job_id"] for job in result.json["results"]] == ["bad", "worse"]
    assert (result.code, result.json["succeeded"]) == (0, 2)


def test_secrets_are_shown_only_when_asked_for(server: PrivateRedis, cli: Run) -> None:
    record = library.job("one", kwargs={"api_token": "hunter2", "deep": [{"db_Password": "hunter2"}]})
    record |= {"last_error": "login failed: password=hunter2", "priority": 1}
    library.with_backend(server.url, lambda opened: opened.move_to_dlq("mail", record))
    for args in (["jobs", "list", "mail", "--state", "failed"], ["jobs", "show", "mail", "one"]):
        for form in ([], ["--json"], ["--color", "always"]):
            assert "hunter2" not in cli(*args, *form).stdout
            assert "hunter2" in cli(*args, *form, "--show-secrets").stdout
