"""The jobs of a queue, state by state."""

from __future__ import annotations

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import Stage, changes, play, state_of


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


def test_hostile_ids_and_names_are_shown_escaped(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("enter")
        text = await stage.sees("row-0", "\\x1b", "[bold]y[/bold]")
        assert "\x1b]0;" not in text
        await stage.press("end", "enter")
        text = await stage.sees("Task:", "\\x1b]0;owned")
        assert "\x1b]0;" not in text and "\x07" not in text

    play(server.url, story)


def test_jobs_of_all_queues_by_state(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("2")
        text = await stage.sees("all 267", "1 of 267 jobs", "wait-4", "reports 漢字")
        assert text.index("wait-4") < text.index("wait-0"), "the newest first"
        await stage.press("right_square_bracket")
        await stage.sees("1 of 10 jobs", "wait-0", "row-0")
        await stage.press("slash")
        await stage.type("--queue imp*")
        await stage.press("enter")
        await stage.sees("1 of 5 jobs", "row-0")
        assert "wait-0" not in stage.text
        assert stage.app.page.pane.command() == [
            *("jobs", "list", "--state", "waiting", "--queue", "imp*", "--sort", "queue")
        ]
        await stage.press("slash", *["backspace"] * 4)
        await stage.type("e* --job-id wait-3")
        await stage.press("enter")
        await stage.sees("1 of 1 job", "wait-3")
        await stage.press("slash", *["backspace"] * 18)
        await stage.type("nope")
        await stage.press("enter")
        await stage.sees("error: no queue is named 'nope'")
        await stage.press("escape")
        await stage.sees("1 of 10 jobs")
        rows = stage.app.page.pane.read_rows
        await stage.press(*["right_square_bracket"] * 3)
        await stage.sees("1 of 251 jobs", "mail-249")
        rows = stage.app.page.pane.read_rows
        await stage.press("end")
        await stage.sees("bad-address")
        assert rows.pages_held == [0, 2]

    play(server.url, story, size=(100, 24))


def test_states_and_tabs_can_be_clicked(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.click("2 Jobs")
        await stage.sees("all 267")
        await stage.click("dead 251")
        await stage.sees("1 of 251 jobs", "> mail-249")
        await stage.click("mail-248")
        await stage.sees("> mail-248")
        await stage.click("mail-248")
        await stage.sees("Task:", "mail-248")
        await stage.press("escape", "o")
        await stage.sees("› mail-248", "error {4}", "kwargs {2}")

    play(server.url, story)


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
