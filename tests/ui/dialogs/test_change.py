"""The dialog of a change: its plan, confirmation, progress and guards."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.library import events
from tests.ui.stage import Stage, changes, play


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


def test_refusals_are_shown_and_nothing_is_changed(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("row-0")
        await stage.press("t")
        await stage.sees("There is nothing to retry", "refused: job 'row-0' is waiting, not failed")
        await stage.press("enter")
        await stage.press("a")
        await stage.sees("there is nothing to add here")

    play(server.url, story)
    assert events(town) == []


def test_a_read_only_run_asks_nothing(server: PrivateRedis, town: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("p")
        await stage.sees("error: refused: --read-only allows no change")

    play(server.url, story, read_only=True)
    assert events(town) == []


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
        await stage.press("enter")
        await stage.sees("error: these are 3 changes, and context 'prod' allows 2 at a time")
        await stage.press("escape")
        await stage.press("escape", "space", "space", "t")
        await stage.sees("Retry 2 failed jobs")
        await stage.press("tab", "tab", "tab", "tab")
        await stage.type("prod")
        await stage.sees("confirm:      prod")
        await stage.press("enter")
        await stage.press("enter")
        await stage.sees("Retried 2 of 2")

    play(None, story, context="prod")
    assert [one[:3] for one in changes(town)] == [("dlq.retry", "ui", "success")] * 2
