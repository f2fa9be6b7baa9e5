"""One test for each fault of the dashboard and of the library's own command line.

The numbers are those of the list that the tool was built from.
"""

from __future__ import annotations

import json

import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, ids, run_tool
from tests.support import library

QUEUE = "mail"


def fill(server: PrivateRedis, *jobs: tuple[str, str], queue: str = QUEUE) -> None:
    made = [(state, library.job(name)) for state, name in jobs]
    library.with_backend(server.url, lambda opened: library.fill(opened, queue, made))


def test_2_a_missing_job_is_reported_as_failed_and_gets_no_mark(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    fill(server, ("waiting", "here"))
    before = library.dump(client)
    for verb in ("retry", "remove", "cancel"):
        result = cli("jobs", verb, QUEUE, "ghost", *([] if verb == "retry" else ["--yes"]))
        assert result.code == 4
        assert "no job 'ghost'" in result.stderr
    assert library.dump(client) == before
    assert {(e["status"], e["job_id"]) for e in library.events(client)} == {("failed", "ghost")}


def test_3_a_completed_job_keeps_its_state_and_result_when_cancelled(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    fill(server, ("completed", "done"))
    result = cli("jobs", "cancel", QUEUE, "done", "--yes")
    assert (result.code, result.stdout) == (1, f"failed\t{QUEUE}\tdone\t{refusal(result.stderr)}\n")
    shown = cli("jobs", "show", QUEUE, "done", "--json").json
    assert (shown["status"], shown["result"]) == ("completed", {"sent": ["done"]})


def refusal(stderr: str) -> str:
    return stderr.splitlines()[0].removeprefix("error: ")


def test_4_a_refused_write_in_the_middle_leaves_the_job_where_it_was(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """The library's retry takes the job out of the dead-letter queue before it finds that it
    cannot put it anywhere."""
    fill(server, ("failed", "lost"))
    client.delete(f"queue:{QUEUE}:waiting:seq")
    client.lpush(f"queue:{QUEUE}:waiting:seq", "not a counter")
    before = library.dump(client)
    result = cli("jobs", "retry", QUEUE, "lost")
    assert result.code == 1
    assert "not of the type" in result.stderr
    assert library.dump(client) == before
    assert [e["status"] for e in library.events(client)] == ["failed"]


def test_5_queues_with_any_name_and_content_are_found(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    names = ["tenant:a", "all*[done]?", "a:waiting", "ids", "näme", "line\nbreak", " "]
    for name in names:
        fill(server, ("completed", "one"), queue=name)

    async def schedule(opened: RedisBackend) -> None:
        await opened.upsert_repeatable("only-repeatables", {"task_id": "app.tick", "every": 60})
        await opened.pause_queue("only-paused")
        await opened.enqueue("with-odd-id", library.job("x:ids"))

    library.with_backend(server.url, schedule)
    rows = cli("queues", "list", "--json").json["queues"]
    assert [row["name"] for row in rows] == sorted([*names, "only-repeatables", "only-paused", "with-odd-id"])
    for name in names:
        assert cli("queues", "show", name, "--json").json["completed"] == 1


def test_5_a_name_that_is_not_utf8_is_found_and_can_be_named(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    client.set(b"queue:caf\xe9:paused", 1)
    assert run("queues", "list").stdout.startswith("caf\\xe9\tpaused")
    assert run("queues", "resume", b"caf\xe9".decode("utf-8", "surrogateescape")).code == 0
    assert sorted(client.keys()) == [b"asyncmq-cli:audit", b"asyncmq-cli:audit:head"]


def test_6_overdue_and_expired_jobs_are_both_counted_and_listed(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    fill(server, ("delayed-overdue", "late"), ("expired", "old"), ("failed", "bad"))
    row = cli("queues", "show", QUEUE, "--json").json
    for state, name in (("delayed", "late"), ("expired", "old"), ("failed", "bad")):
        page = cli("jobs", "list", QUEUE, "--state", state, "--json")
        assert ids(page) == [name]
        assert row[state] == page.json["total"] == 1


def test_7_the_repeatable_state_lists_the_definitions(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    definition = {"task_id": "app.tick", "every": 60, "args": [1], "kwargs": {}, "priority": 2}
    next_run = library.with_backend(server.url, lambda opened: opened.upsert_repeatable(QUEUE, definition))
    page = cli("jobs", "list", QUEUE, "--state", "repeatable", "--json").json
    from asyncmq.core.repeatables import repeatable_identity

    (job,) = page["jobs"]
    assert (job["id"], job["task_id"], job["run_at"]) == (
        repeatable_identity(definition),
        "app.tick",
        next_run,
    )
    assert job["payload"] == definition
    assert page["total"] == cli("queues", "show", QUEUE, "--json").json["repeatables"] == 1


def test_9_a_redis_that_is_away_is_an_error_and_not_an_empty_page(server: PrivateRedis) -> None:
    for command in (["queues", "list"], ["jobs", "list", "q"], ["audit"], ["jobs", "retry", "q", "1"]):
        result = run_tool(*command, "--redis-url", "redis://127.0.0.1:1/0")
        assert (result.code, result.stdout) == (3, "")
        assert result.stderr.splitlines()[0] == (
            "error: cannot reach Redis at redis://127.0.0.1:1/0: Connection refused"
        )


def test_10_the_audit_trail_is_shared_and_outlives_each_process(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    fill(server, ("failed", "bad"))
    run("jobs", "retry", QUEUE, "bad", "--actor", "ann", "--reason", "mail is back")
    (event,) = run("audit", "--json").json["events"]
    assert {**event, "timestamp": 0, "time": "", "id": ""} == {
        "timestamp": 0,
        "time": "",
        "id": "",
        "chain": "1 100000 0-0 -",
        "action": "job.retry",
        "source": "jobs.single",
        "status": "success",
        "queue": QUEUE,
        "job_id": "bad",
        "actor": "ann",
        "details": {"reason": "mail is back"},
        "error": None,
    }


def test_11_a_listing_asks_redis_in_batches(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    fill(server, *(("failed", f"f{n}") for n in range(300)))
    before = client.info("stats")["total_commands_processed"]
    assert cli("jobs", "list", QUEUE, "--state", "failed", "--q", "zzz", "--json").json["total"] == 0
    assert client.info("stats")["total_commands_processed"] - before < 40


def test_12_a_search_finds_text_beyond_ascii_whichever_way_it_is_written(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    record = library.job("one", kwargs={"name": "Ünal Æther"})
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, record))
    for text in ("ünal", "ÜNAL", "\\u00dcnal", "æTHER"):
        assert ids(cli("jobs", "list", QUEUE, "--q", text, "--json")) == ["one"], text
    assert ids(cli("jobs", "list", QUEUE, "--q", "unal", "--json")) == []


def test_13_no_control_character_of_a_job_reaches_the_screen(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e[bold]x[/bold]\r\n\t"
    record = library.job("e" + evil, task="t" + evil, kwargs={"k" + evil: evil})
    record["last_error"] = record["error_traceback"] = library.TRACEBACK + evil
    library.with_backend(server.url, lambda opened: opened.move_to_dlq(QUEUE, record))
    for args in (
        ["jobs", "list", QUEUE, "--state", "failed"],
        ["jobs", "list", QUEUE, "--state", "failed", "--color", "always"],
        ["jobs", "show", QUEUE, record["id"]],
        ["jobs", "retry", QUEUE, "no" + evil],
        ["audit"],
        ["jobs", "list", QUEUE, "--state", "failed", "--json"],
    ):
        result = cli(*args)
        shown = result.stdout + result.stderr
        if "always" in args:
            for own in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"):
                shown = shown.replace(own, "")
        assert not set(shown.replace("\n", "").replace("\t", "")) & set("\x1b\x07\x9b\u202e\r"), args
        assert "[bold]" in result.stdout + result.stderr or "retry" in args or "audit" in args
    listed = cli("jobs", "list", QUEUE, "--state", "failed", "--json")
    assert json.loads(listed.stdout)["jobs"][0]["id"] == record["id"]
