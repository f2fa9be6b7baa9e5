"""No part of an error shows a secret: not its message, nor its hint, nor its details."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import redis

from tests.conftest import Run


def test_an_id_that_holds_a_secret_is_not_quoted_with_it(client: redis.Redis, cli: Run) -> None:
    client.sadd("jobs:mail:ids", "known")
    for args in (
        ["jobs", "retry", "mail", "token=hunter2", "other"],
        ["jobs", "show", "mail", "token=hunter2"],
        ["jobs", "list", "password=hunter2"],
        ["repeatables", "pause", "mail", "--task", "api_key=hunter2"],
    ):
        for form in ([], ["--json"]):
            result = cli(*args, *form)
            assert result.code in (1, 4), result
            assert "hunter2" not in result.stderr, args


def test_how_a_url_is_written_stays_readable(cli: Run) -> None:
    result = cli("queues", "list", "--redis-url", "http://example.org")
    assert "redis://" in result.stderr
    assert "[redacted]" not in cli("queues", "list", "--redis-url", "redis://h/x").stderr


_LEFT_BEHIND = """
import sys
from asyncmq_cli import app

class Unclosed:
    def __del__(self):
        raise RecursionError

sys.argv[1:] = ["--version"]
app.main()
Unclosed()
"""


@pytest.mark.parametrize(("setting", "shown"), [("", False), ("1", True)])
def test_an_error_in_a_destructor_is_shown_only_to_who_debugs(setting: str, shown: bool) -> None:
    environment = {**os.environ, "ASYNCMQ_DEBUG": setting}
    ran = subprocess.run(
        [sys.executable, "-c", _LEFT_BEHIND], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("asyncmq")
    assert ("Traceback" in ran.stderr) is shown
    assert shown or ran.stderr == ""
