"""Changes by key: the plan, its yes, what Redis holds then, and the audit trail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from textual.widgets import Button

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.library import bury, events
from tests.support.workers import QUEUE, failing, working
from tests.ui.stage import Stage, furnish, play


@pytest.fixture
def town(server: PrivateRedis) -> Iterator[redis.Redis]:
    """The data of `furnish`, for one story."""
    with redis.Redis.from_url(server.url) as connection:
        furnish(connection, server.url)
        yield connection


def state_of(client: redis.Redis, job_id: str, queue: str = "emails") -> str:
    return (client.hget(f"jobs:{queue}:states", job_id) or b"").decode()


def changes(client: redis.Redis) -> list[tuple[Any, ...]]:
    """Action, source, status, job and reason of each event."""
    return [
        (one["action"], one["source"], one["status"], one["job_id"], one["details"].get("reason"))
        for one in events(client)
    ]


def test_find_the_failing_customer_retry_one_then_the_group(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter", "slash")
        await stage.type("acme-17")
        await stage.press("enter")
        await stage.sees("1 of 11 jobs", "mail-17")
        await stage.press("slash", *["backspace"] * 7)
        await stage.type("--job-id mail-171")
        await stage.press("enter")
        await stage.sees("1 of 1 job")
        await stage.press("enter")
        await stage.sees("Root cause:", "Connection refused")
        await stage.press("t")
        await stage.sees("Retry 1 failed job in emails", "asyncmq jobs retry emails mail-171")
        await stage.type("mail is back")
        await stage.sees("--reason 'mail is back'")
        await stage.matches("retry")
        await stage.press("enter", "enter")
        await stage.sees("Retried job mail-171 in emails")
        await stage.press("enter")
        await stage.sees("State:        waiting")
        assert state_of(town, "mail-171") == "waiting"
        await stage.press("escape", "escape", "escape", "3")
        await stage.sees("250 dead jobs, 1 cause")
        await stage.press("t")
        await stage.sees("Retry 250 failed jobs in emails", "… and 245 more", "abort-above")
        await stage.press("tab")
        await stage.type("3")
        await stage.press("enter", "tab", "enter")
        await stage.sees("Would retry 3 failed jobs (of 250 that match)")
        await stage.press("shift+tab", "enter")
        await stage.sees("Retried 3 (of 250 that match)")
        await stage.press("enter")
        await stage.sees("247 dead jobs")

    play(server.url, story)
    assert changes(town)[0] == ("job.retry", "ui", "success", "mail-171", "mail is back")
    assert [one[:3] for one in changes(town)[1:]] == [("dlq.retry", "ui", "success")] * 3


def test_a_slow_change_says_how_far_it_is_and_can_be_stopped(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("1 of 251 jobs")
        await stage.press("asterisk", "t")
        await stage.sees("Retry 251 failed jobs", "asyncmq dlq retry emails --all")
        await stage.press("tab", "tab")
        await stage.type("20/s")
        await stage.press("enter", "enter")
        await stage.sees(" of 251 · running; Esc stops it")
        await stage.press("escape")
        await stage.sees("Retried", "error: interrupted; what was done stays done")

    app = play(server.url, story)
    done = changes(town)
    assert 0 < len(done) < 251
    assert {one[:3] for one in done} == {("dlq.retry", "ui", "success")}
    assert app.farewell is not None


def test_what_is_refused_is_said_and_nothing_is_changed(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("row-0")
        await stage.press("t")
        await stage.sees("There is nothing to retry", "refused: job 'row-0' is waiting, not failed")
        await stage.press("enter")
        await stage.press("p")
        await stage.sees("there is nothing to pause here")

    play(server.url, story)
    assert events(town) == []


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


def test_queues_are_paused_and_resumed(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("p")
        await stage.sees("Pause imports", "asyncmq queues pause imports")
        await stage.press("enter", "enter")
        await stage.sees("Paused queue imports")
        await stage.press("enter", "end", "p")
        await stage.sees("Resume reports 漢字")
        await stage.press("enter", "enter")
        await stage.sees("Resumed queue reports 漢字")

    play(server.url, story)
    assert town.exists("queue:imports:paused") and not town.exists("queue:reports 漢字:paused")
    assert [one[:3] for one in changes(town)] == [
        ("queue.pause", "ui", "success"),
        ("queue.resume", "ui", "success"),
    ]


def test_schedules_are_added_paused_and_removed(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("4")
        await stage.sees("no schedules; a adds one")
        await stage.press("a")
        await stage.sees("Add a schedule", "asyncmq repeatables add QUEUE")
        await stage.type("emials")
        await stage.press("tab")
        await stage.type("app.digest")
        await stage.press("tab")
        await stage.type("5m")
        await stage.sees("asyncmq repeatables add emials --task app.digest --every 5m")
        await stage.press("enter", "enter")
        await stage.sees("error: there is no queue named 'emials' yet", "did you mean emails?")
        await stage.press(*["shift+tab"] * 8)
        await stage.press(*["backspace"] * 6)
        await stage.type("emails")
        await stage.press("enter", "enter")
        await stage.sees("Added app.digest, every 5m, in emails", "Next runs:")
        await stage.press("enter")
        await stage.sees("app.digest", "scheduled")
        await stage.press("p")
        await stage.sees("Pause app.digest, every 5m")
        await stage.press("enter", "enter")
        await stage.sees("Paused app.digest")
        await stage.press("enter")
        await stage.sees("paused", "every 5m")
        await stage.press("D")
        await stage.sees("Remove app.digest, every 5m")
        await stage.press("enter", "enter")
        await stage.sees("Removed app.digest")

    play(server.url, story)
    assert not town.exists("queue:emails:repeatables")
    assert [one[:3] for one in changes(town)] == [
        (f"repeatable.{verb}", "ui", "success") for verb in ("create", "pause", "remove")
    ]


def test_a_run_that_may_only_look_asks_nothing(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("p")
        await stage.sees("error: this may only look: --read-only allows no change")

    play(server.url, story, read_only=True)
    assert events(town) == []


def can_be_pressed(widget: object) -> bool:
    """Whether it is a button that does not show a press of a moment ago: until then it takes no other."""
    return isinstance(widget, Button) and not widget.has_class("-active")


def test_a_guarded_context_wants_its_name(
    server: PrivateRedis, town: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "asyncmq"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f'[context.prod]\nredis_url = "{server.url}"\nguard = "confirm"\nmax_changes = 2\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    async def story(stage: Stage) -> None:
        await stage.sees(" prod ")
        await stage.press("down", "enter")
        await stage.sees("mail-249")
        await stage.press("space", "space", "space", "t")
        await stage.sees("Retry 3 failed jobs in emails on prod", "(unix://", "type prod to go on")
        await stage.press("enter", "enter")
        await stage.sees("not confirmed: type prod into its field")
        await stage.type("prod")
        await stage.sees("confirm:      prod")
        await stage.press("enter")
        await stage.until(lambda: can_be_pressed(stage.app.screen.focused))
        await stage.press("enter")
        await stage.sees("error: these are 3 changes, and context 'prod' allows 2 at a time")
        await stage.press("escape")
        await stage.press("escape", "space", "space", "t")
        await stage.sees("Retry 2 failed jobs")
        await stage.press("tab", "tab", "tab", "tab")
        await stage.type("prod")
        await stage.sees("confirm:      prod")
        await stage.press("enter")
        await stage.until(lambda: can_be_pressed(stage.app.screen.focused))
        await stage.press("enter")
        await stage.sees("Retried 2 of 2")

    play(None, story, context="prod")
    assert [one[:3] for one in changes(town)] == [("dlq.retry", "ui", "success")] * 2


def test_a_cause_that_has_not_passed_stops_its_retry(server: PrivateRedis, town: redis.Redis) -> None:
    """With a real worker: the retried jobs fail again, and the rest stays dead."""
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
