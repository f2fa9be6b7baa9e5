"""One job."""

from __future__ import annotations

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import Stage, play


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


def test_a_job_that_is_gone_is_an_error_on_its_page(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        stage.app.open_job("emails", "ghost")
        await stage.sees("error:", "'ghost'")
        await stage.press("escape")
        await stage.sees("3 queues")

    play(server.url, story)
