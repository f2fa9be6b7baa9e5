"""`retry --wait`: the outcome of the retried jobs with a real worker, and an early end if no worker runs."""

from __future__ import annotations

import json
import signal

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.changes import RetryOutcome
from asyncmq_cli.output.text import reports
from tests.conftest import Run
from tests.demo.processes import eventually
from tests.support import library
from tests.support.screen import LiveTerminal
from tests.support.terminal import on_terminal
from tests.support.workers import QUEUE, failing, napping, working


def outcome(**fields: object) -> RetryOutcome:
    counts = dict.fromkeys(("total", "completed", "failed", "cancelled", "gone", "left"), 0)
    given: dict[str, object] = {**counts, "causes": {}, "stopped": None, "waited_seconds": 0.0}
    return RetryOutcome(**{**given, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            outcome(total=5, completed=4, failed=1, causes={"app.SMTPError": 1}),
            "Retried 5: 4 completed, 1 failed again (SMTPError)",
        ),
        (
            outcome(total=3, failed=3, causes={"KeyError": 2, "a.ValueError": 1}),
            "Retried 3: 3 failed again (KeyError ×2, ValueError ×1)",
        ),
        (outcome(total=2, completed=2), "Retried 2: 2 completed"),
        (
            outcome(total=2, completed=1, left=1, stopped="timeout", waited_seconds=120.0),
            "Retried 2: 1 completed, 1 yet to end after 2m",
        ),
        (outcome(total=2, left=2, stopped="it is paused"), "Retried 2: 2 waiting: it is paused"),
        (outcome(total=2, cancelled=1, gone=1), "Retried 2: 1 cancelled, 1 gone"),
    ],
)
def test_the_outcome_in_words(found: RetryOutcome, text: str) -> None:
    assert reports.outcome(found) == text


@pytest.fixture
def dead(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for record in (napping("good-1"), napping("good-2"), failing("bad")):
            await library.put(opened, QUEUE, "failed", {**record, "last_error": "ValueError: once"})

    library.with_backend(server.url, fill)


@pytest.mark.usefixtures("dead")
def test_some_complete_and_some_fail_again(server: PrivateRedis, cli: Run) -> None:
    with working(server.url):
        result = cli("dlq", "retry", QUEUE, "--all", "--yes", "--wait")
        assert result.code == 1
        assert len(result.lines) == 3
        assert result.stderr.splitlines() == [
            "note: Retried 3: 2 completed, 1 failed again (ValueError)",
            "error: 1 of 3 retried jobs did not complete",
        ]
        again = cli("jobs", "retry", QUEUE, "bad", "--wait", "30s", "--json")
        assert again.code == 1
        reported = again.json["outcome"]
        assert reported.pop("waited_seconds") >= 0
        assert reported == {
            "total": 1,
            "completed": 0,
            "failed": 1,
            "cancelled": 0,
            "gone": 0,
            "left": 0,
            "causes": [{"type": "ValueError", "count": 1}],
            "stopped": None,
        }
        assert json.loads(again.stderr)["error"]["code"] == "jobs_failed"


@pytest.mark.usefixtures("dead")
def test_all_complete(server: PrivateRedis) -> None:
    with working(server.url):
        screen = on_terminal("dlq", "retry", QUEUE, "good-1", "good-2", "--wait", url=server.url)
    assert (screen.code, screen.lines[-1]) == (0, "Retried 2: 2 completed")


@pytest.mark.usefixtures("dead")
def test_a_retry_without_workers_does_not_wait(client: redis.Redis, cli: Run) -> None:
    result = cli("dlq", "retry", QUEUE, "good-1", "good-2", "--wait")
    assert result.code == 1
    assert result.stderr.splitlines() == [
        "note: Retried 2: 2 waiting: no live worker serves it",
        "error: no worker will run 2 of the retried jobs: no live worker serves it",
    ]
    assert client.zcard(f"queue:{QUEUE}:waiting") == 2, "they are retried all the same"


@pytest.mark.usefixtures("dead")
def test_the_wait_has_a_limit(server: PrivateRedis, cli: Run) -> None:
    record = {**napping("long", 60.0), "last_error": "ValueError: once"}
    library.with_backend(server.url, lambda opened: library.put(opened, QUEUE, "failed", record))
    with working(server.url):
        result = cli("dlq", "retry", QUEUE, "long", "--wait", "100ms")
        assert (result.code, result.stdout.split("\t")[0]) == (124, "success")
        assert result.stderr.endswith("error: 1 of 1 retried jobs have not ended yet\n")


@pytest.mark.usefixtures("dead")
def test_ctrl_c_ends_the_wait_and_the_change_is_reported(server: PrivateRedis) -> None:
    record = {**napping("long", 60.0), "last_error": "ValueError: once"}
    library.with_backend(server.url, lambda opened: library.put(opened, QUEUE, "failed", record))
    words = ("dlq", "retry", QUEUE, "long", "--wait")
    with (
        working(server.url),
        redis.Redis.from_url(server.url) as client,
        LiveTerminal(*words, url=server.url) as terminal,
    ):
        assert eventually(lambda: client.hlen(f"queue:{QUEUE}:active") == 1)
        terminal.shows("retried")
        terminal.send(signal.SIGINT)
        assert terminal.end() == 130
        assert "Retried job long in mail" in terminal.text
        assert "the jobs were retried anyway" in terminal.text


def test_a_dry_run_does_not_wait_and_an_id_is_no_duration(cli: Run) -> None:
    refused = cli("dlq", "retry", QUEUE, "--all", "--dry-run", "--wait")
    assert refused.stderr == "error: --wait and --dry-run exclude each other\n"
    missing = cli("dlq", "retry", "--wait", "7f3a9c52", "x")
    assert "7f3a9c52" in missing.stderr
