"""Changes of queues and schedules."""

from __future__ import annotations

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import Stage, changes, play


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
        await stage.press("enter", "home", "end", "enter")
        await stage.sees("› reports 漢字")
        await stage.press("p")
        await stage.sees("Pause reports 漢字")
        await stage.press("escape")

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
