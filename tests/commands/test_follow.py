"""`jobs follow`, and `wait` on a filter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, environment
from tests.support import library

QUEUE = "mail"


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    jobs = [
        ("completed", library.job("done")),
        ("failed", library.job("bad", last_error="ValueError: no")),
        ("waiting", library.job("next", kwargs={"tenant": "acme"})),
    ]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))


def test_ended_jobs_are_reported_at_once(cli: Run) -> None:
    (line,) = cli("jobs", "follow", "done").lines
    assert line.split("\t")[1:4] == [QUEUE, "done", "completed"]
    result = cli("jobs", "follow", QUEUE, "done", "bad", "--json")
    assert result.code == 1
    reported = [json.loads(line) for line in result.lines]
    assert [(each["job_id"], each["status"], each["before"]) for each in reported] == [
        ("done", "completed", None),
        ("bad", "failed", None),
    ]
    error = json.loads(result.stderr)["error"]
    assert (error["code"], error["details"]) == ("jobs_failed", {"jobs": {"bad": "failed"}})


def test_a_follow_that_does_not_end_in_time_exits_124(cli: Run) -> None:
    result = cli("jobs", "follow", "next", "--timeout", "0.1")
    assert result.code == 124
    assert result.stderr == "error: 1 job has not ended after 0.1 s\n"
    assert cli("jobs", "follow", "--q", "acme", "--timeout", "0.1").lines[0].split("\t")[2] == "next"


@pytest.mark.parametrize(
    ("args", "code"),
    [(("nobody",), 4), ((QUEUE, "nobody"), 4), ((), 2), ((QUEUE,), 2), (("ghosts", "next"), 4)],
)
def test_unknown_jobs(args: tuple[str, ...], code: int, cli: Run) -> None:
    assert cli("jobs", "follow", *args, "--timeout", "1").code == code


def test_each_change_is_reported_as_it_happens(server: PrivateRedis) -> None:
    """Make the next step only after the previous one was printed."""
    words = [sys.executable, "-m", "asyncmq_cli", "jobs", "follow", "next", "--json", "--interval", "0.05"]
    with subprocess.Popen(
        [*words, "--timeout", "60"], env=environment(server.url), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline())]

        async def claim(opened: RedisBackend) -> None:
            assert await opened.dequeue(QUEUE)

        library.with_backend(server.url, claim)
        seen.append(json.loads(process.stdout.readline()))

        async def complete(opened: RedisBackend) -> None:
            await opened.update_job_state(QUEUE, "next", "completed")
            await opened.ack(QUEUE, "next")

        library.with_backend(server.url, complete)
        rest = [json.loads(line) for line in process.stdout]
    steps = [(each["before"], each["status"]) for each in (*seen, *rest)]
    assert steps[:2] == [(None, "waiting"), ("waiting", "active")]
    assert steps[-1][1] == "completed"
    assert process.returncode == 0


def test_a_job_removed_during_the_wait_has_vanished(server: PrivateRedis, cli: Run) -> None:
    words = [sys.executable, "-m", "asyncmq_cli", "jobs", "follow", "next", "--json", "--timeout", "60"]
    with subprocess.Popen(
        words, env=environment(server.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cli("jobs", "remove", "next", "--yes").code == 0
        assert json.loads(process.stdout.readline())["status"] == "vanished"
    assert process.returncode == 1


def test_wait_takes_a_filter(cli: Run) -> None:
    done = cli("wait", QUEUE, "--where", 'id == "done"')
    assert (done.code, done.stdout) == (0, "")
    assert "all matching jobs have already ended" in done.stderr
    late = cli("wait", QUEUE, "--q", "acme", "--timeout", "0.1", "--keep-waiting", "--json")
    assert late.code == 124
    assert late.json["jobs"] == [{"id": "next", "state": "waiting"}]
    assert cli("wait", QUEUE, "next", "--q", "acme").code == 2
    assert cli("wait", QUEUE, "--q", "acme", "--for", "drained").code == 2


@pytest.mark.parametrize(
    ("form", "jobs"),
    [("jsonl", ("--where", 'kwargs.tenant == "acme"')), ("table", ("next",)), ("tsv", ("next",))],
)
def test_a_wait_for_jobs_prints_each_change_as_it_happens(
    form: str, jobs: tuple[str, ...], client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(["active", "completed"])

    def rest(seconds: float) -> None:
        # Each read reports a change.
        client.hset(f"jobs:{QUEUE}:states", "next", next(steps))

    monkeypatch.setattr("asyncmq_cli.services.monitoring.wait.time.sleep", rest)
    done = cli("wait", QUEUE, *jobs, "--keep-waiting", "-o", form)
    assert done.code == 0, done
    if form == "jsonl":
        *reported, end = map(json.loads, done.lines)
        assert [(each["before"], each["status"]) for each in reported] == [
            ("waiting", "active"),
            ("active", "completed"),
        ]
        assert (end["outcome"], end["jobs"]) == ("done", [{"id": "next", "state": "completed"}])
    elif form == "table":
        assert done.lines[0].endswith("mail  next  waiting -> active")
        assert done.lines[1].endswith("mail  next  active -> completed")
    else:
        assert len(done.lines) == 1
