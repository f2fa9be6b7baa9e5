"""The palette."""

from __future__ import annotations

import shlex

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.ui.dialogs.palette import Entry
from tests.conftest import within_this_process
from tests.ui.stage import SIZES, Stage, play

_CHANGES = ("retry", "requeue", "run-now", "cancel", "remove", "pause", "resume")


@pytest.mark.parametrize("size", SIZES)
def test_the_palette_shows_the_command_line_and_copies_it(
    server: PrivateRedis, production: redis.Redis, size: tuple[int, int]
) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("colon")
        await stage.sees("pause 1 queue (p)", "asyncmq queues pause imports", "Ctrl-Y copies")
        await stage.matches("palette")
        await stage.type("open emails")
        await stage.sees("asyncmq queues show emails")
        await stage.press("enter")
        await stage.sees("mail-249")
        await stage.press("space", "space", "ctrl+p")
        await stage.sees("retry 2 jobs (t)")
        await stage.type("this list")
        await stage.press("ctrl+y")
        await stage.sees("copied: asyncmq dlq list emails")
        assert stage.app.clipboard == "asyncmq dlq list emails"
        await stage.press(*["backspace"] * 9)
        await stage.type("retry")
        await stage.press("ctrl+y")
        assert shlex.split(stage.app.clipboard) == [
            "asyncmq",
            "dlq",
            "retry",
            "emails",
            "mail-249",
            "mail-248",
        ]
        await stage.press("enter")
        await stage.sees("Retry 2 failed jobs in emails")
        await stage.press("escape")

    play(server.url, story, size=size)


def test_every_command_line_of_the_palette_is_one(
    server: PrivateRedis,
    production: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    lines: list[list[str]] = []

    async def story(stage: Stage) -> None:
        async def gather() -> None:
            lines.extend(list(entry.words) for entry in stage.app.page.entries() if entry.words)

        await stage.sees("imports")
        for key in "123456":
            await stage.press(key)
            await gather()
        await stage.press("1", "down", "enter")
        await stage.sees("mail-249")
        await gather()
        await stage.press("asterisk")
        await gather()
        await stage.press("enter")
        await stage.sees("Root cause:")
        await gather()

    play(server.url, story)
    assert len(lines) > 15
    tool = within_this_process(server.url, monkeypatch, capfdbinary)
    # An editor wants a terminal, and a schedule to be told.
    tried = {tuple(words) for words in lines if "QUEUE" not in words and words[1:2] != ["edit"]}
    for words in tried:
        rest = ["--dry-run"] if words[1:2] and words[1] in _CHANGES else []
        assert tool(*words, *rest).code in (0, 1), words


def test_typing_finds_an_entry() -> None:
    entry = Entry("retry 2 jobs (t)", lambda: None, ["dlq", "retry", "emails"])
    assert entry.matches("") and entry.matches("RETRY ema") and not entry.matches("retry imports")
