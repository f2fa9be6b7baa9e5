"""Parsing of the filters that a user types."""

from __future__ import annotations

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.ui.jobs.filters import flags_of
from asyncmq_cli.ui.plans.plan import option_words
from tests.ui.stage import Stage, play


def test_a_filter_is_text_or_options(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("1 of 251 jobs")
        await stage.press("slash")
        await stage.sees("text anywhere in the job")
        await stage.type("ACME-17")
        await stage.press("enter")
        await stage.sees("1 of 11 jobs", "filter: ACME-17", "mail-170")
        await stage.press("escape")
        await stage.sees("1 of 251 jobs")
        await stage.press("slash")
        await stage.type("--job-id bad-a")
        await stage.press("enter")
        await stage.sees("1 of 1 job", "bad-address")
        await stage.press("slash", *["backspace"] * 14)
        await stage.type("--taks x")
        await stage.press("enter")
        await stage.sees("error: no such filter '--taks'", "choose from --q")
        await stage.press("escape")
        await stage.sees("1 of 251 jobs")

    play(server.url, story, size=(100, 24))


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", {}),
        ("  ", {}),
        ("two words", {"q": "two words"}),
        ("--q 'two words' --task=send", {"q": "two words", "task": "send"}),
        ("--older-than 2h", {"older_than": "2h"}),
    ],
)
def test_what_a_typed_filter_means(text: str, flags: dict[str, str]) -> None:
    assert flags_of(text) == flags
    assert flags_of(" ".join(f"{word!r}" if " " in word else word for word in option_words(flags))) == flags


@pytest.mark.parametrize("text", ["--nope x", "--q", "--q 'open", "--q x y"])
def test_a_filter_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageProblem):
        flags_of(text)
