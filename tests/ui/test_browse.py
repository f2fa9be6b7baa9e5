"""Looking around: queues, jobs by state, one job, and back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest
import redis

from asyncmq_cli.cli.session import Session
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.ui.app import opened
from asyncmq_cli.ui.rows import PAGE
from tests.support.servers import Comeback
from tests.ui.stage import Stage, furnish, play

SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_from_all_queues_to_a_job_and_back(
    server: PrivateRedis, production: redis.Redis, size: tuple[int, int]
) -> None:
    async def story(stage: Stage) -> None:
        text = await stage.sees("emails", "imports", "reports 漢字", "3 queues, 267 jobs, 1 worker")
        assert text.index("imports") < text.index("emails") < text.index("reports"), "trouble first"
        await stage.matches("home")
        await stage.press("down", "enter")
        await stage.sees("dead 251", "mail-249", "2d ago", "1 of 251 jobs")
        await stage.matches("dead")
        await stage.press("end", "enter")
        await stage.sees("bad-address", "'bob' is not a mail address", "Root cause:")
        await stage.matches("job")
        await stage.press("escape")
        await stage.sees("251 of 251 jobs")
        await stage.press("question_mark")
        await stage.sees("Ctrl-Z")
        await stage.matches("keys")
        await stage.press("escape", "escape")
        await stage.sees("3 queues")
        await stage.press("5")
        await stage.sees("worker-1", "healthy")

    play(server.url, story, size=size)


def test_the_jobs_of_each_state(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("mail-249")
        await stage.press("right")
        await stage.sees("done-0", "3 jobs")
        await stage.press("right")
        await stage.sees("no cancelled job")
        await stage.press("left", "left", "left")
        await stage.sees("later-0", "DUE")
        await stage.press("left", "left")
        await stage.sees("wait-0", "3d ago")

    play(server.url, story)


def test_a_list_reads_only_the_pages_in_sight(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("mail-249", "1 of 251 jobs")
        rows = stage.app.page.pane.read_rows
        assert rows.pages_held == [0]
        await stage.press("end")
        await stage.sees("bad-address")
        assert rows.pages_held == [0, 251 // PAGE]
        await stage.press("home")
        await stage.sees("1 of 251 jobs", "mail-249")

    play(server.url, story)


def test_hostile_ids_and_names_are_shown_escaped(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("enter")
        text = await stage.sees("row-0", "\\x1b", "[bold]y[/bold]")
        assert "\x1b]0;" not in text
        await stage.press("end", "enter")
        text = await stage.sees("Task:", "\\x1b]0;owned")
        assert "\x1b]0;" not in text and "\x07" not in text

    play(server.url, story)


def test_secrets_are_redacted(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("mail-249")
        await stage.press("enter")
        await stage.sees("Job:", "mail-249", "Error:")
        await stage.press("end")
        text = await stage.sees("acme-249")
        assert "hunter2" not in text and "[redacted]" in text

    play(server.url, story)


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


def test_a_job_that_is_gone_is_an_error_on_its_page(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        stage.app.open_job("emails", "ghost")
        await stage.sees("error:", "'ghost'")
        await stage.press("escape")
        await stage.sees("3 queues")

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


def test_the_screen_asks_redis_what_overview_watch_asks(
    server: PrivateRedis, production: redis.Redis
) -> None:
    """The bench measures further rounds: how often something is read again depends on how long it took."""

    def calls(look: Callable[[Session], object]) -> dict[str, int]:
        session = Session({"redis_url": server.url})
        _ = session.out
        production.config_resetstat()
        look(session)
        found = production.info("commandstats")
        session.store.close()
        return {name: stats["calls"] for name, stats in found.items() if "config" not in name}

    def watch(session: Session) -> None:
        session.poller(workers=True, latest=True, trouble=True, again=True).read()
        session.metrics.past(since=1800.0)

    assert calls(opened) == calls(watch)
