"""Changes of jobs: what Redis holds then, and the audit trail."""

from __future__ import annotations

from pathlib import Path

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.library import events
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
