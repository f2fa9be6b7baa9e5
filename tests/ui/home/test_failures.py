"""Dead jobs by cause."""

from __future__ import annotations

import time

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.library import bury
from tests.support.workers import QUEUE, failing, working
from tests.ui.stage import SIZES, Stage, changes, play


@pytest.mark.parametrize("size", SIZES)
def test_failures_by_cause_and_the_jobs_of_one(
    server: PrivateRedis, production: redis.Redis, size: tuple[int, int]
) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("3")
        await stage.sees("251 dead jobs, 1 cause", "ConnectionRefusedError")
        await stage.matches("failures")
        await stage.press("enter")
        await stage.sees("[Errno <*>] Connection refused", "of 100 jobs so far")
        await stage.press("slash")
        await stage.type("bad-addr")
        await stage.press("enter")
        await stage.sees("1 of 1 job", "bad-address")
        await stage.press("enter")
        await stage.sees("'bob' is not a mail address")
        await stage.press("o")
        await stage.sees("error {4}", "/app/tasks.py:30 in send", "to: a@example.org")
        await stage.matches("whole")
        await stage.press("slash")
        await stage.type("example.ORG")
        await stage.press("enter")
        await stage.until(lambda: "search: example.ORG" in stage.text)
        tree = stage.app.page.tree
        # The search unfolds branches: meanwhile the cursor may be on no node.
        await stage.until(lambda: tree.cursor_node and tree.cursor_node.data.value == "a@example.org")
        await stage.press("y")
        await stage.sees("copied 'a@example.org'")

    play(server.url, story, size=size)


def test_a_cause_that_has_not_passed_stops_its_retry(server: PrivateRedis, town: redis.Redis) -> None:
    """A real worker runs the retried jobs, which fail again; the others stay dead."""
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: as asked\n'
    letters = [
        failing(f"job-{n:03}", status="failed", last_error=trace, error_traceback=trace) for n in range(200)
    ]
    bury(town, QUEUE, letters, time.time() - 60)

    async def story(stage: Stage) -> None:
        await stage.press("3", "down")
        await stage.sees("ValueError: as asked", "451 dead jobs")
        await stage.press("end", "t")
        await stage.sees("Retry 200 failed jobs in mail")
        await stage.press("tab", "tab")
        await stage.type("25/s")
        await stage.press("tab")
        await stage.type("20%")
        await stage.sees("--rate 25/s", "--abort-above 20%")
        await stage.press("enter", "enter")
        await stage.sees("retried jobs that finished failed again")

    with working(server.url):
        play(server.url, story)
    tried = len([one for one in changes(town) if one[:3] == ("dlq.retry", "ui", "success")])
    assert 0 < tried < 200
