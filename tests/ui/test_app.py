"""Snapshots, resizes, colours, and a slow or unreachable Redis."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable

import pytest
import redis

from asyncmq_cli.cli.session import Session
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.monitoring.poller import SnapshotReader
from asyncmq_cli.ui.app import opened
from tests.support.servers import Comeback
from tests.ui.stage import Stage, furnish, play


def test_a_resize_is_drawn_at_once(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.sees("emails")
        assert "COMPLETED" not in stage.text
        await stage.pilot.resize_terminal(120, 30)
        await stage.sees("COMPLETED", "emails")
        await stage.pilot.resize_terminal(40, 8)
        await stage.sees("> imports")

    play(server.url, story)


def test_without_colours_the_row_of_the_cursor_is_still_marked(
    server: PrivateRedis, production: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(stage: Stage) -> None:
        await stage.sees("> imports")
        for shade in re.findall(r"fill: #(\w{6})", stage.app.export_screenshot()):
            parts = bytes.fromhex(shade)
            assert max(parts) - min(parts) < 8, "a colour"
        await stage.press("down")
        await stage.sees("> emails")

    play(server.url, story)


def test_a_snapshot_may_come_before_a_page_is_there(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.sees("> imports")
        stage.app.open_queue("emails")
        stage.app._show(is_back=False)
        await stage.sees("mail-249")

    play(server.url, story)


def test_redis_goes_away_and_comes_back() -> None:
    with Comeback() as server, redis.Redis.from_url(server.url) as client:
        furnish(client, server.url)

        async def story(stage: Stage) -> None:
            stage.app.every = 0.1
            await stage.sees("emails")
            server.go_away()
            await stage.press("r")
            await stage.sees("trying again: cannot reach Redis")
            assert all(listing.is_stale for listing in stage.app.page.query("Listing"))
            # Keys still answer.
            await stage.press("down")
            await stage.sees("> emails", "trying again")
            await stage.press("enter")
            await stage.sees("error: cannot reach Redis")
            server.come_back()
            await asyncio.to_thread(furnish, client, server.url)
            await stage.press("r")
            await stage.sees("mail-249", "1 of 251 jobs")

        play(server.url, story)


def test_keys_are_answered_while_redis_is_silent(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.sees("> imports")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            stage.app.hurry()
            await stage.press("down")
            await stage.sees("> emails")
            await stage.press("enter")
            await stage.sees("› emails", "reading…")
            await stage.press("right", "question_mark")
            await stage.sees("Ctrl-Z")
            await stage.press("escape", "left")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await stage.sees("mail-249")

    play(server.url, story, timeout="60")


def test_the_screen_asks_redis_no_more_than_overview_watch(
    server: PrivateRedis, production: redis.Redis
) -> None:
    """The benchmark measures further reads, because their frequency depends on how long a read takes."""

    def calls(look: Callable[[Session], object]) -> dict[str, int]:
        session = Session({"redis_url": server.url})
        _ = session.out
        production.config_resetstat()
        look(session)
        found = production.info("commandstats")
        session.store.close()
        return {name: stats["calls"] for name, stats in found.items() if "config" not in name}

    def watch(session: Session) -> None:
        SnapshotReader(session.store, workers=True, latest=True, trouble=True, again=True).read()
        session.metrics.past(since=1800.0)

    ours, theirs = calls(opened), calls(watch)
    # Nor the latest jobs, which its first page does not show.
    assert set(ours) <= set(theirs)
    assert all(ours[name] <= theirs[name] for name in ours), (ours, theirs)
