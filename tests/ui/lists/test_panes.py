"""Orders, columns, marks and copies."""

from __future__ import annotations

import json

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import Stage, play


def test_orders_and_columns(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("s")
        await stage.sees("Sort by", "waiting")
        await stage.press("enter")
        rows = stage.app.page.pane.listing
        await stage.until(lambda: [rows.rows.row(at).name for at in range(2)] == ["emails", "imports"])
        await stage.press("f")
        await stage.sees("Columns")
        await stage.press("down", "space", "enter")
        await stage.until(lambda: "STATE" not in stage.text)
        await stage.press("home", "enter")
        await stage.sees("mail-249")
        await stage.press("s")
        await stage.sees("oldest")
        await stage.press("end", "enter")
        text = await stage.sees("bad-address", "1 of 251 jobs, more are read as you scroll")
        assert text.index("bad-address") < text.index("mail-000")

    play(server.url, story)


def test_marks_and_copies(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("1 of 251 jobs")
        await stage.press("space", "space")
        text = await stage.sees("2 marked", " *mail-249", " *mail-248", "> mail-247")
        pane = stage.app.page.pane
        assert [job.id for job in pane.targets()] == ["mail-249", "mail-248"]
        await stage.press("y")
        await stage.sees("copied 'mail-247'")
        assert stage.app.clipboard == "mail-247"
        await stage.press("Y")
        await stage.sees("characters")
        copied = json.loads(stage.app.clipboard)
        assert copied["id"] == "mail-247" and copied["payload"]["kwargs"]["password"] == "[redacted]"
        await stage.press("up", "space")
        text = await stage.sees("1 marked")
        assert " *mail-248" not in text

    play(server.url, story)
