"""`repeatables`, as a user meets it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from asyncmq.core.repeatables import repeatable_identity

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.read import repeatables as storage
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

ROW = [
    *(
        "id",
        "queue",
        "task_id",
        "every",
        "cron",
        "next_run",
        "time",
        "paused",
        "overdue",
        "job_def",
        "problem",
    ),
]
CHANGE = [
    *("action", "queue", "dry_run", "matched", "succeeded", "failed", "outcome", "results"),
    *("id", "next_runs"),
]
KEY = "queue:mail:repeatables"
DIGEST = {"task_id": "app.digest", "args": [1], "kwargs": {"api_token": "hunter2"}, "every": 5400}
TICK = {"task_id": "app.tick", "cron": "0 7 * * *"}
NIGHTLY = {"task_id": "app.tick", "cron": "0 3 * * *"}


def store(url: str, queue: str, *definitions: dict[str, Any]) -> None:
    async def fill(opened: RedisBackend) -> None:
        for definition in definitions:
            await opened.upsert_repeatable(queue, definition)

    library.with_backend(url, fill)


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    store(server.url, "mail", DIGEST, TICK, NIGHTLY)
    store(server.url, "tenant:a", DIGEST)


def stored(client: redis.Redis) -> list[dict[str, Any]]:
    return [json.loads(member) for member in client.zrange(KEY, 0, -1)]


def test_the_list(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    document = cli("repeatables", "list", "--json").json
    assert list(document) == ["repeatables"]
    assert [list(row) for row in document["repeatables"]] == [ROW] * 4
    assert [row["queue"] for row in document["repeatables"]] == ["mail"] * 3 + ["tenant:a"]
    (row,) = cli("repeatables", "list", "tenant:a", "--json").json["repeatables"]
    assert row["id"] == repeatable_identity(DIGEST)
    assert (row["every"], row["cron"], row["paused"], row["overdue"]) == (5400, None, False, False)
    assert row["job_def"] == {**DIGEST, "kwargs": {"api_token": "[redacted]"}}
    assert [json.loads(line) for line in cli("repeatables", "list", "tenant:a", "--ndjson").lines] == [row]
    shown = cli("repeatables", "list", "tenant:a", "--json", "--show-secrets").json["repeatables"][0]
    assert shown["job_def"] == DIGEST
    assert cli("repeatable", "list", "--json").json == document


def test_overdue_is_late_by_over_a_minute_and_not_paused(client: redis.Redis, cli: Run) -> None:
    now = time.time()
    client.delete(KEY)
    ages = {"late": 3600.0, "soon": 0.0, "later": -3600.0}
    client.zadd(KEY, {json.dumps({"task_id": name, "every": 60}): now - age for name, age in ages.items()})
    client.zadd(KEY, {json.dumps({"task_id": "rests", "every": 60, "paused": True}): now - 3600})
    rows = cli("repeatables", "list", "mail", "--json").json["repeatables"]
    assert {row["task_id"]: (row["overdue"], row["paused"]) for row in rows} == {
        "late": (True, False),
        "rests": (False, True),
        "soon": (False, False),
        "later": (False, False),
    }


def test_more_than_is_held_at_once_is_listed_in_the_same_order(
    client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        definition = {"task_id": "app.many", "every": 60, "args": ["x" * (number % 7), number // 2]}
        # Some run at the same time, and of some there are two.
        client.zadd("queue:many:repeatables", {json.dumps(definition): 4e9 + number % 11})
        if number % 9 == 0:
            paused = json.dumps({**definition, "paused": True})
            client.zadd("queue:many:repeatables", {paused: 4e9 + number % 5})
    client.zadd("queue:many:repeatables", {"{": 4e9})
    shown = [cli("repeatables", "list", "many", form) for form in ("--json", "--ndjson", "--utc")]
    monkeypatch.setattr(storage, "HELD_BYTES", 1000)
    assert [cli("repeatables", "list", "many", form) for form in ("--json", "--ndjson", "--utc")] == shown
    rows = shown[0].json["repeatables"]
    assert [row["next_run"] for row in rows] == sorted(row["next_run"] for row in rows)
    assert len(rows) == client.zcard("queue:many:repeatables")
    assert sum("stored 2 times" in (row["problem"] or "") for row in rows) == 2 * 34


def test_adding_shows_the_next_five_runs(client: redis.Redis, cli: Run) -> None:
    before = time.time()
    document = cli("repeatables", "add", "mail", "--task", "app.poll", "--every", "1h30m", "--json").json
    assert list(document) == CHANGE
    runs = [run["next_run"] for run in document["next_runs"]]
    assert len(runs) == 5
    assert before + 5400 - 1 <= runs[0] <= time.time() + 5400
    assert runs == pytest.approx([runs[0] + 5400 * number for number in range(5)])
    assert all(run["time"].endswith("+00:00") for run in document["next_runs"])
    assert document["results"] == [
        {
            "queue": "mail",
            "job_id": "app.poll",
            "status": "success",
            "error": None,
            "note": None,
            "dry_run": False,
        }
    ]
    (event,) = library.events(client)
    assert (event["action"], event["source"], event["job_id"]) == (
        "repeatable.create",
        "repeatables.new",
        "app.poll",
    )
    definition = {"task_id": "app.poll", "args": [], "kwargs": {}, "retries": 0, "priority": 5, "every": 5400}
    assert event["details"] == {"job_def": definition}
    assert definition in stored(client)


def test_adding_again_updates_and_says_so(client: redis.Redis, cli: Run) -> None:
    args = ("repeatables", "add", "mail", "--task", "app.poll", "--every", "90")
    assert cli(*args, "--paused").code == 0
    assert stored(client)[0]["paused"] is True
    again = cli(*args, "--json").json["results"][0]["note"]
    assert again == "it already existed, paused, and runs again"
    member = client.zrange(KEY, 0, 0)[0]
    client.zadd(KEY, {member: 1.0})
    assert "counted from now" in cli(*args, "--json").json["results"][0]["note"]
    assert client.zscore(KEY, member) > time.time()
    assert client.zcard(KEY) == 4


def test_a_definition_added_paused_has_no_coming_runs(cli: Run) -> None:
    add = ("repeatables", "add", "mail", "--task", "app.poll", "--every", "90", "--paused")
    assert "Next runs" not in cli(*add, "--color", "always").stdout
    assert cli(*add, "--json").json["next_runs"] == []


NEW = ("repeatables", "add", "mial", "--task", "app.poll", "--every", "5m")


def test_a_queue_that_there_is_not_is_asked_about_where_somebody_is(
    server: PrivateRedis, client: redis.Redis
) -> None:
    no = on_terminal(*NEW, url=server.url, answer="n\n")
    assert (no.code, client.exists("queue:mial:repeatables")) == (5, 0)
    assert "there is no queue named 'mial' yet; did you mean mail?" in no.text
    assert on_terminal(*NEW, url=server.url, answer="y\n").code == 0
    assert client.zcard("queue:mial:repeatables") == 1
    assert on_terminal(*NEW[:-1], "nonsense", url=server.url).code == 2


def test_a_new_queue_is_created_with_a_warning(client: redis.Redis, cli: Run) -> None:
    result = cli(*NEW, "--color", "always")
    assert (result.code, client.zcard("queue:mial:repeatables")) == (0, 1)
    assert result.stderr == "warning: 'mial' is a new queue (did you mean mail?)\n"


@pytest.mark.parametrize(
    "args",
    [
        ["--task", "t"],
        ["--task", "t", "--every", "5m", "--cron", "* * * * *"],
        ["--every", "5m"],
        ["--task", " ", "--every", "5m"],
        ["--task", "t", "--every", "0"],
        ["--task", "t", "--every", "-5"],
        ["--task", "t", "--every", "soon"],
        ["--task", "t", "--every", "9" * 400],
        ["--task", "t", "--every", "99999999999d"],
        ["--task", "t", "--cron", "* * * *"],
        ["--task", "t", "--cron", "61 * * * *"],
        ["--task", "t", "--cron", "0 0 31 2 *"],
        ["--task", "t", "--cron", ""],
        ["--task", "t", "--every", "5m", "--args", "{}"],
        ["--task", "t", "--every", "5m", "--args", "[1"],
        ["--task", "t", "--every", "5m", "--args", "[" * 5000 + "]" * 5000],
        ["--task", "t", "--every", "5m", "--args", "[" * 150 + "]" * 150],
        ["--task", "t", "--every", "5m", "--kwargs", "[]"],
        ["--task", "t", "--every", "5m", "--retries", "-1"],
        ["--task", "t", "--every", "5m", "--ttl", "0"],
        ["--task", "t", "--every", "5m", "--backoff", "nan"],
        ["--task", "t", "--every", "5m", "--priority", "high"],
    ],
)
def test_everything_is_checked_before_anything_is_written(
    args: list[str], client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    result = cli("repeatables", "add", "mail", *args)
    assert (result.code, result.stdout) == (2, ""), result
    assert result.stderr.startswith("error: ")
    assert library.dump(client) == before
    assert library.events(client) == []


def by_prefix(definition: dict[str, Any], length: int) -> str:
    return repeatable_identity(definition)[: len("repeatable:") + length]


@pytest.mark.parametrize(
    "address",
    [
        ["--task", "app.digest"],
        [repeatable_identity(DIGEST)],
        [by_prefix(DIGEST, 12)],
        [by_prefix(DIGEST, 12).removeprefix("repeatable:").upper()],
    ],
)
def test_pause_resume_and_remove_one_definition(address: list[str], client: redis.Redis, cli: Run) -> None:
    others = [definition for definition in stored(client) if definition != DIGEST]

    def change(verb: str, *more: str) -> Any:
        result = cli("repeatables", verb, "mail", *address, *more, "--reason", "lunch", "--json")
        assert (result.code, result.stderr, list(result.json)) == (0, "", CHANGE)
        assert result.json["id"] == repeatable_identity(DIGEST)
        return result.json

    assert change("pause")["next_runs"] == []
    assert {**DIGEST, "paused": True} in stored(client)
    assert change("pause")["results"][0]["note"] == "was paused already; nothing changed"
    assert len(change("resume")["next_runs"]) == 5
    assert DIGEST in stored(client)
    assert change("resume")["results"][0]["note"] == "was not paused; nothing changed"
    change("remove", "--yes")
    assert stored(client) == others
    trail = library.events(client)
    assert [event["action"].removeprefix("repeatable.") for event in trail] == ["pause", "resume", "remove"]
    for event in trail:
        assert (event["source"], event["status"], event["job_id"]) == ("repeatables", "success", "app.digest")
        assert event["details"] == {"reason": "lunch", "job_def": DIGEST}
    assert "hunter2" not in cli("audit").stdout


@pytest.mark.parametrize("verb", ["pause", "resume", "remove"])
def test_missing_and_ambiguous_targets_change_nothing(verb: str, client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    yes = ["--yes"] if verb == "remove" else []
    for code, address, message in (
        (
            4,
            ["mail", "--task", "app.digset"],
            "error: no repeatable 'app.digset' in queue 'mail'\nhint: did you",
        ),
        (4, ["mail", "0123456789"], "error: no repeatable '0123456789' in queue 'mail'"),
        (4, ["mail", ""], "error: no repeatable '' in queue 'mail'"),
        (4, ["mial", "--task", "app.digest"], "error: no queue named 'mial'\nhint: did you mean mail?"),
        (
            2,
            ["mail", "--task", "app.tick"],
            "error: 'app.tick' may be any of 2 repeatables in queue 'mail'\nhint",
        ),
        (
            2,
            ["mail"],
            "error: no repeatable given: give its id, or --task\nhint: 'asyncmq repeatables list mail'",
        ),
        (2, ["mail", "ab", "--task", "x"], "error: an id and --task exclude each other"),
    ):
        result = cli("repeatables", verb, *address, *yes)
        assert (result.code, result.stderr[: len(message)]) == (code, message)
    assert library.dump(client) == before
    assert [event["status"] for event in library.events(client)] == ["failed"] * 4
    ambiguous = cli("repeatables", verb, "mail", "--task", "app.tick", *yes, "--json")
    error = json.loads(ambiguous.stderr)["error"]
    assert f"{repeatable_identity(NIGHTLY)} (app.tick, {NIGHTLY['cron']})" in error["hint"]
    assert error["code"] == "ambiguous_repeatable"
    assert error["details"]["candidates"] == sorted(map(repeatable_identity, (TICK, NIGHTLY)))


def test_a_beginning_of_an_id_that_several_have_is_ambiguous(client: redis.Redis, cli: Run) -> None:
    made = [{"task_id": "t", "every": number} for number in range(1, 40)]
    client.zadd(KEY, {json.dumps(definition): 4e9 for definition in made})
    digits = [repeatable_identity(definition)[11] for definition in made]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    assert cli("repeatables", "pause", "mail", twice).code == 2


@pytest.mark.parametrize(
    "args",
    [
        ["add", "new", "--task", "t", "--every", "5m"],
        ["pause", "mail", "--task", "app.digest"],
        ["remove", "mail", "--task", "app.digest"],
    ],
)
def test_a_dry_run_shows_and_does_nothing(args: list[str], client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    result = cli("repeatables", *args, "--dry-run", "--color", "always")
    assert (result.code, result.stdout.split(",")[0].split()[:2]) == (0, ["Would", args[0]])
    document = cli("repeatables", *args, "--dry-run", "--json").json
    assert (document["dry_run"], document["succeeded"], len(document["next_runs"])) == (
        True,
        1,
        5 if args[0] == "add" else 0,
    )
    assert library.dump(client) == before
    assert library.events(client) == []


def test_a_schedule_that_has_no_next_run_cannot_be_resumed_but_removed(client: redis.Redis, cli: Run) -> None:
    for number, schedule in enumerate(({"cron": "x"}, {"every": "often"}, {"cron": 5}, {})):
        definition = {"task_id": f"odd.{number}", **schedule, "paused": True}
        client.zadd(KEY, {json.dumps(definition): 4e9})
        refused = cli("repeatables", "resume", "mail", "--task", f"odd.{number}")
        assert (refused.code, "it cannot be resumed" in refused.stderr) == (1, True)
        assert definition in stored(client)
        assert cli("repeatables", "remove", "mail", "--task", f"odd.{number}", "--yes").code == 0
    assert len(stored(client)) == 3


def test_a_member_that_is_no_definition_is_shown_and_never_changed(client: redis.Redis, cli: Run) -> None:
    damaged = [b"no json", b"[1]", b"\xff\xfe", b'{"task_id": ' + b"[" * 100_000]
    client.zadd(KEY, dict.fromkeys(damaged, 1.0))
    result = cli("repeatables", "list", "mail", "--json")
    odd = [row for row in result.json["repeatables"] if row["id"] is None]
    assert (result.code, len(odd), result.stderr.count('"warning"')) == (0, 4, 4)
    assert all("not a JSON object" in row["problem"] and not row["overdue"] for row in odd)
    for verb in ("pause", "resume", "remove"):
        yes = ["--yes"] if verb == "remove" else []
        assert cli("repeatables", verb, "mail", "--task", "app.digest", *yes).code == 0
    assert set(damaged) <= set(client.zrange(KEY, 0, -1))


@pytest.mark.parametrize("key", [KEY, "asyncmq:mail:repeatable-scheduler", "asyncmq-cli:audit"])
def test_a_key_of_a_wrong_type_changes_nothing(key: str, client: redis.Redis, cli: Run) -> None:
    client.delete(key)
    client.rpush(key, "a", "b")
    before = library.dump(client)
    for args in (["add", "mail", "--task", "t", "--every", "5m"], ["pause", "mail", "--task", "app.digest"]):
        result = cli("repeatables", *args)
        assert (result.code, "bug in asyncmq-cli" in result.stderr) == (1, False), result
    assert library.dump(client) == before
    assert cli("repeatables", "list").code == 0


def test_a_scheduler_that_keeps_its_lock_is_an_error(
    client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncmq_cli.services.repeatables.service._RETRY_SECONDS", 0.1)
    client.set("asyncmq:mail:repeatable-scheduler", "token", ex=60)
    result = cli("repeatables", "pause", "mail", "--task", "app.digest", "--json")
    assert (result.code, json.loads(result.stderr)["error"]["code"]) == (1, "scheduler_at_work")
    assert DIGEST in stored(client)
    assert [event["status"] for event in library.events(client)] == ["failed"]
    client.delete("asyncmq:mail:repeatable-scheduler")
    assert cli("repeatables", "pause", "mail", "--task", "app.digest").code == 0


def test_on_a_terminal_and_in_a_pipe(server: PrivateRedis, client: redis.Redis, run: Run) -> None:
    store(server.url, "a-queue-with-a-long-name", {"task_id": "app.jobs.reports.weekly.Send", "every": 1})
    screen = on_terminal("repeatables", "list", url=server.url)
    assert max(len(line) for line in screen.lines) <= 80, screen.text
    titles = ["ID", "QUEUE", "TASK", "SCHEDULE", "NEXT RUN", "ARGUMENTS"]
    assert screen.lines[0].split() == " ".join(titles).split()
    assert "every 1h30m" in screen.text, "arguments give way to the schedule"
    short = repeatable_identity(TICK).removeprefix("repeatable:")[:10]
    (line,) = [line for line in screen.lines if line.startswith(short)]
    assert line.split()[1:8] == ["mail", "app.tick", "0", "7", "*", "*", "*"]
    (cells,) = [line.split("\t") for line in run("repeatables", "list", "tenant:a").lines]
    assert cells[:4] == [repeatable_identity(DIGEST), "tenant:a", "app.digest", "every 1h30m"]
    assert (cells[4][-6:], cells[5]) == ("+00:00", "scheduled")

    paused = on_terminal("repeatables", "pause", "mail", "--task", "app.digest", url=server.url)
    assert paused.text == f"Paused app.digest, every 1h30m, in mail\n  {repeatable_identity(DIGEST)}\n"
    resumed = on_terminal("repeatables", "resume", "mail", short, url=server.url)
    assert resumed.text == "Repeatable app.tick in mail was not paused; nothing changed\n"


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 2), ("n\n", 5, 3), ("\x04", 5, 3)])
def test_removing_asks(answer: str, code: int, left: int, server: PrivateRedis, client: redis.Redis) -> None:
    screen = on_terminal(
        "repeatables", "remove", "mail", "--task", "app.digest", url=server.url, answer=answer
    )
    assert (screen.code, client.zcard(KEY)) == (code, left)
    assert f"  app.digest, every 1h30m\nRemove 1 repeatable in mail on {server.url}? [y/N] " in screen.text


def test_ids_go_from_the_list_into_a_change(client: redis.Redis, run: Run) -> None:
    names = run("repeatables", "list", "mail", "-o", "name")
    assert len(names.lines) == 3
    paused = run("repeatables", "pause", "mail", "-", stdin=names.stdout)
    assert (paused.code, len(paused.lines)) == (0, 3)
    assert all(definition["paused"] for definition in stored(client))
    assert [event["action"] for event in library.events(client)] == ["repeatable.pause"] * 3
    short = [name.removeprefix("repeatable:")[:10] for name in names.lines[:2]]
    resumed = run("repeatables", "resume", "mail", *short, "--json").json
    assert (resumed["action"], resumed["queue"], resumed["succeeded"]) == ("repeatable.resume", "mail", 2)
    assert (resumed["id"], resumed["next_runs"]) == (None, [])
    nothing = run("repeatables", "pause", "mail", "-", "--json").json
    assert (nothing["action"], nothing["matched"], nothing["results"]) == ("repeatable.pause", 0, [])


def test_of_several_the_wrong_ones_fail_and_the_others_change(client: redis.Redis, cli: Run) -> None:
    digest = repeatable_identity(DIGEST)
    client.zadd(KEY, {json.dumps({"task_id": "t", "every": number}): 4e9 for number in range(1, 40)})
    digits = [repeatable_identity({"task_id": "t", "every": number})[11] for number in range(1, 40)]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    done = cli("repeatables", "pause", "mail", digest, "nowhere", twice, digest, "--json")
    assert (done.code, done.json["succeeded"], done.json["failed"]) == (1, 1, 2)
    assert [result["status"] for result in done.json["results"]] == ["success", "failed", "failed"]
    assert any(definition.get("paused") for definition in stored(client))


def test_removing_several_names_each_and_does_nothing_before_the_answer(
    server: PrivateRedis, client: redis.Redis
) -> None:
    ids = [repeatable_identity(definition) for definition in (TICK, NIGHTLY)]
    screen = on_terminal("repeatables", "remove", "mail", *ids, url=server.url, answer="n\n")
    assert (screen.code, client.zcard(KEY)) == (5, 3)
    assert "app.tick, 0 7 * * *" in screen.text and "app.tick, 0 3 * * *" in screen.text
    assert f"Remove 2 repeatables in mail on {server.url}? [y/N] " in screen.text
    assert on_terminal("repeatables", "remove", "mail", *ids, url=server.url, answer="y\n").code == 0
    assert client.zcard(KEY) == 1


def test_removing_where_nobody_can_be_asked_needs_yes(client: redis.Redis, run: Run) -> None:
    result = run("repeatables", "remove", "mail", "--task", "app.digest")
    assert (result.code, client.zcard(KEY)) == (5, 3)
    assert "remove 1 repeatable in 'mail'" in result.stderr


def test_a_task_that_is_scheduled_already_is_named_and_can_be_replaced(client: redis.Redis, run: Run) -> None:
    add = ("repeatables", "add", "emails", "--task", "app.digest", "--cron")
    assert run(*add, "0 7 * * *").code == 0
    (old,) = run("repeatables", "list", "emails", "--json").json["repeatables"]
    second = run(*add, "0 8 * * *", "--dry-run")
    assert (
        f"keeps its other schedules: '0 7 * * *' ({old['id']}); --replace ID" in second.stderr + second.stdout
    )
    assert "note: next runs: 20" in second.stderr
    replaced = run(*add, "0 8 * * *", "--replace", old["id"])
    assert replaced.code == 0 and "keeps its other schedules" not in replaced.stderr + replaced.stdout
    assert [one["cron"] for one in run("repeatables", "list", "emails", "--json").json["repeatables"]] == [
        "0 8 * * *"
    ]
    assert run(*add, " 0  8 *\t* * ").code == 0
    assert client.zcard("queue:emails:repeatables") == 1
    missing = run(*add, "0 9 * * *", "--replace", "ffff")
    assert missing.code == 4 and client.zcard("queue:emails:repeatables") == 1
    assert "replaced" in library.events(client)[1]["details"]


def test_a_definition_that_would_run_the_same_twice_is_refused(client: redis.Redis, run: Run) -> None:
    add = ("repeatables", "add", "emails", "--task", "app.poll", "--every", "5m")
    assert run(*add).code == 0
    refused = run(*add, "--retries", "3")
    assert refused.code == 1 and "each run would be enqueued twice" in refused.stderr
    assert run(*add, "--args", "[1]").code == 0
    (plain,) = [
        one["id"]
        for one in run("repeatables", "list", "emails", "--json").json["repeatables"]
        if one["job_def"]["args"] == []
    ]
    assert run(*add, "--retries", "3", "--replace", plain).code == 0
    assert client.zcard("queue:emails:repeatables") == 2


def test_a_field_of_seconds_is_asked_about_on_a_terminal(server: PrivateRedis, client: redis.Redis) -> None:
    add = ("repeatables", "add", "mail", "--task", "app.poll", "--cron")
    before = client.zcard("queue:mail:repeatables")
    no = on_terminal(*add, "*/10 * * * * *", url=server.url, answer="n\n")
    assert (no.code, client.zcard("queue:mail:repeatables")) == (5, before)
    question = no.text.index(f"Add the repeatable on {server.url}? [y/N]")
    shown = no.text[:question]
    assert "The sixth field is the seconds, not the first as elsewhere." in shown
    # The runs are ten minutes apart, with a second in each: what was meant is seen to be something else.
    assert len(re.findall(r"^  \d{4}-\d\d-\d\dT", shown, re.MULTILINE)) == 5
    yes = on_terminal(*add, "*/10 * * * * *", url=server.url, answer="y\n")
    assert (yes.code, client.zcard("queue:mail:repeatables")) == (0, before + 1)
    for unasked in (("*/10 * * * *",), ("*/20 * * * * *", "--yes"), ("*/20 * * * * *", "--dry-run")):
        screen = on_terminal(*add, *unasked, url=server.url)
        assert (screen.code, "[y/N]" in screen.text) == (0, False)


def test_what_a_cron_expression_does_not_mean_here_is_said(run: Run) -> None:
    add = ("repeatables", "add", "emails", "--task", "app.poll", "--dry-run", "--cron")
    six = run(*add, "*/10 * * * * *")
    assert six.code == 0 and "is the seconds, not the first as elsewhere" in six.stderr + six.stdout
    every = run(*add, "@every 5m")
    assert every.code == 2 and "--every 5m" in every.stderr
    assert run(*add, "R R * * *").code == 2
    assert run(*add, "0 0 * mar,apr fri").code == 0


def test_the_list_tells_two_definitions_of_a_task_apart(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.flushall()
    store(server.url, "mail", {**DIGEST, "args": ["in\x1b"]}, {**DIGEST, "args": ["out", 2]}, TICK)
    cli("repeatables", "pause", "mail", "--task", "app.tick")
    rows = {line.split("\t")[6]: line.split("\t")[2:6] for line in cli("repeatables", "list").lines}
    digest = [f'{first}, api_token="[redacted]"' for first in ('"in\\\\u001b"', '"out", 2')]
    assert set(rows) == {*digest, ""}
    assert rows[digest[0]][:2] == rows[digest[1]][:2] == ["app.digest", "every 1h30m"]
    # A paused definition has no next run; the document keeps the stored one.
    assert rows[""] == ["app.tick", "0 7 * * *", "", "paused"]
    assert all(row["next_run"] for row in cli("repeatables", "list", "--json").json["repeatables"])
    screen = on_terminal("repeatables", "list", url=server.url, columns=120)
    assert screen.lines[-1] == "cron expressions are read in UTC"
    assert (
        'api_token="hunter2"'
        in on_terminal("repeatables", "list", "--show-secrets", url=server.url, columns=160).text
    )


def test_one_definition_with_its_next_runs(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    document = cli("repeatables", "show", "tenant:a", repeatable_identity(DIGEST)[:20], "--json").json
    assert list(document) == [*ROW, "next_runs"]
    first = document["next_run"]
    assert document["next_runs"] == pytest.approx([first + 5400 * number for number in range(5)])
    screen = on_terminal("repeatables", "show", "tenant:a", "--task", "app.digest", "--utc", url=server.url)
    assert [line.split(":")[0] for line in screen.lines[:8]] == [
        *("Id", "Queue", "Task", "Schedule", "Arguments", "Options", "State", "Next runs (UTC)"),
    ]
    assert len(screen.lines) == 8 + 5 and "hunter2" not in screen.text
    cli("repeatables", "pause", "tenant:a", "--task", "app.digest")
    assert cli("repeatables", "show", "tenant:a", "--task", "app.digest", "--json").json["next_runs"] == []
    missing = cli("repeatables", "show", "mail", "--task", "app.tik")
    assert (missing.code, missing.stdout) == (4, "")
    assert missing.stderr.endswith("hint: did you mean --task app.tick?\n")
    assert cli("repeatables", "show", "mail", "--task", "app.tick").code == 2, "two have that task"
    assert cli("repeatables", "show", "mail").code == 2


def test_coming_runs_of_all_definitions_in_the_order_of_time(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    now = time.time()
    client.flushall()
    client.zadd("queue:a:repeatables", {'{"task_id":"often","every":600}': now + 300})
    client.zadd("queue:b:repeatables", {'{"task_id":"late","every":1500}': now - 700})
    client.zadd("queue:b:repeatables", {'{"task_id":"rests","every":1,"paused":true}': now})
    client.zadd("queue:b:repeatables", {'{"task_id":"never","cron":"0 0 30 2 *"}': now + 1000})
    runs = cli("repeatables", "next", "6", "--json").json["runs"]
    assert [(run["task_id"], round(run["timestamp"] - now, -2)) for run in runs] == [
        *(("late", -700), ("often", 300), ("often", 900), ("never", 1000)),
        *(("often", 1500), ("late", 1500)),
    ]
    assert [run["overdue"] for run in runs if run["task_id"] == "late"] == [True, False]
    listed = [json.loads(line) for line in cli("repeatables", "next", "5", "--ndjson").lines]
    assert listed == runs[:5]
    assert len(cli("repeatables", "next").lines) == 10
    of_one = cli("repeatables", "next", "2", "--queue", "a").lines
    assert [line.split("\t")[2] for line in of_one] == ["a", "a"]
    assert cli("repeatables", "next", "--queue", "c").code == 4
    assert cli("repeatables", "next", "0").stderr.startswith("error: N must be a whole number from 1 to 1000")
    screen = on_terminal("repeatables", "next", "3", url=server.url, columns=160)
    assert screen.lines[0].split()[:2] == ["AT", "IN"]
    assert " overdue " in screen.lines[1]
    client.flushall()
    assert cli("repeatables", "next", "--json").json == {"runs": []}
    assert on_terminal("repeatables", "next", url=server.url).lines[-1] == "no coming runs"
