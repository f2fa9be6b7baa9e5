"""From all queues to a job and back, and the tabs."""

from __future__ import annotations

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import SIZES, Stage, play


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


def test_every_tab(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("all 267", "wait-4", "imports", "1 of 267 jobs")
        await stage.press("tab", "tab")
        await stage.sees("no schedules")
        await stage.press("tab")
        await stage.sees("worker-1", "healthy")
        await stage.press("tab")
        await stage.sees("no changes yet")
        await stage.press("slash")
        await stage.type("zzz")
        await stage.press("enter")
        await stage.sees("no event matches")
        await stage.press("tab")
        await stage.sees("STATE", "imports")
        await stage.press("slash")
        await stage.type("mail")
        await stage.press("enter")
        await stage.sees("1 queue of 3 with 'mail'")

    play(server.url, story)
