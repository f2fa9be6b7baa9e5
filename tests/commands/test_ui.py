"""The command line of `asyncmq ui`, before there is a screen."""

from __future__ import annotations

import importlib.util

import pytest

from tests.conftest import Run
from tests.support.terminal import on_terminal


def test_a_missing_textual_is_named_with_its_extra(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "textual" else found(name))
    done = cli("ui")
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: the screen needs textual, which is not installed",
        "hint: pip install 'asyncmq-cli[ui]'",
    ]


@pytest.mark.parametrize("args", [[], ["--json"]])
def test_the_screen_needs_a_terminal(cli: Run, args: list[str]) -> None:
    done = cli("ui", *args)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(("error: ui needs a terminal", '{"error":{"code":"usage"'))


def test_a_redis_that_is_away_at_the_start_is_an_error_like_any_other() -> None:
    shown = on_terminal("ui", url="unix:///nowhere/redis.sock")
    assert shown.code == 3
    assert [line.split(":")[0] for line in shown.lines] == ["error", "hint"]


def test_asyncmq_alone_on_a_terminal_says_that_there_is_a_screen() -> None:
    assert "'asyncmq ui' opens an interactive screen" in on_terminal(url="").text


def test_the_demo_opens_the_screen_alone(cli: Run) -> None:
    done = cli("demo", "--ui", "--shell")
    assert done.code == 2 and "--ui opens the screen alone" in done.stderr
