"""A page of a list reads only the data that it shows."""

from __future__ import annotations

import json

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library

QUEUE = "mail"
DEAD, WAITING = 3000, 3000
DIED = 1.7e9


@pytest.fixture(autouse=True)
def mail(client: redis.Redis) -> None:
    """Dead jobs, of which every tenth has expired; each was created a minute before it died."""
    dead = [
        library.job(
            f"dead-{n:04}",
            status="expired" if n % 10 == 0 else "failed",
            created_at=DIED + n - 60,
            kwargs={"text": "x" * 300},
        )
        for n in range(DEAD)
    ]
    pipe = client.pipeline(transaction=False)
    for number, record in enumerate(dead):
        text = json.dumps(record)
        pipe.zadd(f"queue:{QUEUE}:dlq", {text: DIED + number})
        pipe.set(f"jobs:{QUEUE}:{record['id']}", text)
        pipe.sadd(f"jobs:{QUEUE}:ids", record["id"])
        pipe.hset(f"jobs:{QUEUE}:states", record["id"], record["status"])
    for number in range(WAITING):
        job_id = f"waiting-{number:04}"
        pipe.zadd(f"queue:{QUEUE}:waiting", {job_id: 5 * 10**12 + number})
        pipe.set(f"jobs:{QUEUE}:{job_id}", json.dumps(library.job(job_id, created_at=1.6e9 - number)))
        pipe.sadd(f"jobs:{QUEUE}:ids", job_id)
        pipe.hset(f"jobs:{QUEUE}:states", job_id, "waiting")
    pipe.execute()


def read(client: redis.Redis, cli: Run, *args: str) -> tuple[list[str], int, set[str]]:
    """The output of a command and its cost: the bytes that Redis sent, and the commands."""
    client.config_resetstat()
    result = cli(*args)
    assert result.code == 0, result.stderr
    sent = int(client.info("stats")["total_net_output_bytes"])
    return result.lines, sent, {name.removeprefix("cmdstat_") for name in client.info("commandstats")}


WHOLE = {"scan", "zscan", "sscan", "hscan"}


@pytest.mark.parametrize(
    ("args", "first"),
    [
        (("dlq", "list", QUEUE), "dead-2999"),
        (("dlq", "list", QUEUE, "--page", "50"), "dead-2019"),
        (("dlq", "list", QUEUE, "--sort", "oldest", "--page", "2"), "dead-0020"),
        (("jobs", "list", QUEUE, "--sort", "queue"), "waiting-0000"),
        (("jobs", "list", QUEUE, "--sort", "queue", "--page", "50"), "waiting-0980"),
        (("jobs", "list", QUEUE, "--state", "failed", "--sort", "queue"), "dead-2999"),
        (("jobs", "list", QUEUE, "--state", "failed"), "dead-2999"),
        (("jobs", "list", QUEUE, "--state", "expired"), "dead-2990"),
    ],
)
def test_a_page_reads_no_more_than_it_needs(
    args: tuple[str, ...], first: str, client: redis.Redis, cli: Run
) -> None:
    lines, sent, commands = read(client, cli, *args)
    assert len(lines) == 20
    assert lines[0].startswith(first)
    assert not commands & WHOLE
    # For the newest by creation, all jobs that died within six minutes of the last one are read.
    assert sent < (900_000 if "--state" in args and "--sort" not in args else 150_000)


def test_the_newest_dead_jobs_are_exact_even_if_some_were_created_long_before(
    client: redis.Redis, cli: Run
) -> None:
    late = library.job("born-last", status="failed", created_at=DIED + DEAD)
    client.zadd(f"queue:{QUEUE}:dlq", {json.dumps(late): DIED + DEAD - 100})
    lines, _, commands = read(client, cli, "jobs", "list", QUEUE, "--state", "failed")
    assert lines[0].startswith("born-last")
    assert not commands & WHOLE


def test_the_total_of_the_failed_is_a_bound_for_people_and_exact_in_json(cli: Run) -> None:
    page = cli("jobs", "list", QUEUE, "--state", "failed")
    assert f"20 of at most {DEAD:,} jobs" in page.stderr
    for state, total in (("failed", DEAD * 9 // 10), ("expired", DEAD // 10)):
        assert cli("jobs", "list", QUEUE, "--state", state, "--json").json["total"] == total
    assert cli("dlq", "list", QUEUE, "--json").json["total"] == DEAD


def test_the_total_of_expired_jobs_is_exact_on_the_last_page(cli: Run) -> None:
    page = cli("jobs", "list", QUEUE, "--state", "expired", "--page", "16", "--json").json
    assert (page["jobs"], page["total"]) == ([], DEAD // 10)
    lines = cli("jobs", "list", QUEUE, "--state", "expired", "--sort", "queue", "--page", "15").lines
    assert [line.split("\t")[0] for line in lines] == [f"dead-{n:04}" for n in range(190, -1, -10)]


def test_a_job_in_two_places_is_in_both_lists_and_once_in_all(client: redis.Redis, cli: Run) -> None:
    client.hset(f"queue:{QUEUE}:active", "waiting-0007", "1700000000.5")
    for state in ("waiting", "active"):
        jobs = cli("jobs", "list", QUEUE, "--state", state, "--job-id", "waiting-0007", "--json").json["jobs"]
        assert [(job["id"], job["status"]) for job in jobs] == [("waiting-0007", state)]
        contradicts = "the states hash calls it 'waiting', but it is in the active hash"
        assert jobs[0]["problem"] == (contradicts if state == "active" else None)
    every = cli("jobs", "list", QUEUE, "--state", "all", "--job-id", "waiting-0007", "--json").json
    assert every["total"] == 1


def test_a_waiting_job_in_no_place_waits_for_parents_or_has_a_problem(client: redis.Redis, cli: Run) -> None:
    client.zrem(f"queue:{QUEUE}:waiting", "waiting-0007")
    (job,) = cli("jobs", "list", QUEUE, "--state", "waiting-children", "--json").json["jobs"]
    assert (job["id"], job["status"]) == ("waiting-0007", "waiting-children")
    assert job["problem"] == "it waits for no other job, but is in no place where a worker would look for it"


def test_payload_parts_are_read_only_if_shown_or_searched(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    big = library.job("big", args=["needle" + "y" * 200_000], created_at=2e9)
    client.set(f"queue:{QUEUE}:waiting:seq", WAITING)
    library.with_backend(server.url, lambda opened: library.put(opened, QUEUE, "waiting", big))
    text = json.dumps({"args": big["args"], "kwargs": {}})
    for args, is_read in (
        (("--size", "1"), False),
        (("--sort", "queue", "--size", "1", "--page", str(WAITING + 1)), False),
        (("--size", "1", "--json"), True),
        (("--q", "needleyyy"), True),
    ):
        client.set(f"jobs:{QUEUE}:big:payload", text)
        lines, sent, _ = read(client, cli, "jobs", "list", QUEUE, *args)
        assert "big" in "".join(lines)
        client.delete(f"jobs:{QUEUE}:big:payload")
        _, without, _ = read(client, cli, "jobs", "list", QUEUE, *args)
        assert (sent - without > len(text) / 2) is is_read, args
