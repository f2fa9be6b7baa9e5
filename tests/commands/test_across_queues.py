"""Commands without a queue: lists of several queues, and jobs given only by their ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, within_this_process
from tests.support import library
from tests.support.terminal import on_terminal

QUEUES = ("bills", "mail", "mail-eu")
DIED = 1.7e9


@pytest.fixture(scope="module")
def filled() -> Iterator[PrivateRedis]:
    """Three queues and an empty one, with equal times within and between them."""
    with PrivateRedis() as server:
        client = redis.Redis.from_url(server.url)

        async def fill(opened: RedisBackend) -> None:
            for place, queue in enumerate(QUEUES):
                jobs = [
                    (state, library.job(f"{state[:4]}-{place}{n:02}", created_at=1.6e9 + n // 2, task=queue))
                    for state in ("waiting", "delayed", "completed")
                    for n in range(9 - 3 * place)
                ]
                await library.fill(opened, queue, jobs)

        library.with_backend(server.url, fill)
        for place, queue in enumerate(QUEUES):
            for n in range(40 - 15 * place):
                dead = library.job(
                    f"dead-{place}{n:02}",
                    status="expired" if n % 3 == 0 else "failed",
                    created_at=1.6e9 + (n * 7) % 11,
                    last_error=f"KeyError: {place}",
                )
                library.bury(client, queue, [dead], DIED + (n * 5) % 13)
        client.set("queue:idle:waiting:seq", 4)
        yield server


@pytest.fixture
def look(
    filled: PrivateRedis, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    return within_this_process(filled.url, monkeypatch, capfdbinary)


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        (("mail*",), ["mail", "mail-eu"]),
        (("mail-*", "bills"), ["bills", "mail-eu"]),
        (("mail", "mail"), ["mail"]),
        ((), [*QUEUES, "odd*"]),
        (("odd*",), ["odd*"]),
    ],
)
def test_globs_choose_the_queues_of_every_list(
    filled: PrivateRedis, look: Run, globs: tuple[str, ...], names: list[str]
) -> None:
    client = redis.Redis.from_url(filled.url)
    for name in (*QUEUES, "odd*"):
        client.hset(f"queue:{name}:worker_heartbeats", f"on {name}", '{"heartbeat": 1, "concurrency": 1}')
        client.zadd(f"queue:{name}:repeatables", {'{"task_id": "tick", "every": 60}': 1e9})
    assert (
        look("queues", "pause", *QUEUES, "odd*").code == look("queues", "resume", *QUEUES, "odd*").code == 0
    )
    chosen = [word for glob in globs for word in ("--queue", glob)]
    for command, key in (("workers list", "workers"), ("repeatables next 4", "runs"), ("audit", "events")):
        found = look(*command.split(), *chosen, "--json").json[key]
        assert sorted({one["queue"] for one in found}) == names, command
        wrong = look(*command.split(), *chosen, "--queue", "mial*", "--json")
        assert (wrong.code, wrong.stdout) == (4, ""), command
    assert sorted({*look("check", *chosen, "--json").json["queues"]} - {"idle"}) == names
    for name in (*QUEUES, "odd*"):
        client.delete(f"queue:{name}:worker_heartbeats", f"queue:{name}:repeatables")


def _time(job: dict[str, Any]) -> tuple[float, str]:
    return (job.get("failed_at") or job["run_at"] or job["created_at"] or 0, job["id"])


STATES = ("waiting", "delayed", "completed", "failed", "expired", "all")
LISTS = [*(("jobs", "list", "--state", state) for state in STATES), ("dlq", "list")]


@pytest.mark.extended(first=14)
@pytest.mark.parametrize("args", LISTS, ids=" ".join)
@pytest.mark.parametrize("extra", [(), ("--queue", "mail*"), ("--q", "1")], ids=["all", "glob", "filter"])
@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_a_page_is_that_of_all_jobs_sorted_together(
    args: tuple[str, ...], extra: tuple[str, ...], sort: str, look: Run
) -> None:
    every = [json.loads(line) for line in look(*args, *extra, "--ndjson").lines]
    expected = sorted(every, key=_time, reverse=sort == "newest")
    by_sort = [json.loads(line) for line in look(*args, *extra, "--sort", sort, "--ndjson").lines]
    assert [_time(job) for job in by_sort] == [_time(job) for job in expected]
    for page in (1, 2, 99):
        document = look(*args, *extra, "--sort", sort, "--page", str(page), "--size", "7", "--json").json
        assert document["queue"] is None
        assert document["total"] == len(every)
        assert document["jobs"] == expected[(page - 1) * 7 : page * 7]
    assert {job["queue"] for job in every} == ({"mail", "mail-eu"} if "--queue" in extra else set(QUEUES))


@pytest.mark.parametrize("state", STATES)
def test_the_order_of_the_places_is_queue_by_queue(state: str, look: Run) -> None:
    list_ = ("jobs", "list", "--state", state, "--sort", "queue")
    expected = [
        job
        for queue in QUEUES
        for job in look(*list_[:2], queue, *list_[2:], "--size", "1000", "--json").json["jobs"]
    ]
    assert [json.loads(line) for line in look(*list_, "--ndjson").lines] == expected
    paged = [look(*list_, "--size", "11", "--page", str(page), "--json").json for page in range(1, 14)]
    assert [job for page in paged for job in page["jobs"]] == expected
    assert {page["total"] for page in paged} == {len(expected)}


def test_a_table_over_several_queues_names_the_queue(look: Run) -> None:
    assert look("jobs", "list", "--q", "wait-1", "--fields", "id,queue").lines[0] == "wait-105\tmail"
    assert look("jobs", "list", "--fields").lines[:2] == ["id", "queue"]
    assert look("jobs", "list", "mail", "--fields", "queue", "--size", "1").lines == ["mail"]
    assert look("dlq", "list", "--size", "1").lines[0].split("\t")[1] in QUEUES


def test_a_named_queue_keeps_its_document(look: Run) -> None:
    document = look("jobs", "list", "mail", "--json").json
    assert document["queue"] == "mail"
    assert look("dlq", "groups", "mail", "--json").json["queue"] == "mail"
    groups = look("dlq", "groups", "--json").json
    assert groups["queue"] is None
    assert groups["scanned"] == 40 + 25 + 10


def test_a_group_is_searched_in_all_queues(look: Run) -> None:
    (group,) = [each for each in look("dlq", "groups", "--json").json["groups"] if each["type"] == "KeyError"]
    found = look("dlq", "list", "--group", group["id"], "--json").json
    assert found["total"] == group["count"]
    missing = look("dlq", "list", "--group", "nothing")
    assert (missing.code, missing.stderr.splitlines()[0]) == (
        4,
        "error: no failure group 'nothing' in any queue",
    )


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (("jobs", "list", "--queue", "meil"), 4, "no queue named 'meil'"),
        (("jobs", "list", "mail", "--queue", "mail"), 2, "QUEUE and --queue exclude each other"),
        (("dlq", "list", "--queue", ""), 2, "--queue is empty"),
        (("jobs", "show"), 2, "no job given: give its id"),
        (("jobs", "show", "nobody"), 4, "no job 'nobody' in any queue"),
        (("jobs", "show", "mail"), 4, "no job 'mail' in any queue"),
        (("jobs", "show", "--queue", "b*", "nobody"), 4, "no job 'nobody' in a queue like 'b*'"),
        (("jobs", "show", "mail", "nobody"), 4, "no job 'nobody' in queue 'mail'"),
        (("jobs", "retry", "mail"), 2, "no jobs given: give ids"),
        (("jobs", "retry"), 2, "no jobs given: give ids"),
        (("jobs", "retry", "nobody", "--dry-run"), 4, "no job 'nobody' in any queue"),
        (("jobs", "retry", "meil", "dead-100", "--dry-run"), 4, "no queue named 'meil'"),
    ],
)
def test_what_cannot_be_meant_is_an_error(args: tuple[str, ...], code: int, error: str, look: Run) -> None:
    result = look(*args)
    assert result.code == code
    assert result.stderr.startswith(f"error: {error}")
    if args[1] != "retry" or "--dry-run" not in args:
        assert not result.stdout


def test_the_id_alone_finds_its_job(look: Run) -> None:
    for job_id, queue in (("dead-001", "bills"), ("wait-105", "mail"), ("comp-202", "mail-eu")):
        found = look("jobs", "show", job_id, "--json").json
        assert (found["id"], found["queue"]) == (job_id, queue)
    assert look("jobs", "show", " wait-105 ", "--json").json["id"] == "wait-105"
    assert look("jobs", "show", "--queue", "mail*", "wait-105", "--json").json["queue"] == "mail"
    assert look("jobs", "show", "wait-10").stderr.count("wait-10") > 1, "similar ids are named"


@pytest.fixture
def twins(server: PrivateRedis, client: redis.Redis) -> redis.Redis:
    """Dead jobs in two queues, which have one id in common."""
    for queue in ("bills", "mail"):
        ids = ["same", f"of-{queue}", f"more-{queue}"]
        library.bury(client, queue, [library.job(each, status="failed") for each in ids], DIED)
    return client


def test_an_id_in_two_queues_names_both(twins: redis.Redis, cli: Run) -> None:
    shown = cli("jobs", "show", "same", "--json")
    assert shown.code == 2
    error = json.loads(shown.stderr)["error"]
    assert error["code"] == "ambiguous_job"
    assert error["message"] == "job 'same' is in the queues 'bills' and 'mail'"
    assert error["details"] == {"job_id": "same", "queues": ["bills", "mail"]}
    result = cli("jobs", "retry", "same", "of-mail", "--json")
    assert result.code == 1
    assert [(each["queue"], each["job_id"], each["status"]) for each in result.json["results"]] == [
        (None, "same", "failed"),
        ("mail", "of-mail", "success"),
    ]
    assert twins.zcard("queue:mail:dlq") == 2
    assert twins.zcard("queue:bills:dlq") == 3


def test_a_change_finds_the_queue_of_each_id(twins: redis.Redis, cli: Run, run: Run) -> None:
    document = cli("jobs", "retry", "of-mail", "of-bills", "--json").json
    assert document["queue"] is None
    assert {(each["queue"], each["job_id"]) for each in document["results"]} == {
        ("mail", "of-mail"),
        ("bills", "of-bills"),
    }
    assert twins.zscore("queue:bills:waiting", "of-bills") is not None
    piped = run("jobs", "remove", "-", "--yes", "--json", stdin="more-mail\nmore-bills\n").json
    assert (piped["succeeded"], piped["failed"]) == (2, 0)
    one = cli("jobs", "remove", "--queue", "ma*", "same", "--yes", "--json").json
    assert [each["queue"] for each in one["results"]] == ["mail"]
    events = cli("audit", "--json").json["events"]
    assert {(each["queue"], each["job_id"]) for each in events} >= {("mail", "same"), ("bills", "of-bills")}


def test_a_queue_of_that_name_is_the_queue(twins: redis.Redis, cli: Run) -> None:
    library.bury(twins, "bills", [library.job("mail", status="failed")], DIED)
    assert cli("jobs", "retry", "mail", "of-mail", "--json").json["queue"] == "mail"
    result = cli("jobs", "retry", "mail")
    assert result.code == 2
    assert "--queue '*' mail" in result.stderr
    assert cli("jobs", "retry", "--queue", "*", "mail", "--json").json["results"][0]["queue"] == "bills"


def test_a_slip_in_the_queue_changes_no_job_of_another(twins: redis.Redis, cli: Run) -> None:
    result = cli("jobs", "remove", "meil", "of-mail", "--yes")
    assert result.code == 4
    assert "did you mean mail" in result.stderr
    assert twins.zcard("queue:mail:dlq") == 3
    (event,) = cli("audit", "--json").json["events"]
    assert (event["queue"], event["status"]) == ("meil", "failed")


def test_a_change_by_filter_hits_the_oldest_of_all_queues(client: redis.Redis, cli: Run) -> None:
    for n in range(6):
        library.bury(client, ("bills", "mail")[n % 2], [library.job(f"d{n}", status="failed")], DIED + n)
    document = cli("dlq", "remove", "--all", "--limit", "3", "--yes", "--json").json
    assert (document["queue"], document["matched"]) == (None, 6)
    assert {(each["queue"], each["job_id"]) for each in document["results"]} == {
        ("bills", "d0"),
        ("mail", "d1"),
        ("bills", "d2"),
    }
    assert cli("dlq", "retry", "--queue", "mail", "--all", "--yes", "--json").json["succeeded"] == 2
    assert client.zcard("queue:bills:dlq") == 1


def test_a_backup_over_queues_is_restored_whole(twins: redis.Redis, cli: Run, tmp_path: Any) -> None:
    before = library.dump(twins) if hasattr(library, "dump") else None
    file = str(tmp_path / "all.ndjson")
    assert cli("dlq", "remove", "--all", "--backup", file, "--yes").code == 0
    assert not twins.zcard("queue:mail:dlq") + twins.zcard("queue:bills:dlq")
    assert cli("jobs", "restore", file, "--yes").code == 0
    assert (twins.zcard("queue:mail:dlq"), twins.zcard("queue:bills:dlq")) == (3, 3)
    assert before is None or library.dump(twins) == before


def test_the_question_names_how_many_jobs_and_queues(twins: redis.Redis, server: PrivateRedis) -> None:
    screen = on_terminal("dlq", "remove", "--all", url=server.url, answer="n\n", columns=100)
    assert screen.code == 5, screen.text
    assert "in bills 3, mail 3" in screen.text
    assert "Remove 6 failed jobs in 2 queues on " in " ".join(screen.text.split())


def test_a_queue_that_cannot_be_read_is_named_and_the_others_are_listed(twins: redis.Redis, cli: Run) -> None:
    twins.set("queue:broken:dlq", "no sorted set")
    twins.zadd("queue:broken:waiting", {"w": 1})
    for args in (("dlq", "list"), ("dlq", "list", "--q", "of"), ("dlq", "groups")):
        result = cli(*args)
        assert result.code == 0
        assert result.lines
        assert "queue 'broken': the key 'queue:broken:dlq' is not of the type" in result.stderr
    assert cli("jobs", "show", "of-mail").code == 0


def test_finding_a_job_among_many_queues_takes_few_round_trips(client: redis.Redis, cli: Run) -> None:
    pipe = client.pipeline(transaction=False)
    for n in range(1000):
        pipe.zadd(f"queue:q{n}:waiting", {f"job-{n}": 1})
        pipe.set(f"jobs:q{n}:job-{n}", json.dumps(library.job(f"job-{n}")))
        pipe.sadd(f"jobs:q{n}:ids", f"job-{n}")
    pipe.execute()
    client.config_resetstat()
    assert cli("jobs", "show", "job-777", "--json").json["queue"] == "q777"
    stats = client.info("stats")
    assert int(stats["total_reads_processed"]) < 150
    assert int(stats["total_net_output_bytes"]) < 300_000
