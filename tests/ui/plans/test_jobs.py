"""Changes of jobs, and afterwards the data in Redis and the audit trail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.library import events, fill, with_backend
from tests.support.workers import QUEUE, holding, napping, working
from tests.ui.stage import Stage, changes, play, state_of


def test_a_removal_takes_a_capital_letter_and_keeps_a_backup(
    server: PrivateRedis, town: redis.Redis, tmp_path: Path
) -> None:
    backup = tmp_path / "kept.ndjson"

    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("mail-249")
        await stage.press("d", "c")
        assert "Remove" not in stage.text
        await stage.press("space", "space", "D")
        await stage.sees("Remove 2 failed jobs in emails", "without a backup this cannot be undone")
        await stage.press("tab")
        await stage.type(str(backup))
        await stage.press("enter", "tab", "enter")
        await stage.sees("Would remove 2 failed jobs")
        assert not backup.exists() and events(town) == []
        await stage.press("shift+tab", "enter")
        await stage.sees("Removed 2 of 2", "restores what was removed")
        await stage.press("enter")
        await stage.sees("of 249 jobs")

    play(server.url, story)
    assert backup.exists()
    assert not town.exists("jobs:emails:mail-249")
    assert [one[:4] for one in changes(town)] == [
        ("dlq.remove", "ui", "success", "mail-249"),
        ("dlq.remove", "ui", "success", "mail-248"),
    ]


def test_delayed_jobs_are_run_now(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("2", "right_square_bracket", "right_square_bracket", "right_square_bracket")
        await stage.sees("later-0", "later-1", "DUE")
        await stage.press("n")
        await stage.sees("Run now 1 delayed job in emails", "asyncmq jobs run-now emails later-0")
        await stage.press("enter", "enter")
        await stage.sees("Moved up job later-0 in emails")
        await stage.press("enter")
        await stage.sees("1 of 1 job")
        await stage.press("asterisk", "n")
        await stage.sees("Run now 1 delayed job in emails", "asyncmq jobs run-now --all")
        await stage.press("escape", "t")
        await stage.sees(
            "error: a whole list of delayed jobs takes no retry", "it takes run-now, cancel, remove"
        )

    play(server.url, story, size=(100, 24))
    assert (state_of(town, "later-0"), state_of(town, "later-1")) == ("waiting", "delayed")
    assert [one[:4] for one in changes(town)] == [("job.run-now", "ui", "success", "later-0")]


def test_a_worker_runs_requeued_and_run_now_jobs_but_not_cancelled_ones(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    done = tmp_path / "done"

    async def jobs(backend: Any) -> None:
        await fill(backend, QUEUE, [("waiting", holding("stuck", done))])

    async def more(backend: Any) -> None:
        later = napping("later", delay_until=time.time() + 3600)
        await fill(backend, QUEUE, [("waiting", napping("unwanted")), ("delayed", later)])

    async def killed(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("active 1", "1 of 1 job", "unwanted")
        await stage.press("C")
        await stage.sees("Cancel 1 waiting job in mail")
        await stage.press("enter", "enter")
        await stage.sees("Cancelled job unwanted")
        await stage.press("enter", "right")
        await stage.sees("> stuck")
        await stage.press("u")
        await stage.sees("Requeue 1 active job in mail")
        await stage.press("enter", "enter")
        await stage.sees("Requeued job stuck")
        await stage.press("enter", "right")
        await stage.sees("> later")
        await stage.press("n")
        await stage.sees("Run now 1 delayed job in mail")
        await stage.press("enter", "enter")
        await stage.sees("Moved up job later")

    async def alive(stage: Stage) -> None:
        await stage.until(lambda: state_of(client, "later", QUEUE) == "completed")
        await stage.press("2", "right_square_bracket", "right_square_bracket")
        await stage.sees("> stuck", "1 of 1 job")
        await stage.press("u")
        await stage.sees("There is nothing to requeue", "refused:")
        await stage.press("escape")
        done.touch()
        await stage.until(lambda: state_of(client, "stuck", QUEUE) == "completed")

    with_backend(server.url, jobs)
    with working(server.url) as worker:
        while client.hlen(f"queue:{QUEUE}:active") == 0:
            time.sleep(0.01)
        worker.kill()
    with_backend(server.url, more)
    # As an hour later.
    client.hset(f"queue:{QUEUE}:active", "stuck", time.time() - 3600)
    client.delete(f"queue:{QUEUE}:worker_heartbeats")
    play(server.url, killed)
    with working(server.url):
        play(server.url, alive)
    assert state_of(client, "unwanted", QUEUE) == "cancelled"
    assert [one[:4] for one in changes(client)] == [
        ("job.cancel", "ui", "success", "unwanted"),
        ("job.requeue", "ui", "success", "stuck"),
        ("job.run-now", "ui", "success", "later"),
    ]
